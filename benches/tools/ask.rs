//! A small client for what a load generator does not tell: the latency of one question at a time,
//! and the time from the start of a server to its first answer.
//!
//! ```text
//! bench-ask latency NAME COUNT BLOCK ADDR:PORT...        blocks of BLOCK questions to each in turn
//! bench-ask start NAME CLASS/TYPE ADDR:PORT COMMAND...   starts COMMAND, ends it when it answers
//! ```
//!
//! Latency prints p50 and p99 of each server in microseconds; start prints milliseconds.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use horizond::wire::name::Name;

/// The longest wait for one answer, and for a server's first.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server that is being started is asked this often.
const EVERY: Duration = Duration::from_micros(200);
/// Questions to each server before those that count.
const WARM_UP: usize = 200;

const USAGE: &str = "usage: bench-ask latency NAME COUNT BLOCK ADDR:PORT...\n       \
    bench-ask start NAME CLASS/TYPE ADDR:PORT COMMAND...";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["latency", name, count, block, ref servers @ ..] if !servers.is_empty() => {
            let servers = servers.iter().map(|s| s.parse()).collect::<Result<Vec<_>, _>>()?;
            latency(name, count.parse()?, block.parse()?, &servers)
        }
        ["start", name, kind, server, ref command @ ..] if !command.is_empty() => {
            start(&query(name, kind)?, server.parse()?, command)
        }
        _ => bail!(USAGE),
    }
}

/// A query with RD, without EDNS; `kind` is `IN/A` or `CH/TXT`.
fn query(name: &str, kind: &str) -> anyhow::Result<Vec<u8>> {
    let name: Name = name.parse().with_context(|| format!("{name} is not a name"))?;
    let (qtype, qclass) = match kind {
        "IN/A" => (1u16, 1u16),
        "CH/TXT" => (16, 3),
        _ => bail!("{kind} is neither IN/A nor CH/TXT"),
    };
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name.as_wire());
    query.extend(qtype.to_be_bytes());
    query.extend(qclass.to_be_bytes());
    Ok(query)
}

/// One question at a time, to each server a block in turn, so that drift falls on all alike.
fn latency(name: &str, count: usize, block: usize, servers: &[SocketAddr]) -> anyhow::Result<()> {
    let mut query = query(name, "IN/A")?;
    let mut sockets = Vec::new();
    for server in servers {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        sockets.push((socket, Vec::with_capacity(count)));
        for _ in 0..WARM_UP {
            let last = &mut sockets.last_mut().context("no socket")?.0;
            ask(last, &mut query).with_context(|| format!("{server} does not answer"))?;
        }
    }
    let mut left = count;
    while left > 0 {
        let now = left.min(block.max(1));
        for (socket, times) in &mut sockets {
            for _ in 0..now {
                times.push(ask(socket, &mut query)?);
            }
        }
        left -= now;
    }
    for (server, (_, mut times)) in servers.iter().zip(sockets) {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        println!("{server} p50 {:.1} p99 {:.1}", micros(at(50)), micros(at(99)));
    }
    Ok(())
}

/// Asks once under the next id; the time from sending to having the answer.
fn ask(socket: &UdpSocket, query: &mut [u8]) -> anyhow::Result<Duration> {
    let id = u16::from_be_bytes([query[0], query[1]]).wrapping_add(1).to_be_bytes();
    query[..2].copy_from_slice(&id);
    let mut answer = [0u8; 4096];
    let sent = Instant::now();
    socket.send(query)?;
    let len = socket.recv(&mut answer)?;
    let took = sent.elapsed();
    ensure!(is_answer(&answer[..len], id), "an answer to something else, or a failure");
    Ok(took)
}

/// QR is set, the id is ours, the rcode is NOERROR.
fn is_answer(bytes: &[u8], id: [u8; 2]) -> bool {
    bytes.len() >= 12 && bytes[..2] == id && bytes[2] & 0x80 != 0 && bytes[3] & 0x0f == 0
}

/// Starts a server, asks until it answers without a failure, ends it.
fn start(query: &[u8], server: SocketAddr, command: &[&str]) -> anyhow::Result<()> {
    // Not connected: nobody listens at first, and refusals would come back as errors.
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let mut child = Command::new(command[0]);
    child.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = child.spawn().with_context(|| format!("cannot start {}", command[0]))?;
    let took = first_answer(&socket, query, server, began);
    child.kill()?;
    child.wait()?;
    println!("{:.1}", took?.as_secs_f64() * 1e3);
    Ok(())
}

fn first_answer(
    socket: &UdpSocket,
    query: &[u8],
    server: SocketAddr,
    began: Instant,
) -> anyhow::Result<Duration> {
    let mut answer = [0u8; 4096];
    let mut ask_at = began;
    loop {
        let now = Instant::now();
        ensure!(now - began < PATIENCE, "no answer from {server} in {} s", PATIENCE.as_secs());
        if now >= ask_at {
            socket.send_to(query, server)?;
            ask_at = now + EVERY;
        }
        match socket.recv_from(&mut answer) {
            Ok((len, from)) if from == server && is_answer(&answer[..len], [0, 0]) => {
                return Ok(began.elapsed());
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_micros(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
