//! On `/metrics`: forecasts of the foundation model for live series, what was skipped, and what it costs.
//!
//! Not here: the rest of the page (see `metrics_page`), the layer (see `foundation_layer`).

use super::metrics_page::{Exposition, MetricsPage};
use crate::self_metrics::Skip;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes the lines; none where the layer does not run.
pub(super) fn write(page: &MetricsPage, out: &mut Exposition) {
    let counters = &page.metrics.foundation;
    let Some((used, most)) = counters.shares() else { return };
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    out.counter("infrawatch_foundation_forecasts_total", "Forecasts of live series by the foundation model.");
    out.sample("infrawatch_foundation_forecasts_total", &[], read(&counters.forecasts));
    let name = "infrawatch_foundation_skipped_total";
    out.counter(name, "Times a series that wanted a forecast got none, by reason.");
    for why in Skip::ALL {
        out.sample(name, &[("reason", why.name())], counters.skipped(why));
    }
    let name = "infrawatch_foundation_busy_seconds_total";
    out.counter(name, "Time the layer has worked.");
    out.sample(name, &[], read(&counters.busy_us) as f64 * 1e-6);
    let gauges = [
        ("bands", "Series that have a forecast.", read(&counters.bands) as f64),
        ("waiting", "Series that wait for a forecast.", read(&counters.waiting) as f64),
        ("cpu_share", "Share of a core that forecasts took of late.", used),
        ("cpu_share_limit", "Share of a core that forecasts may take: foundation.cpu_share.", most),
        ("speed_forecasts_per_second", "Forecasts in a second of work, of late.", counters.forecasts_per_second()),
    ];
    for (name, help, value) in gauges {
        let name = format!("infrawatch_foundation_{name}");
        out.gauge(&name, help);
        out.sample(&name, &[], value);
    }
    let told = [
        ("latency_seconds", "From a series' asking for a forecast to having it.", &counters.latency),
        ("band_age_seconds", "How old forecasts were when a newer one came or they were given up.", &counters.age),
    ];
    for (name, help, told) in told {
        let name = format!("infrawatch_foundation_{name}");
        out.heading(&name, "histogram", help);
        let (counts, sum) = told.counts();
        out.buckets(&name, &[], told.bounds, (&counts, sum));
    }
}
