//! A load generator that costs less than what it loads: a fixed number of questions outstanding over
//! any number of clients, sent and received in batches. What is not answered in time is lost and
//! never asked again; what comes too late, or answers something else, is counted and is no answer.
//!
//! Usage: `bench-load [OPTIONS] ADDR:PORT...`; `bench-load --help` lists the options. The clients are
//! spread over the servers. Prints one line of pairs, a word and its number:
//!
//! ```text
//! sent 9 completed 9 lost 0 late 0 wrong 0 truncated 0 qps 12 p50_us 3.1 p99_us 4.2 NOERROR 9 ...
//! ```

mod clients;
mod questions;
mod tally;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use clients::Clients;
use horizond::sys::{Epoll, Events, Interest, RecvBatch};
use questions::{Edns, Questions};
use tally::Tally;

/// Datagrams taken and sent at a time.
const BATCH: usize = 64;
/// Longest answer that is looked at.
const SIZE: usize = 4096;

/// Asks as fast as it is answered, with a fixed number of questions outstanding.
#[derive(Parser)]
struct Options {
    /// Who is asked; the clients are spread over them
    #[arg(required = true)]
    servers: Vec<SocketAddr>,
    /// A file with a name and a type in each line
    #[arg(short = 'd', long)]
    names: Option<PathBuf>,
    /// A name and a type with {} in place of eight digits, such as "x{}.example A"; it takes turns
    /// with the file and with other patterns
    #[arg(short, long)]
    pattern: Vec<String>,
    /// The number that patterns begin with
    #[arg(short, long, default_value_t = 0)]
    first: u32,
    /// Clients, each a socket with a port of its own
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    clients: u32,
    /// Source addresses that the clients share, from 127.53.64.1 on
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    addresses: u32,
    /// Questions outstanding, all clients together
    #[arg(short = 'q', long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    outstanding: u32,
    /// After so many milliseconds a question is lost
    #[arg(short, long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
    /// Seconds to ask
    #[arg(short = 'l', long, default_value_t = 10.0)]
    seconds: f64,
    /// Times that the file is asked through; 0 is as often as time allows
    #[arg(short = 'n', long, default_value_t = 0)]
    runs: u32,
    /// Most questions in all; 0 is as many as time allows
    #[arg(short = 'm', long, default_value_t = 0)]
    most: u64,
    /// Ask with EDNS and this payload size
    #[arg(short, long)]
    edns: Option<u16>,
    /// Set DO; payload size 1232 if none is given
    #[arg(short = 'D', long)]
    dnssec: bool,
    /// The address that each answer must hold in its first record, else it is wrong
    #[arg(short = 'A', long)]
    answer: Option<Ipv4Addr>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(options.seconds > 0.0 && options.seconds <= 600.0, "seconds: above 0, up to 600");
    horizond::sys::raise_open_files()?;
    let edns = match (options.edns, options.dnssec) {
        (None, false) => None,
        (size, dnssec) => Some(Edns { size: size.unwrap_or(1232), dnssec }),
    };
    let mut questions = Questions::new(edns);
    if let Some(file) = &options.names {
        questions.add_file(file, options.runs)?;
    }
    for pattern in &options.pattern {
        questions.add_pattern(pattern, options.first)?;
    }
    questions.limit(options.most);
    ensure!(!questions.is_empty(), "nothing to ask: --names or --pattern is needed");
    let mut clients = Clients::new(
        &options.servers,
        options.clients as usize,
        options.addresses,
        options.outstanding as usize,
    )?;
    let tally = run(&options, &mut questions, &mut clients)?;
    println!("{tally}");
    Ok(())
}

/// Asks until the time is over or nothing is left to ask, then waits for what is outstanding.
fn run(
    options: &Options,
    questions: &mut Questions,
    clients: &mut Clients,
) -> anyhow::Result<Tally> {
    let epoll = Epoll::new()?;
    for (i, socket) in clients.sockets().iter().enumerate() {
        epoll.add(socket, i as u64, Interest::Read)?;
    }
    let mut events = Events::new(256);
    let mut received = RecvBatch::new(BATCH, SIZE);
    let mut tally = Tally::new(options.answer);
    let patience = Duration::from_millis(options.timeout_ms);
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(options.seconds);
    let mut swept = began;
    clients.ask(questions, began);
    loop {
        epoll.wait(&mut events, Some(patience.min(Duration::from_millis(20))))?;
        let now = Instant::now();
        if now >= until && !questions.is_closed() {
            questions.close();
            tally.stop_clock(now - began);
        }
        for event in events.iter() {
            let client = event.token as usize;
            // What ICMP reports concerns one datagram, whose question will be lost.
            let Ok(count) = received.receive(&clients.sockets()[client]) else { continue };
            let now = Instant::now();
            for i in 0..count {
                let answered = clients.answered(client, received.bytes(i), questions, &mut tally);
                if let Some(sent) = answered {
                    tally.took(now.saturating_duration_since(sent), now - began);
                }
            }
            clients.ask(questions, now);
        }
        if now - swept > patience / 8 {
            swept = now;
            tally.lost += clients.sweep(now, patience);
            clients.ask(questions, now);
        }
        if clients.outstanding() == 0 {
            tally.sent = clients.sent();
            return Ok(tally);
        }
    }
}
