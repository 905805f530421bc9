//! The bands of a model: that of the detector whose word counts, and those a foundation model has given it.
//!
//! Not here: what the steps of judging are (see `model`), how a forecast is read (see `foreseen`).

use super::SeriesModel;
use super::patterns::Ways;
use crate::analysis::detect::{Context, Readings};
use crate::analysis::ensemble::{Counting, FOUNDATION, Votes};
use crate::analysis::foreseen::{ForecastBand, Foreseen, Foresight};
use crate::analysis::judge::{FLAG_LINE, FoundationVote, Word};
use crate::analysis::{Band, Notice};
use std::sync::Arc;

/// What few series have at a time, so that the others pay for it with one comparison.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    /// What the newest sample told beside its verdict.
    pub(super) notice: Option<Notice>,
    /// What a foundation model expects.
    pub(super) foreseen: Option<Foreseen>,
    /// In what ways the series moves.
    pub(super) ways: Option<Box<Ways>>,
}

impl Beside {
    /// Whether it may be given back.
    pub(super) fn is_empty(&self) -> bool {
        self.notice.is_none() && self.foreseen.is_none() && self.ways.is_none()
    }
}

/// Of what few series have all but notices, which are told at once, outlives the process.
pub(super) mod kept {
    use super::{Beside, Foreseen, Ways};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(beside: &Option<Box<Beside>>, to: S) -> Result<S::Ok, S::Error> {
        let kept = beside.as_ref().map(|beside| (&beside.foreseen, &beside.ways));
        kept.filter(|(foreseen, ways)| foreseen.is_some() || ways.is_some()).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<Beside>>, D::Error> {
        let kept = Option::<(Option<Foreseen>, Option<Box<Ways>>)>::deserialize(from)?;
        Ok(kept.map(|(foreseen, ways)| Box::new(Beside { notice: None, foreseen, ways })))
    }
}

/// What was said of a sample, by residuals from `base`.
pub(super) struct Said<'a> {
    pub(super) base: f64,
    pub(super) readings: &'a Readings,
    pub(super) foresight: Option<Foresight>,
}

impl SeriesModel {
    /// Judges the samples that follow by this band as well.
    pub fn foresee(&mut self, band: ForecastBand) {
        match &mut self.beside.get_or_insert_default().foreseen {
            Some(foreseen) => foreseen.renew(band),
            none => *none = Some(Foreseen::new(band)),
        }
    }

    /// The newest band that was given to it, whether or not it still says anything.
    pub fn foreseen(&self) -> Option<&ForecastBand> {
        Some(self.beside.as_ref()?.foreseen.as_ref()?.band())
    }

    /// Its band, which was decoded, takes this place.
    pub fn place_foreseen(&mut self, place: Arc<()>) {
        if let Some(beside) = &mut self.beside {
            beside.foreseen = beside.foreseen.take().map(|foreseen| foreseen.holding(place));
        }
    }

    /// Forgets the band and how right bands were.
    pub fn forget_foreseen(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.foreseen = None;
        }
        self.beside.take_if(|beside| beside.is_empty());
    }

    /// The band of one detector: while nothing is unusual that of the first that judges, else of the most certain.
    pub(super) fn band(&self, said: &Said, votes: &Votes, score: f64) -> Option<Band> {
        let at = if score < FLAG_LINE { votes.first() } else { votes.most_certain() }?;
        self.band_of(said, at)
    }

    /// The band that a reader is shown of what is unusual: of the most certain detector that knows where a value belongs.
    pub(super) fn shown_band(&self, said: &Said, votes: &Votes) -> Option<Band> {
        let at = votes.most_certain_of_place()?;
        self.band_of(said, at)
    }

    fn band_of(&self, said: &Said, at: usize) -> Option<Band> {
        let middle = |(lower, upper): (f32, f32)| (lower, 0.5 * (lower + upper), upper);
        let (lower, expected, upper) = match said.foresight {
            Some(foresight) if at == FOUNDATION => {
                let (lower, upper) = foresight.limits;
                (lower, foresight.reading.centre, upper)
            }
            _ => middle(self.detectors.limits(said.readings, at)?),
        };
        let [lower, expected, upper] = [lower, expected, upper].map(|edge| said.base + f64::from(edge));
        Some(Band { expected, lower, upper })
    }

    /// Whose votes count on a sample of which a foundation model says something.
    pub(super) fn counting(&self, context: &Context) -> Counting {
        // What is looked back on was learned as a whole before.
        let is_known = context.knows_a_day || self.judge.looks_back();
        match self.settings.foundation {
            FoundationVote::Young if is_known => Counting::Own,
            FoundationVote::Always if is_known => Counting::All,
            FoundationVote::Young | FoundationVote::Always => Counting::Prior,
        }
    }

    /// What the band of a foundation model says of a sample.
    #[inline]
    pub(super) fn foresight(&self, time_ms: i64, expected: f64, context: &Context) -> Option<Foresight> {
        let foreseen = self.beside.as_ref()?.foreseen.as_ref()?;
        foreseen.read(time_ms, expected, context.residual, context.spread_min)
    }

    /// Learns how right it was. Also when looking back: it is not among what was learned before.
    #[inline]
    pub(super) fn learn_foresight(&mut self, foresight: Option<Foresight>, residual: f32, word: Word, budget: f64) {
        let Some(foresight) = &foresight else { return };
        let foreseen = self.beside.as_mut().and_then(|beside| beside.foreseen.as_mut());
        if let Some(foreseen) = foreseen.filter(|_| !word.is_anomaly || word.opens) {
            foreseen.learn(foresight, residual, word.opens, budget as f32);
        }
    }
}
