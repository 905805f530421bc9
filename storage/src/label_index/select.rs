//! From matchers to the set of series that satisfy all of them.
//!
//! An absent label has the empty value, so each matcher is one of two conditions on the series that carry the label:
//!
//! - it refuses the empty value: *keep* the series of the values it accepts, no other;
//! - it accepts the empty value: *drop* the series of the values it refuses, and keep all others, the label or not.
//!
//! Values come from look-ups and ranges where the pattern allows. A matcher that has to be tried on every value waits
//! until the others have narrowed the result, and then only values with a series in it are tried.
//!
//! Cost sketch: proportional to the series of the chosen values, smallest set first; equality on two labels of a
//! store of 10 k series takes a few microseconds. Confirmed by `benches/index.rs`.
//!
//! Not here: how sets are kept and joined (see `postings`).

use super::index::LabelIndex;
use super::matcher::{MatchOp, Matcher};
use super::pattern::{self, Choice};
use super::postings::{self, Asked, Postings};
use super::values::Values;
use roaring::RoaringBitmap;

/// Postings of different values of one name, which therefore share no series.
pub(super) struct Found<'a> {
    postings: Vec<&'a Postings>,
    series: u64,
}

impl<'a> Found<'a> {
    pub(super) fn from(postings: impl Iterator<Item = &'a Postings>) -> Self {
        let postings: Vec<_> = postings.collect();
        Self { series: postings.iter().map(|p| p.len()).sum(), postings }
    }
}

/// A matcher of which every value has to be tried.
pub(super) struct Test<'a> {
    pub(super) values: &'a Values,
    pub(super) matcher: &'a Matcher,
    pub(super) keeps: bool,
}

impl<'a> Test<'a> {
    /// Whether the series of a value are to be kept or dropped.
    pub(super) fn wants(&self, text: &str) -> bool {
        self.matcher.matches(text) == self.keeps
    }

    /// The postings to keep or to drop; of values without a series in `within` there is nothing to do either way.
    fn run(&self, within: Option<&RoaringBitmap>) -> Found<'a> {
        let wanted = |text: &str| self.wants(text);
        match within.filter(|series| series.len() < self.values.len() as u64) {
            Some(series) => {
                let asked = Asked::new(series);
                let touched = self.values.iter().filter(|(_, postings)| postings.intersects(&asked));
                Found::from(touched.filter(|(text, _)| wanted(text)).map(|(_, postings)| postings))
            }
            None => Found::from(self.values.iter().filter(|(text, _)| wanted(text)).map(|(_, postings)| postings)),
        }
    }
}

/// Runs the test of the matcher with this index on the series selected so far, if any condition has applied.
pub(super) type Run<'r, 'a> = dyn FnMut(usize, &Test<'a>, Option<&RoaringBitmap>) -> Option<Found<'a>> + 'r;

/// What one matcher asks.
enum Condition<'a> {
    Nothing,
    Keep(Found<'a>),
    Drop(Found<'a>),
    Try(Test<'a>),
}

impl LabelIndex {
    /// The series that satisfy every matcher, as the numbers of their [`SeriesRef`](crate::series::SeriesRef)s; all
    /// series when there are no matchers. Tries whatever has to be tried at once: see [`Search`](super::Search) for
    /// expressions of strangers on an index that others wait for.
    pub fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let selected = self.select_by(matchers, usize::MAX, &mut |_, test, within| Some(test.run(within)));
        selected.expect("every test was run")
    }

    /// A number that the series satisfying every matcher do not exceed: what one that names its values finds at the
    /// least. Nothing is tried and no sets are joined, so that it takes microseconds whatever the matchers.
    pub fn at_most(&self, matchers: &[Matcher]) -> u64 {
        let named = matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal | MatchOp::Regex(_)));
        let found = named.filter(|matcher| !matcher.matches("")).filter_map(|matcher| match choice(matcher) {
            Choice::Exact(texts) => {
                let values = self.values_of_name(&matcher.name);
                let texts = texts.iter().filter_map(|text| std::str::from_utf8(text).ok());
                Some(texts.filter_map(|text| values?.get(text)).map(Postings::len).sum())
            }
            _ => None,
        });
        found.min().unwrap_or(self.all().len())
    }

    /// As [`Self::select`], where tests with an expression that has more than `tries_max` values before it are left to `run`,
    /// which gets the matcher's index; nothing when `run` has no result yet.
    pub(super) fn select_by<'a>(
        &'a self,
        matchers: &'a [Matcher],
        tries_max: usize,
        run: &mut Run<'_, 'a>,
    ) -> Option<RoaringBitmap> {
        let (mut keeps, mut drops, mut tests) = (Vec::new(), Vec::new(), Vec::new());
        for (index, matcher) in matchers.iter().enumerate() {
            match self.condition(matcher, tries_max) {
                Condition::Nothing => {}
                Condition::Keep(found) => keeps.push(found),
                Condition::Drop(found) => drops.push(found),
                Condition::Try(test) => tests.push((index, test)),
            }
        }
        let mut selection = Selection { all: self.all(), kept: None };
        keeps.sort_by_key(|found| found.series);
        keeps.iter().for_each(|found| selection.keep(found));
        drops.iter().for_each(|found| selection.drop(found));
        tests.sort_by_key(|(_, test)| test.values.len());
        for (index, test) in tests {
            let found = run(index, &test, selection.kept.as_ref())?;
            if test.keeps { selection.keep(&found) } else { selection.drop(&found) }
        }
        Some(selection.kept.unwrap_or_else(|| self.all().clone()))
    }

    fn condition<'a>(&'a self, matcher: &'a Matcher, tries_max: usize) -> Condition<'a> {
        let keeps = !matcher.matches("");
        let negated = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex(_));
        let found = match self.values_of_name(&matcher.name) {
            None => Found::from(std::iter::empty()),
            // Kept are accepted values, dropped are refused ones; seen from the pattern they lie inside or outside.
            Some(values) => {
                match if keeps == negated { outside(values, matcher) } else { inside(values, matcher, tries_max) } {
                    Some(found) => found,
                    None => return Condition::Try(Test { values, matcher, keeps }),
                }
            }
        };
        match keeps {
            true if found.series == self.all().len() => Condition::Nothing,
            true => Condition::Keep(found),
            false if found.series == 0 => Condition::Nothing,
            false => Condition::Drop(found),
        }
    }
}

/// What is selected so far; everything while no condition has applied.
struct Selection<'a> {
    all: &'a RoaringBitmap,
    kept: Option<RoaringBitmap>,
}

impl Selection<'_> {
    fn keep(&mut self, found: &Found<'_>) {
        self.kept = Some(match &self.kept {
            None => postings::union(&found.postings),
            Some(kept) if kept.is_empty() => return,
            Some(kept) => postings::intersection(kept, &found.postings),
        });
    }

    fn drop(&mut self, found: &Found<'_>) {
        let dropped = match &self.kept {
            None => postings::union(&found.postings),
            Some(kept) => postings::intersection(kept, &found.postings),
        };
        match &mut self.kept {
            None => self.kept = Some(self.all - dropped),
            Some(kept) => *kept -= dropped,
        }
    }
}

fn choice(matcher: &Matcher) -> Choice {
    match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => Choice::Exact(vec![matcher.value.clone().into_bytes()]),
        MatchOp::Regex(_) | MatchOp::NotRegex(_) => match pattern::parse(&matcher.value) {
            Ok(tree) => pattern::choose(&tree),
            Err(_) => Choice::Prefix { prefixes: vec![Vec::new()], tested: true },
        },
    }
}

/// The values that the pattern of a matcher matches, negated or not; `None` when each has to be tried.
fn inside<'a>(values: &'a Values, matcher: &Matcher, tries_max: usize) -> Option<Found<'a>> {
    match choice(matcher) {
        Choice::All | Choice::NotEmpty => Some(Found::from(values.iter().map(|(_, postings)| postings))),
        Choice::Exact(texts) => {
            let texts = texts.iter().filter_map(|text| std::str::from_utf8(text).ok());
            Some(Found::from(texts.filter_map(|text| values.get(text))))
        }
        // A range costs a search of some 20 values, so with too many ranges trying each value is the shorter way.
        Choice::Prefix { prefixes, .. } if prefixes[0].is_empty() || prefixes.len() * 20 > values.len() => None,
        Choice::Prefix { tested: true, .. } if values.len() > tries_max => None,
        Choice::Prefix { prefixes, tested } => {
            let negated = matches!(matcher.op, MatchOp::NotRegex(_));
            let fitting =
                values.with_prefixes(&prefixes).filter(|(text, _)| !tested || matcher.matches(text) != negated);
            Some(Found::from(fitting.map(|(_, postings)| postings)))
        }
    }
}

/// The values that the pattern does not match; `None` when each has to be tried.
fn outside<'a>(values: &'a Values, matcher: &Matcher) -> Option<Found<'a>> {
    match choice(matcher) {
        Choice::All | Choice::NotEmpty => Some(Found::from(std::iter::empty())),
        Choice::Exact(texts) if texts == [b""] => Some(Found::from(values.iter().map(|(_, postings)| postings))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{KeyBuilder, SeriesRef};

    /// Series 0..40 with host `h00`..`h39`, every fourth without a zone, zones `a`, `b`, `c` in turn.
    fn forty() -> LabelIndex {
        let (mut index, mut builder) = (LabelIndex::default(), KeyBuilder::default());
        for id in 0..40u32 {
            builder.clear();
            builder.push("__name__", "up");
            builder.push("host", &format!("h{id:02}"));
            builder.push("zone", ["", "a", "b", "c"][id as usize % 4]);
            index.insert(SeriesRef(id), builder.finish().unwrap());
        }
        index
    }

    fn selected(matchers: &[Matcher]) -> Vec<u32> {
        forty().select(matchers).iter().collect()
    }

    #[test]
    fn what_is_named_bounds_what_is_found() {
        let index = forty();
        let zone = || Matcher::equal("zone", "a");
        assert_eq!(index.at_most(&[zone()]), 10);
        assert_eq!(index.at_most(&[zone(), Matcher::regex("host", "h01|h02|h03").unwrap()]), 3);
        assert_eq!(index.at_most(&[zone(), Matcher::equal("host", "unknown")]), 0);
        assert_eq!(index.at_most(&[Matcher::equal("no such label", "x")]), 0);
        let open =
            [Matcher::not_equal("zone", "a"), Matcher::equal("zone", ""), Matcher::regex("host", ".*7").unwrap()];
        assert_eq!(index.at_most(&open), 40, "nothing that bounds it is named");
    }

    fn one_regex(name: &str, expression: &str) -> Vec<u32> {
        selected(&[Matcher::regex(name, expression).unwrap()])
    }

    fn one_not_regex(name: &str, expression: &str) -> Vec<u32> {
        selected(&[Matcher::not_regex(name, expression).unwrap()])
    }

    fn where_zone(accepts: impl Fn(u32) -> bool) -> Vec<u32> {
        (0..40).filter(|id| accepts(id % 4)).collect()
    }

    #[test]
    fn an_absent_label_has_the_empty_value() {
        assert_eq!(selected(&[Matcher::equal("zone", "")]), where_zone(|zone| zone == 0));
        assert_eq!(selected(&[Matcher::not_equal("zone", "")]), where_zone(|zone| zone != 0));
        assert_eq!(selected(&[Matcher::not_equal("zone", "a")]), where_zone(|zone| zone != 1));
        assert_eq!(one_regex("zone", "a|"), where_zone(|zone| zone < 2));
        assert_eq!(one_regex("zone", "(a.*)?"), where_zone(|zone| zone < 2));
        assert_eq!(one_regex("zone", ".*"), where_zone(|_| true));
        assert_eq!(one_regex("zone", ".+"), where_zone(|zone| zone != 0));
        assert_eq!(one_not_regex("zone", "a|b"), where_zone(|zone| zone == 0 || zone == 3));
        assert_eq!(one_not_regex("zone", "a|"), where_zone(|zone| zone > 1));
        assert_eq!(one_not_regex("zone", ".*"), [0; 0]);
        assert_eq!(one_not_regex("zone", ".+"), where_zone(|zone| zone == 0));
        assert_eq!(one_not_regex("zone", ""), where_zone(|zone| zone != 0));
    }

    #[test]
    fn a_name_that_nobody_carries_is_absent_everywhere() {
        assert_eq!(selected(&[Matcher::equal("x", "")]).len(), 40);
        assert_eq!(selected(&[Matcher::not_equal("x", "1")]).len(), 40);
        assert_eq!(one_regex("x", "1|").len(), 40);
        assert!(selected(&[Matcher::equal("x", "1")]).is_empty());
        assert!(one_regex("x", ".+").is_empty());
    }

    #[test]
    fn no_matchers_select_everything() {
        assert_eq!(selected(&[]), where_zone(|_| true));
        assert!(LabelIndex::default().select(&[]).is_empty());
    }

    #[test]
    fn prefixes_are_ranges_and_are_tested_where_needed() {
        assert_eq!(one_regex("host", "h1.*"), (10..20).collect::<Vec<_>>());
        assert_eq!(one_regex("host", "h1.*5"), [15]);
        assert_eq!(one_regex("host", "h1.+"), (10..20).collect::<Vec<_>>());
        assert_eq!(one_not_regex("host", "h1.*5").len(), 39);
        assert_eq!(one_not_regex("host", "h[0-2].*"), (30..40).collect::<Vec<_>>());
        assert_eq!(one_regex("host", ".*5"), [5, 15, 25, 35]);
    }

    #[test]
    fn every_matcher_counts() {
        let zone = Matcher::equal("zone", "a");
        let host = Matcher::regex("host", "h0.*").unwrap();
        let tried = Matcher::regex("host", ".*[15]").unwrap();
        let not = Matcher::not_equal("host", "h05");
        assert_eq!(selected(&[zone.clone(), host.clone()]), [1, 5, 9]);
        assert_eq!(selected(&[tried.clone(), host.clone(), zone.clone()]), [1, 5]);
        assert_eq!(selected(&[not, tried, host, zone]), [1]);
    }
}
