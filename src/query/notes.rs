//! What an answer has to say about itself besides its values: warnings and remarks, in the words of Prometheus.
//!
//! Prometheus has these since 2.48; clients of earlier versions ignore the members that carry them.
//!
//! Not here: the place in the expression, which Prometheus adds: the parser does not keep it.
//!
//! Invariant: at most [`NOTES_MAX`] of each kind, each once, so that a note for every series cannot outgrow the answer.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Most warnings of one answer, and most remarks; what Prometheus sends by default.
const NOTES_MAX: usize = 10;

/// The notes of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// What is probably wrong with the answer.
    pub warnings: BTreeSet<String>,
    /// What may be wrong with it.
    pub infos: BTreeSet<String>,
}

/// Notes under way, taken from any thread; written seldom.
#[derive(Debug, Default)]
pub(crate) struct Notebook(Mutex<Notes>);

impl Notebook {
    /// A quantile that is none: the answer is infinite or NaN.
    pub(crate) fn bad_quantile(&self, q: f64) {
        let mut text = "PromQL warning: quantile value should be between 0 and 1, got ".to_owned();
        super::number::push_general(&mut text, q);
        self.warn(text);
    }

    /// A series without a bucket's bound, which `histogram_quantile` leaves out.
    pub(crate) fn bad_bucket(&self, name: &str, bound: &str) {
        self.warn(format!(
            "PromQL warning: bucket label \"le\" is missing or has a malformed value of {bound:?} for metric name {name:?}"
        ));
    }

    /// Buckets that fall although they count what is at most their bound.
    pub(crate) fn falling_buckets(&self, name: &str) {
        self.inform(format!(
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \
             {name:?}"
        ));
    }

    /// A rate of something that does not look like a counter.
    pub(crate) fn no_counter(&self, name: &str) {
        self.inform(format!(
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}"
        ));
    }

    /// The notes so far.
    pub(crate) fn take(&self) -> Notes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn warn(&self, text: String) {
        push(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).warnings, text);
    }

    fn inform(&self, text: String) {
        push(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).infos, text);
    }
}

fn push(notes: &mut BTreeSet<String>, text: String) {
    if notes.len() < NOTES_MAX {
        notes.insert(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_once_and_are_bounded() {
        let book = Notebook::default();
        book.bad_quantile(1.5);
        book.bad_quantile(1.5);
        (0..100).for_each(|i| book.no_counter(&format!("m{i:02}")));
        let notes = book.take();
        assert_eq!(notes.warnings.len(), 1);
        assert!(notes.warnings.iter().all(|text| text.ends_with("got 1.5")));
        assert_eq!(notes.infos.len(), NOTES_MAX);
        assert_eq!(book.take(), Notes::default());
    }
}
