//! The label index selects, after any sequence of insertions and removals, exactly what a list of label maps says.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use storage::label_index::{LabelIndex, MatchOp, Matcher};
use storage::series::{KeyBuilder, SeriesRef};

type LabelMap = BTreeMap<String, String>;

const NAMES: [&str; 5] = ["a", "b", "host", "zone", "id"];
const VALUES: [&str; 10] = ["", "x", "y", "xy", "web-1", "web-2", "web-10", "web", "ä", "a\nb"];
const EXPRESSIONS: [&str; 20] = [
    "",
    ".*",
    ".+",
    "x",
    "x|y",
    "x|",
    "web.*",
    "web-.+",
    "web-[12]",
    "web-1.*0",
    "(web|x).*",
    "(web|x).*|ä",
    ".*1",
    "(?i)X",
    "a.b",
    "^x$",
    "[^x]",
    "[^x]*",
    "web-(1|2|10)?",
    "nothing",
];

#[derive(Debug, Clone)]
enum Step {
    Insert(u32, LabelMap),
    Remove(u32),
    Select(Vec<Matcher>),
}

/// The reference: labels by series, every question answered by looking at each.
#[derive(Default)]
struct Naive {
    series: BTreeMap<u32, LabelMap>,
}

impl Naive {
    fn select(&self, matchers: &[Matcher]) -> BTreeSet<u32> {
        // Expressions are compiled here again, so that the index's own anchoring is under test too.
        let whole = |matcher: &Matcher| match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            _ => Some(regex::Regex::new(&format!(r"\A(?s:{})\z", matcher.value)).expect("compiles as a matcher too")),
        };
        let asked: Vec<_> = matchers.iter().map(|matcher| (matcher, whole(matcher))).collect();
        let satisfied = |labels: &LabelMap| {
            asked.iter().all(|(matcher, whole)| {
                let value = labels.get(&matcher.name).map_or("", String::as_str);
                let matches = whole.as_ref().map_or(value == matcher.value, |whole| whole.is_match(value));
                matches == matches!(matcher.op, MatchOp::Equal | MatchOp::Regex(_))
            })
        };
        let all = self.series.iter().filter(|(_, labels)| satisfied(labels));
        all.map(|(id, _)| *id).collect()
    }

    fn names(&self, of: &BTreeSet<u32>) -> Vec<String> {
        let names: BTreeSet<_> = of.iter().flat_map(|id| self.series[id].keys().cloned()).collect();
        names.into_iter().collect()
    }

    fn values(&self, name: &str, of: &BTreeSet<u32>) -> Vec<String> {
        let values: BTreeSet<_> = of.iter().filter_map(|id| self.series[id].get(name).cloned()).collect();
        values.into_iter().collect()
    }
}

fn key(labels: &LabelMap) -> Vec<u8> {
    let mut builder = KeyBuilder::default();
    labels.iter().for_each(|(name, value)| builder.push(name, value));
    builder.finish().expect("label maps have a metric name").to_vec()
}

fn check(index: &LabelIndex, naive: &Naive, matchers: &[Matcher]) {
    let expected = naive.select(matchers);
    let found = index.select(matchers);
    assert!(found.iter().eq(expected.iter().copied()), "{matchers:?}: {found:?} instead of {expected:?}");
    assert_eq!(index.names_of(&found), naive.names(&expected));
    for name in NAMES {
        assert_eq!(index.values_of(name, &found), naive.values(name, &expected), "values of {name}");
    }
}

fn check_whole(index: &LabelIndex, naive: &Naive) {
    check(index, naive, &[]);
    let all = naive.series.keys().copied().collect();
    assert!(index.names().eq(naive.names(&all)));
    for name in NAMES {
        assert!(index.values(name).eq(naive.values(name, &all)), "values of {name}");
        let carriers = naive.series.values().filter(|labels| labels.contains_key(name)).count();
        assert_eq!(index.carriers(name), carriers as u64);
    }
    assert_eq!(index.series_count(), naive.series.len() as u64);
}

fn some_labels() -> impl Strategy<Value = LabelMap> {
    let value = prop_oneof![
        3 => proptest::sample::select(&VALUES[..]).prop_map(str::to_owned),
        1 => "[a-z]{1,4}",
    ];
    proptest::collection::btree_map(proptest::sample::select(&NAMES[..]), value, 0..5).prop_map(|labels| {
        let carried = labels.into_iter().filter(|(_, value)| !value.is_empty());
        let mut labels: LabelMap = carried.map(|(name, value)| (name.to_owned(), value)).collect();
        labels.insert("__name__".to_owned(), "up".to_owned());
        labels
    })
}

fn some_matcher() -> impl Strategy<Value = Matcher> {
    let name = proptest::sample::select(&["a", "b", "host", "zone", "id", "__name__", "absent"][..]);
    let equality = (name.clone(), proptest::sample::select(&VALUES[..]), any::<bool>());
    let expression = (name, proptest::sample::select(&EXPRESSIONS[..]), any::<bool>());
    prop_oneof![
        equality.prop_map(|(n, v, yes)| if yes { Matcher::equal(n, v) } else { Matcher::not_equal(n, v) }),
        expression.prop_map(|(n, e, yes)| {
            if yes { Matcher::regex(n, e) } else { Matcher::not_regex(n, e) }.expect("each expression compiles")
        }),
    ]
}

fn some_step() -> impl Strategy<Value = Step> {
    // Few ids, so that they are removed, taken again with other labels, and inserted twice; of two partitions.
    let id = (0..60u32).prop_map(|id| SeriesRef::new((id % 2) as u8 * 63, id / 2).0);
    prop_oneof![
        4 => (id.clone(), some_labels()).prop_map(|(id, labels)| Step::Insert(id, labels)),
        2 => id.prop_map(Step::Remove),
        2 => proptest::collection::vec(some_matcher(), 0..4).prop_map(Step::Select),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_sequence_of_operations_gives_what_a_list_of_label_maps_gives(
        steps in proptest::collection::vec(some_step(), 1..200)
    ) {
        let (mut index, mut naive) = (LabelIndex::default(), Naive::default());
        for step in steps {
            match step {
                Step::Insert(id, labels) => {
                    index.insert(SeriesRef(id), &key(&labels));
                    naive.series.entry(id).or_insert(labels);
                }
                Step::Remove(id) => {
                    let labels = naive.series.remove(&id).unwrap_or_default();
                    let known = if labels.is_empty() { Vec::new() } else { key(&labels) };
                    index.remove(SeriesRef(id), &known);
                }
                Step::Select(matchers) => check(&index, &naive, &matchers),
            }
        }
        check_whole(&index, &naive);
    }
}

/// Enough series for every form of postings, merges of values and rebuilds, which short sequences do not reach.
#[test]
fn a_large_index_that_grows_and_shrinks_stays_right() {
    let (mut index, mut naive) = (LabelIndex::default(), Naive::default());
    let matchers = [
        vec![Matcher::equal("zone", "z1")],
        vec![Matcher::regex("id", "i-1.*").unwrap(), Matcher::not_equal("zone", "z0")],
        vec![Matcher::regex("id", ".*77.*").unwrap(), Matcher::equal("host", "web-3")],
        vec![Matcher::not_regex("id", "i-[0-4].*").unwrap(), Matcher::regex("host", "web-1|web-2").unwrap()],
        vec![Matcher::equal("id", ""), Matcher::equal("zone", "z2")],
    ];
    let labels = |n: u32| {
        let mut labels = LabelMap::new();
        labels.insert("__name__".to_owned(), "up".to_owned());
        labels.insert("zone".to_owned(), format!("z{}", n % 3));
        labels.insert("host".to_owned(), format!("web-{}", n % 40));
        if !n.is_multiple_of(7) {
            labels.insert("id".to_owned(), format!("i-{:x}", n.wrapping_mul(2_654_435_761)));
        }
        labels
    };
    let series = |n: u32| SeriesRef::new((n % 64) as u8, n / 64);
    for n in 0..20_000 {
        index.insert(series(n), &key(&labels(n)));
        naive.series.insert(series(n).0, labels(n));
    }
    matchers.iter().for_each(|list| check(&index, &naive, list));
    for n in (0..20_000).filter(|n| n % 20 != 3) {
        index.remove(series(n), &key(&labels(n)));
        naive.series.remove(&series(n).0);
    }
    matchers.iter().for_each(|list| check(&index, &naive, list));
    check_whole(&index, &naive);
    for id in naive.series.keys().copied() {
        index.remove(SeriesRef(id), &key(&naive.series[&id]));
    }
    assert_eq!((index.names().count(), index.bytes()), (0, LabelIndex::default().bytes()));
}
