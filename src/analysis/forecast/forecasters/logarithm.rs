//! Forecasters of logarithms, for series whose season and noise grow with the level.
//!
//! Not here: Holt and Winters' season as a factor, whose level goes up by steps of one size (see `holt_winters`).

use super::{Family, Fit, Forecaster, Need, Past};

/// A forecaster of logarithms.
pub(super) struct Logarithmic {
    name: &'static str,
    of: &'static dyn Forecaster,
}

pub(super) static LINEAR: Logarithmic = Logarithmic { name: "log_linear", of: &super::linear::RobustLinear };
pub(super) static AUTOREGRESSION: Logarithmic =
    Logarithmic { name: "log_autoregression", of: &super::autoregression::SeasonalAutoregression };

impl Forecaster for Logarithmic {
    fn name(&self) -> &'static str {
        self.name
    }

    fn family(&self) -> Family {
        self.of.family()
    }

    fn season(&self) -> Need {
        Need::Season
    }

    fn plain(&self) -> Option<&'static dyn Forecaster> {
        Some(self.of)
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let (values, bridged) = past.logs()?;
        let fit = self.of.fit(&Past::new(values, bridged, past.periods, None))?;
        Some(Fit::Log(Box::new(fit), past.zero?))
    }
}
