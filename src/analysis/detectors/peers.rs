//! Peers: series of one group that stand apart from the others for an hour, by density or by medians.
//!
//! Both follow the outlier monitors that operators know: at least three members; by density each series is a point, near
//! are those within the tolerance times the median distance to the median series, and all outside of the largest cluster
//! are outliers; by medians a series is one when more than a fifth of its points are further from the median of all
//! points than the tolerance times their median absolute deviation.
//!
//! Not here: which series form a group (the caller says), samples that are unusual for their own series.
//!
//! Invariants: nothing is said of groups of fewer than [`MEMBERS_MIN`] or more than [`MEMBERS_MAX`] series; two clusters of
//! equal size name nobody.
//!
//! Cost: for each cell of time the square of the members (density), and a sort of the window a dozen times a window.

use super::super::robust::median;
use super::{Floor, Judgement, Options, SHARE_MAX, Samples};
use std::collections::VecDeque;

/// Members from which a group is one.
pub const MEMBERS_MIN: usize = 3;
/// Members beyond which the square of them is too much.
pub const MEMBERS_MAX: usize = 300;
const TOLERANCE: f64 = 3.0;
const WINDOW_MS: i64 = 3_600_000;
/// Cells of a window, at most.
const WINDOW_MAX: usize = 3600;
/// Looks at a window while it moves on by its length.
const LOOKS: usize = 12;
/// Share of a window's points beyond the tolerance that make a series an outlier.
const POINTS_SHARE: f64 = 0.2;
/// Makes the median absolute deviation of normal values their standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;

/// Compares the series of a group.
pub trait GroupDetector: Send {
    /// The name in results.
    fn method(&self) -> &'static str;

    /// One judgement a sample of each series, in their order. Values are finite, times of a series rise. A sample is judged
    /// by those of the hour up to it.
    fn detect(&mut self, group: &[Samples<'_>]) -> Vec<Vec<Judgement>>;
}

/// Outliers among series by density.
#[derive(Debug, Clone)]
pub struct PeerDbscan {
    tolerance: f64,
    floor: Floor,
}

/// Outliers among series by the median of all their points.
#[derive(Debug, Clone)]
pub struct PeerMad {
    tolerance: f64,
    floor: Floor,
}

impl PeerDbscan {
    /// With the options' threshold as tolerance, or 3.
    pub fn new(options: &Options) -> Self {
        Self { tolerance: options.threshold.unwrap_or(TOLERANCE), floor: Floor::new(options) }
    }
}

impl PeerMad {
    /// With the options' threshold as tolerance, or 3.
    pub fn new(options: &Options) -> Self {
        Self { tolerance: options.threshold.unwrap_or(TOLERANCE), floor: Floor::new(options) }
    }
}

/// A group on one grid of time.
struct Aligned {
    /// A row of cells a member; NaN where it has no sample.
    rows: Vec<Vec<f64>>,
    /// The cell of each sample of each member.
    cells: Vec<Vec<usize>>,
    window: usize,
}

impl Aligned {
    /// `None` of too few or too many members, or without two samples to tell a step from.
    fn new(group: &[Samples<'_>]) -> Option<Self> {
        if !(MEMBERS_MIN..=MEMBERS_MAX).contains(&group.len()) {
            return None;
        }
        let steps =
            group.iter().flat_map(|samples| samples.times_ms.windows(2).map(|pair| pair[1].saturating_sub(pair[0])));
        let mut steps: Vec<i64> = steps.filter(|step| *step > 0).collect();
        let middle = steps.len().checked_sub(1)? / 2;
        let step_ms = *steps.select_nth_unstable(middle).1;
        let times = || group.iter().flat_map(|samples| samples.times_ms);
        let first_ms = *times().min()?;
        // Grids are for groups that are sampled at about one step; times far away from all others would make them endless.
        let longest = group.iter().map(|samples| samples.times_ms.len()).max()?;
        let cells_max = longest.saturating_mul(8).max(1024);
        let cell = |time_ms: i64| (time_ms.saturating_sub(first_ms) / step_ms) as usize;
        let count = cell(*times().max()?).saturating_add(1);
        if count > cells_max {
            return None;
        }
        let mut rows = vec![vec![f64::NAN; count]; group.len()];
        let mut cells = Vec::with_capacity(group.len());
        for (row, samples) in rows.iter_mut().zip(group) {
            let of_sample: Vec<usize> = samples.times_ms.iter().map(|time_ms| cell(*time_ms)).collect();
            of_sample.iter().zip(samples.values).for_each(|(at, value)| row[*at] = *value);
            cells.push(of_sample);
        }
        let window = (WINDOW_MS / step_ms).clamp(1, WINDOW_MAX as i64) as usize;
        Some(Self { rows, cells, window })
    }

    fn len(&self) -> usize {
        self.rows[0].len()
    }

    /// The median of the members at a cell; NaN where none has a sample.
    fn median_at(&self, cell: usize) -> f64 {
        median(&mut self.rows.iter().map(|row| row[cell]).filter(|value| !value.is_nan()).collect::<Vec<_>>())
    }

    /// Whether verdicts are made at this cell; between, the last ones hold.
    fn is_looked_at(&self, cell: usize) -> bool {
        cell.is_multiple_of((self.window / LOOKS).max(1))
    }

    /// Judgements of samples from those of cells.
    fn spread_out(&self, judged: &[Vec<Judgement>]) -> Vec<Vec<Judgement>> {
        self.cells.iter().zip(judged).map(|(cells, judged)| cells.iter().map(|at| judged[*at]).collect()).collect()
    }
}

/// Nothing is said of any sample.
fn silent(group: &[Samples<'_>]) -> Vec<Vec<Judgement>> {
    group.iter().map(|samples| vec![Judgement::ABSTAINS; samples.values.len()]).collect()
}

/// Sums of squared differences of two rows over the last cells in which both have a value.
#[derive(Debug, Clone, Default)]
struct Distance {
    last: VecDeque<f64>,
    sum: f64,
    count: usize,
}

impl Distance {
    fn push(&mut self, difference: f64, window: usize) {
        if self.last.len() == window {
            let gone = self.last.pop_front().unwrap_or(f64::NAN);
            if !gone.is_nan() {
                self.count -= 1;
                // Rounding must not leave a distance where there is none.
                self.sum = if self.count == 0 { 0.0 } else { (self.sum - gone).max(0.0) };
            }
        }
        let square = difference * difference;
        self.last.push_back(square);
        if !square.is_nan() {
            self.sum += square;
            self.count += 1;
        }
    }

    /// Root mean square, if at least half of the window is known.
    fn mean(&self, window: usize) -> Option<f64> {
        (2 * self.count >= window).then(|| (self.sum / self.count as f64).sqrt())
    }
}

/// The members outside of the largest cluster, where near is up to `reach`; nobody if two clusters are the largest.
fn outside(members: &[usize], reach: f64, distance: &impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut cluster = vec![usize::MAX; members.len()];
    let mut sizes = Vec::new();
    for start in 0..members.len() {
        if cluster[start] != usize::MAX {
            continue;
        }
        let mut open = vec![start];
        cluster[start] = sizes.len();
        let mut size = 0;
        while let Some(at) = open.pop() {
            size += 1;
            for other in 0..members.len() {
                if cluster[other] == usize::MAX && distance(members[at], members[other]) <= reach {
                    cluster[other] = sizes.len();
                    open.push(other);
                }
            }
        }
        sizes.push(size);
    }
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if sizes.iter().filter(|size| **size == largest).count() != 1 {
        return Vec::new();
    }
    (0..members.len()).filter(|at| sizes[cluster[*at]] < largest).map(|at| members[at]).collect()
}

impl GroupDetector for PeerDbscan {
    fn method(&self) -> &'static str {
        "dbscan"
    }

    fn detect(&mut self, group: &[Samples<'_>]) -> Vec<Vec<Judgement>> {
        let Some(aligned) = Aligned::new(group) else { return silent(group) };
        let (count, window) = (group.len(), aligned.window);
        let deviation_min = group.iter().map(|samples| self.floor.of_all(samples.values)).fold(0.0, f64::max);
        let mut pairs = vec![Distance::default(); count * count];
        let mut to_median = vec![Distance::default(); count];
        let mut judged = vec![Vec::with_capacity(aligned.len()); count];
        for cell in 0..aligned.len() {
            let middle = aligned.median_at(cell);
            for i in 0..count {
                let value = aligned.rows[i][cell];
                to_median[i].push(value - middle, window);
                for j in 0..i {
                    pairs[i * count + j].push(value - aligned.rows[j][cell], window);
                }
            }
            if !aligned.is_looked_at(cell) && cell > 0 {
                judged
                    .iter_mut()
                    .for_each(|row: &mut Vec<Judgement>| row.push(*row.last().unwrap_or(&Judgement::ABSTAINS)));
                continue;
            }
            let known: Vec<(usize, f64)> = (0..count).filter_map(|i| Some((i, to_median[i].mean(window)?))).collect();
            let members: Vec<usize> = known.iter().map(|(i, _)| *i).collect();
            let typical = median(&mut known.iter().map(|(_, distance)| *distance).collect::<Vec<_>>());
            let reach = self.tolerance * typical;
            let distance = |a: usize, b: usize| {
                let pair = &pairs[a.max(b) * count + a.min(b)];
                pair.mean(window).unwrap_or(f64::INFINITY)
            };
            let far = if members.len() >= MEMBERS_MIN { outside(&members, reach, &distance) } else { Vec::new() };
            for (i, row) in judged.iter_mut().enumerate() {
                let Some((_, apart)) = known.iter().find(|(member, _)| *member == i) else {
                    row.push(Judgement::ABSTAINS);
                    continue;
                };
                let is_anomaly = far.contains(&i) && *apart >= deviation_min;
                row.push(apart_from(middle, *apart, typical, self.tolerance, is_anomaly));
            }
        }
        aligned.spread_out(&judged)
    }
}

/// Of a series that is so far from the middle of its group, where a distance is typical.
fn apart_from(middle: f64, apart: f64, typical: f64, tolerance: f64, is_anomaly: bool) -> Judgement {
    let score = match apart {
        0.0 => 0.0,
        apart if typical > 0.0 => (apart / typical).min(SHARE_MAX),
        _ => SHARE_MAX,
    };
    let share = score / tolerance;
    let share = if is_anomaly { share.max(1.0) } else { share.min(1.0 - f64::EPSILON) };
    let reach = tolerance * typical;
    let edge = |edge: f64| edge.is_finite().then_some(edge);
    let (expected, lower, upper) = (edge(middle), edge(middle - reach), edge(middle + reach));
    Judgement { score, share, is_anomaly, is_judged: true, expected, lower, upper }
}

impl GroupDetector for PeerMad {
    fn method(&self) -> &'static str {
        "peer_mad"
    }

    fn detect(&mut self, group: &[Samples<'_>]) -> Vec<Vec<Judgement>> {
        let Some(aligned) = Aligned::new(group) else { return silent(group) };
        let deviation_min = group.iter().map(|samples| self.floor.of_all(samples.values)).fold(0.0, f64::max);
        let mut judged = vec![vec![Judgement::ABSTAINS; aligned.len()]; group.len()];
        for cell in 0..aligned.len() {
            if !aligned.is_looked_at(cell) {
                judged.iter_mut().for_each(|row| row[cell] = row[cell - 1]);
                continue;
            }
            let window = (cell + 1).saturating_sub(aligned.window)..cell + 1;
            let present =
                |row: &Vec<f64>| row[window.clone()].iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>();
            let points: Vec<Vec<f64>> = aligned.rows.iter().map(present).collect();
            let is_known = |points: &Vec<f64>| 2 * points.len() >= aligned.window;
            if points.iter().filter(|points| is_known(points)).count() < MEMBERS_MIN {
                continue;
            }
            let mut all = points.concat();
            let middle = median(&mut all);
            all.iter_mut().for_each(|value| *value = (*value - middle).abs());
            let typical = MAD_TO_SIGMA * median(&mut all);
            let reach = (self.tolerance * typical).max(deviation_min);
            for (row, points) in judged.iter_mut().zip(&points).filter(|(_, points)| is_known(points)) {
                let far = points.iter().filter(|value| (*value - middle).abs() > reach).count();
                let share = far as f64 / points.len() as f64 / POINTS_SHARE;
                let is_anomaly = share > 1.0;
                let apart = median(&mut points.iter().map(|value| (value - middle).abs()).collect::<Vec<_>>());
                let judgement = apart_from(middle, apart, typical, self.tolerance, is_anomaly);
                row[cell] = Judgement { share: if is_anomaly { share } else { share.min(0.999) }, ..judgement };
            }
        }
        aligned.spread_out(&judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn noise(member: usize, at: usize) -> f64 {
        let mixed = ((member * 10_007 + at) as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / (1 << 24) as f64 - 0.5) * 4.0
    }

    /// Members with an anomalous sample among hosts of one daily load, of which some are changed from a minute on.
    fn flagged(detector: &mut dyn GroupDetector, hosts: usize, changed: &[usize], by: f64) -> Vec<usize> {
        let times: Vec<i64> = (0..600).map(|minute| minute * MINUTE_MS).collect();
        let value = |host: usize, at: usize| {
            let load = 50.0 + 20.0 * (at as f64 / 300.0).sin() + noise(host, at);
            if changed.contains(&host) && at >= 300 { load + by } else { load }
        };
        let rows: Vec<Vec<f64>> = (0..hosts).map(|host| (0..600).map(|at| value(host, at)).collect()).collect();
        let group: Vec<Samples<'_>> = rows.iter().map(|row| Samples::new(&times, row)).collect();
        let judged = detector.detect(&group);
        assert!(judged.iter().all(|row| row[..300].iter().all(|judgement| !judgement.is_anomaly)));
        (0..hosts).filter(|host| judged[*host].iter().any(|judgement| judgement.is_anomaly)).collect()
    }

    /// ALR-021: ten hosts, one deviates, and it alone is flagged; the tolerance is 3 unless set.
    #[test]
    fn of_ten_hosts_the_one_that_deviates_is_flagged_alone() {
        assert_eq!(flagged(&mut PeerDbscan::new(&Options::default()), 10, &[4], 25.0), [4]);
        assert_eq!(flagged(&mut PeerMad::new(&Options::default()), 10, &[4], 90.0), [4]);
        assert_eq!(flagged(&mut PeerDbscan::new(&Options::default()), 10, &[], 0.0), [0; 0]);
        assert_eq!(flagged(&mut PeerMad::new(&Options::default()), 10, &[], 0.0), [0; 0]);
        let tolerant = Options { threshold: Some(100.0), ..Options::default() };
        assert_eq!(flagged(&mut PeerDbscan::new(&tolerant), 10, &[4], 25.0), [0; 0]);
    }

    #[test]
    fn two_are_no_group_and_halves_name_nobody() {
        assert_eq!(flagged(&mut PeerDbscan::new(&Options::default()), 2, &[1], 25.0), [0; 0]);
        assert_eq!(flagged(&mut PeerMad::new(&Options::default()), 2, &[1], 90.0), [0; 0]);
        assert_eq!(flagged(&mut PeerDbscan::new(&Options::default()), 4, &[2, 3], 25.0), [0; 0]);
        assert_eq!(flagged(&mut PeerDbscan::new(&Options::default()), 3, &[2], 25.0), [2]);
    }

    #[test]
    fn members_that_are_equal_leave_no_room_but_for_what_does_not_matter() {
        let times: Vec<i64> = (0..200).map(|minute| minute * MINUTE_MS).collect();
        let rows = [5.0, 5.0, 5.0, 5.000_01, 6.0].map(|level| vec![level; 200]);
        let group: Vec<Samples<'_>> = rows.iter().map(|row| Samples::new(&times, row)).collect();
        let judged = PeerDbscan::new(&Options::default()).detect(&group);
        let far: Vec<usize> = (0..5).filter(|at| judged[*at].iter().any(|judgement| judgement.is_anomaly)).collect();
        assert_eq!(far, [4]);
    }
}
