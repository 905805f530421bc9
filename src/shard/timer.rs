//! What a window keeps of a timer, histogram or distribution, and the samples it becomes.
//!
//! Not here: the buckets behind the quantiles (see `sketch`), when a window closes (see `window`).

use super::peers::Closed;
use super::sketch::Sketch;
use storage::series::{KeyBuilder, KeyError, NAME_LABEL, labels};

const QUANTILE_LABEL: &str = "quantile";

/// The quantiles that are stored of every timer.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    shares: Vec<f64>,
    /// The value of the label `quantile` for each.
    texts: Vec<String>,
}

impl Quantiles {
    /// These shares of all events, each between 0 and 1, in any order.
    pub fn of(shares: &[f64]) -> Self {
        let mut shares = shares.to_vec();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let texts = shares.iter().map(f64::to_string).collect();
        Self { shares, texts }
    }
}

/// The values of one series in one window.
#[derive(Debug, Default)]
pub struct Timer {
    sketch: Sketch,
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Timer {
    /// Adds a finite value that stands for `weight` events; refused when their sum would not be finite.
    pub fn observe(&mut self, value: f64, weight: f64) -> bool {
        let sum = self.sum + value * weight;
        if !sum.is_finite() {
            return false;
        }
        if self.count == 0.0 {
            (self.min, self.max) = (value, value);
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.count += weight;
        self.sum = sum;
        self.sketch.add(value, weight);
        true
    }

    /// Adds the values of another.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.count == 0.0 {
            (self.min, self.max) = (other.min, other.max);
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        self.sketch.merge(&other.sketch);
    }

    /// Gives `NAME{quantile=..}`, `NAME_count`, `NAME_sum`, `NAME_min` and `NAME_max`.
    pub(super) fn samples(
        &self,
        key: &[u8],
        time_ms: i64,
        quantiles: &Quantiles,
        keys: &mut KeyBuilder,
        closed: &mut Closed,
    ) {
        let mut sample = |suffix: &str, quantile: &str, value: f64| {
            // A key that was a series stays one: its labels only get longer, and `quantile` is made free.
            if let Ok(key) = derived(keys, key, suffix, quantile) {
                closed.push(key, time_ms, value);
            }
        };
        self.sketch.quantiles(&quantiles.shares, |at, value| {
            sample("", &quantiles.texts[at], value.clamp(self.min, self.max));
        });
        sample("_count", "", self.count);
        sample("_sum", "", self.sum);
        sample("_min", "", self.min);
        sample("_max", "", self.max);
    }
}

/// The key with a suffix to its name and a quantile; a tag of that name becomes `exported_quantile`, as scrapers do it.
fn derived<'a>(keys: &'a mut KeyBuilder, key: &[u8], suffix: &str, quantile: &str) -> Result<&'a [u8], KeyError> {
    keys.clear();
    for (name, value) in labels(key) {
        match name {
            NAME_LABEL if !suffix.is_empty() => keys.push(name, &format!("{value}{suffix}")),
            QUANTILE_LABEL => keys.push("exported_quantile", value),
            _ => keys.push(name, value),
        }
    }
    keys.push(QUANTILE_LABEL, quantile);
    keys.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_named_quantile_is_kept_under_another_name() {
        let mut keys = KeyBuilder::default();
        keys.push(NAME_LABEL, "t");
        keys.push("quantile", "mine");
        let key = keys.finish().unwrap().to_vec();
        let found = derived(&mut keys, &key, "", "0.5").unwrap();
        let expected = [("__name__", "t"), ("exported_quantile", "mine"), ("quantile", "0.5")];
        assert_eq!(labels(found).collect::<Vec<_>>(), expected);
    }
}
