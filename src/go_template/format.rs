//! Numbers and other values as Go prints them, and as people read them.
//!
//! Not here: which function does what (see `functions`).

use super::value::Value;
use std::fmt::Write;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
/// Widest padding that a format may ask for.
const WIDTH_MAX: usize = 1000;

/// A value as `%v` prints it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Whole(number) => number.to_string(),
        Value::Number(number) => shortest(*number, 21),
        Value::Text(text) => text.clone(),
        Value::Map(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        Value::List(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// The fewest digits that read back, with an exponent below -4 and from `exponent_from` on.
fn shortest(value: f64, exponent_from: i32) -> String {
    if let Some(word) = special(value) {
        return word.to_owned();
    }
    let scientific = format!("{value:e}");
    let exponent = exponent_of(&scientific);
    if value != 0.0 && (exponent < -4 || exponent >= exponent_from) {
        with_exponent(&scientific)
    } else {
        format!("{value}")
    }
}

fn exponent_of(scientific: &str) -> i32 {
    scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// `1.5e7` as `1.5e+07`.
fn with_exponent(scientific: &str) -> String {
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `%.<digits>g`.
pub(super) fn general(value: f64, digits: usize) -> String {
    if let Some(word) = special(value) {
        return word.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent = exponent_of(&scientific);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if value != 0.0 && (exponent < -4 || exponent >= digits as i32) {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return with_exponent(&format!("{}e{exponent}", without_zeros(mantissa)));
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    without_zeros(&format!("{value:.decimals$}"))
}

/// With a unit of 1000.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, 4);
    }
    let (mut value, mut prefix) = (value, "");
    if value.abs() >= 1.0 {
        for next in LARGE {
            if value.abs() < 1000.0 {
                break;
            }
            (prefix, value) = (next, value / 1000.0);
        }
    } else {
        for next in SMALL {
            if value.abs() >= 1.0 {
                break;
            }
            (prefix, value) = (next, value * 1000.0);
        }
    }
    general(value, 4) + prefix
}

/// With a unit of 1024.
pub(super) fn humanize_1024(value: f64) -> String {
    let (mut value, mut prefix) = (value, "");
    if value.abs() > 1.0 && value.is_finite() {
        for next in BINARY {
            if value.abs() < 1024.0 {
                break;
            }
            (prefix, value) = (next, value / 1024.0);
        }
    }
    general(value, 4) + prefix
}

/// Seconds as days, hours, minutes and seconds, or as a fraction of one.
pub(super) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return general(seconds, 4);
    }
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds.abs() < 1.0 {
        let (mut value, mut prefix) = (seconds, "");
        for next in SMALL {
            if value.abs() >= 1.0 {
                break;
            }
            (prefix, value) = (next, value * 1000.0);
        }
        return format!("{}{prefix}s", general(value, 4));
    }
    let (sign, seconds) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    let whole = seconds as i64;
    match (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, 0, _) => format!("{sign}{}s", general(seconds, 4)),
        (0, 0, minutes, rest) => format!("{sign}{minutes}m {rest}s"),
        (0, hours, minutes, rest) => format!("{sign}{hours}h {minutes}m {rest}s"),
        (days, hours, minutes, rest) => format!("{sign}{days}d {hours}h {minutes}m {rest}s"),
    }
}

/// Seconds since 1970 as a time in UTC.
pub(super) fn humanize_timestamp(seconds: f64) -> Result<String, String> {
    if !seconds.is_finite() {
        return Ok(general(seconds, 4));
    }
    let ms = (seconds * 1e9) as i64 / 1_000_000;
    let time = jiff::Timestamp::from_millisecond(ms).map_err(|_| format!("{seconds} is no time"))?;
    let fraction = match ms.rem_euclid(1000) {
        0 => String::new(),
        rest => format!(".{rest:03}").trim_end_matches('0').to_owned(),
    };
    Ok(format!("{}{fraction} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S")))
}

/// `printf` with the verbs that people use.
pub(super) fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let end = after.find(|sign: char| !"+-# 0123456789.".contains(sign)).unwrap_or(after.len());
        let Some(verb) = after[end..].chars().next() else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        rest = &after[end + verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments.next() {
            // Writing to a string cannot fail.
            None => drop(write!(out, "%!{verb}(MISSING)")),
            Some(value) => out.push_str(&formatted(&after[..end], verb, value)),
        }
    }
    out.push_str(rest);
    let extra: Vec<_> = arguments.map(|value| format!("{}={}", value.kind(), plain(value))).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

fn formatted(flags: &str, verb: char, value: &Value) -> String {
    let (width, precision) = flags.split_once('.').map_or((flags, None), |(width, digits)| (width, Some(digits)));
    let precision = precision.map(|digits| digits.parse::<usize>().unwrap_or(0).min(WIDTH_MAX));
    let signs: String = width.chars().take_while(|sign| "+-# 0".contains(*sign)).collect();
    let width = width[signs.len()..].parse::<usize>().unwrap_or(0).min(WIDTH_MAX);
    let mismatch = || format!("%!{verb}({}={})", value.kind(), plain(value));
    let mut text = match (verb, value) {
        ('v' | 'g', Value::Number(number)) => match precision {
            Some(digits) => general(*number, digits),
            None => shortest(*number, 21),
        },
        ('f' | 'F', Value::Number(number)) => {
            special(*number).map_or_else(|| format!("{number:.*}", precision.unwrap_or(6)), str::to_owned)
        }
        ('e', Value::Number(number)) => match special(*number) {
            Some(word) => word.to_owned(),
            None => with_exponent(&format!("{number:.*e}", precision.unwrap_or(6))),
        },
        ('d' | 'v', Value::Whole(number)) => number.to_string(),
        ('x', Value::Whole(number)) => format!("{number:x}"),
        ('t' | 'v', Value::Flag(flag)) => flag.to_string(),
        ('s' | 'v', Value::Text(text)) => match precision {
            Some(signs) => text.chars().take(signs).collect(),
            None => text.clone(),
        },
        ('q', Value::Text(text)) => format!("{text:?}"),
        ('v' | 's', Value::Map(_) | Value::List(_)) => plain(value),
        ('v', Value::Nil) => "<nil>".to_owned(),
        _ => return mismatch(),
    };
    let is_number = matches!(value, Value::Number(_) | Value::Whole(_));
    if is_number && !text.starts_with(['-', '+']) && (signs.contains('+') || signs.contains(' ')) {
        text.insert(0, if signs.contains('+') { '+' } else { ' ' });
    }
    let missing = width.saturating_sub(text.chars().count());
    match () {
        () if missing == 0 => text,
        () if signs.contains('-') => text + &" ".repeat(missing),
        () if signs.contains('0') && is_number => {
            let at = usize::from(text.starts_with(['-', '+', ' ']));
            text.insert_str(at, &"0".repeat(missing));
            text
        }
        () => " ".repeat(missing) + &text,
    }
}
