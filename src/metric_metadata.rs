//! What senders say of metric families: type, help, unit; kept in memory, for clients that ask and for new models.
//!
//! Senders tell it again and again (Prometheus every minute), so a restart forgets it for a short while only.
//!
//! Not here: the wire format (see `protocols::remote_write`), what a model makes of a kind (see `analysis`).
//!
//! Invariants: at most `FAMILIES_MAX` families and `TEXT_BYTES_MAX` bytes of each text, some 10 MiB at the worst; what
//! finds no room is counted. What was told last counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// Families that are remembered.
const FAMILIES_MAX: usize = 16_384;
/// Bytes of a family's name, of a help text and of a unit that are remembered; longer texts are cut, longer names refused.
const TEXT_BYTES_MAX: usize = 512;

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetricType {
    /// Not said.
    #[default]
    Unknown,
    /// Only rises, or starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
    /// Buckets that go up and down.
    GaugeHistogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Constant 1, with labels that say something.
    Info,
    /// One series a state, 0 or 1.
    StateSet,
}

impl MetricType {
    /// The word that Prometheus' API has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// What was said of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricMetadata {
    /// Its type.
    pub kind: MetricType,
    /// A sentence for people.
    pub help: Box<str>,
    /// Its unit.
    pub unit: Box<str>,
}

/// All families that were told of.
#[derive(Debug, Default)]
pub struct MetricBook {
    families: RwLock<BTreeMap<String, MetricMetadata>>,
    refused: AtomicU64,
}

impl MetricBook {
    /// Remembers what was said of a family; texts that are no UTF-8 are not remembered.
    pub fn tell(&self, family: &[u8], kind: MetricType, help: &[u8], unit: &[u8]) {
        let texts = (std::str::from_utf8(family), std::str::from_utf8(help), std::str::from_utf8(unit));
        let (Ok(family), Ok(help), Ok(unit)) = texts else { return self.refuse() };
        let (help, unit) = (cut(help), cut(unit));
        let is_known = |known: &MetricMetadata| (known.kind, &*known.help, &*known.unit) == (kind, help, unit);
        {
            // Nearly always it is what was told before.
            let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
            let known = families.get(family);
            if known.is_some_and(is_known) {
                return;
            }
            if family.is_empty() || family.len() > TEXT_BYTES_MAX || known.is_none() && families.len() >= FAMILIES_MAX {
                return self.refuse();
            }
        }
        let metadata = MetricMetadata { kind, help: help.into(), unit: unit.into() };
        self.families.write().unwrap_or_else(PoisonError::into_inner).insert(family.into(), metadata);
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was told that was not remembered.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Up to `limit` families in the order of their names, or the one that is asked for.
    pub fn families(&self, only: Option<&str>, limit: usize) -> Vec<(String, MetricMetadata)> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        let owned = |(name, metadata): (&String, &MetricMetadata)| (name.clone(), metadata.clone());
        match only {
            Some(name) => families.get_key_value(name).map(owned).into_iter().take(limit).collect(),
            None => families.iter().map(owned).take(limit).collect(),
        }
    }

    /// Whether the values of a series with this metric name are those of a counter or of a gauge, as far as was told.
    /// Sums of observations are left open: they fall where observations are negative.
    pub fn of_series(&self, name: &str) -> Option<MetricType> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = families.get(name) {
            return match known.kind {
                MetricType::Counter => Some(MetricType::Counter),
                MetricType::Gauge | MetricType::Summary | MetricType::Info | MetricType::StateSet => {
                    Some(MetricType::Gauge)
                }
                _ => None,
            };
        }
        let (family, part) = name.rsplit_once('_')?;
        match (families.get(family)?.kind, part) {
            (MetricType::Histogram, "bucket" | "count") | (MetricType::Summary, "count") => Some(MetricType::Counter),
            (MetricType::Counter, "total") => Some(MetricType::Counter),
            (MetricType::GaugeHistogram, "bucket" | "gcount") | (MetricType::Info, "info") => Some(MetricType::Gauge),
            _ => None,
        }
    }
}

/// The beginning of a text, whole characters of it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(all: &[(&str, MetricType)]) -> MetricBook {
        let book = MetricBook::default();
        all.iter().for_each(|(family, kind)| book.tell(family.as_bytes(), *kind, b"Help.", b""));
        book
    }

    #[test]
    fn what_was_told_last_is_remembered_in_the_order_of_names() {
        let book = told(&[("b", MetricType::Gauge), ("a", MetricType::Counter), ("b", MetricType::Counter)]);
        book.tell(b"b", MetricType::Counter, "é".repeat(400).as_bytes(), b"seconds");
        let all = book.families(None, 10);
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((all[1].1.kind, &*all[1].1.unit, all[1].1.help.len()), (MetricType::Counter, "seconds", 512));
        assert_eq!(book.families(Some("a"), 10).len(), 1);
        assert_eq!((book.families(Some("c"), 10).len(), book.families(None, 1).len()), (0, 1));
        assert_eq!(book.refused(), 0);
    }

    #[test]
    fn what_is_no_text_or_finds_no_room_is_counted() {
        let book = MetricBook::default();
        book.tell(b"\xff", MetricType::Gauge, b"", b"");
        book.tell(b"", MetricType::Gauge, b"", b"");
        book.tell(&[b'n'; TEXT_BYTES_MAX + 1], MetricType::Gauge, b"", b"");
        assert_eq!((book.refused(), book.families(None, 10).len()), (3, 0));
        (0..FAMILIES_MAX).for_each(|at| book.tell(format!("m{at}").as_bytes(), MetricType::Gauge, b"", b""));
        book.tell(b"one_more", MetricType::Gauge, b"", b"");
        book.tell(b"m7", MetricType::Counter, b"", b"");
        assert_eq!((book.refused(), book.families(Some("m7"), 1)[0].1.kind), (4, MetricType::Counter));
    }

    #[test]
    fn series_of_a_family_are_counters_or_gauges_where_that_is_sure() {
        use MetricType::{Counter, Gauge, GaugeHistogram, Histogram, Info, Summary, Unknown};
        let book = told(&[
            ("up", Gauge),
            ("reads_total", Counter),
            ("writes", Counter),
            ("latency", Histogram),
            ("wait", Summary),
            ("sizes", GaugeHistogram),
            ("build", Info),
            ("odd", Unknown),
        ]);
        for (name, expected) in [
            ("up", Some(Gauge)),
            ("reads_total", Some(Counter)),
            ("writes_total", Some(Counter)),
            ("latency_bucket", Some(Counter)),
            ("latency_count", Some(Counter)),
            ("latency_sum", None),
            ("latency", None),
            ("wait", Some(Gauge)),
            ("wait_count", Some(Counter)),
            ("wait_bucket", None),
            ("sizes_bucket", Some(Gauge)),
            ("build_info", Some(Gauge)),
            ("odd", None),
            ("unheard_of", None),
        ] {
            assert_eq!(book.of_series(name), expected, "{name}");
        }
    }
}
