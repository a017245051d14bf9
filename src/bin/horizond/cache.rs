//! `horizond cache`: looking into a running daemon's cache, and emptying it.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use horizond::admin::cache::{CachePage, CacheStats, EntryStatus, Flushed};
use horizond::admin::control::{self, ControlError, LONGEST_PAGE, encode};
use horizond::admin::render::cache::{render_cache_stats, render_entries};
use horizond::wire::name::Name;
use serde::de::DeserializeOwned;

use crate::exit;

/// So many entries are shown to people who do not say how many they want.
const SHOWN: usize = 10_000;

#[derive(Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Forget answers and failures, so that the next question is asked again
    Flush(FlushArgs),
    /// Show what is kept
    Dump(DumpArgs),
    /// Show how much is kept, by route
    Stats(StatsArgs),
}

#[derive(Args)]
struct Control {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = "/run/horizond/control.sock")]
    control: PathBuf,
}

#[derive(Args)]
#[group(skip)]
struct FlushArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    control: Control,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct ScopeArgs {
    /// What is kept of this name, all types, and the answer that a name above it does not exist
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// The same for this name and all below it
    #[arg(long, value_name = "NAME")]
    suffix: Option<Name>,
    /// What came by this route
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct DumpArgs {
    /// Only this name and those below it
    #[arg(long, value_name = "NAME")]
    suffix: Option<Name>,
    /// Only what came by this route
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Stop after so many entries; default: 10000, with --json all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print a JSON object a line, unsorted, as they come
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    control: Control,
}

#[derive(Args)]
struct StatsArgs {
    /// Print the JSON as it comes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    control: Control,
}

/// Why it was not done.
enum Failure {
    Control(ControlError),
    NotUnderstood(serde_json::Error),
    Output(io::Error),
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Failure {
        Failure::Control(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

/// Does what the arguments say.
pub fn run(args: &CacheArgs) -> ExitCode {
    let done = match &args.command {
        Command::Flush(args) => flush(args),
        Command::Dump(args) => dump(args),
        Command::Stats(args) => stats(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => {
            eprintln!("horizond: cannot write: {error}");
            ExitCode::FAILURE
        }
        Err(Failure::NotUnderstood(error)) => {
            eprintln!("horizond: the daemon's answer is not understood: {error}");
            ExitCode::FAILURE
        }
        // It runs, and does not do this: a route that it does not have.
        Err(Failure::Control(ControlError::Refused { status: 400, text })) => {
            eprintln!("horizond: {text}");
            ExitCode::FAILURE
        }
        Err(Failure::Control(error)) => {
            eprintln!("horizond: {error}");
            ExitCode::from(exit::UNAVAILABLE)
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(Failure::NotUnderstood)
}

fn flush(args: &FlushArgs) -> Result<(), Failure> {
    let scope = &args.scope;
    let name = |key: &str, name: &Name| format!("{key}={}", encode(&name.to_string()));
    let query = match (&scope.name, &scope.suffix, &scope.route) {
        (Some(only), _, _) => name("name", only),
        (_, Some(suffix), _) => name("suffix", suffix),
        (_, _, Some(route)) => format!("route={}", encode(route)),
        _ => "all".to_owned(),
    };
    let body = control::post(&args.control.control, &format!("/cache/flush?{query}"))?;
    let Flushed { entries } = parse(&body)?;
    let plural = if entries == 1 { "entry" } else { "entries" };
    writeln!(io::stdout(), "{entries} {plural} forgotten")?;
    Ok(())
}

fn stats(args: &StatsArgs) -> Result<(), Failure> {
    let body = control::get(&args.control.control, "/cache/stats")?;
    if args.json {
        writeln!(io::stdout(), "{}", String::from_utf8_lossy(&body))?;
        return Ok(());
    }
    let stats: CacheStats = parse(&body)?;
    write!(io::stdout(), "{}", render_cache_stats(&stats))?;
    Ok(())
}

fn dump(args: &DumpArgs) -> Result<(), Failure> {
    let limit = args.limit.map(|limit| limit as usize);
    let mut pages = Pages::new(args);
    if args.json {
        let mut out = BufWriter::new(io::stdout().lock());
        pages.each(limit.unwrap_or(usize::MAX), |entry| {
            serde_json::to_writer(&mut out, &entry).map_err(io::Error::from)?;
            out.write_all(b"\n")
        })?;
        out.flush()?;
        return Ok(());
    }
    let limit = limit.unwrap_or(SHOWN);
    let mut entries = Vec::new();
    // One more than is shown tells whether there are more.
    pages.each(limit.saturating_add(1), |entry| {
        entries.push(entry);
        Ok(())
    })?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let mut out = BufWriter::new(io::stdout().lock());
    write!(out, "{}", render_entries(entries))?;
    if more {
        writeln!(
            out,
            "... and more than these {limit}: --limit N shows more, --suffix NAME or --route ROUTE fewer"
        )?;
    }
    out.flush()?;
    Ok(())
}

/// The pages of the daemon's cache, one request each.
struct Pages<'a> {
    control: &'a Path,
    filter: String,
}

impl<'a> Pages<'a> {
    fn new(args: &'a DumpArgs) -> Pages<'a> {
        let suffix =
            args.suffix.as_ref().map(|name| format!("&suffix={}", encode(&name.to_string())));
        let route = args.route.as_ref().map(|route| format!("&route={}", encode(route)));
        let filter = suffix.unwrap_or_default() + &route.unwrap_or_default();
        Pages { control: &args.control.control, filter }
    }

    /// Hands over the entries as they come, `most` at the most.
    fn each(
        &mut self,
        most: usize,
        mut take: impl FnMut(EntryStatus) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let (mut left, mut from) = (most, String::new());
        loop {
            let limit = left.min(LONGEST_PAGE);
            let url = format!("/cache/dump?limit={limit}{}{from}", self.filter);
            let page: CachePage = parse(&control::get(self.control, &url)?)?;
            for entry in page.entries.into_iter().take(left) {
                take(entry)?;
                left -= 1;
            }
            match page.next {
                Some(next) if left > 0 => from = format!("&from={}", encode(&next)),
                _ => return Ok(()),
            }
        }
    }
}
