//! The daemon and its command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use horizond::admin::control;
use horizond::admin::render::render_status;
use horizond::admin::status::Status;
use horizond::app::{self, AppError, Options, Signals};
use horizond::config::file::{self, Loaded};
use horizond::config::{Config, LogFormat, QueryLog};
use horizond::demo;
use horizond::headcni;
use horizond::telemetry::logs;

#[path = "horizond/cache.rs"]
mod cache;
#[path = "horizond/node.rs"]
mod node;

/// Exit codes of sysexits(3), so that service managers can tell a bad file from a busy port.
mod exit {
    /// Something that was needed cannot be had: an address, a privilege, a running daemon.
    pub const UNAVAILABLE: u8 = 69;
    /// Something cannot be seen without more privileges.
    pub const NO_PERMISSION: u8 = 77;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

/// A node-local split-horizon DNS forwarder: cluster names go to CoreDNS, tailnet names to MagicDNS,
/// everything else upstream, and none to where it does not belong.
#[derive(Parser)]
#[command(name = "horizond", version, arg_required_else_help = true, max_term_width = 96)]
#[command(after_help = "Try it without root or network:  horizond demo\n\
    Ask a running one:               dig @169.254.20.10 CH TXT NAME.explain.horizond")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, as the configuration says, until SIGTERM
    Run(ConfigFile),
    /// Read a configuration and say everything that is wrong with it
    Check(ConfigFile),
    /// Show a running daemon's routes, upstreams and cache
    Status(StatusArgs),
    /// Look into a running daemon's cache, or empty it
    Cache(cache::CacheArgs),
    /// Compare this host with the configuration, or take away what horizond made on it
    Node(node::NodeArgs),
    /// Three horizons on loopback and the forwarder in front of them; needs nothing
    Demo(DemoArgs),
}

/// Where the configuration is, unless it is said to be elsewhere.
const CONFIG: &str = "/etc/horizond/horizond.toml";

#[derive(Args)]
struct ConfigFile {
    /// The configuration
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

#[derive(Args)]
struct StatusArgs {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = "/run/horizond/control.sock")]
    control: PathBuf,
    /// Print the JSON as it comes
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DemoArgs {
    /// Where to answer, UDP and TCP
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5300")]
    listen: SocketAddr,
    /// Where to serve /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9253")]
    admin: SocketAddr,
    /// Where to put a control socket, for `horizond status --control PATH`
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Threads that serve UDP; default: one per CPU
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    shards: Option<u8>,
    /// Log every query to standard output
    #[arg(long)]
    queries: bool,
    /// One JSON object a log line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let started = Instant::now();
    match Cli::parse().command {
        Command::Run(args) => run(&args.config, started),
        Command::Check(args) => check(&args.config),
        Command::Status(args) => status(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Demo(args) => run_demo(&args, started),
    }
}

fn load(path: &Path) -> Result<Loaded, ExitCode> {
    file::load(path).map_err(|errors| {
        eprintln!("{errors}");
        ExitCode::from(exit::CONFIG)
    })
}

fn check(path: &Path) -> ExitCode {
    let loaded = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    let config = &loaded.config;
    let learnt = headcni::check(config);
    learnt.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    let suffixes: usize = config.routes.iter().map(|r| r.suffixes.len() + r.reverse.len()).sum();
    println!(
        "{}: good: {}, {}, {}",
        path.display(),
        counted(config.routes.len(), "route", "routes"),
        counted(suffixes, "suffix or prefix", "suffixes and prefixes"),
        counted(config.listen.addresses.len(), "listening address", "listening addresses")
    );
    learnt.lines.iter().for_each(|line| println!("{line}"));
    ExitCode::SUCCESS
}

fn counted(n: usize, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

fn run(path: &Path, started: Instant) -> ExitCode {
    let loaded = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(code) = start_logs(&loaded.config) {
        return code;
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let options = Options { config_path: path.to_owned(), started };
    finish(block_on(async {
        let signals = Signals::new()?;
        Ok(app::run(loaded.config, options, signals).await?)
    }))
}

fn start_logs(config: &Config) -> Result<(), ExitCode> {
    let filter = std::env::var("HORIZOND_LOG").ok().filter(|filter| !filter.is_empty());
    logs::init(&config.log, filter.as_deref()).map_err(|error| {
        eprintln!("horizond: {error}");
        ExitCode::from(exit::CONFIG)
    })
}

/// Runs on this thread, which becomes the admin thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    tracing::error!("{error:#}");
    match error.downcast_ref::<AppError>() {
        Some(AppError::Thread(_)) => ExitCode::FAILURE,
        _ => ExitCode::from(exit::UNAVAILABLE),
    }
}

fn status(args: &StatusArgs) -> ExitCode {
    let body = match control::get(&args.control, "/status") {
        Ok(body) => body,
        Err(error) => {
            eprintln!("horizond: {error}");
            return ExitCode::from(exit::UNAVAILABLE);
        }
    };
    if args.json {
        println!("{}", String::from_utf8_lossy(&body));
        return ExitCode::SUCCESS;
    }
    match serde_json::from_slice::<Status>(&body) {
        Ok(status) => {
            println!("{}", render_status(&status).trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("horizond: the daemon's status is not understood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_demo(args: &DemoArgs, started: Instant) -> ExitCode {
    finish(block_on(async {
        let signals = Signals::new()?;
        let servers = demo::Servers::start().await?;
        let control = args.control.clone();
        let mut config = demo::config(args.listen, Some(args.admin), control, &servers);
        config.listen.shards = args.shards.map(usize::from);
        if args.queries {
            config.log.queries = QueryLog::All;
        }
        if args.json {
            config.log.format = LogFormat::Json;
        }
        if start_logs(&config).is_err() {
            anyhow::bail!("logs cannot be set up");
        }
        if let Err(taken) = horizond::node::holder::probe(args.listen) {
            anyhow::bail!("{taken} (another address: --listen ADDR:PORT)");
        }
        println!("{}", demo::tries(args.listen).trim_end());
        let options = Options { config_path: "(demo)".into(), started };
        let result = app::run(config, options, signals).await;
        servers.stop().await?;
        Ok(result?)
    }))
}
