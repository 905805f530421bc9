//! One line: name, values, type and extensions, by finding their separators.
//!
//! Not here: events, service checks, several groups a line and members with `|` in them (see `odd`).
//!
//! Invariant: `each` is called only when the whole line holds, so a malformed line leaves nothing behind. Offsets count
//! from the start of the line.
//!
//! Cost: the three separators are found by `memchr`; a name is scanned twice more, for control characters and UTF-8.

use super::observation::{Measure, Observation, Reason, Tags};
use super::odd;
use crate::number::finite;
use memchr::memchr;

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What is wrong, and at which byte of the line.
pub(super) type Fault = (Reason, usize);

/// The meaning of a type's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Count,
    Gauge,
    Timer,
    Set,
}

/// The extensions that change what is stored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extensions<'a> {
    pub(super) rate: Option<(&'a [u8], usize)>,
    pub(super) tags: Tags<'a>,
    pub(super) time: Option<(&'a [u8], usize)>,
    pub(super) container: &'a str,
    pub(super) ignored: u32,
}

/// Reads a line that is not empty.
#[inline]
pub(super) fn read<'a>(line: &'a [u8], each: &mut impl FnMut(Observation<'a>)) -> Result<(), Fault> {
    if line[0] == b'_' && (line.starts_with(b"_e{") || line.starts_with(b"_sc|")) {
        return odd::event_or_check(line, each);
    }
    let colon = memchr(b':', line).ok_or((Reason::Incomplete, line.len()))?;
    let name = name(&line[..colon])?;
    let start = colon + 1;
    let bar = start + memchr(b'|', &line[start..]).ok_or((Reason::Incomplete, line.len()))?;
    let values = &line[start..bar];
    let type_start = bar + 1;
    let type_end = memchr(b'|', &line[type_start..]).map_or(line.len(), |at| type_start + at);
    let letters = &line[type_start..type_end];
    let Some(kind) = kind_of(letters) else {
        return odd::groups_or_member(line, name, start, each);
    };
    let extensions = if type_end == line.len() {
        Extensions::default()
    } else {
        match extensions(line, type_end)? {
            Some(extensions) => extensions,
            None => return odd::groups_or_member(line, name, start, each),
        }
    };
    emit(Group { name, values, start, kind, extensions }, each)
}

/// One run of values with a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) values: &'a [u8],
    /// Where the values begin.
    pub(super) start: usize,
    pub(super) kind: Type,
    pub(super) extensions: Extensions<'a>,
}

/// Checks all of a group, then gives its values.
#[inline]
pub(super) fn emit<'a>(group: Group<'a>, each: &mut impl FnMut(Observation<'a>)) -> Result<(), Fault> {
    let (rate, time_s) = check(&group)?;
    let Group { name, values, start, kind, extensions } = group;
    let Extensions { tags, container, mut ignored, .. } = extensions;
    let mut say = |measure| {
        each(Observation { name, tags, container, measure, rate, time_s, ignored: std::mem::take(&mut ignored) });
    };
    match kind {
        Type::Set => say(Measure::Member(values)),
        _ if memchr(b':', values).is_none() => say(measure(kind, values).ok_or((Reason::Value, start))?),
        _ => {
            for value in values.split(|byte| *byte == b':') {
                measure(kind, value).ok_or((Reason::Value, start))?;
            }
            values.split(|byte| *byte == b':').filter_map(|value| measure(kind, value)).for_each(say);
        }
    }
    Ok(())
}

/// What of a group can be judged before its values are read: the rate and the time that hold for it.
#[inline]
pub(super) fn check(group: &Group<'_>) -> Result<(f64, Option<i64>), Fault> {
    let Group { values, start, kind, extensions, .. } = group;
    let rate = match (extensions.rate, kind) {
        (Some((text, at)), Type::Count | Type::Timer) => {
            let rate = finite(text).filter(|rate| *rate > 0.0 && *rate <= 1.0);
            rate.ok_or((Reason::Rate, at))?
        }
        _ => 1.0,
    };
    let time_s = match (extensions.time, kind) {
        (Some((text, at)), Type::Count | Type::Gauge) => Some(seconds(text).ok_or((Reason::Timestamp, at))?),
        _ => None,
    };
    if values.is_empty() {
        return Err((Reason::Value, *start));
    }
    Ok((rate, time_s))
}

/// A name that can be stored.
#[inline]
pub(super) fn name(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
        return Err((Reason::Name, 0));
    }
    printable(bytes).ok_or((Reason::Name, 0))
}

/// UTF-8 without control characters.
#[inline]
pub(super) fn printable(bytes: &[u8]) -> Option<&str> {
    // Looked at without an early end, so that the compiler takes many bytes at once.
    let (mut control, mut high) = (false, false);
    for &byte in bytes {
        control |= byte < 0x20 || byte == 0x7f;
        high |= byte >= 0x80;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let refused = control || high && text.chars().any(char::is_control);
    (!refused).then_some(text)
}

/// The type of these letters; `m` is a meter (netdata, brubeck), `kv` a raw point (statsite).
#[inline]
pub(super) fn kind_of(letters: &[u8]) -> Option<Type> {
    match letters {
        b"c" | b"m" => Some(Type::Count),
        b"g" | b"kv" => Some(Type::Gauge),
        b"ms" | b"h" | b"d" => Some(Type::Timer),
        b"s" => Some(Type::Set),
        _ => None,
    }
}

/// A value of a type; nothing for what is no number.
#[inline]
pub(super) fn measure(kind: Type, text: &[u8]) -> Option<Measure<'_>> {
    let value = finite(text)?;
    Some(match kind {
        Type::Count => Measure::Count(value),
        Type::Gauge if matches!(text[0], b'+' | b'-') => Measure::GaugeChange(value),
        Type::Gauge => Measure::Gauge(value),
        Type::Timer | Type::Set => Measure::Timer(value),
    })
}

/// Whole seconds since 1970, written with digits only.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Reads the extensions from the `|` at `at` on; nothing when a rate is followed by another group.
pub(super) fn extensions(line: &[u8], mut at: usize) -> Result<Option<Extensions<'_>>, Fault> {
    let mut found = Extensions::default();
    while at < line.len() {
        let start = at + 1;
        let end = memchr(b'|', &line[start..]).map_or(line.len(), |bar| start + bar);
        if line[start..end].first() == Some(&b'@') && memchr(b':', &line[start..end]).is_some() {
            return Ok(None);
        }
        extension(&line[start..end], start, &mut found)?;
        at = end;
    }
    Ok(Some(found))
}

/// Takes one extension; unknown ones are counted, so that newer senders keep working.
#[inline]
pub(super) fn extension<'a>(text: &'a [u8], start: usize, found: &mut Extensions<'a>) -> Result<(), Fault> {
    match text.first() {
        Some(b'@') => found.rate = Some((&text[1..], start)),
        Some(b'#') => found.tags = Tags(printable(&text[1..]).ok_or((Reason::Tags, start))?),
        Some(b'T') => found.time = Some((&text[1..], start)),
        Some(b'c') if text.get(1) == Some(&b':') => {
            found.container = printable(&text[2..]).ok_or((Reason::Tags, start))?;
        }
        _ => found.ignored += 1,
    }
    Ok(())
}
