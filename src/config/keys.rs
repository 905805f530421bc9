//! The table of settings: every key there is, with its type, notation, default and meaning.
//!
//! An entry is a comment that says what the key means, with its unit, and a line `field: Type as Notation = "default"
//! in "least" to "most" flag "--flag" or "OTHER_VARIABLE",`. `Config`, the file, the variable `INFRAWATCH_SECTION_FIELD`,
//! `config print`, `config/infrawatch.toml` and `docs/configuration.md` follow from it (tests rewrite what lags).
//!
//! Not here: reading any of it (see `load`).

use super::ensemble_kinds::{DriftTest, Fallback, Scaling, Voting};
use super::kinds::{
    Address, Bytes, Count, Folder, Kind, Level, Listen, LogFormat, Number, OneOf, OptionalFolder, QuerySemantics, Span,
    Switch,
};
use super::statsd_kinds::{Containers, Dialect, OptionalFile, Shares};
use super::table::{Key, Origin, at_most_one, read, settings};
use super::text_kinds::{Cadence, DayTime, Text};
use std::path::PathBuf;
use std::time::Duration;

settings! {
    /// The HTTP server: remote write in, queries and health out.
    http: Http {
        /// Address and port to listen at; port 0 lets the system choose one, "off" serves no HTTP.
        listen: Listen as Address = "127.0.0.1:8080" flag "--http-listen",
        /// The largest request body accepted as it arrives, compressed or not.
        max_body_bytes: u64 as Bytes = "32MiB" in "1KiB" to "1GiB",
        /// The largest body accepted once decompressed.
        max_decompressed_bytes: u64 as Bytes = "64MiB" in "1KiB" to "4GiB",
        /// Room for the bodies of all write requests in work together; further requests wait for it.
        max_in_flight_bytes: u64 as Bytes = "256MiB" in "1MiB" to "64GiB",
        /// Connections served at the same time; further ones wait to be accepted. The limit of open files is raised to fit.
        max_connections: usize as Count = "4096" in "1" to "1000000",
        /// Live streams (/api/v1/stream) read at the same time; further ones are refused.
        max_streams: usize as Count = "200" in "0" to "100000",
        /// Whether an address that others can reach may be listened at although no access is configured.
        allow_public: bool as Switch = "false",
        /// The certificate, or a chain of them, as PEM: with it HTTPS is spoken; read again when it changes; empty speaks HTTP.
        tls_cert_file: Option<PathBuf> as OptionalFile = "",
        /// The certificate's key, as PEM.
        tls_key_file: Option<PathBuf> as OptionalFile = "",
    }

    /// Who may ask. Without users, everybody who reaches the address may, and only this machine may do the server's upkeep.
    access: Access {
        /// The file of users (docs/access.md), read again when it changes; empty configures no access.
        users_file: Option<PathBuf> as OptionalFile = "",
        /// Requests a second of one user, or of one address where no user is known, twice as many at once; 0 is no limit.
        requests_per_second: f64 as Number = "0" in "0" to "1000000",
    }

    /// Prometheus remote write.
    remote_write: RemoteWrite {
        /// Memory for the labels of series met, by which a sender's series are known again without being looked up; 0 for none.
        known_series_bytes: u64 as Bytes = "64MiB" in "0" to "64GiB",
    }

    /// The StatsD listeners.
    statsd: StatsD {
        /// UDP address and port to listen at; port 0 lets the system choose one, "off" opens no socket.
        listen: Listen as Address = "127.0.0.1:8125" flag "--statsd-listen",
        /// Sockets that share the UDP address, each with a thread; 0 takes one for every four processor cores.
        sockets: usize as Count = "0" in "0" to "64",
        /// TCP address and port to listen at for lines of StatsD; "off" opens no socket.
        tcp_listen: Listen as Address = "off",
        /// TCP connections served at the same time; further ones wait to be accepted.
        max_connections: usize as Count = "1024" in "1" to "1000000",
        /// A Unix datagram socket to listen at, such as DogStatsD clients send to; empty opens none.
        unix_socket: Option<PathBuf> as OptionalFile = "",
        /// Whose rules hold at the UDP and TCP addresses: by Etsy's, a sign makes a gauge's value a change of its level.
        dialect: Dialect as OneOf<Dialect> = "etsy",
        /// Whose rules hold at the Unix socket.
        unix_dialect: Dialect as OneOf<Dialect> = "dogstatsd",
        /// Whether the container a line comes from becomes the label container_id: a series for every container.
        containers: Containers as OneOf<Containers> = "ignore",
        /// The quantiles stored of every timer, histogram and distribution, each with a relative error of at most 1 %.
        quantiles: Vec<f64> as Shares = "0.5,0.9,0.95,0.99",
        /// How long counts, timers and sets are gathered before they become samples; windows are aligned to the epoch.
        window: Duration as Span = "10s" in "100ms" to "1h",
        /// How long a series that is not observed keeps its place in memory, and a gauge the level that changes add to.
        idle: Duration as Span = "5m" in "1s" to "7d",
        /// Series that may be gathered, each spelling and socket counted; at the limit new ones are rejected and named.
        max_series: usize as Count = "1000000" in "1" to "100000000",
        /// Room the kernel is asked to keep for datagrams not yet read; net.core.rmem_max may hold it lower.
        rcvbuf_bytes: u64 as Bytes = "32MiB" in "64KiB" to "1GiB",
    }

    /// Polling of devices by SNMP.
    snmp: Snmp {
        /// The file that lists devices and their credentials (docs/snmp.md), read again when it changes; empty polls none.
        devices_file: Option<PathBuf> as OptionalFile = "" flag "--snmp-devices",
        /// A file of profiles (docs/snmp.md): what is asked of devices beside our own profiles; empty adds none.
        profiles_file: Option<PathBuf> as OptionalFile = "",
        /// A folder of MIB files whose names profiles may use; empty reads none.
        mib_dir: Option<PathBuf> as OptionalFolder = "",
        /// UDP address and port at which traps and informs of polled devices are heard; "off" opens no socket.
        trap_listen: Listen as Address = "off",
        /// Time between two cycles of a device.
        interval: Duration as Span = "30s" in "1s" to "1d",
        /// How long an answer may take before the request is sent again.
        timeout: Duration as Span = "2s" in "10ms" to "1m",
        /// How often a request is sent again before the device is given up for this cycle.
        retries: usize as Count = "2" in "0" to "10",
        /// Devices in the middle of a cycle at the same time; further ones wait. So many again of silent ones.
        in_flight_max: usize as Count = "1000" in "1" to "100000",
        /// Requests of one device on their way at the same time, where it answers all of them; else one.
        requests_per_device_max: usize as Count = "4" in "1" to "16",
    }

    /// The store.
    storage: Storage {
        /// The directory that holds everything the server keeps; made when missing.
        data_dir: PathBuf as Folder = "./infrawatch-data" flag "--data-dir",
        /// How long samples are kept; "0" keeps all of them.
        retention: Duration as Span = "30d" flag "--retention",
        /// Whether days that are over are rolled up: count, sum, least, greatest, first and last of 5 minutes and hours.
        rollups: bool as Switch = "true",
        /// How long rollups of 5 minutes are kept; "0" keeps all of them.
        rollup_5m_retention: Duration as Span = "400d",
        /// How long rollups of an hour are kept; "0" keeps all of them.
        rollup_1h_retention: Duration as Span = "400d",
        /// Samples, rollups and journal on disk, at which the oldest days are removed before their time; "0" is no limit.
        max_bytes: u64 as Bytes = "0" in "0" to "1024TiB",
        /// The journal's directory, for a disk of its own; empty puts it inside data_dir.
        journal_dir: Option<PathBuf> as OptionalFolder = "",
        /// A second directory for the journal, on another disk; each record is synced in both before it is acknowledged.
        journal_mirror_dir: Option<PathBuf> as OptionalFolder = "",
        /// How much older than the store's newest sample a sample may be and still be stored.
        out_of_order: Duration as Span = "1h",
        /// How far ahead of the clock a sample may be before it is rejected.
        future: Duration as Span = "10m",
        /// Memory for blocks read from disk, all directories together.
        cache_bytes: u64 as Bytes = "32MiB" in "1MiB" to "64GiB",
        /// Series in all; at the limit new ones are refused and counted, existing ones keep working; 0 is no limit.
        max_series: usize as Count = "5000000" in "0" to "4000000000",
        /// How long the journal gathers records before it syncs them together; a request waits that much longer.
        journal_group: Duration as Span = "0" in "0" to "5ms",
        /// Journal since the last checkpoint that makes the next one due; it bounds the replay at the next start.
        checkpoint_bytes: u64 as Bytes = "64MiB" in "1MiB" to "16GiB",
    }

    /// The threads that own the series.
    shards: Shards {
        /// Threads among which the 64 partitions are dealt; 0 takes one a processor core.
        count: usize as Count = "0" in "0" to "64",
        /// Batches that may wait for one shard; beyond them a request is answered 503.
        queue_batches: usize as Count = "64" in "1" to "65536",
    }

    /// What is learned of every series, and how its samples are scored.
    models: Models {
        /// Whether samples are scored; off, nothing is learned and no anomaly is found.
        enabled: bool as Switch = "true",
        /// Threads that score; 0 takes one a processor core.
        threads: usize as Count = "0" in "0" to "1024",
        /// Samples that may wait to be scored, in all; further ones are stored, not scored, and counted as skipped.
        pending_max: usize as Count = "1000000" in "1000" to "1000000000",
        /// The time zone of the days and weeks that series repeat in, as "Europe/Berlin"; never the machine's own.
        timezone: String as Text = "UTC",
        /// A label whose value is the zone of its series, where it is one; empty asks no label.
        timezone_label: String as Text = "",
        /// Whether scores also tell how unfamiliar the way to a sample is; 1.2 KB a series more. No flag changes by it.
        patterns: bool as Switch = "false",
    }

    /// How many anomalies may be raised on normal data.
    budget: Budget {
        /// Anomalies a series may have in 30 days of normal data.
        anomalies_per_series_month: f64 as Number = "1" in "0.001" to "10000",
        /// Notifications in 7 days, all receivers but the log together; beyond it only critical ones are sent at once.
        notifications_per_week: usize as Count = "20" in "0" to "1000000",
    }

    /// Alerts: who is told of anomalies, and how often.
    alerts: Alerts {
        /// The file that lists receivers and routes (docs/alerts.md); empty tells the log alone.
        routing_file: Option<PathBuf> as OptionalFile = "",
        /// Programs that receivers may run about alerts, by their whole paths, several with commas; empty runs none.
        exec_allow: String as Text = "",
        /// Where people find this server, such as https://infrawatch.example.org: for links in what they are told.
        external_url: String as Text = "",
        /// After an alert was told, how long it is not told anew at the same severity.
        cooldown: Duration as Span = "5m" in "0" to "7d",
        /// How long an anomaly has to be over before its alert is resolved.
        resolve_after: Duration as Span = "2m" in "0" to "7d",
        /// Anomalies that ended so long ago raise no alert: history that is read in.
        max_age: Duration as Span = "10m" in "1s" to "365d",
        /// Alerts kept in memory and on disk; at the limit those that ended first leave.
        max_alerts: usize as Count = "20000" in "10" to "1000000",
        /// How long alerts that are over are kept.
        retention: Duration as Span = "30d" in "1h" to "3650d",
        /// Whether alerts are handled and written down as told while nobody is: for trying settings out beside what warns today.
        dry_run: bool as Switch = "false",
    }

    /// Which alerts have one cause (docs/alerts.md).
    correlation: Correlation {
        /// How far apart alerts may begin that have to do with each other.
        window: Duration as Span = "5m" in "1s" to "1d",
        /// A file of services and those they need, as YAML or JSON; what is set over HTTP counts more.
        topology_file: Option<PathBuf> as OptionalFile = "",
    }

    /// Prometheus' rule files, evaluated by the server itself (docs/alerts.md).
    rules: Rules {
        /// Rule files, several with commas; the last part of a path may have * for any letters. Read again when they change.
        files: String as Text = "",
        /// How often a group of rules is evaluated that does not say so itself.
        interval: Duration as Span = "1m" in "100ms" to "1d",
        /// Labels that alerts of rules have beside their own, such as region=eu,cluster=a.
        external_labels: String as Text = "",
    }

    /// Monitors: conditions on what expressions did over a while (docs/alerts.md).
    monitors: Monitors {
        /// Files of monitors, several with commas; the last part of a path may have * for any letters. Read again when they change.
        files: String as Text = "",
        /// How often a monitor looks that does not say so itself.
        interval: Duration as Span = "1m" in "100ms" to "1d",
    }

    /// How the votes of the detectors on a sample become one word.
    ensemble: Ensemble {
        /// Whose votes it takes: of most families of detectors, of every detector, the weighted mean of their scores, any one, or as the documents have it.
        mode: Voting as OneOf<Voting> = "majority",
        /// Detectors that must agree at least, in the modes majority, unanimous and seed003.
        agreement_threshold: usize as Count = "2" in "1" to "6",
        /// Least score of what is flagged; below 0.6 it changes nothing.
        score_threshold: f64 as Number = "0.6" in "0" to "1",
        /// What the distance from the slow mean counts for in the weighted mean.
        weight_zscore: f64 as Number = "1" in "0" to "1000",
        /// What the distance from the fast mean counts for.
        weight_ema: f64 as Number = "1" in "0" to "1000",
        /// What the distance from the time of day or week counts for.
        weight_seasonal: f64 as Number = "1.5" in "0" to "1000",
        /// What isolation among several series counts for, where a group has it.
        weight_isolation_forest: f64 as Number = "1.2" in "0" to "1000",
        /// What every other detector counts for.
        weight_others: f64 as Number = "1" in "0" to "1000",
    }

    /// Hours in which nobody works: what falls then has to be more unusual to be told (docs/detection.md).
    quiet_hours: QuietHours {
        /// Hours of every day and whole days by the series' own clock, as "22:00-06:00,sat,sun"; empty for none.
        hours: String as Text = "",
        /// How many times less the evidence counts then.
        factor: f64 as Number = "2" in "1" to "100",
        /// Whether what rises is eased as well, and not only what falls.
        rises: bool as Switch = "false",
    }
    /// How it is watched whether what is told is right.
    calibration: Calibration {
        /// How often models trained on request are trained again, and what people said of anomalies is summed up as an event.
        every: Duration as Span = "90d" in "1s" to "3650d",
    }

    /// The model that was trained on other series.
    foundation: Foundation {
        /// Folder of the model to use, with its config.json and model.safetensors; "" is the one in the program.
        model: Option<PathBuf> as OptionalFile = "",
        /// Whether its forecasts of live series judge their samples.
        enabled: bool as Switch = "true",
        /// What share of one core these forecasts may take.
        cpu_share: f64 as Number = "0.1" in "0.001" to "1",
        /// Series that may wait for a forecast; further ones are counted, and asked again later.
        queue: usize as Count = "4096" in "1" to "1000000",
        /// Samples of a series after which its forecast is made anew; one is for 64.
        refresh: usize as Count = "16" in "1" to "64",
        /// Series that may have a forecast at a time, each in about a kilobyte; the newest and most suspicious come first.
        max_series: usize as Count = "20000" in "1" to "10000000",
    }

    /// PromQL evaluation.
    query: Query {
        /// How long one query may take before it is answered 503.
        timeout: Duration as Span = "2m" in "1ms" to "1d",
        /// Samples one query may hold in memory before it is answered 422.
        max_samples: usize as Count = "50000000" in "1" to "10000000000",
        /// Room for what all queries together hold in memory; those without room wait within their time, then get a 503.
        memory_max: u64 as Bytes = "1GiB" in "1MiB" to "1TiB",
        /// Memory for answers of range queries, given again to the same query while its samples are the same; "0" keeps none.
        cache_bytes: u64 as Bytes = "16MiB" in "0" to "64GiB",
        /// Points a series of one range query may have before it is answered 422.
        max_points: usize as Count = "11000" in "1" to "1000000",
        /// Queries evaluated at the same time; further ones wait.
        max_concurrent: usize as Count = "20" in "1" to "10000",
        /// How old the newest sample of a series may be and still be its value at an instant.
        lookback: Duration as Span = "5m" in "1ms" to "1d",
        /// Whose windows: both edges of a range belong to it in Prometheus 2, the left one does not in 3.
        semantics: QuerySemantics as OneOf<QuerySemantics> = "2",
    }

    /// Anomalies on record.
    anomalies: Anomalies {
        /// Anomalies kept in memory and on disk, for as long as storage.retention; the earliest leave.
        max_records: usize as Count = "20000" in "1" to "10000000",
    }

    /// Changes that people and programs tell of, at /api/v1/events.
    events: Events {
        /// Events kept; the earliest leave.
        max_records: usize as Count = "10000" in "1" to "1000000",
    }

    /// Models trained on request on the answer of an expression: POST /train, GET /predict.
    pull: Pull {
        /// A Prometheus that is asked for the samples; empty takes those of our own store.
        prometheus_url: String as Text = "" flag "--prometheus-url" or "PROMETHEUS_URL",
        /// The directory of these models; empty puts it inside data_dir.
        model_dir: Option<PathBuf> as OptionalFolder = "" flag "--model-dir" or "MODEL_DIR",
        /// When these models are trained again every day, in UTC; "off" leaves them as they are.
        retrain_at: Option<u32> as DayTime = "02:00",
        /// How often these models judge the newest values of their expressions by themselves; "0" only when asked.
        detect_interval: Duration as Span = "5m" in "0" to "1d",
    }

    /// When values count as others than those that were learned: models trained on request are then trained again.
    drift: Drift {
        /// How they are compared: by the stability index of the population, or by the distance of the distributions; "off" not at all.
        test: DriftTest as OneOf<DriftTest> = "psi",
        /// From which result on they are others.
        threshold: f64 as Number = "0.2" in "0.001" to "1000",
    }

    /// Chosen series judged window by window beside their live models (docs/windows.md).
    pipeline: Pipeline {
        /// Which series, as matchers of PromQL such as {job="api"}; empty judges none so.
        series: String as Text = "",
        /// Most series that are judged so; the others are counted.
        max_series: usize as Count = "1000" in "1" to "100000",
        /// Length of a window.
        window_size: Duration as Span = "1m" in "1s" to "1d",
        /// From one window to the next.
        window_step: Duration as Span = "10s" in "1s" to "1d",
        /// Samples without which a window is passed over.
        min_samples: usize as Count = "15" in "1" to "10000",
        /// By what values are made comparable: what the series of the same name span, or nothing.
        normalization: Scaling as OneOf<Scaling> = "per_metric_family",
        /// Samples of a family after which its span is that of the last ones.
        update_points: usize as Count = "1000" in "10" to "1000000000",
        /// A model in a file of ONNX, which says how far off it is of a window; "" judges by statistics.
        model_path: Option<PathBuf> as OptionalFile = "",
        /// The input of that model: windows of floats, [1, length, 1].
        model_input: String as Text = "input",
        /// The output of that model: one number, the larger the less usual the window.
        model_output: String as Text = "reconstruction_error",
        /// Who judges where the model cannot: the statistics of the windows before, or nobody, and then no start without it.
        fallback_strategy: Fallback as OneOf<Fallback> = "statistical_baseline",
        /// The last scores of a series, and its last windows, that the limit is made of.
        calibration_window: usize as Count = "500" in "30" to "10000",
        /// Standard deviations from the mean of these scores to the limit.
        std_multiplier: f64 as Number = "3" in "0.1" to "100",
        /// Multiple of the limit from which an anomaly is worth a warning; below it, it is only kept.
        warning_ratio: f64 as Number = "1.5" in "1" to "1000",
        /// Multiple of the limit from which an anomaly is critical.
        critical_ratio: f64 as Number = "2.5" in "1" to "1000",
    }

    /// Series of one host or service that are judged together, beside each by itself (docs/detection.md).
    groups: Groups {
        /// The label whose value the series of a group have in common, as "host"; empty judges no groups.
        by: String as Text = "",
        /// The metrics of a group, with commas between; a semicolon begins another group of the same label value.
        metrics: String as Text = "",
        /// Distance of the rows that are judged.
        step: Duration as Span = "1m" in "1s" to "1d",
        /// Groups with a model, each of some 700 KiB; further ones are counted and not judged.
        max: usize as Count = "100" in "1" to "10000",
    }

    /// Expressions that are judged again and again by detectors of their own (docs/watching.md).
    watch: Watch {
        /// The file that lists them, read again when it changes; empty watches none.
        file: Option<PathBuf> as OptionalFile = "",
        /// How often they are evaluated; a bare number counts seconds.
        interval: Duration as Cadence = "1m" in "1s" to "1d" or "CHECK_INTERVAL",
        /// How much of an expression's past its detectors see before they judge it, at most 20160 evaluations.
        training_window: Duration as Span = "7d" in "0" to "400d",
    }

    /// Forecasts that are kept up to date, and rules that watch them (docs/forecast.md).
    forecasts: Forecasts {
        /// Memory for what is kept of forecasts; the one asked for longest ago leaves first.
        memory: u64 as Bytes = "64MiB" in "64KiB" to "64GiB",
        /// The file of predictive rules, read again when it changes; empty watches nothing.
        rules_file: Option<PathBuf> as OptionalFile = "",
        /// Series that one run of a rule looks at; further ones are the first of its next run, and counted.
        rule_series_max: usize as Count = "10000" in "1" to "1000000",
        /// Share of one core that rules may take; a run that needs more takes longer.
        cpu_share: f64 as Number = "0.25" in "0.001" to "64",
    }

    /// The report on capacity that the server makes by itself (docs/forecast.md).
    capacity_report: CapacityReport {
        /// When: the five fields of cron or an RRULE, such as "0 7 * * 1" for Mondays at seven; empty makes none.
        schedule: String as Text = "0 7 * * 1",
        /// The time zone of the schedule, as "Europe/Berlin".
        timezone: String as Text = "UTC",
        /// Receivers of alerts.routing_file that are told of it, several with commas: webhooks, programs, log; empty tells nobody.
        receivers: String as Text = "",
        /// Series it shows, those that may reach their limit first.
        top: usize as Count = "50" in "1" to "1000",
        /// Series it looks at, within forecasts.cpu_share; further ones are counted in it.
        max_series: usize as Count = "10000" in "1" to "1000000",
        /// Reports kept; the oldest leave.
        keep: usize as Count = "13" in "1" to "1000",
    }

    /// The server's own metrics, at /metrics.
    metrics: Metrics {
        /// Names for which scores and anomalies are shown, those with the greatest scores first.
        names_max: usize as Count = "1000" in "0" to "1000000",
    }

    /// How the server watches itself.
    health: Health {
        /// How often it looks at its parts, says in the log which are no longer well, and shows them as infrawatch_health.
        check_interval: Duration as Span = "10s" in "1s" to "1h",
    }

    /// The server's own log, on standard error.
    log: Log {
        /// The least important message that is still logged.
        level: Level as OneOf<Level> = "info" flag "--log-level" or "LOG_LEVEL",
        /// How a line is written: pairs of key=value, one JSON object, or text for a terminal.
        format: LogFormat as OneOf<LogFormat> = "logfmt",
    }
}

impl Config {
    /// Where the value of a key came from.
    ///
    /// # Panics
    /// If `key` is none of [`KEYS`].
    pub fn origin(&self, key: &Key) -> &Origin {
        &self.origins[index_of(key)]
    }

    /// Takes a value from text and remembers where it came from; the error says what was expected.
    pub(super) fn take(&mut self, key: &Key, text: &str, origin: Origin) -> Result<(), String> {
        (key.set)(self, text)?;
        self.origins[index_of(key)] = origin;
        Ok(())
    }
}

fn index_of(key: &Key) -> usize {
    KEYS.iter().position(|other| other.name == key.name).expect("a key comes from the table of keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_variable_is_named_once() {
        let mut names: Vec<_> = KEYS.iter().map(Key::variable).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
        assert_eq!(KEYS[0].variable(), "INFRAWATCH_HTTP_LISTEN");
    }
}
