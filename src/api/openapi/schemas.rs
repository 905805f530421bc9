//! The shapes of bodies and answers, one a line.
//!
//! ```text
//! Name = field: type, field: type        an answer: every field is there, no other is
//! Name << field: type, field!: type      a body: fields may be left out but for those with !, others are refused
//! ```
//!
//! Types: `string`, `number`, `integer`, `boolean`, `any`, `labels` (an object of strings), `time`, `time_in`, `duration`, `hex`, words
//! with `|` between, another shape by its name, `[..]` a list, `{..}` an object of such values, and a `?` behind for what may
//! be null. A field of an answer with a `*` behind may be left out.
//!
//! Not here: which operation has which (see `operations`).

/// Every shape.
pub(super) const SHAPES: &str = "\
Error = error: string, field*: string, index*: integer, count*: integer, accepted*: integer, rejected*: integer, duplicate*: integer, errors*: [any]
PrometheusError = status: error, errorType: string, error: string, data*: any
PrometheusAnswer = status: success, data: any, warnings*: [string], infos*: [string]
Health = status: healthy|degraded|failing, version: string, uptime_s: integer, models_loaded: integer, components: {Component}
Component = status: healthy|degraded|failing, detail: string
Sample << name!: string, value!: number, timestamp: time_in, labels: labels
Accepted = accepted: integer, rejected: integer, duplicate: integer, errors*: [any]
SeriesList = total: integer, items: [SeriesItem]
SeriesItem = id: hex, name: string, labels: labels, kind: gauge|counter|delta?, unit: string?, last_value: number?, last_time: time?, state: string, samples: integer
Metric = name: string, series: [MetricSeries]
Tolerated = above: number?, below: number?
MetricSeries = labels: labels, kind: gauge|counter|delta, state: string, seasons: [Season], tolerated: Tolerated, points: [Point], anomalies: [Anomaly]
Season = period_s: number, strength: number?
Point = timestamp: time, value: number?, expected: number?, lower: number?, upper: number?, score: number, is_anomaly: boolean, imputed: boolean, maintenance: boolean
Baselines = name: string, series: [Baseline]
Baseline = labels: labels, timezone: string, cells: [BaselineCell]
BaselineCell = dow: integer, hour: integer, mean: number?, std: number?, median: number?, count: integer, source: own|global
Correlated = name: string, series: [CorrelatedSeries]
CorrelatedSeries = labels: labels, by: string?, compared: integer, left_out: integer, pairs: [CorrelatedPair]
CorrelatedPair = name: string, labels: labels, r: number, lag_s: number, points: integer
PreviewAsked << start: time_in, end: time_in, match: matchers, std_multiplier: [number], calibration_window: integer, anomalies_per_series_month: [number]
Preview = name: string, start: time, end: time, series: integer, windows: [PreviewWindows], budgets: [PreviewBudget]
PreviewWindows = std_multiplier: number, calibration_window: integer, is_current: boolean, windows: integer, anomalous_windows: integer, alerts: integer, alerts_per_day: number
PreviewBudget = anomalies_per_series_month: number, is_current: boolean, samples: integer, alerts: integer, alerts_per_day: number
Evaluations = name: string, series: [Evaluated]
Evaluated = labels: labels, timestamp: time, value: number, is_anomaly: boolean, upper_threshold: number?, lower_threshold: number?, expected_value: number?, deviation_pct: number?, method: hourly_baseline|global_fallback
Rollups = name: string, resolution: 5m|1h, series: [RollupSeries]
RollupSeries = labels: labels, buckets: [Bucket]
Bucket = timestamp: time, count: integer, sum: number?, min: number?, max: number?, first: number?, last: number?, increase: number?
Anomaly = id: string, metric_id: hex, metric_name: string, labels: labels, timestamp: time, end: time?, value: number?, expected_value: number?, lower: number?, upper: number?, deviation_pct: number?, anomaly_score: number, severity: none|low|medium|high|critical, confidence: low|medium|high, kind: point|contextual|collective|level_shift|drift|silence|flat|static, direction: above|below, votes: {Vote}, agreeing_detectors: [string], summary: string, context: any, state: open|closed, suppressed: boolean, source: infrawatch|external, feedback: Feedback?
Vote = score: number, anomalous: boolean, abstained: boolean, contribution: number
Feedback = verdict: false_alarm|true_alarm, note: string?, by: string?, at: time
AnomalyList = total: integer, items: [Anomaly]
AnomalyStats = total: integer, by_severity: {integer}, by_metric: [OfMetric], by_day: [OfDay], last_24h: integer, last_7d: integer
OfMetric = metric_name: string, count: integer
OfDay = date: string, count: integer
NewAnomaly << metric_name!: string, labels: labels, timestamp: time_in, end: time_in, state: open|closed, value: number, expected_value: number, lower: number, upper: number, anomaly_score: number, severity: low|medium|high|critical, confidence: low|medium|high, kind: point|contextual|collective|level_shift|drift|silence|flat|static, direction: above|below, summary: string, context: any
NewFeedback << verdict!: false_alarm|true_alarm, note: string, by: string
DetectAsked << start: time_in, end: time_in, match: matchers, ensemble: majority|unanimous|weighted|any|seed003, threshold: number, detectors: matchers, features: matchers, by: matchers
Detected = metric: string, total_points: integer, anomalies_detected: integer, max_severity: none|low|medium|high|critical, duration_ms: integer, series: [DetectedSeries]
DetectedSeries = labels: labels, anomalies: [Anomaly], results: [DetectedPoint]
DetectedPoint = timestamp: time, value: number?, combined_score: number, individual_scores: {number?}, is_anomaly: boolean, confidence: low|medium|high, agreeing_detectors: [string], contributions: {number}, counterfactual: string?
ForecastAsked << horizon: integer, level: number, step: duration, capacity_threshold: number, direction: above|below, upper_threshold: number, lower_threshold: number, method: string, timestamps: [time_in], values: [number?], match: matchers
Forecast = metric: string, series: [ForecastSeries], skipped*: [Skipped]
Skipped = labels: labels, error: string
ForecastSeries = labels: labels, method: string, timestamps: [time], predicted_values: [number?], lower_bound: [number?], upper_bound: [number?], trend_per_day: number?, trend: Trend, seasons: [Season], sawtooth: Sawtooth?, days_to_exhaustion: number?, exhaustion: Exhaustion?, sla_risk_score: number?, sla_time_share: number?, held_out_error: HeldOutError?, breach*: Breaches
Exhaustion = earliest: time, likely: time?, latest: time?, probability: number
HeldOutError = mase: number?, coverage: number?
Trend = slope: number?, lower: number?, upper: number?
Sawtooth = resets: integer, cycle_s: number, reset_by: scheduled|at_level|after_rise|irregular, reset_value: number?, floor: number?, peak: number?, floor_per_day: Trend, peak_per_day: Trend, is_leak: boolean, envelope: [Envelope]
Envelope = timestamp: time, floor: number?, peak: number?
Breaches = will_breach: boolean, breach_time: time?, alerts: [Breach], forecast: BreachPath
Breach = type: upper_threshold_predicted|lower_threshold_predicted, threshold: number, predicted_value: number?, predicted_at: time, confidence: medium|high
BreachPath = timestamps: [time], predicted_values: [number?], lower_bound: [number?], upper_bound: [number?], method: string
ForecastRuleList = total: integer, items: [ForecastRule]
ForecastRule = name: string, match: string, threshold: number, direction: above|below, within_s: number, every_s: number, clear_after_s: number, probability: number, severity: low|medium|high|critical, last_run: time?, runs: integer, matched: integer, queued: integer, error: string?, predictions: [Expected]
Expected = metric_name: string, labels: labels, since: time, current: number?, probability: number?, confidence: medium|high?, predicted_at: time?, predicted_value: number?, lower_bound: number?, upper_bound: number?, method: string?
CapacityList = total: integer, items: [Capacity]
Capacity = metric_name: string, labels: labels, limit: number, days_to_exhaustion: number?, exhaustion: Exhaustion?, current: number?, sla_risk_score: number?, trend: Trend, sawtooth: Sawtooth?
CapacityReportList = total: integer, items: [CapacityReportHead]
CapacityReportHead = kind: string, id: string, title: string, due: time, made_at: time, work_s: number, total: integer, may_reach: integer, leaks: integer, too_short: integer, unreadable: integer, beyond_limit: integer
CapacityReport = kind: string, id: string, title: string, due: time, made_at: time, work_s: number, total: integer, may_reach: integer, leaks: integer, too_short: integer, unreadable: integer, beyond_limit: integer, items: [Capacity]
Alert = fingerprint: hex, name: string, labels: labels, annotations: labels, severity: info|warning|critical, state: active|acknowledged|resolved|suppressed, starts_at: time, ends_at: time?, updated_at: time, count: integer, value: number?, score: number, summary: string, anomaly_id: string?, incident_id: string?, acknowledged_by: string?, suppressed_by: [string], history: [Change]
Change = time: time, what: string
AlertList = total: integer, items: [Alert]
NewWord << by: string, note: string, verdict: false_alarm|true_alarm
NewSilence << matchers: string, metric: string, until: time_in, duration: duration, reason: string, by: string
Silenced = id: hex, until: time
Silence = id: hex, matchers: string, from: time, until: time, state: active|past, reason: string, by: string
SilenceList = total: integer, items: [Silence]
NewWindow << matchers: string, metric: string, start: time_in, end: time_in, duration: duration, recurrence: string, timezone: string, reason: string
Window = id: hex, start: time, end: time, matchers: string, recurrence: string?, timezone: string, reason: string, state: past|active|upcoming, active_until: time?, next_start: time?
WindowList = total: integer, items: [Window]
CalendarList = total: integer, items: [CalendarEntry]
CalendarEntry = window: hex, start: time, end: time, state: past|active|upcoming, recurring: boolean, matchers: string, reason: string, timezone: string
IncidentList = total: integer, items: [Incident]
Incident = id: string, state: open|closed, alerts: [Alert], services: [string], primary_service: string?, severity: info|warning|critical, start_time: time, end_time: time?, alert_count: integer, cause: IncidentCause?, candidates: [IncidentCandidate], evidence: [IncidentEvidence]
IncidentCause = alert: hex, metric_name: string?, why: string, sure: boolean
IncidentCandidate = alert: hex, score: number, why: string
IncidentEvidence = alert: hex, with: string?, score: number, why: string
RuleList = total: integer, items: [Rule], kept: string, error: string?
Rule = name: string, type: alerting|recording, expression: string, for_s: number, keep_firing_for_s: number, labels: labels, annotations: labels, group: string, interval_s: number, file: string, line: integer, health: unknown|ok|failing, error: string?, evaluated_at: time?, took_s: number, pending: integer, firing: integer
RulesKept = groups: integer, rules: integer
Event = id: hex, time: time, kind: deploy|config|scale|model|other, title: string, labels: labels
MonitorList = total: integer, items: [Monitor], error: string?
Monitor = name: string, type: anomaly|outlier|forecast, state: ok|no_data|warning|alert, query: string, algorithm: string, direction: above|below|both, interval_s: number, rollup_s: number, window_s: number, history_s: number, critical: number, warning: number?, tags: labels, message: string, file: string, line: integer, series: integer, held: [MonitorSeries], error: string?, evaluated_at: time?, took_s: number, looks: integer, failures: integer
MonitorSeries = labels: labels, state: ok|no_data|warning|alert, since: time, measure: number?, summary: string
EventList = total: integer, items: [Event]
NewEvent << kind!: deploy|config|scale|model|other, title!: string, time: time_in, labels: labels
Model = name: string, type: ensemble|isolation_forest|autoencoder|lstm_autoencoder|foundation, metric: string, labels: labels, trained_at: time?, samples: integer, version: string, status: string, age_s: number?, drift: ModelDrift?, foundation*: FoundationModel
FoundationModel = layout: string, source: string, licence: string?, parameters: integer, context: integer, steps_per_pass: integer, live: FoundationLive?
FoundationLive = series: integer, waiting: integer, forecasts: integer, skipped: integer, forecasts_per_second: number, cpu_share: number, cpu_share_limit: number
ModelDrift = psi: number, ks_p: number
ModelList = total: integer, items: [Model]
TrainAsked << promql!: string, model_name: string, training_days: number, contamination: number, model_type: isolation_forest|autoencoder|lstm_autoencoder
Trained = status: trained, model_name: string, samples: integer, training_period_days: number, model_path: string, model_type*: autoencoder|lstm_autoencoder, networks*: [TrainedNetwork]
TrainedNetwork = metric: labels, window: integer, parameters: integer, epochs: integer, loss: number, validation_loss: number?, threshold: number
Predicted = model_name: string, total_samples: integer, anomalies_detected: integer, anomaly_rate: number, series_skipped: integer, predictions: [Prediction], anomalies: [Prediction]
Prediction = timestamp: time, value: number?, is_anomaly: boolean, anomaly_score: number, metric: labels
Device = name: string, address: string, version: string, source: string, state: new|up|down, last_poll: time?, last_success: time?, next_poll: time, poll_took_ms: integer?, round_trip_ms: number?, round_trip_ms_max: number?, polls: integer, failures: integer, requests: integer, timeouts: integer, interfaces: integer, samples: integer, walk_faults: integer, error: string?, system_name: string, description: string, object_id: string
DeviceList = total: integer, items: [Device]
Trap = time: time, device: string, address: string, version: string, kind: string, trap: string, name: string?, uptime_s: number, variables: labels
TrapList = total: integer, items: [Trap]
";
