//! The foundation model in use: the one in the program, or the one of a folder.
//!
//! There is one for the whole process, since it is large and the same for every series. It is chosen once, when the
//! program starts, before the first forecast.
//!
//! Not here: how such models compute (see the crate `foundation`). A program built without the feature has none, and
//! everything else works as with it.

use std::path::Path;

/// What is known of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// Its name.
    pub name: String,
    /// Its layout, such as `chronos-bolt`.
    pub layout: &'static str,
    /// The folder it came from, or `embedded`.
    pub source: String,
    /// Text of its licence, where its folder says.
    pub licence: Option<String>,
    /// Number of trained values.
    pub parameters: usize,
    /// The most points of a history that it uses.
    pub context: usize,
    /// Steps it forecasts in one pass.
    pub steps_per_pass: usize,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Nothing of the kind is built in.
    #[error("this program was built without the feature foundation, so it runs no foundation model")]
    NotBuiltIn,
    /// The folder holds no model that can be read.
    #[error("{folder}: {what}")]
    Folder {
        /// Its path.
        folder: String,
        /// What is wrong with it.
        what: String,
    },
    /// One is in use already.
    #[error("a foundation model is in use already")]
    InUse,
}

/// What the model in use is; none if none is built in.
pub fn model_in_use() -> Option<ModelCard> {
    engine::model_in_use()
}

/// Takes the model of a folder instead of the one in the program.
///
/// # Errors
/// When the folder holds no model that can be read, or a forecast was made before.
pub fn use_model(folder: &Path) -> Result<ModelCard, ModelError> {
    engine::use_model(folder)
}

/// Reads the model of a folder, or the one in the program, and tries it out: its card, and how long `passes` forecasts
/// of 64 steps from 512 points took, as `time` measures them.
///
/// # Errors
/// When the folder holds no model that can be read.
pub fn try_model<T>(
    folder: Option<&Path>,
    time: impl FnOnce(&dyn Fn(usize)) -> T,
) -> Result<(ModelCard, T), ModelError> {
    engine::try_model(folder, time)
}

/// The medians of the next steps behind each history, NaN where a value is missing; none where one holds too little or no
/// model is built in. Many at once cost half as much as one by one.
pub(super) fn medians(histories: &[&[f64]], steps: usize) -> Option<Vec<Vec<f64>>> {
    engine::medians(histories, steps)
}

/// The quantiles of three levels of the next steps behind each history; none where no model is built in or a history
/// holds no value.
pub(super) fn quantiles(histories: &[&[f64]], steps: usize, levels: [f64; 3]) -> Option<Vec<Vec<[f64; 3]>>> {
    engine::quantiles(histories, steps, levels)
}

#[cfg(feature = "foundation")]
mod engine {
    use super::{ModelCard, ModelError};
    use foundation::{Pretrained, embedded, load};
    use std::path::Path;
    use std::sync::OnceLock;

    static MODEL: OnceLock<Option<Box<dyn Pretrained>>> = OnceLock::new();

    /// The model of the program was whole when it was built, which a test sees to.
    fn model() -> Option<&'static dyn Pretrained> {
        MODEL.get_or_init(|| embedded().ok()).as_deref()
    }

    fn card(model: &dyn Pretrained) -> ModelCard {
        let card = model.card().clone();
        ModelCard {
            name: card.name,
            layout: card.layout,
            source: card.source,
            licence: card.licence,
            parameters: card.parameters,
            context: card.context,
            steps_per_pass: card.steps_per_pass,
        }
    }

    fn read(folder: &Path) -> Result<Box<dyn Pretrained>, ModelError> {
        let wrong = |what| ModelError::Folder { folder: folder.display().to_string(), what };
        load(folder).map_err(|error| wrong(error.to_string()))
    }

    pub(super) fn model_in_use() -> Option<ModelCard> {
        model().map(card)
    }

    pub(super) fn use_model(folder: &Path) -> Result<ModelCard, ModelError> {
        let model = read(folder)?;
        let found = card(&*model);
        MODEL.set(Some(model)).map_err(|_| ModelError::InUse).map(|()| found)
    }

    pub(super) fn try_model<T>(
        folder: Option<&Path>,
        time: impl FnOnce(&dyn Fn(usize)) -> T,
    ) -> Result<(ModelCard, T), ModelError> {
        let model = match folder {
            Some(folder) => read(folder)?,
            None => embedded()
                .map_err(|error| ModelError::Folder { folder: "embedded".to_owned(), what: error.to_string() })?,
        };
        let series = |seed: usize| {
            let value = |at: usize| (at as f64 / (9 + seed) as f64).sin() * 5.0 + (at * (seed + 7) % 11) as f64;
            (0..512).map(value).collect::<Vec<f64>>()
        };
        let all: Vec<Vec<f64>> = (0..64).map(series).collect();
        let histories: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
        let run = |passes: usize| {
            for chunk in histories.iter().cycle().take(passes).copied().collect::<Vec<_>>().chunks(64) {
                // Their errors are those of empty histories, which these are not.
                drop(model.forecast(chunk, 64));
            }
        };
        let timed = time(&run);
        Ok((card(&*model), timed))
    }

    pub(super) fn medians(histories: &[&[f64]], steps: usize) -> Option<Vec<Vec<f64>>> {
        let forecasts = model()?.forecast(histories, steps).ok()?;
        let is_whole = forecasts.iter().all(foundation::Quantiles::are_finite);
        let median = |forecast: &foundation::Quantiles| (0..steps).map(|step| forecast.at(0.5, step)).collect();
        is_whole.then(|| forecasts.iter().map(median).collect())
    }

    pub(super) fn quantiles(histories: &[&[f64]], steps: usize, levels: [f64; 3]) -> Option<Vec<Vec<[f64; 3]>>> {
        let told = model()?.forecast(histories, steps).ok()?;
        let of =
            |told: &foundation::Quantiles| (0..steps).map(|step| levels.map(|level| told.at(level, step))).collect();
        Some(told.iter().map(of).collect())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_model_of_the_program_is_whole_and_continues_a_season() {
            let card = model_in_use().unwrap();
            assert_eq!(
                (card.name.as_str(), card.layout, card.parameters),
                ("infrawatch-tiny", "chronos-bolt", 1_639_040)
            );
            let history: Vec<f64> =
                (0..480).map(|hour| 50.0 + 20.0 * (f64::from(hour) / 24.0 * std::f64::consts::TAU).sin()).collect();
            let medians = medians(&[&history], 24).unwrap().remove(0);
            for (hour, median) in medians.iter().enumerate() {
                let wanted = 50.0 + 20.0 * ((480 + hour) as f64 / 24.0 * std::f64::consts::TAU).sin();
                assert!((median - wanted).abs() < 4.0, "hour {hour}: {median} instead of {wanted}");
            }
        }
    }
}

#[cfg(not(feature = "foundation"))]
mod engine {
    use super::{ModelCard, ModelError};
    use std::path::Path;

    pub(super) fn model_in_use() -> Option<ModelCard> {
        None
    }

    pub(super) fn use_model(_: &Path) -> Result<ModelCard, ModelError> {
        Err(ModelError::NotBuiltIn)
    }

    pub(super) fn try_model<T>(
        _: Option<&Path>,
        _: impl FnOnce(&dyn Fn(usize)) -> T,
    ) -> Result<(ModelCard, T), ModelError> {
        Err(ModelError::NotBuiltIn)
    }

    pub(super) fn medians(_: &[&[f64]], _: usize) -> Option<Vec<Vec<f64>>> {
        None
    }

    pub(super) fn quantiles(_: &[&[f64]], _: usize, _: [f64; 3]) -> Option<Vec<Vec<[f64; 3]>>> {
        None
    }
}
