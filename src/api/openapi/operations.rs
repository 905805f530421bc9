//! Every operation: its method and path, what it does, what it takes and what it answers.
//!
//! Parameters of the query string are words with blanks between: `name` or, where the same name means several things,
//! `name:meaning`; a `!` behind for one that must be given. [`PARAMETERS`] says what each is.
//!
//! Not here: shapes (see `schemas`), how it becomes a document (see `document`).

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Under which heading it stands.
    pub(super) tag: &'static str,
    pub(super) says: &'static str,
    pub(super) query: &'static str,
    /// The shape of the body, if it takes one.
    pub(super) body: &'static str,
    /// The status of success, and the shape or the type of its body.
    pub(super) answer: &'static str,
    /// An example of the body.
    pub(super) example: &'static str,
}

const fn get(
    path: &'static str,
    tag: &'static str,
    says: &'static str,
    query: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { method: "get", path, tag, says, query, body: "", answer, example: "" }
}

const fn post(
    path: &'static str,
    tag: &'static str,
    says: &'static str,
    body: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { method: "post", path, tag, says, query: "", body, answer, example: "" }
}

impl Operation {
    const fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    const fn with(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    const fn such_as(self, example: &'static str) -> Self {
        Self { example, ..self }
    }
}

const ALERTS: &str = "state:alert_state severity:alert_severity match skip limit";
const RANGE: &str = "start end step match";
const QUERY: &str = "query! time:instant";
const QUERY_RANGE: &str = "query! start! end! step!";
const SELECT: &str = "match[] start end limit:most";
const P: &str = "Prometheus";
const ANSWER: &str = "200 PrometheusAnswer";

/// All of them, in the order in which they are read.
pub(super) const OPERATIONS: &[Operation] = &[
    post(
        "/api/v1/metrics",
        "samples",
        "Takes samples in: one, an array of them, or an object with the field metrics.",
        "Samples",
        "200 Accepted",
    )
    .with("partial")
    .such_as(r#"[{"name": "cpu_percent", "value": 41.5, "labels": {"host": "a"}}]"#),
    post("/api/v1/write", "samples", "Takes samples in by Prometheus remote write, version 1 or 2.", "protobuf", "204"),
    post("/api/v1/push", "samples", "The same under the name that Mimir and Loki have for it.", "protobuf", "204"),
    get(
        "/api/v1/metrics",
        "metrics",
        "Lists series with their newest sample and how far their models are.",
        "match search skip limit",
        "200 SeriesList",
    ),
    get(
        "/api/v1/metrics/{name}",
        "metrics",
        "Samples of a name's series with what was expected of them, and their anomalies.",
        RANGE,
        "200 Metric",
    ),
    get(
        "/api/v1/metrics/{name}/rollups",
        "metrics",
        "What the samples amount to in buckets of 5 minutes or an hour.",
        "resolution start end match",
        "200 Rollups",
    ),
    get(
        "/api/v1/metrics/{name}/baseline",
        "metrics",
        "What each hour of the week usually has.",
        "timezone sigma non_negative start end match",
        "200 Baselines",
    ),
    get(
        "/api/v1/metrics/{name}/correlated",
        "metrics",
        "Which series of the same host or service move together with a name's series.",
        "by min start end step match",
        "200 Correlated",
    ),
    post(
        "/api/v1/metrics/{name}/preview",
        "metrics",
        "How many alerts other settings would have raised on what is stored.",
        "PreviewAsked",
        "200 Preview",
    )
    .such_as(r#"{"std_multiplier": [2, 3, 4], "anomalies_per_series_month": [0.5, 2]}"#),
    get(
        "/api/v1/metrics/{name}/evaluate",
        "metrics",
        "A value against what its hour of the week usually has.",
        "value! time:instant timezone sigma non_negative start end match",
        "200 Evaluations",
    ),
    get(
        "/api/v1/export",
        "metrics",
        "Every stored sample of some series as CSV.",
        "match! start end format",
        "200 text/csv",
    ),
    post("/api/v1/detect/{name}", "analysis", "Judges stored samples anew.", "DetectAsked", "200 Detected")
        .with("all")
        .such_as(r#"{"ensemble": "majority"}"#),
    post(
        "/api/v1/forecast/{name}",
        "analysis",
        "What the series of a name will do next.",
        "ForecastAsked",
        "200 Forecast",
    )
    .such_as(r#"{"horizon": 24, "capacity_threshold": 95}"#),
    get(
        "/api/v1/anomalies",
        "anomalies",
        "Lists anomalies, the newest first.",
        "metric_name severity start_time end_time state:anomaly match skip limit",
        "200 AnomalyList",
    ),
    post(
        "/api/v1/anomalies",
        "anomalies",
        "Keeps an anomaly that somebody outside has found.",
        "NewAnomaly",
        "201 Anomaly",
    )
    .such_as(r#"{"metric_name": "cpu_percent", "labels": {"host": "a"}, "severity": "high"}"#),
    get(
        "/api/v1/anomalies/stats",
        "anomalies",
        "How many anomalies there are, by severity, metric and day.",
        "",
        "200 AnomalyStats",
    ),
    get("/api/v1/anomalies/{id}", "anomalies", "One anomaly.", "", "200 Anomaly"),
    post("/api/v1/anomalies/{id}/feedback", "anomalies", "Says whether it was one.", "NewFeedback", "200 Anomaly")
        .such_as(r#"{"verdict": "true_alarm", "by": "me"}"#),
    get("/api/v1/anomalies/{id}/feedback", "anomalies", "Takes back what was said.", "", "204").by("delete"),
    get("/api/v1/alerts", "alerts", "Lists alerts, the newest first.", ALERTS, "200 AlertList"),
    get("/api/v1/alerts/{fingerprint}", "alerts", "One alert.", "", "200 Alert"),
    post("/api/v1/alerts/{fingerprint}/acknowledge", "alerts", "Takes an alert.", "NewWord", "200 Alert")
        .such_as(r#"{"by": "ann", "note": "looking"}"#),
    post("/api/v1/alerts/{fingerprint}/resolve", "alerts", "Declares an alert over.", "NewWord", "200 Alert")
        .such_as(r#"{"by": "ann"}"#),
    post("/api/v1/silence", "alerts", "Tells nobody of matching alerts for a while.", "NewSilence", "201 Silenced")
        .such_as(r#"{"matchers": "{host=\"b\"}", "duration": "2h", "reason": "new disk", "by": "ann"}"#),
    get("/api/v1/silences", "alerts", "Lists silences, the newest first.", "skip limit", "200 SilenceList"),
    get("/api/v1/silences/{id}", "alerts", "Takes a silence away.", "", "204").by("delete"),
    get("/api/v1/maintenance", "alerts", "Lists maintenance windows.", "state:window skip limit", "200 WindowList"),
    post("/api/v1/maintenance", "alerts", "Plans maintenance, once or again and again.", "NewWindow", "201 Window")
        .such_as(
            r#"{"metric": "disk_used", "duration": "1h", "recurrence": "0 2 * * 2", "timezone": "Europe/Berlin"}"#,
        ),
    get("/api/v1/maintenance/{id}", "alerts", "Takes a window away.", "", "204").by("delete"),
    get(
        "/api/v1/maintenance/calendar",
        "alerts",
        "Lists every time of every maintenance window between two times, the earliest first.",
        "start end skip limit",
        "200 CalendarList",
    ),
    get(
        "/api/v1/incidents",
        "alerts",
        "Lists alerts that have one cause, the newest first.",
        "state:anomaly skip limit",
        "200 IncidentList",
    ),
    get("/api/v1/incidents/{id}", "alerts", "One incident.", "", "200 Incident"),
    get("/api/v1/topology", "alerts", "Which services need which others.", "", "200 any"),
    post("/api/v1/topology", "alerts", "Puts another topology in the place of the one before.", "any", "200 any")
        .by("put")
        .such_as(r#"{"web-api": ["database", "cache"]}"#),
    get("/api/v1/monitors", "alerts", "Lists monitors and how they stand.", "skip limit", "200 MonitorList"),
    get("/api/v1/rules", "alerts", "Lists the rules in force and how they stand.", "skip limit", "200 RuleList"),
    post("/api/v1/rules", "alerts", "Keeps a rule file in place of the one before.", "any", "200 RulesKept")
        .by("put")
        .such_as(r#"{"groups": [{"name": "own", "rules": [{"record": "job:up:sum", "expr": "sum by (job) (up)"}]}]}"#),
    get(
        "/api/v1/capacity",
        "metrics",
        "Which series reach their limit, the one with the fewest days left first.",
        "match threshold direction skip limit",
        "200 CapacityList",
    ),
    get(
        "/api/v1/forecast_rules",
        "analysis",
        "Predictive rules, how their last run went, and the series they hold for.",
        "skip limit",
        "200 ForecastRuleList",
    ),
    get(
        "/api/v1/reports/capacity",
        "metrics",
        "Reports on capacity that the server made by itself, the newest first, without their lines.",
        "skip limit",
        "200 CapacityReportList",
    ),
    get(
        "/api/v1/reports/capacity/{id}",
        "metrics",
        "One report on capacity in full; latest is the newest.",
        "",
        "200 CapacityReport",
    ),
    get(
        "/api/v1/stream",
        "live",
        "Samples, scores and anomalies of chosen series, and alerts and incidents, as they come, as server-sent events.",
        "metric_name match types last_event_id",
        "200 text/event-stream",
    ),
    get(
        "/api/v1/events",
        "changes",
        "Lists changes that were told of, the newest first.",
        "kind start_time end_time search match skip limit",
        "200 EventList",
    ),
    post("/api/v1/events", "changes", "Tells of a deployment or another change.", "NewEvent", "201 Event")
        .such_as(r#"{"kind": "deploy", "title": "checkout 1.4.2", "labels": {"service": "checkout"}}"#),
    get(
        "/api/v1/models",
        "models",
        "Lists models: the one all series share, those trained on request, and the live one of every series.",
        "type metric match skip limit",
        "200 ModelList",
    ),
    get("/api/v1/models/{name}", "models", "One model that was trained on request.", "", "200 Model"),
    get("/api/v1/models/{name}", "models", "Removes one.", "", "204").by("delete"),
    post(
        "/api/v1/train",
        "models",
        "Trains an isolation forest, or autoencoders, on the answer of an expression.",
        "TrainAsked",
        "200 Trained",
    )
    .such_as(r#"{"promql": "cpu_percent", "model_name": "cpu"}"#),
    get(
        "/api/v1/predict",
        "models",
        "Judges the newest values of an expression by a model that was trained.",
        "promql! model_name! lookback_minutes",
        "200 Predicted",
    ),
    post("/train", "models", "The same as under /api/v1.", "TrainAsked", "200 Trained")
        .such_as(r#"{"promql": "cpu_percent", "model_name": "cpu"}"#),
    get("/predict", "models", "The same as under /api/v1.", "promql! model_name! lookback_minutes", "200 Predicted"),
    get(
        "/api/v1/snmp/devices",
        "devices",
        "Lists devices polled by SNMP.",
        "state:device search skip limit",
        "200 DeviceList",
    ),
    post(
        "/api/v1/snmp/devices",
        "devices",
        "Polls one more device, written as in the file of devices.",
        "any",
        "201 Device",
    )
    .such_as(r#"{"name": "core-1", "address": "127.0.0.1", "community": "public"}"#),
    get("/api/v1/snmp/devices/{name}", "devices", "One device.", "", "200 Device"),
    get("/api/v1/snmp/devices/{name}", "devices", "Polls a device no longer.", "", "204").by("delete"),
    get("/api/v1/snmp/traps", "devices", "The newest traps and informs.", "device skip limit", "200 TrapList"),
    get("/api/v1/query", P, "Evaluates an expression at an instant.", QUERY, ANSWER),
    post("/api/v1/query", P, "The same with a form.", "form", ANSWER).with(QUERY),
    get("/api/v1/query_range", P, "Evaluates an expression over a range.", QUERY_RANGE, ANSWER),
    post("/api/v1/query_range", P, "The same with a form.", "form", ANSWER).with(QUERY_RANGE),
    get("/api/v1/format_query", P, "An expression in the parser's own spelling.", "query!", ANSWER),
    post("/api/v1/format_query", P, "The same with a form.", "form", ANSWER).with("query!"),
    get("/api/v1/query_exemplars", P, "None: exemplars are not kept.", "query! start end", ANSWER),
    post("/api/v1/query_exemplars", P, "The same with a form.", "form", ANSWER).with("query! start end"),
    get("/api/v1/series", P, "Series that satisfy selectors.", "match[]! start end limit:most", ANSWER),
    post("/api/v1/series", P, "The same with a form.", "form", ANSWER).with("match[]! start end limit:most"),
    get("/api/v1/labels", P, "Names of labels.", SELECT, ANSWER),
    post("/api/v1/labels", P, "The same with a form.", "form", ANSWER).with(SELECT),
    get("/api/v1/label/{name}/values", P, "Values of a label.", SELECT, ANSWER),
    get("/api/v1/metadata", P, "What senders said of metrics.", "metric limit:most", ANSWER),
    get("/api/v1/status/buildinfo", P, "Which version this is.", "", ANSWER),
    get("/prometheus/api/v1/rules", P, "Rules by group, and what is active.", "type:rule", ANSWER),
    get("/prometheus/api/v1/alerts", P, "Alerts that are pending or fire.", "", ANSWER),
    get("/prometheus/api/v1/targets", P, "None: nothing is scraped.", "", ANSWER),
    get("/prometheus/api/v1/targets/metadata", P, "None: nothing is scraped.", "", ANSWER),
    get("/prometheus/api/v1/alertmanagers", P, "None.", "", ANSWER),
    get("/prometheus/api/v1/status/flags", P, "None.", "", ANSWER),
    get("/health", "server", "How the server is; 503 while it can not store or serve.", "", "200 Health"),
    get("/ready", "server", "Whether it takes requests.", "", "200 text/plain"),
    get("/-/ready", "server", "The same.", "", "200 text/plain"),
    get("/-/healthy", "server", "Whether it lives.", "", "200 text/plain"),
    get("/metrics", "server", "Its own metrics, as text or as OpenMetrics.", "", "200 text/plain"),
    post("/-/compact", "upkeep", "Seals and compacts all that is stored.", "", "200 text/plain"),
    post("/-/compact", "upkeep", "The same.", "", "200 text/plain").by("put"),
    post("/-/snapshot", "upkeep", "Copies the store to a directory of the server's machine.", "", "200 any")
        .with("dir!"),
    post("/-/snapshot", "upkeep", "The same.", "", "200 any").with("dir!").by("put"),
    post("/-/reload", "upkeep", "Reads the settings, the users and the certificate again.", "", "200 text/plain"),
    post("/-/reload", "upkeep", "The same.", "", "200 text/plain").by("put"),
    get("/openapi.json", "server", "This document.", "", "200 any"),
    get("/docs", "server", "This document for people.", "", "200 text/html"),
    get("/docs/page.js", "server", "What draws it.", "", "200 text/javascript"),
    get("/docs/page.css", "server", "How it looks.", "", "200 text/css"),
];

/// Parameters of the query string: name or meaning, type, an example that works anywhere, and what it is.
pub(super) const PARAMETERS: &[(&str, &str, &str, &str)] = &[
    ("match", "[string]", "{host=\"a\"}", "Matchers as in PromQL; several mean or."),
    ("match[]", "[string]", "cpu_percent", "Selectors as in PromQL; several mean or."),
    ("search", "string", "cpu", "A text in names and values, whatever its case."),
    ("skip", "integer", "0", "Items to leave out."),
    ("limit", "integer", "5", "Items at most, 1 to 1000."),
    ("most", "integer", "100", "Items at most; 0 for all."),
    ("start", "time_in", "2026-01-01T00:00:00Z", "Begin of the range."),
    ("end", "time_in", "2026-01-02T00:00:00Z", "End of the range."),
    ("start_time", "time_in", "2026-01-01T00:00:00Z", "Not before."),
    ("end_time", "time_in", "2040-01-01T00:00:00Z", "Not after."),
    ("step", "duration", "1h", "Length of a step."),
    ("timezone", "string", "UTC", "The zone of days and hours."),
    ("sigma", "number", "3", "Standard deviations that are normal."),
    ("non_negative", "true|false|1|0", "true", "Whether the values are known never to be negative."),
    ("value", "number", "41.5", "The value."),
    ("by", "string", "host", "The label whose value they have in common."),
    ("min", "number", "0.8", "The least correlation."),
    ("resolution", "5m|1h", "1h", "Length of a bucket."),
    ("format", "csv|parquet", "csv", "What the file is written as; Parquet where it was built in."),
    ("partial", "true|false|1|0", "true", "Whether good samples are taken although others are bad."),
    ("all", "true|false|1|0", "true", "Whether all samples are answered, or the anomalous ones."),
    ("metric_name", "string", "cpu_percent", "Of this metric."),
    ("severity", "string", "high,critical", "Of these severities."),
    ("anomaly", "open|closed|all", "all", "Whether they go on."),
    ("alert_state", "string", "active,suppressed", "Of these states: active, acknowledged, resolved, suppressed."),
    ("alert_severity", "string", "warning,critical", "Of these severities: info, warning, critical."),
    ("window", "past|active|upcoming|all", "all", "Whether they are over, go on or come."),
    ("threshold", "number", "95", "The limit of every series asked for."),
    ("direction", "above|below", "above", "On which side of the limit it is reached."),
    ("device", "string", "core-1", "Of this device."),
    ("kind", "string", "deploy,config", "Of these kinds."),
    (
        "type",
        "string",
        "ensemble",
        "Of these types: ensemble, isolation_forest, autoencoder, lstm_autoencoder, foundation.",
    ),
    ("rule", "alert|record", "alert", "Of this type."),
    ("metric", "string", "cpu_percent", "Of this metric."),
    ("types", "string", "samples,scores", "What is sent: samples, scores, anomalies; all unless given."),
    ("last_event_id", "string", "", "From where to go on, if the header Last-Event-ID cannot be sent."),
    ("promql", "string", "cpu_percent", "The expression."),
    ("model_name", "string", "cpu", "The model."),
    ("lookback_minutes", "number", "60", "How far back values are judged."),
    ("query", "string", "sum(cpu_percent)", "The expression."),
    ("instant", "time_in", "2026-01-01T00:00:00Z", "The instant; now unless given."),
    ("dir", "string", "/nowhere/at/all", "An absolute path of a directory that is not there."),
];

/// What a `state` of a device is, beside that of an anomaly.
pub(super) const DEVICE_STATES: &str = "new|up|down";
