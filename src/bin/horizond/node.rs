//! `horizond node`: what the host has of what the configuration wants, and taking it away.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use horizond::admin::node::State;
use horizond::admin::render::node::render_node;
use horizond::app::host::{self, Cleaned, Extent, Host};

use crate::{CONFIG, ConfigFile, block_on, exit, load};

#[derive(Args)]
pub struct NodeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show interface, addresses, rules and pods, and whether they are as the configuration wants
    #[command(after_help = "Exit codes: 0, all is as the configuration wants; 1, it is not; 77, \
        something cannot be seen without root; 78, the configuration is wrong.")]
    Status(StatusArgs),
    /// Take away all that horizond made in this network namespace, and nothing else
    #[command(after_help = "Without a configuration file the defaults are taken: what is ours is \
        known by its marks.\nExit codes: 0, nothing is left but what was said; 1, something could \
        not be removed; 69, a daemon runs, or it is not permitted; 78, the configuration is wrong.")]
    Clean(CleanArgs),
}

#[derive(Args)]
struct StatusArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CleanArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Although a daemon may be running, which makes all of it again
    #[arg(long)]
    force: bool,
    /// Also what leads pods that the CNI plugin has redirected to the cluster's DNS: they are without
    /// DNS from then on
    #[arg(long)]
    all: bool,
}

/// Does what the arguments say.
pub fn run(args: &NodeArgs) -> ExitCode {
    let done = match &args.command {
        Command::Status(args) => status(args),
        Command::Clean(args) => clean(args),
    };
    done.unwrap_or_else(|code| code)
}

/// An error of a host that cannot be read or changed.
fn unavailable(error: anyhow::Error) -> ExitCode {
    eprintln!("horizond: {error:#}");
    ExitCode::from(exit::UNAVAILABLE)
}

/// Whoever reads may have seen enough.
fn print(text: &str) -> Result<(), ExitCode> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("horizond: cannot write: {error}");
            Err(ExitCode::FAILURE)
        }
        _ => Ok(()),
    }
}

fn status(args: &StatusArgs) -> Result<ExitCode, ExitCode> {
    let config = load(&args.file.config)?.config;
    let report = block_on(async { Ok(host::status(&config).await?) }).map_err(unavailable)?;
    let text = match args.json {
        // Texts and names of states: nothing that JSON could not hold.
        true => serde_json::to_string(&report).unwrap_or_default() + "\n",
        false => render_node(&report),
    };
    print(&text)?;
    Ok(match report.state {
        State::Good | State::Note => ExitCode::SUCCESS,
        State::Unknown => ExitCode::from(exit::NO_PERMISSION),
        State::Wrong => ExitCode::FAILURE,
    })
}

fn clean(args: &CleanArgs) -> Result<ExitCode, ExitCode> {
    let path = args.file.config.as_path();
    // A file that is gone, with its package perhaps, is no reason to leave the rest behind.
    let host = if path == Path::new(CONFIG) && !path.exists() {
        Host::default()
    } else {
        Host::from(&load(path)?.config)
    };
    let extent = Extent { force: args.force, all: args.all };
    let cleaned = block_on(async { Ok(host::clean(&host, extent).await?) }).map_err(unavailable)?;
    print(&told(&cleaned))?;
    for failure in &cleaned.failed {
        eprintln!("horizond: {failure}");
    }
    Ok(if cleaned.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(cleaned: &Cleaned) -> String {
    let line = |word: &'static str| move |thing: &String| format!("{word}: {thing}\n");
    let removed = cleaned.removed.iter().map(line("removed"));
    let mut text: String = removed.chain(cleaned.kept.iter().map(line("left"))).collect();
    if text.is_empty() && cleaned.failed.is_empty() {
        text.push_str("nothing of ours is here\n");
    }
    text
}
