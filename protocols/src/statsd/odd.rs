//! The rarer forms: several groups a line, members of sets with `|` in them, service checks, events.
//!
//! Not here: the ordinary line (see `line`).
//!
//! Cost: two walks over the line; still without allocation.

use super::line::{Extensions, Fault, Group, Type, check, emit, extension, kind_of, measure, name, printable};
use super::observation::{Event, Measure, Observation, Reason, Tags};
use memchr::memchr;

/// Reads a line whose first type is none: Etsy's `a:1|c:2|c`, a member such as `x|y`, or a type nobody knows.
/// `start` is where the first value begins.
#[cold]
pub(super) fn groups_or_member<'a>(
    line: &'a [u8],
    name: &'a str,
    start: usize,
    each: &mut impl FnMut(Observation<'a>),
) -> Result<(), Fault> {
    if let Some(group) = member(line, name, start)? {
        return emit(group, each);
    }
    let mut shared = shared_extensions(line, start)?;
    // All groups are looked at before the first is given: a line is all or nothing.
    shared.ignored = walk_groups(line, name, start, shared, &mut |group| {
        check(&group)?;
        let numbers = group.values.split(|byte| *byte == b':').all(|value| measure(group.kind, value).is_some());
        if numbers { Ok(()) } else { Err((Reason::Value, group.start)) }
    })?;
    walk_groups(line, name, start, shared, &mut |group| emit(group, each)).map(|_| ())
}

/// The sections of a line from `start` on, each with where it begins.
fn sections(line: &[u8], start: usize) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = start;
    line[start..].split(|byte| *byte == b'|').map(move |text| {
        let begins = at;
        at += text.len() + 1;
        (text, begins)
    })
}

/// Tags and time, which hold for all groups of a line.
fn shared_extensions(line: &[u8], start: usize) -> Result<Extensions<'_>, Fault> {
    let mut found = Extensions::default();
    for (text, begins) in sections(line, start).skip(1) {
        if matches!(text.first(), Some(b'#' | b'T')) || text.starts_with(b"c:") {
            extension(text, begins, &mut found)?;
        }
    }
    Ok(found)
}

/// Gives every group of a line in order; returns how many extensions are unknown.
fn walk_groups<'a>(
    line: &'a [u8],
    name: &'a str,
    start: usize,
    mut shared: Extensions<'a>,
    each: &mut impl FnMut(Group<'a>) -> Result<(), Fault>,
) -> Result<u32, Fault> {
    let mut unknown = 0;
    let mut parts = sections(line, start);
    let Some((mut values, mut values_start)) = parts.next() else { return Ok(0) };
    let mut pending: Option<Group<'a>> = None;
    for (text, begins) in parts {
        let (own, next) = match memchr(b':', text) {
            Some(colon) => (&text[..colon], Some(colon + 1)),
            None => (text, None),
        };
        match (&mut pending, own.first()) {
            (None, _) => {
                let kind = kind_of(own).filter(|kind| *kind != Type::Set).ok_or((Reason::UnknownType, begins))?;
                pending = Some(Group { name, values, start: values_start, kind, extensions: shared });
                shared.ignored = 0;
            }
            (Some(group), Some(b'@')) => group.extensions.rate = Some((&own[1..], begins)),
            // A colon in any other extension, a container's for one, does not begin a group.
            (Some(_), first) => {
                unknown += u32::from(!matches!(first, Some(b'#' | b'T')) && !text.starts_with(b"c:"));
                continue;
            }
        }
        if let Some(next) = next {
            pending.take().map_or(Ok(()), &mut *each)?;
            (values, values_start) = (&text[next..], begins + next);
        }
    }
    match pending {
        Some(group) => each(group).map(|()| unknown),
        None => Err((Reason::Incomplete, line.len())),
    }
}

/// A set whose member holds a `|`: the type is the last `|s` that ends the line or is followed by an extension. What
/// begins as a group of another type is none.
fn member<'a>(line: &'a [u8], name: &'a str, start: usize) -> Result<Option<Group<'a>>, Fault> {
    let first = sections(line, start).nth(1).and_then(|(text, _)| text.split(|byte| *byte == b':').next());
    if first.is_some_and(|letters| kind_of(letters).is_some()) {
        return Ok(None);
    }
    let is_type = |at: &usize| line[*at..].starts_with(b"|s") && matches!(line.get(at + 2), None | Some(b'|'));
    let Some(bar) = (start..line.len()).rev().find(is_type) else { return Ok(None) };
    let mut found = Extensions::default();
    for (text, begins) in sections(line, bar + 1).skip(1) {
        extension(text, begins, &mut found)?;
    }
    Ok(Some(Group { name, values: &line[start..bar], start, kind: Type::Set, extensions: found }))
}

/// Reads `_e{..}` and `_sc|..`.
#[cold]
pub(super) fn event_or_check<'a>(line: &'a [u8], each: &mut impl FnMut(Observation<'a>)) -> Result<(), Fault> {
    if line.starts_with(b"_sc|") {
        return service_check(line, each);
    }
    event(line, each)
}

/// The name under which events are counted.
const EVENTS: &str = "statsd_events";

/// `_e{5,4}:title|text` with extensions: the lengths are bytes, so that title and text may hold `|` and `:`.
fn event<'a>(line: &'a [u8], each: &mut impl FnMut(Observation<'a>)) -> Result<(), Fault> {
    let framed = || {
        let close = memchr(b'}', line)?;
        let comma = memchr(b',', &line[..close])?;
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
        let (title_len, text_len) = (number(&line[3..comma])?, number(&line[comma + 1..close])?);
        let (title, rest) = line[close + 1..].strip_prefix(b":")?.split_at_checked(title_len)?;
        let (text, rest) = rest.strip_prefix(b"|")?.split_at_checked(text_len)?;
        let whole = matches!(rest.first(), None | Some(b'|')) && !title.is_empty();
        whole.then_some((std::str::from_utf8(title).ok()?, std::str::from_utf8(text).ok()?, rest))
    };
    let (title, text, rest) = framed().ok_or((Reason::BadEvent, 0))?;
    let (mut tags, mut container, mut alert, mut ignored) = (Tags::default(), "", "info", 0);
    for (extension, begins) in sections(line, line.len() - rest.len()).skip(1) {
        match extension {
            [b'#', text @ ..] => tags = Tags(printable(text).ok_or((Reason::Tags, begins))?),
            [b'c', b':', text @ ..] => container = printable(text).ok_or((Reason::Tags, begins))?,
            b"t:error" => alert = "error",
            b"t:warning" => alert = "warning",
            b"t:info" => alert = "info",
            b"t:success" => alert = "success",
            [b't', b':', ..] => return Err((Reason::BadEvent, begins)),
            // When, where, what it belongs to, how urgent, and from where.
            [b'd' | b'h' | b'k' | b'p' | b's', b':', ..] => {}
            _ => ignored += 1,
        }
    }
    let measure = Measure::Event(Event { title, text, alert });
    each(Observation { name: EVENTS, tags, container, measure, rate: 1.0, time_s: None, ignored });
    Ok(())
}

/// `_sc|name|status` with extensions: a gauge of the status. The message, which is last, may hold anything.
fn service_check<'a>(line: &'a [u8], each: &mut impl FnMut(Observation<'a>)) -> Result<(), Fault> {
    let mut parts = sections(line, 4);
    let (text, begins) = parts.next().ok_or((Reason::Name, 4))?;
    let name = name(text).map_err(|(reason, _)| (reason, begins))?;
    let (status, begins) = parts.next().ok_or((Reason::Incomplete, line.len()))?;
    let [digit @ b'0'..=b'3'] = status else { return Err((Reason::Status, begins)) };
    let (mut tags, mut container, mut ignored) = (Tags::default(), "", 0);
    for (text, begins) in parts {
        match text {
            [b'm', b':', ..] => break,
            [b'#', text @ ..] => tags = Tags(printable(text).ok_or((Reason::Tags, begins))?),
            [b'c', b':', text @ ..] => container = printable(text).ok_or((Reason::Tags, begins))?,
            [b'd' | b'h', b':', ..] => {}
            _ => ignored += 1,
        }
    }
    let measure = Measure::Gauge(f64::from(digit - b'0'));
    each(Observation { name, tags, container, measure, rate: 1.0, time_s: None, ignored });
    Ok(())
}
