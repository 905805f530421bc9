//! Writes a chart as SVG, layer upon layer.
//!
//! Not here: where things lie (see `frame`), how many points a line has (see `decimate`).

use super::decimate::lines;
use super::frame::{BOTTOM, Frame, HEIGHT, LEFT, RIGHT, TOP, WIDTH};
use super::ticks;
use super::{Chart, Mark, MarkSeverity};
use std::fmt::Write as _;

/// Pixels a label of time needs.
const TIME_LABEL: f64 = 110.0;
/// Pixels a step on the axis of values needs.
const VALUE_STEP: f64 = 40.0;
/// Marks that are told in words; a reader who hears more has lost the thread.
const MARKS_TOLD: usize = 20;

/// Colours of Okabe and Ito (2008), which those who confuse red and green tell apart, a little brighter in the dark.
const STYLE: &str = "\
svg{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}
.back{fill:#ffffff}.title{fill:#111827;font-size:16px;font-weight:600}.text{fill:#4b5563}.faint{fill:#6b7280}
.grid{stroke:#e5e7eb;stroke-width:1}.axis{stroke:#9ca3af;stroke-width:1}
.value{fill:none;stroke:#0072b2;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}.dot{fill:#0072b2}
.band{fill:#0072b2;fill-opacity:.15}.fan{fill:#d55e00;fill-opacity:.18}
.ahead{fill:none;stroke:#d55e00;stroke-width:1.8;stroke-linejoin:round}
.envelope{fill:none;stroke:#009e73;stroke-width:1.5;stroke-dasharray:2 3}
.limit{stroke:#b91c1c;stroke-width:1.5;stroke-dasharray:7 5}.limit-text{fill:#b91c1c;font-weight:600}
.now{stroke:#9ca3af;stroke-width:1;stroke-dasharray:2 4}
.mark{stroke:#ffffff;stroke-width:1.5}
.low{fill:#56b4e9}.medium{fill:#e69f00}.high{fill:#d55e00}.critical{fill:#b4005a}
@media (prefers-color-scheme:dark){
.back{fill:#0f172a}.title{fill:#f3f4f6}.text{fill:#cbd5e1}.faint{fill:#94a3b8}
.grid{stroke:#1e293b}.axis{stroke:#475569}.now{stroke:#64748b}
.value{stroke:#5ab4f0}.dot,.band{fill:#5ab4f0}.fan{fill:#ff9a4d}.ahead{stroke:#ff9a4d}
.envelope{stroke:#34d399}.limit{stroke:#f87171}.limit-text{fill:#f87171}.mark{stroke:#0f172a}
.high{fill:#ff7a33}.critical{fill:#ff5fa8}
}";

/// The whole file.
pub(super) fn svg(chart: &Chart) -> String {
    let frame = Frame::around(chart);
    let mut out = String::with_capacity(64 * 1024);
    let picture = Picture { chart, frame };
    picture.write(&mut out).expect("writing to a string never fails");
    out
}

struct Picture<'a> {
    chart: &'a Chart,
    frame: Frame,
}

impl Picture<'_> {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"title desc\">"
        )?;
        writeln!(out, "<title id=\"title\">{}</title>", escaped(&self.chart.title))?;
        writeln!(out, "<desc id=\"desc\">{}</desc>", escaped(&self.told()))?;
        writeln!(out, "<style>{STYLE}</style>\n<rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>")?;
        writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"30\">{}</text>", escaped(&self.chart.title))?;
        self.legend(out)?;
        self.axes(out)?;
        self.band(out)?;
        self.fan(out)?;
        self.envelope(out)?;
        self.limit(out)?;
        self.values(out)?;
        self.marks(out)?;
        out.push_str("</svg>\n");
        Ok(())
    }

    /// The picture in words.
    fn told(&self) -> String {
        let mut told = self.chart.description.clone();
        if let (Some((first_ms, _)), Some((last_ms, _))) = (self.chart.values.first(), self.chart.values.last()) {
            let (first, last) = (ticks::in_words(*first_ms), ticks::in_words(*last_ms));
            told += &format!(" {} values from {first} to {last} UTC.", self.chart.values.len());
        }
        if !self.chart.marks.is_empty() {
            told += &format!(" {} marked as unusual.", self.chart.marks.len());
        }
        for mark in self.chart.marks.iter().take(MARKS_TOLD) {
            told += &format!(" {}, {}: {}.", ticks::in_words(mark.time_ms), mark.severity.name(), mark.text);
        }
        told.trim().to_owned()
    }

    /// What line, areas and shapes mean; only what is there.
    fn legend(&self, out: &mut String) -> std::fmt::Result {
        let mut x = LEFT;
        let mut entry = |out: &mut String, sample: &str, label: &str| -> std::fmt::Result {
            writeln!(
                out,
                "<g transform=\"translate({x:.1} 52)\">{sample}<text class=\"text\" x=\"26\" y=\"4\">{label}</text></g>"
            )?;
            // A letter of this font is about 6.4 pixels wide.
            x += 26.0 + 6.4 * label.len() as f64 + 22.0;
            Ok(())
        };
        if !self.chart.values.is_empty() {
            entry(out, "<path class=\"value\" d=\"M0 0H20\"/>", "value")?;
        }
        if !self.chart.band.is_empty() {
            entry(out, "<rect class=\"band\" y=\"-6\" width=\"20\" height=\"12\" rx=\"2\"/>", "expected range")?;
        }
        if !self.chart.forecast.is_empty() {
            let fan = "<rect class=\"fan\" y=\"-6\" width=\"20\" height=\"12\" rx=\"2\"/><path class=\"ahead\" d=\"M0 0H20\"/>";
            entry(out, fan, "forecast and its band")?;
        }
        if !self.chart.envelope.is_empty() {
            entry(out, "<path class=\"envelope\" d=\"M0 0H20\"/>", "floors and peaks")?;
        }
        if self.chart.limit.is_some() {
            entry(out, "<path class=\"limit\" d=\"M0 0H20\"/>", "limit")?;
        }
        for severity in MarkSeverity::ALL {
            if self.chart.marks.iter().any(|mark| mark.severity == severity) {
                entry(out, &shape(severity, 10.0, 0.0, ""), severity.name())?;
            }
        }
        Ok(())
    }

    fn axes(&self, out: &mut String) -> std::fmt::Result {
        let Frame { from_ms, to_ms, low, high } = self.frame;
        for (value, label) in ticks::values(low, high, ((BOTTOM - TOP) / VALUE_STEP) as usize) {
            let y = self.frame.y(value);
            writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>")?;
            let x = LEFT - 8.0;
            writeln!(out, "<text class=\"text\" x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", y + 4.0)?;
        }
        writeln!(out, "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>")?;
        for tick in ticks::times(from_ms, to_ms, ((RIGHT - LEFT) / TIME_LABEL) as usize) {
            let x = self.frame.x(tick.time_ms);
            writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/>")?;
            let label = |out: &mut String, y: f64, class: &str, text: &str| {
                // Labels at an end of the axis stay within the picture.
                let anchor = if x > RIGHT - 40.0 { "end" } else { "middle" };
                writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>")
            };
            label(out, BOTTOM + 20.0, "text", &tick.label)?;
            if let Some(context) = &tick.context {
                label(out, BOTTOM + 36.0, "faint", context)?;
            }
        }
        writeln!(out, "<text class=\"faint\" x=\"{RIGHT}\" y=\"30\" text-anchor=\"end\">UTC</text>")
    }

    fn band(&self, out: &mut String) -> std::fmt::Result {
        let upper: Vec<_> = self.chart.band.iter().map(|point| (point.time_ms, point.upper)).collect();
        let lower: Vec<_> = self.chart.band.iter().map(|point| (point.time_ms, point.lower)).collect();
        // Both edges are interrupted at the same times, so their runs belong together.
        for (upper, lower) in lines(&upper).iter().zip(&lines(&lower)) {
            self.area(out, "band", upper, lower)?;
        }
        Ok(())
    }

    fn fan(&self, out: &mut String) -> std::fmt::Result {
        let Some(first) = self.chart.forecast.first() else { return Ok(()) };
        let newest = self.chart.values.last().filter(|(time_ms, value)| value.is_finite() && *time_ms < first.time_ms);
        let edge = |value: fn(&super::FanPoint) -> f64| -> Vec<(i64, f64)> {
            let ahead = self.chart.forecast.iter().map(|point| (point.time_ms, value(point)));
            newest.copied().into_iter().chain(ahead).collect()
        };
        self.area(out, "fan", &edge(|point| point.upper), &edge(|point| point.lower))?;
        if let Some((time_ms, _)) = newest {
            let x = self.frame.x(*time_ms);
            writeln!(out, "<path class=\"now\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>")?;
        }
        for line in lines(&edge(|point| point.value)) {
            writeln!(out, "<path class=\"ahead\" d=\"{}\"/>", self.path(line.iter(), 'M'))?;
        }
        Ok(())
    }

    /// The lines of floors and peaks, as far as the picture shows their time.
    fn envelope(&self, out: &mut String) -> std::fmt::Result {
        for level in [|point: &super::EnvelopePoint| point.floor, |point: &super::EnvelopePoint| point.peak] {
            for pair in self.chart.envelope.windows(2) {
                let (from, to) = ((pair[0].time_ms, level(&pair[0])), (pair[1].time_ms, level(&pair[1])));
                let span = (to.0 - from.0).max(1) as f64;
                let at = |time_ms: i64| (time_ms, from.1 + (to.1 - from.1) * (time_ms - from.0) as f64 / span);
                let (first, last) = (from.0.max(self.frame.from_ms), to.0.min(self.frame.to_ms));
                if first < last {
                    let line = [at(first), at(last)];
                    writeln!(out, "<path class=\"envelope\" d=\"{}\"/>", self.path(line.iter(), 'M'))?;
                }
            }
        }
        Ok(())
    }

    fn area(&self, out: &mut String, class: &str, upper: &[(i64, f64)], lower: &[(i64, f64)]) -> std::fmt::Result {
        let there = self.path(upper.iter(), 'M');
        let back = self.path(lower.iter().rev(), 'L');
        writeln!(out, "<path class=\"{class}\" d=\"{there}{back}Z\"/>")
    }

    fn limit(&self, out: &mut String) -> std::fmt::Result {
        let Some(limit) = self.chart.limit else { return Ok(()) };
        let y = self.frame.y(limit);
        let step = ((self.frame.high - self.frame.low) / 100.0).max(f64::MIN_POSITIVE);
        let exact = limit.to_string();
        let label = if exact.len() <= 8 { exact } else { ticks::number(limit, step) };
        let (x, label) = if self.frame.shows(limit) {
            writeln!(out, "<path class=\"limit\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>")?;
            (LEFT + 6.0, format!("limit {label}"))
        } else {
            let way = if limit > self.frame.high { "above" } else { "below" };
            (LEFT + 6.0, format!("limit {label} lies {way} this picture"))
        };
        let y = if y < TOP + 20.0 { y + 15.0 } else { y - 6.0 };
        writeln!(out, "<text class=\"limit-text\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>")
    }

    fn values(&self, out: &mut String) -> std::fmt::Result {
        for line in lines(&self.chart.values) {
            match line[..] {
                [(time_ms, value)] => {
                    let (x, y) = (self.frame.x(time_ms), self.frame.y(value));
                    writeln!(out, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>")?;
                }
                _ => writeln!(out, "<path class=\"value\" d=\"{}\"/>", self.path(line.iter(), 'M'))?,
            }
        }
        Ok(())
    }

    /// The most severe on top.
    fn marks(&self, out: &mut String) -> std::fmt::Result {
        let mut marks: Vec<&Mark> = self.chart.marks.iter().filter(|mark| mark.value.is_finite()).collect();
        marks.sort_by_key(|mark| mark.severity);
        for mark in marks {
            let text = format!("{} ({}): {}", ticks::in_words(mark.time_ms), mark.severity.name(), mark.text);
            let (x, y) = (self.frame.x(mark.time_ms), self.frame.y(mark.value));
            writeln!(out, "{}", shape(mark.severity, x, y, &text))?;
        }
        Ok(())
    }

    /// The commands of a line through these points.
    fn path<'p>(&self, points: impl Iterator<Item = &'p (i64, f64)>, first: char) -> String {
        let mut path = String::new();
        for (i, (time_ms, value)) in points.enumerate() {
            path.push(if i == 0 { first } else { 'L' });
            write!(path, "{:.1} {:.1}", self.frame.x(*time_ms), self.frame.y(*value))
                .expect("writing to a string never fails");
        }
        path
    }
}

/// The shape of a severity around a point, with a text that is shown when it is pointed at.
fn shape(severity: MarkSeverity, x: f64, y: f64, text: &str) -> String {
    let d = match severity {
        MarkSeverity::Low => "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
        MarkSeverity::Medium => "M-5 -5H5V5H-5Z",
        MarkSeverity::High => "M0 -7L7 5H-7Z",
        MarkSeverity::Critical => "M0 -8L8 0L0 8L-8 0Z",
    };
    let title = if text.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(text)) };
    let class = severity.name();
    format!("<path class=\"mark {class}\" transform=\"translate({x:.1} {y:.1})\" d=\"{d}\">{title}</path>")
}

/// Text as XML has it; characters that XML cannot hold become a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
