//! The only assembly point: builds the parts, starts them in order, and stops them in reverse.
//!
//! ```text
//! start:  bind ─ serve "starting" ─ open store (replay) ─ shards ─ statsd ─ routes open ─ "ready"
//! stop:   no new connections ─ requests end ─ statsd ends ─ windows close ─ last checkpoint ─ shards end ─ journal ends
//! ```
//!
//! Not here: what any part does.

mod alerts;
mod calibrating;
mod correlating;
mod forecasting;
mod grouping;
mod layering;
mod local;
mod monitoring;
mod open_files;
mod reload;
mod replaying;
mod reporting;
mod resting;
mod retraining;
mod routes;
mod ruling;
mod self_check;
mod settings;
mod watching;
mod windowing;

use self::alerts::Alerts;
use self::calibrating::AccuracyBoard;
use self::forecasting::Forecasts;
use self::layering::Layer;
pub use self::local::Local;
use self::open_files::raise_open_files;
use self::reload::{InForce, Reloader};
pub use self::replaying::{Replayed, Stored};
use self::resting::AlertWindows;
use self::routes::{Served, routes};
use self::settings::{book_settings, model_settings, statsd_settings, store_settings, window_settings};
use crate::access::{AuditLog, Guard, Users};
use crate::analysis::pretrained::use_model;
use crate::analysis::{ZonedSettings, fan_out::FanOut};
use crate::anomaly::book::{self, Book, BookHandle};
use crate::anomaly::run::AnomalyRun;
use crate::api::guard::{self, Access};
use crate::api::health::HealthBoard;
use crate::api::{admin, conventions, prometheus};
use crate::change_events::ChangeEvents;
use crate::clock;
use crate::config::{self, Config, Loaded, Sources};
use crate::foundation_layer::LayerDoor;
use crate::groups::GroupBoard;
use crate::http_server::{self, Certificate, Ready, Tls};
use crate::ingest::snmp::{self, SnmpHandle, SnmpSettings};
use crate::ingest::statsd_listener::{self, StatsdHandle};
use crate::ingest::statsd_stream::{self, PieceSender};
use crate::ingest::{Lanes, StatsdSocket};
use crate::metric_metadata::MetricBook;
use crate::pull::{ModelShelf, PullGauges};
use crate::query::{ReadingThreads, Room};
use crate::rules::RuleKeeper;
use crate::self_metrics::SelfMetrics;
use crate::service_manager::ServiceManager;
use crate::shard::questions::ModelBoard;
use crate::shard::rests::RestPlans;
use crate::shard::{self, BatchPool, Peers, ScoringContext, ShardHandle};
use crate::watch::WatchBoard;
use crate::windowed::WindowedBoard;
use anyhow::{Context, Result, anyhow};
use crossbeam_channel::Sender;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::journal::ReplayReport;
use storage::{Store, StoreThreads};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// The signal of a write beyond the limit on the size of files, on Linux.
const SIGXFSZ: i32 = 25;

/// Stack of a thread that evaluates queries: four times what a test runs the deepest expressions in (`query::tests`).
const STACK_BYTES: usize = 8 << 20;

/// Runs the server until SIGTERM or SIGINT; `sources` are those of the settings, to be read again.
///
/// # Errors
/// When an address is in use, the data directory cannot be opened, or the last checkpoint cannot be written.
pub fn run(loaded: Loaded, sources: Sources) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().thread_name("http").thread_stack_size(STACK_BYTES).build()?;
    runtime.block_on(serve(loaded, sources))
}

async fn serve(Loaded { config, file, .. }: Loaded, sources: Sources) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    // A limit on the size of files would end the process; with the signal taken, the write fails like on a full disk.
    let _file_too_large = signal(SignalKind::from_raw(SIGXFSZ))?;
    raise_open_files(config.http.max_connections);
    let started_ms = clock::now_ms();
    let (stop, stopped) = watch::channel(false);
    let ready = Ready::default();
    if let Some(folder) = &config.foundation.model {
        use_model(folder).context("foundation.model")?;
    }
    let tls = certificate(&config.http)?.map(Tls::new);
    let guard = Arc::new(Guard::new(users(&config.access)?, config.access.requests_per_second)?);
    let listener = bind_tcp(config.http.listen, "http.listen, --http-listen").await?;
    let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let statsd = bind_statsd(&config.statsd)?;
    let statsd_address = statsd.udp.first().map(StatsdSocket::address).transpose()?.flatten();
    let statsd_streams = bind_tcp(config.statsd.tcp_listen, "statsd.tcp_listen").await?;
    let statsd_tcp = statsd_streams.as_ref().map(TcpListener::local_addr).transpose()?;
    let connections_max = config.http.max_connections;
    let connections = listener
        .map(|l| tokio::spawn(http_server::run(l, tls.clone(), connections_max, ready.clone(), stopped.clone())));

    let mut running = tokio::task::block_in_place(|| Running::start(&config, statsd))?;
    tokio::task::block_in_place(|| running.poll(&config))?;
    let stopping = Arc::new(AtomicBool::new(false));
    let reloader = Arc::new(Reloader::new(sources, file, config.clone(), reload::Live::of(&running, &guard, tls)));
    let in_force = reloader.in_force();
    let asked = reloader.clone();
    let reload: admin::Reload = Arc::new(move || asked.reload());
    let served = Served { guard: guard.clone(), reload };
    let audit = config.storage.data_dir.join("audit.log");
    let audit = AuditLog::open(audit.clone()).with_context(|| format!("cannot open {}", audit.display()))?;
    let routes = routes(&config, &running, stopping.clone(), started_ms, Some(served));
    let guarded = guard::guarded(routes, Access { guard, audit: Arc::new(audit) });
    ready.set(conventions::common(guarded, running.metrics.clone()));
    tokio::spawn(reloader.watch(hangup, stopped.clone()));
    forecasting::spawn(&config, &running, &in_force, &stopped)?;
    let health = routes::health(&running, stopping.clone(), started_ms);
    tokio::spawn(self_check::run(health, in_force.clone(), stopped.clone()));
    spawn_watchers(&config, &running, in_force, &stopped)?;
    if let (Some(listener), Some(pieces)) = (statsd_streams, &running.statsd.pieces) {
        let connections_max = config.statsd.max_connections;
        tokio::spawn(statsd_stream::run(listener, connections_max, pieces.clone(), stopped));
    }
    let snmp_traps = running.snmp.as_ref().and_then(SnmpHandle::trap_address);
    announce(address, statsd_address, statsd_tcp, snmp_traps);
    let manager = ServiceManager::from_environment();
    manager.say_ready();

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM, stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT, stopping"),
        never = manager.keep_saying_alive() => match never {},
    }
    manager.say_stopping();
    stopping.store(true, Ordering::Relaxed);
    stop.send_replace(true);
    if let Some(connections) = connections {
        connections.await?;
    }
    // The routes hold a way to the shards, which end only when nobody can send to them.
    drop(ready);
    tokio::task::block_in_place(|| running.stop())
}

/// Starts what looks at series and alerts in a rhythm of its own.
fn spawn_watchers(
    config: &Config,
    running: &Running,
    in_force: InForce,
    stopped: &watch::Receiver<bool>,
) -> Result<()> {
    alerts::spawn(config, running, stopped)?;
    tokio::spawn(calibrating::begin(config, running, in_force.clone()).run(stopped.clone()));
    tokio::spawn(resting::begin(running).run(stopped.clone()));
    tokio::spawn(retraining::begin(config, running, in_force.clone()).run(stopped.clone()));
    tokio::spawn(watching::begin(config, running, in_force)?.run(stopped.clone()));
    if let Some(windowing) = windowing::begin(config, running)? {
        tokio::spawn(windowing.run(stopped.clone()));
    }
    tokio::spawn(grouping::begin(config, running)?.run(stopped.clone()));
    Ok(())
}

/// The users of the settings' file; none where no access is configured.
fn users(access: &config::Access) -> Result<Option<Users>> {
    let read = access.users_file.as_deref().map(Users::read).transpose();
    read.context("access.users_file")
}

fn certificate(http: &config::Http) -> Result<Option<Certificate>> {
    let files = http.tls_cert_file.as_deref().zip(http.tls_key_file.as_deref());
    let read = files.map(|(cert, key)| Certificate::read(cert, key)).transpose();
    read.context("http.tls_cert_file, http.tls_key_file")
}

async fn bind_tcp(listen: config::Listen, setting: &str) -> Result<Option<TcpListener>> {
    let Some(address) = listen.addr() else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).with_context(|| format!("cannot listen at {address} ({setting})"))
}

/// The sockets of StatsD, bound and not yet read.
#[derive(Debug, Default)]
struct StatsdSockets {
    udp: Vec<StatsdSocket>,
    unix: Option<StatsdSocket>,
}

fn bind_statsd(statsd: &config::StatsD) -> Result<StatsdSockets> {
    let rcvbuf_bytes = statsd.rcvbuf_bytes as usize;
    let mut sockets = StatsdSockets::default();
    if let Some(address) = statsd.listen.addr() {
        let udp = StatsdSocket::bind(address, statsd.sockets_on(cores()), rcvbuf_bytes);
        sockets.udp = udp.with_context(|| format!("cannot listen at {address} (statsd.listen, --statsd-listen)"))?;
    }
    if let Some(path) = &statsd.unix_socket {
        let unix = StatsdSocket::bind_unix(path, rcvbuf_bytes);
        sockets.unix = Some(unix.with_context(|| format!("cannot listen at {} (statsd.unix_socket)", path.display()))?);
    }
    if let Some(first) = sockets.udp.first().or(sockets.unix.as_ref()) {
        let (sockets, granted_bytes) = (sockets.udp.len(), first.granted_bytes());
        if granted_bytes < rcvbuf_bytes {
            let how = format!("sysctl -w net.core.rmem_max={rcvbuf_bytes}, or the capability CAP_NET_ADMIN");
            tracing::warn!(sockets, granted_bytes, wanted_bytes = rcvbuf_bytes, how, "less receive buffer than wanted");
        } else {
            tracing::info!(sockets, granted_bytes, more = "statsd.rcvbuf_bytes", "StatsD receive buffer a socket");
        }
    }
    Ok(sockets)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The line that scripts and supervisors wait for.
fn announce(
    http: Option<SocketAddr>,
    statsd: Option<SocketAddr>,
    statsd_tcp: Option<SocketAddr>,
    snmp_traps: Option<SocketAddr>,
) {
    let text = |address: Option<SocketAddr>| address.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let also = |name: &str, address: Option<SocketAddr>| {
        address.map_or_else(String::new, |address| format!(" {name}={address}"))
    };
    let (tcp, traps) = (also("statsd_tcp", statsd_tcp), also("snmp_traps", snmp_traps));
    eprintln!("ready http={} statsd={}{tcp}{traps}", text(http), text(statsd));
}

/// The threads that gather StatsD.
#[derive(Debug)]
struct Statsd {
    listeners: Vec<StatsdHandle>,
    /// Where TCP connections give their lines.
    pieces: Option<PieceSender>,
    stop: Arc<AtomicBool>,
}

impl Statsd {
    fn start(
        config: &config::StatsD,
        sockets: StatsdSockets,
        lanes: &Lanes,
        metrics: &Arc<SelfMetrics>,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut listeners = Vec::new();
        let mut listen = |name: String, socket, dialect| {
            let settings = statsd_settings(config, dialect);
            let listener = statsd_listener::spawn(name, socket, lanes, &settings, metrics, stop.clone());
            listener.map(|listener| listeners.push(listener))
        };
        for (number, socket) in sockets.udp.into_iter().enumerate() {
            listen(format!("statsd-{number}"), socket, config.dialect)?;
        }
        if let Some(socket) = sockets.unix {
            listen("statsd-unix".to_owned(), socket, config.unix_dialect)?;
        }
        let mut pieces = None;
        if config.tcp_listen != config::Listen::Off {
            let settings = statsd_settings(config, config.dialect);
            let (sender, listener) = statsd_stream::spawn(lanes, &settings, metrics, stop.clone())?;
            listeners.push(listener);
            pieces = Some(sender);
        }
        Ok(Self { listeners, pieces, stop })
    }

    /// Waits until all that was received is with the shards.
    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.listeners.into_iter().try_for_each(StatsdHandle::join)?;
        Ok(())
    }
}

/// The parts that run beside the HTTP server.
#[derive(Debug)]
struct Running {
    store: Store,
    threads: StoreThreads,
    shards: Vec<ShardHandle>,
    lanes: Lanes,
    metrics: Arc<SelfMetrics>,
    told: Arc<MetricBook>,
    statsd: Statsd,
    book: Book,
    /// Where shards tell their runs; kept for as long as shards may start.
    runs: Sender<AnomalyRun>,
    book_thread: BookHandle,
    alerts: Alerts,
    board: Arc<ModelBoard>,
    /// How series are judged.
    judging: Arc<ZonedSettings>,
    /// Changes that were told of.
    events: ChangeEvents,
    /// The memory that all queries share.
    room: Arc<Room>,
    reading: ReadingThreads,
    /// What watched expressions came to.
    watched: Arc<WatchBoard>,
    /// What people said of anomalies.
    accuracy: AccuracyBoard,
    /// What groups of series came to.
    grouped: Arc<GroupBoard>,
    /// Models trained on request.
    shelf: Arc<ModelShelf>,
    /// What these last said.
    gauges: Arc<PullGauges>,
    /// How the parts were lately.
    health: Arc<HealthBoard>,
    /// One permit for each request that may compute: as many as there are cores, each of which takes one for as long.
    computing: Arc<Semaphore>,
    /// What judging by windows came to.
    windowed: Arc<WindowedBoard>,
    /// Rules of files, and how they stand.
    rules: Arc<RuleKeeper>,
    /// What makes forecasts, and what rules came to.
    forecasts: Forecasts,
    /// Forecasts of live series.
    layer: Layer,
    /// Polls devices; only in a server, not for a command over a store.
    snmp: Option<SnmpHandle>,
}

/// Where long queries run, and the memory of all queries.
fn reading(config: &Config) -> Result<(ReadingThreads, Arc<Room>)> {
    let threads = ReadingThreads::new(prometheus::THREADS, STACK_BYTES).context("threads to read with")?;
    Ok((threads, Room::with_answers(config.query.memory_max, config.query.cache_bytes as usize)))
}

/// The changes that were told of before.
fn change_events(config: &Config) -> Result<ChangeEvents> {
    let folder = config.storage.data_dir.join("events");
    ChangeEvents::open(&folder, config.events.max_records)
        .with_context(|| format!("cannot open the events in {}", folder.display()))
}

impl Running {
    fn start(config: &Config, statsd: StatsdSockets) -> Result<Self> {
        let settings = store_settings(config, config.shards.threads(cores()));
        let began_ms = clock::now_ms();
        let opened = storage::open(settings).context("storage.data_dir")?;
        report(&opened.replayed, clock::now_ms() - began_ms);
        let metrics = Arc::new(SelfMetrics::default());
        let store = opened.store.clone();
        let newest = Box::new(move || store.newest_ms());
        let rules = ruling::keeper(config)?;
        let alerts = Alerts::start(config)?;
        let (book, runs, book_thread) = book::open(book_settings(config), newest, alerts.hearer())?;
        alerts.catch_up(&book);
        let events = change_events(config)?;
        let board = Arc::new(ModelBoard::default());
        let (reading, room) = reading(config)?;
        let watched = Arc::default();
        let trained = config.pull.model_dir.clone().unwrap_or_else(|| config.storage.data_dir.join("trained"));
        let shelf = Arc::new(ModelShelf::new(trained));
        let pool = BatchPool::new(config.shards.queue_batches);
        let windows = window_settings(&config.statsd);
        let told = Arc::new(MetricBook::default());
        let judging = Arc::new(model_settings(config)?);
        let rests = AlertWindows::of(&alerts.book);
        let (layer, door) = layering::start(config, &opened.store, rests.clone(), &metrics)?;
        let scoring = scoring(config, &opened.store, (&metrics, &told, &judging, rests.clone()), &board, &runs, door)?;
        let mut doors = Vec::new();
        let mut shards = Vec::new();
        let peers = Peers::among(opened.shards.len());
        for (number, (store, peers)) in opened.shards.into_iter().zip(peers).enumerate() {
            let (pool, metrics, scoring) = (pool.clone(), metrics.clone(), scoring.clone());
            let queue_batches = config.shards.queue_batches;
            let (shard, door) =
                shard::spawn(number, store, queue_batches, pool, metrics, windows.clone(), peers, scoring)?;
            shards.push(shard);
            doors.push(door);
        }
        let lanes = Lanes::new(doors, pool);
        let statsd = Statsd::start(&config.statsd, statsd, &lanes, &metrics)?;
        let (store, threads) = (opened.store, opened.threads);
        let forecasts = Forecasts::open(config, &store, &room, rests);
        let snmp = None;
        Ok(Self {
            store,
            threads,
            shards,
            lanes,
            metrics,
            told,
            statsd,
            book,
            runs,
            book_thread,
            alerts,
            board,
            judging,
            events,
            room,
            reading,
            watched,
            accuracy: Arc::default(),
            grouped: Arc::default(),
            shelf,
            gauges: Arc::default(),
            health: Arc::default(),
            computing: Arc::new(Semaphore::new(cores())),
            windowed: Arc::default(),
            rules,
            forecasts,
            layer,
            snmp,
        })
    }

    /// Starts polling by SNMP: devices may also be added while the server runs.
    fn poll(&mut self, config: &Config) -> Result<()> {
        let settings = SnmpSettings::of(config, std::env::vars().collect());
        self.snmp = Some(snmp::spawn(settings, &self.lanes, self.metrics.clone())?);
        Ok(())
    }

    /// The shards end when the keeper and the last lane are gone, a book when nobody can tell or ask it: forecasts ask for plans.
    fn stop(self) -> Result<()> {
        self.snmp.map_or(Ok(()), SnmpHandle::stop)?;
        self.statsd.stop()?;
        self.forecasts.checkpoint();
        drop(self.lanes);
        let closed = self.threads.close();
        for shard in self.shards {
            shard.join().context("a shard panicked")?;
        }
        drop((self.book, self.runs, self.forecasts, self.room));
        self.layer.stop()?;
        self.book_thread.join().context("the book of anomalies panicked")?;
        self.alerts.stop()?;
        closed.context("the last checkpoint failed; everything acknowledged is in the journal")
    }
}

/// What the shards need to score samples; nothing if they shall not.
fn scoring(
    config: &Config,
    store: &Store,
    (metrics, told, judging, rests): (&Arc<SelfMetrics>, &Arc<MetricBook>, &Arc<ZonedSettings>, Arc<dyn RestPlans>),
    board: &Arc<ModelBoard>,
    runs: &Sender<AnomalyRun>,
    layer: Option<LayerDoor>,
) -> Result<Option<Arc<ScoringContext>>> {
    if !config.models.enabled {
        return Ok(None);
    }
    let dir = config.storage.data_dir.join("models");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let threads =
        FanOut::new(config.models.threads(cores())).map_err(|error| anyhow!("no threads to score: {error}"))?;
    Ok(Some(Arc::new(ScoringContext {
        store: store.clone(),
        threads,
        board: board.clone(),
        metrics: metrics.clone(),
        told: told.clone(),
        runs: runs.clone(),
        dir,
        settings: judging.clone(),
        rests,
        pending_max: config.models.pending_max,
        newest_at_start_ms: store.newest_ms(),
        layer,
        closing: AtomicBool::new(false),
    })))
}

fn report(replayed: &ReplayReport, took_ms: i64) {
    let ReplayReport { records, bytes, torn_bytes, damaged_places, damaged_bytes, .. } = replayed;
    tracing::info!(records, bytes, torn_bytes, took_ms, "store open, journal replayed");
    if *damaged_places > 0 {
        let first = replayed.damage.first().map(|damage| (damage.path.display().to_string(), damage.offset));
        tracing::error!(damaged_places, damaged_bytes, ?first, "the journal is damaged; what is whole was kept");
    }
}
