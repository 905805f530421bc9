//! What `infrawatch forecast` says in words: how a series rises and is set back, and which limits it will break.
//!
//! Not here: how either is found (see `analysis::forecast`).

use crate::analysis::forecast::{Breach, Forecast, Limits, Reset, Sawtooth, Side, TrendPerDay};
use serde_json::{Value, json};

/// How a series rises and is set back, and what that means; `significant` writes numbers and `span` lengths of time.
pub(super) fn sawtooth(saw: &Sawtooth, significant: fn(f64) -> String, span: fn(f64) -> String) -> String {
    let by = match saw.reset {
        Reset::Scheduled => "on a schedule, as rotation, retention and backups are".to_owned(),
        Reset::AtLevel(level) => format!("at about {}, as a limit of size does", significant(level)),
        Reset::AfterRise(rise) => format!("after rising by about {}, as garbage collection does", significant(rise)),
        Reset::Irregular => "with no rule to be seen".to_owned(),
    };
    let (peak, floor) = (significant(saw.peak_per_day.slope), significant(saw.floor_per_day.slope));
    let meaning = if saw.is_leak() {
        format!("a leak: it is set back to {floor} more each day, its peaks rise by {peak} a day")
    } else {
        format!("no leak: it is set back to about {} each time, as a cache is", significant(saw.floor))
    };
    let every = span(saw.cycle_ms as f64);
    format!("set back {} times, about every {every}, {by}; {meaning}", saw.resets)
}

/// A slope with its interval, as the API has it.
pub(super) fn trend_report(trend: TrendPerDay) -> Value {
    json!({"slope": trend.slope, "lower": trend.lower, "upper": trend.upper})
}

/// How a series rises and is set back, as the API has it.
pub(super) fn sawtooth_report(saw: &Sawtooth) -> Value {
    json!({
        "resets": saw.resets, "cycle_s": saw.cycle_ms as f64 / 1000.0, "reset_by": saw.reset.as_str(),
        "reset_value": saw.reset.value(),
        "floor": saw.floor, "peak": saw.peak, "floor_per_day": trend_report(saw.floor_per_day),
        "peak_per_day": trend_report(saw.peak_per_day), "is_leak": saw.is_leak(),
    })
}

/// A sentence for each limit that will be broken; `unit` is written after its value and `time` writes times.
pub(super) fn warnings(name: &str, unit: &str, breaches: &[Breach], time: impl Fn(i64) -> String) -> Vec<String> {
    let sentence = |breach: &Breach| {
        let way = if breach.side == Side::Upper { "reach" } else { "fall to" };
        let (limit, at) = (breach.threshold, time(breach.predicted_at_ms));
        let unsure = if breach.is_sure { "" } else { " at the edge of its band (medium confidence)" };
        format!("WARNING: {name} predicted to {way} {limit}{unit} at {at}{unsure}")
    };
    breaches.iter().map(sentence).collect()
}

/// The report of limits that will be broken: `will_breach`, `breach_time`, `alerts` and `forecast`.
pub(super) fn breach_report(outcome: &Forecast, limits: Limits, time: impl Fn(i64) -> Value) -> Value {
    let breaches = outcome.breaches(limits);
    let alert = |breach: &Breach| {
        json!({
            "type": breach.side.as_str(), "threshold": breach.threshold, "predicted_value": breach.predicted_value,
            "predicted_at": time(breach.predicted_at_ms), "confidence": breach.confidence(),
        })
    };
    let points = &outcome.points;
    let column = |value: &dyn Fn(usize) -> Value| (0..points.len()).map(value).collect::<Value>();
    json!({
        "will_breach": !breaches.is_empty(),
        "breach_time": breaches.first().map(|breach| time(breach.predicted_at_ms)),
        "alerts": breaches.iter().map(alert).collect::<Value>(),
        "forecast": {
            "timestamps": column(&|i| time(points[i].time_ms)),
            "predicted_values": column(&|i| json!(points[i].forecast)),
            "lower_bound": column(&|i| json!(points[i].lower)),
            "upper_bound": column(&|i| json!(points[i].upper)),
            "method": outcome.method,
        },
    })
}
