//! The composition root: from a configuration to sockets, threads and, at the end, a clean host.
//!
//! The only place that names concrete types of all stations. The calling thread becomes the admin
//! thread: it runs the endpoints and the watchers, and no query ever waits for it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::admin::control::ControlSocket;
use crate::admin::{control, http};
use crate::config::Config;
use crate::listen::{self, Inbox, tcp, udp::Shard};
use crate::node::holder::{self, PortTaken, Proto};
use crate::node::nft::NftError;
use crate::node::repairs::Repairs;
use crate::node::{NodeError, addresses};
use crate::pods::Namespaces;
use crate::serve::{Desk, Server};
use crate::sys;
use crate::telemetry::metrics::{Metrics, MetricsError};
use crate::telemetry::querylog::{self, QueryLog};
use crate::telemetry::stats::Stats;
use crate::time::Clock;

pub mod host;
mod hosts;
mod link;
mod picture;
mod pods;
mod signals;
mod steering;
mod upstreams;

use hosts::HostsFile;
use link::{Kept, make_link};
use picture::Picture;
pub use signals::Signals;
use steering::Steering;
use upstreams::Upstreams;

/// Why the daemon did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Port(#[from] PortTaken),
    /// The interface or its addresses.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The rules that lead packets to us.
    #[error(transparent)]
    Rules(#[from] NftError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::BindError),
    /// The metrics could not be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A thread, a runtime, a signal handler.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A thread that serves clients has ended.
    #[error("{0} has ended unexpectedly")]
    Thread(String),
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> AppError {
    move |source| AppError::System { what, source }
}

/// How the daemon is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the configuration came from, for the status.
    pub config_path: PathBuf,
    /// The moment the process began, for the log.
    pub started: Instant,
}

/// Sockets of all listening addresses.
struct Sockets {
    /// By shard, then by address.
    udp: Vec<Vec<std::net::UdpSocket>>,
    tcp: Vec<std::net::TcpListener>,
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// An [`AppError`] that says what could not be had. What was made on the host is taken away again.
pub async fn run(config: Config, options: Options, signals: Signals) -> Result<(), AppError> {
    let repairs = Arc::new(Repairs::default());
    let link = Kept::start(make_link(&config).await?, &repairs);
    let result = serve(&config, &options, signals, repairs).await;
    if let Some(link) = link.end().await {
        if config.node.leave_on_exit {
            tracing::info!(interface = link.interface(), "leaving the addresses in place");
        } else if let Err(error) = link.remove().await {
            tracing::error!(%error, "cannot take the addresses away");
        }
    }
    result
}

async fn serve(
    config: &Config,
    options: &Options,
    signals: Signals,
    repairs: Arc<Repairs>,
) -> Result<(), AppError> {
    let shards = config.listen.shards.unwrap_or_else(sys::cpus).clamp(1, 64);
    check_open_files(config, shards);
    let sockets = bind(config, shards)?;
    let control = config.admin.control.as_deref().map(ControlSocket::bind).transpose()?;
    let admin = bind_admin(config)?;

    let own = addresses::own_addresses().await?;
    let upstreams = Upstreams::new(config);
    let routes = upstreams.build(&Vec::new(), &own);
    let node = config.node.name.clone().unwrap_or_else(node_name);
    let server = Arc::new(Server::new(config, node, routes, own, Clock::start()));
    upstreams.teach(&server);
    let mut hosts = HostsFile::of(&config.local);
    hosts.iter_mut().for_each(|hosts| hosts.load(&server));

    let pods = pods::load(&config.pods, &server);

    let (threads, picture) = start(config, options, &server, sockets, shards, &repairs)?;
    let stats = threads.admin_stats();
    let metrics = Metrics::new(threads.stats.clone(), Arc::clone(&picture) as Arc<_>)?;
    let (stop, _) = watch::channel(false);
    let until_stop = || {
        let mut stop = stop.subscribe();
        async move { drop(stop.wait_for(|&stop| stop).await) }
    };
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(listener) = admin {
        let (ready, stats, until) = (Arc::clone(&picture), Arc::clone(&stats), until_stop());
        tasks.spawn(async move { http::serve(listener, metrics, ready, stats, until).await });
    }
    if let Some(control) = control {
        let (source, stats, until) = (Arc::clone(&picture), Arc::clone(&stats), until_stop());
        let cache = Arc::clone(&picture);
        tasks.spawn(async move {
            if let Err(error) = control.serve(source, cache, stats, until).await {
                tracing::error!(%error, "the control socket is not served");
            }
        });
    }
    let mut watchers = upstreams.watch(Arc::clone(&server));
    if let Some(hosts) = hosts {
        let server = Arc::clone(&server);
        watchers.spawn(async move { _ = hosts.follow(hosts::EVERY, server).await });
    }
    if let Some(pods) = pods {
        watchers.spawn(pods::follow(pods, Arc::clone(&server)));
    }
    tracing::info!(
        listen = %join(&config.listen.addresses),
        shards,
        routes = config.routes.len(),
        node = %server.node,
        ms = options.started.elapsed().as_millis() as u64,
        "serving"
    );
    let shard_stats = &threads.stats[..shards];
    let steering = match Steering::start(config, shard_stats, repairs) {
        Ok(steering) => steering,
        Err(error) => {
            threads.end(server.clock.now(), signals).await;
            return Err(error.into());
        }
    };
    let result = threads.wait(signals, &server, config.listen.drain, steering).await;
    drop(watchers);
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    result
}

/// Allows as many open files as the system lets us, and says so where that is fewer than the ceilings
/// of the configuration add up to.
fn check_open_files(config: &Config, shards: usize) {
    let ports = |route: &crate::config::Route| route.upstreams.len().max(1) * (route.ports + 4);
    let upstreams: usize = config.routes.iter().map(ports).sum();
    let wanted = config.listen.tcp.connections + shards * (upstreams + 8) + 128;
    match sys::raise_open_files() {
        Ok(limit) if limit < wanted as u64 => tracing::warn!(
            limit,
            wanted,
            "too few open files allowed for [listen.tcp] connections and the routes' ports: raise \
             LimitNOFILE, or lower those"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

fn join(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// `$NODE_NAME` (Kubernetes' downward API), else the host's name.
fn node_name() -> String {
    std::env::var("NODE_NAME")
        .ok()
        .filter(|name| (1..=255).contains(&name.len()))
        .or_else(sys::host_name)
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Opens every listening socket. Whether an address is free is tried without SO_REUSEPORT first:
/// with it a second server would share the traffic, and nobody would be told.
fn bind(config: &Config, shards: usize) -> Result<Sockets, AppError> {
    let mut sockets = Sockets { udp: (0..shards).map(|_| Vec::new()).collect(), tcp: Vec::new() };
    for &addr in &config.listen.addresses {
        holder::probe(addr)?;
        for shard in &mut sockets.udp {
            let socket = listen::bind_udp(addr, config.listen.receive_buffer);
            shard.push(socket.map_err(|error| holder::explain(Proto::Udp, addr, error))?);
        }
        let listener = listen::bind_tcp(addr);
        sockets.tcp.push(listener.map_err(|error| holder::explain(Proto::Tcp, addr, error))?);
    }
    Ok(sockets)
}

fn bind_admin(config: &Config) -> Result<Option<TcpListener>, AppError> {
    let Some(addr) = config.admin.address else { return Ok(None) };
    let listener =
        listen::bind_tcp(addr).map_err(|error| holder::explain(Proto::Tcp, addr, error))?;
    let listener = TcpListener::from_std(listener).map_err(system("admin socket"))?;
    Ok(Some(listener))
}

/// The threads that serve clients.
struct Threads {
    shards: Vec<JoinHandle<()>>,
    tcp: JoinHandle<()>,
    inboxes: Vec<Arc<Inbox>>,
    stop_tcp: watch::Sender<bool>,
    /// A thread that ends says so here.
    ended: mpsc::Receiver<String>,
    log: querylog::Writer,
    /// Each shard's, the TCP thread's, the admin thread's.
    stats: Vec<Arc<Stats>>,
}

fn start(
    config: &Config,
    options: &Options,
    server: &Arc<Server>,
    sockets: Sockets,
    shards: usize,
    repairs: &Arc<Repairs>,
) -> Result<(Threads, Arc<Picture>), AppError> {
    let names = config.routes.iter().map(|route| route.name.clone()).collect();
    let (log, writer) = QueryLog::start(config.log.queries, config.log.format, names, io::stdout())
        .map_err(system("query log"))?;
    let stats: Vec<_> = (0..shards + 2).map(|_| Arc::new(counters(config))).collect();
    let inboxes = (0..shards)
        .map(|_| Inbox::new(config.listen.in_flight).map(Arc::new))
        .collect::<io::Result<Vec<_>>>()
        .map_err(system("eventfd"))?;
    let (say_ended, ended) = mpsc::channel(shards + 1);
    let slots = config.listen.in_flight.div_ceil(shards);

    let mut handles = Vec::new();
    for (i, udp) in sockets.udp.into_iter().enumerate() {
        let (server, stats, log) = (Arc::clone(server), Arc::clone(&stats[i]), log.clone());
        let inbox = Arc::clone(&inboxes[i]);
        let name = format!("shard-{i}");
        handles.push(spawn(name, say_ended.clone(), move || {
            let desk = Desk::new(server, stats, log);
            Shard::new(desk, udp, inbox, slots)?.run()
        })?);
    }
    let (stop_tcp, stop) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let (listeners, limits, drain) = (sockets.tcp, config.listen.tcp.clone(), config.listen.drain);
    let (tcp_server, tcp_stats) = (Arc::clone(server), Arc::clone(&stats[shards]));
    let (tcp_inboxes, tcp_open) = (inboxes.clone(), Arc::clone(&open));
    let tcp = spawn("tcp".to_owned(), say_ended, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let desk = Desk::new(tcp_server, tcp_stats, log);
        let setup = tcp::Setup { desk, inboxes: tcp_inboxes, limits, open: tcp_open, stop, drain };
        tokio::task::LocalSet::new().block_on(&runtime, tcp::serve(listeners, setup))
    })?;
    let picture = Arc::new(Picture {
        server: Arc::clone(server),
        config: config.clone(),
        path: options.config_path.clone(),
        started: options.started,
        inboxes: inboxes.clone(),
        tcp_open: open,
        stats: stats.clone(),
        shards,
        repairs: Arc::clone(repairs),
    });
    let threads = Threads { shards: handles, tcp, inboxes, stop_tcp, ended, log: writer, stats };
    Ok((threads, picture))
}

/// A thread's counters.
fn counters(config: &Config) -> Stats {
    let stats = Stats::new(config.routes.len());
    match config.pods.metrics && config.pods.dir.is_some() {
        true => stats.with_namespaces(Namespaces::slots(config.pods.namespaces)),
        false => stats,
    }
}

/// Says that a thread has ended, in whatever way: a panic must not leave the daemon running with a
/// part of its clients unheard.
struct Ended {
    name: String,
    to: mpsc::Sender<String>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens any more once the daemon is stopping.
        let _ = self.to.try_send(std::mem::take(&mut self.name));
    }
}

fn spawn(
    name: String,
    ended: mpsc::Sender<String>,
    body: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, AppError> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            let ended = Ended { name, to: ended };
            if let Err(error) = body() {
                tracing::error!(thread = %ended.name, %error, "cannot go on");
            }
        })
        .map_err(system("thread"))
}

impl Threads {
    fn admin_stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats[self.stats.len() - 1])
    }

    /// Waits for a signal, then ends all threads, within `drain`.
    async fn wait(
        mut self,
        mut signals: Signals,
        server: &Server,
        drain: Duration,
        steering: Option<Steering>,
    ) -> Result<(), AppError> {
        let mut tidy = tokio::time::interval(Duration::from_secs(1));
        let result = loop {
            tokio::select! {
                name = signals.stop() => {
                    tracing::info!(signal = name, "stopping: finishing what is in flight");
                    break Ok(());
                }
                Some(name) = self.ended.recv() => break Err(AppError::Thread(name)),
                _ = tidy.tick() => {
                    if steering.as_ref().is_some_and(Steering::has_ended) {
                        break Err(AppError::Thread("steering".to_owned()));
                    }
                    server.cache.tidy(server.clock.now());
                    self.inboxes.iter().for_each(|inbox| inbox.tick());
                }
            }
        };
        // First of all new queries go around us; what has come is answered as ever.
        let rest = tokio::task::spawn_blocking(move || steering.map(Steering::rest));
        let resting = rest.await.ok().flatten();
        let until = server.clock.now() + drain;
        let left = self.end(until, signals);
        left.await;
        if let Some(resting) = resting {
            let _ = tokio::task::spawn_blocking(move || resting.end()).await;
        }
        tracing::info!("stopped");
        result
    }

    /// Nobody takes new work from here on; TCP ends first, since its misses need the shards.
    async fn end(self, until: crate::time::Tick, mut signals: Signals) {
        let Threads { shards, tcp, inboxes, stop_tcp, ended, log, .. } = self;
        drop(ended);
        inboxes.iter().for_each(|inbox| inbox.leave());
        stop_tcp.send_replace(true);
        let all = tokio::task::spawn_blocking(move || {
            // A thread that panicked has been reported already.
            let _ = tcp.join();
            inboxes.iter().for_each(|inbox| inbox.stop(until));
            shards.into_iter().for_each(|shard| drop(shard.join()));
            log.join();
        });
        tokio::select! {
            _ = all => {}
            name = signals.stop() => {
                tracing::warn!(signal = name, "asked again: leaving at once");
                std::process::exit(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A panic ends the thread as an error or a return does; the binary makes exit code 1 of each.
    #[test]
    fn a_thread_that_ends_in_whatever_way_says_so() {
        let bodies: [fn() -> io::Result<()>; 3] = [
            || Ok(()),
            || Err(io::ErrorKind::OutOfMemory.into()),
            || std::panic::resume_unwind(Box::new("as a panic does, without its message")),
        ];
        for (number, body) in bodies.into_iter().enumerate() {
            let (say_ended, mut ended) = mpsc::channel(1);
            let name = format!("shard-{number}");
            let thread = spawn(name.clone(), say_ended, body).unwrap();
            assert_eq!(ended.blocking_recv(), Some(name));
            assert_eq!(thread.join().is_err(), number == 2);
        }
    }

    /// While a thread serves nobody hears that it has ended.
    #[test]
    fn a_thread_that_goes_on_says_nothing() {
        let (say_ended, mut ended) = mpsc::channel(1);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let body = move || wait.recv().map_err(io::Error::other);
        let thread = spawn("shard-0".to_owned(), say_ended, body).unwrap();
        assert!(ended.try_recv().is_err());
        go.send(()).unwrap();
        assert_eq!(ended.blocking_recv().as_deref(), Some("shard-0"));
        thread.join().unwrap();
    }
}
