//! One contract for every detector: constant input stays quiet, readings are finite, reading changes nothing.

use super::*;
use std::cell::Cell;

thread_local! {
    /// The detector that panics when it is asked.
    static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Has a detector panic where a test wants it to.
pub(super) fn break_down(name: &str) {
    assert!(BROKEN.get() != Some(name), "a test wants {name} to fail");
}

/// ENS-017.
#[test]
fn one_that_panics_abstains_from_then_on_is_counted_once_and_the_others_go_on() {
    let mut detectors = learned((0..200).map(|i| (i % 7) as f32));
    let (usual, mut broken) = (detectors.read(&context(3.0, &detectors), &mut 0), 0);
    let before = super::super::detectors::failures();
    BROKEN.set(Some("robust"));
    let judging = |detectors: &Detectors, broken: &mut u8| {
        let readings = detectors.read(&context(3.0, detectors), broken);
        (0..OWN).filter(|at| readings[*at].is_some()).map(|at| NAMES[at].0).collect::<Vec<_>>()
    };
    let left = judging(&detectors, &mut broken);
    assert_eq!(left, ["zscore", "ema", "seasonal", "step_change", "shift"]);
    detectors.learn(&context(3.0, &detectors), &mut broken);
    assert_eq!((judging(&detectors, &mut broken), detectors.samples()), (left, 201));
    BROKEN.set(None);
    assert!(super::super::detectors::failures() > before);
    assert!(usual.iter().all(Option::is_some));
    assert_eq!(judging(&detectors, &mut broken).len(), 5, "it is not asked again");
    detectors.restart();
    assert_eq!(detectors.samples(), 0);
}

#[test]
fn with_little_time_one_detector_of_each_family_judges_and_all_learn() {
    let mut detectors = Detectors::default();
    let lean = |detectors: &Detectors| Context { effort: Effort::OneOfAFamily, ..context(0.5, detectors) };
    (0..100).for_each(|_| detectors.learn(&lean(&detectors), &mut 0));
    let judging = |context: &Context| {
        let readings = detectors.read(context, &mut 0);
        (0..OWN).filter(|at| readings[*at].is_some()).map(|at| NAMES[at]).collect::<Vec<_>>()
    };
    assert_eq!(judging(&context(0.5, &detectors)), NAMES[..OWN]);
    let few = judging(&lean(&detectors));
    let families = |of: &[(&str, Family)], family| of.iter().filter(|(_, found)| *found == family).count();
    assert!(NAMES[..OWN].iter().all(|(_, family)| families(&few, *family) == 1), "{few:?}");
}

fn context(residual: f32, detectors: &Detectors) -> Context {
    Context {
        residual,
        season_hour: Some(3),
        spread_min: 1e-6,
        has_neighbour: true,
        knows_a_day: true,
        window: 256.0,
        samples: detectors.samples(),
        effort: Effort::All,
    }
}

/// What every detector scores a residual.
fn scores(detectors: &Detectors, residual: f32) -> [Option<f32>; OWN] {
    detectors.read(&context(residual, detectors), &mut 0).map(|reading| reading.map(|reading| reading.score(residual)))
}

/// All detectors after these residuals.
fn learned(residuals: impl IntoIterator<Item = f32>) -> Detectors {
    let mut detectors = Detectors::default();
    for residual in residuals {
        let context = context(residual, &detectors);
        let readings = detectors.read(&context, &mut 0);
        detectors.calibrate(&context, &readings, false, 4.0);
        detectors.learn(&context, &mut 0);
    }
    detectors
}

fn wave(n: u32) -> impl Iterator<Item = f32> {
    (0..n).map(|i| (i * 7919 % 101) as f32 / 50.0 - 1.0)
}

#[test]
fn all_detectors_abstain_at_first_and_judge_after_two_hundred_samples() {
    assert!(scores(&Detectors::default(), 0.0).iter().all(Option::is_none));
    assert!(scores(&learned(wave(200)), 0.0).iter().all(Option::is_some));
}

#[test]
fn constant_input_scores_zero_everywhere() {
    assert_eq!(scores(&learned([0.0; 200]), 0.0), [Some(0.0); OWN]);
}

#[test]
fn a_far_value_is_found_by_every_detector_and_its_limits_exclude_it() {
    let detectors = learned(wave(600));
    let far = context(500.0, &detectors);
    let readings = detectors.read(&far, &mut 0);
    for (at, log_tail) in detectors.log_tails(&far, &readings).into_iter().enumerate() {
        assert!(log_tail > 4.0, "{:?}: {log_tail}", NAMES[at]);
        let (lower, upper) = detectors.limits(&readings, at).unwrap();
        assert!(lower < 0.0 && upper > 0.0 && upper < 500.0, "{:?}: {lower} {upper}", NAMES[at]);
    }
}

#[test]
fn an_outlier_does_not_hide_the_next() {
    let mut residuals: Vec<f32> = wave(600).collect();
    residuals[500] = 500.0;
    let scores = scores(&learned(residuals), 500.0);
    assert!(scores.iter().all(|score| score.is_some_and(|score| score > 20.0)), "{scores:?}");
}

#[test]
fn detectors_that_need_a_neighbour_abstain_without() {
    let detectors = learned(wave(200));
    let lonely = Context { has_neighbour: false, ..context(0.0, &detectors) };
    let readings = detectors.read(&lonely, &mut 0);
    let log_tails = detectors.log_tails(&lonely, &readings);
    let judges = |at: &usize| !log_tails[*at].is_nan();
    let judging: Vec<_> = (0..OWN).filter(judges).map(|at| NAMES[at].0).collect();
    assert_eq!(judging, ["zscore", "robust", "seasonal", "shift"]);
}

#[test]
fn a_moved_baseline_moves_every_centre() {
    let mut detectors = learned(std::iter::repeat_n(5.0, 200));
    detectors.recentre(5.0);
    let centres = detectors.read(&context(0.0, &detectors), &mut 0).map(|reading| reading.unwrap().centre);
    assert!(centres.iter().all(|centre| centre.abs() < 0.5), "{centres:?}");
}
