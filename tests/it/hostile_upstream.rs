//! The whole daemon with an upstream that lies, stammers, floods or hangs up.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::daemon::{Daemon, PATIENCE, answers, framed, question, read_message};
use crate::promises::naive;

const GOOD: [u8; 4] = [192, 0, 2, 80];
/// What a client must never see.
const FORGED: [u8; 4] = [203, 0, 113, 66];
/// The routes' deadline and some time for a busy machine.
const DEADLINE: Duration = Duration::from_secs(4);
/// Questions on their way at a time.
const FLIGHT: usize = 72;
/// How much the resident set may have grown in all, in KiB.
const GROWTH: u64 = 8 * 1024;

/// What it does over UDP: one way for each first letter of the name asked.
const WAYS: &[u8] = b"abcdefghijklmnopqr";

/// A server with a fault for every name, and none once it is told to behave.
struct Hostile {
    addr: SocketAddr,
    behaves: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Hostile {
    /// Serves until the test ends.
    fn start(ip: Ipv4Addr) -> Hostile {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((ip, 0)).unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let addr = udp.local_addr().unwrap();
        let (behaves, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (good, count) = (Arc::clone(&behaves), Arc::clone(&asked));
        thread::spawn(move || {
            let mut query = [0; 4096];
            let mut rng = StdRng::seed_from_u64(rand::random());
            while let Ok((len, from)) = udp.recv_from(&mut query) {
                count.fetch_add(1, Ordering::Relaxed);
                for datagram in datagrams(&query[..len], good.load(Ordering::Relaxed), &mut rng) {
                    let _ = udp.send_to(&datagram, from);
                }
            }
        });
        let (good, count) = (Arc::clone(&behaves), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let (good, count) = (Arc::clone(&good), Arc::clone(&count));
                thread::spawn(move || serve_stream(stream, &good, &count));
            }
        });
        Hostile { addr, behaves, asked }
    }
}

/// The honest answer: one address, a CNAME in front of it for variety, and an OPT.
fn honest(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let asked = naive::parse(query).expect("the daemon's queries are sound");
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 1]);
    answer.extend(&asked.question);
    answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x06\x03own\xc0\x0c");
    let target = 12 + asked.question.len() as u16 + 12;
    answer.extend((0xc000 | target).to_be_bytes());
    answer.extend(b"\0\x01\0\x01\0\0\x01\x2c\0\x04");
    answer.extend(address);
    answer.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    answer
}

fn noise(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let len = rng.random_range(0..most);
    (0..len).map(|_| rng.random()).collect()
}

/// The answer with some bytes behind the question changed.
fn spoiled(query: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut answer = honest(query, GOOD);
    let question_end = query.len().min(answer.len() - 12);
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(question_end.min(30)..answer.len());
        answer[at] = rng.random();
    }
    answer
}

fn way(query: &[u8]) -> u8 {
    query.get(13).copied().unwrap_or(0)
}

/// What goes back over UDP.
fn datagrams(query: &[u8], good: bool, rng: &mut StdRng) -> Vec<Vec<u8>> {
    let real = honest(query, GOOD);
    let forged = honest(query, FORGED);
    let changed = |at: usize, bits: u8| {
        let mut other = forged.clone();
        other[at] ^= bits;
        other
    };
    if good {
        return vec![real];
    }
    match way(query) {
        b'a' => vec![noise(rng, 600)],
        b'b' => vec![[&query[..2], &noise(rng, 600)].concat()],
        b'c' => vec![spoiled(query, rng)],
        b'd' => vec![real[..rng.random_range(0..real.len())].to_vec()],
        // Wrong ids, and the right one at last.
        b'e' => (1..40).map(|id| changed(1, id)).chain([real]).collect(),
        // The right id, but another question, type or class.
        b'f' => vec![changed(14, 1), changed(query.len() - 17, 1), real],
        b'g' => vec![changed(2, 0x80), real],
        b'h' => vec![vec![], vec![0], query[..2].to_vec(), query.to_vec(), real],
        b'i' => vec![real.clone(), forged, noise(rng, 100), real],
        b'j' => vec![],
        b'k' => vec![[&real[..], &vec![0; 60_000]].concat()],
        // Truncated: the real one is asked for over TCP, where worse happens.
        b'l' => vec![[&real[..2], &[0x83, 0x80], &real[4..]].concat()],
        b'm' => vec![[&real[..2], &[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]].concat()],
        b'n' => vec![[&real[..6], &[0xff; 6], &real[12..]].concat()],
        b'o' => (0..200).map(|_| [&query[..2], &noise(rng, 60)].concat()).collect(),
        b'p' => vec![[&real[..2], &[0x81, 0x82], &real[4..]].concat()],
        b'q' => vec![behind_an_opt(query)],
        _ => vec![pointing_at_header(query)],
    }
}

/// Records behind an OPT, one of them of another class and cut short.
fn behind_an_opt(query: &[u8]) -> Vec<u8> {
    let mut answer = honest(query, GOOD);
    answer[11] = 2;
    answer.extend(b"\0\0\x0f\0\x03\0\0\0\x01\0\0");
    answer
}

/// An owner whose pointer leads to the id.
fn pointing_at_header(query: &[u8]) -> Vec<u8> {
    let mut answer = honest(query, GOOD);
    answer[11] = 2;
    answer.extend(b"\xc0\x00\0\x01\0\x01\0\0\0\x01\0\x04\x01\x02\x03\x04");
    answer
}

fn serve_stream(mut stream: TcpStream, good: &AtomicBool, count: &AtomicUsize) {
    let mut rng = StdRng::seed_from_u64(rand::random());
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_write_timeout(Some(PATIENCE));
    while let Some(query) = read_message(&mut stream) {
        count.fetch_add(1, Ordering::Relaxed);
        let well = if good.load(Ordering::Relaxed) {
            stream.write_all(&framed(&honest(&query, GOOD))).is_ok()
        } else {
            over_stream(&mut stream, &query, &mut rng).is_ok()
        };
        if !well {
            return;
        }
    }
}

/// What goes back over TCP.
fn over_stream(stream: &mut TcpStream, query: &[u8], rng: &mut StdRng) -> std::io::Result<()> {
    let real = honest(query, GOOD);
    let whole = framed(&real);
    match way(query) {
        b'a' => stream.write_all(&noise(rng, 3000)),
        b'b' => stream.write_all(&framed(&[&query[..2], &noise(rng, 3000)].concat())),
        b'c' => stream.write_all(&framed(&spoiled(query, rng))),
        b'd' => {
            stream.write_all(&whole[..rng.random_range(0..whole.len())])?;
            stream.shutdown(Shutdown::Both)
        }
        b'e' => {
            let mut forged = honest(query, FORGED);
            forged[1] ^= 1;
            stream.write_all(&[framed(&forged), whole].concat())
        }
        b'f' => {
            let mut forged = honest(query, FORGED);
            forged[14] ^= 1;
            stream.write_all(&[framed(&forged), whole].concat())
        }
        b'g' => stream.write_all(&[&[0; 600][..], &whole].concat()),
        b'h' => stream.write_all(&[&framed(b"x")[..], &framed(query), &whole].concat()),
        b'i' => stream.write_all(&[&whole[..], &whole, &whole].concat()),
        b'j' => stream.shutdown(Shutdown::Both),
        // The longest message there is, with nothing in it but promises.
        b'k' => stream.write_all(&framed(&[&real[..], &vec![0; 65_535 - real.len()]].concat())),
        b'l' => whole.iter().try_for_each(|byte| stream.write_all(&[*byte])),
        b'm' => stream.write_all(&framed(&[&real[..2], &[0x83, 0x80], &real[4..]].concat())),
        // The longest answer there is, and a sound one.
        b'n' => stream.write_all(&framed(&longest(&real))),
        // More than anyone asked for, as fast as it goes.
        b'o' => (0..256).try_for_each(|_| stream.write_all(&[0; 65_536])),
        b'p' => stream.write_all(&[0xff; 1000]),
        b'q' => stream.write_all(&framed(&behind_an_opt(query))),
        _ => stream.write_all(&framed(&pointing_at_header(query))),
    }
}

/// Adds additional records until a message is full.
fn longest(real: &[u8]) -> Vec<u8> {
    let mut answer = real.to_vec();
    let mut additionals = 1u16;
    while answer.len() + 16 <= 65_535 {
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x01\x02\x03\x04");
        additionals += 1;
    }
    answer[10..12].copy_from_slice(&additionals.to_be_bytes());
    answer
}

/// How many answers there were, and of what kind.
#[derive(Debug, Default)]
struct Seen {
    answers: usize,
    failures: usize,
    longest: Duration,
}

/// Asks for many names at a time; every one has an answer or a failure before the deadline.
fn ask_all(daemon: &Daemon, names: &[String], seen: &mut Seen) {
    for names in names.chunks(FLIGHT) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(daemon.addr).unwrap();
        let started = Instant::now();
        let queries: Vec<Vec<u8>> =
            names.iter().enumerate().map(|(id, name)| question(id as u16, name, 1)).collect();
        for query in &queries {
            socket.send(query).unwrap();
        }
        let mut open: Vec<bool> = vec![true; names.len()];
        let mut answer = [0; 2048];
        while open.contains(&true) {
            let left = DEADLINE.saturating_sub(started.elapsed());
            assert!(!left.is_zero(), "no answer in time: {:?}", unanswered(names, &open));
            socket.set_read_timeout(Some(left)).unwrap();
            let Ok(len) = socket.recv(&mut answer) else { continue };
            let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
            assert!(std::mem::take(&mut open[id]), "a second answer for {}", names[id]);
            note(&names[id], &queries[id], &answer[..len], seen);
            seen.longest = seen.longest.max(started.elapsed());
        }
    }
}

fn unanswered<'a>(names: &'a [String], open: &[bool]) -> Vec<&'a str> {
    names.iter().zip(open).filter(|(_, open)| **open).map(|(name, _)| name.as_str()).collect()
}

fn note(name: &str, query: &[u8], message: &[u8], seen: &mut Seen) {
    let Some(found) = answers(query, message, 1) else {
        panic!("{name}: no sound answer: {message:02x?}");
    };
    assert!(!found.contains(&FORGED.to_vec()), "{name}: a forged answer was believed");
    match message[3] & 0x0f {
        2 => seen.failures += 1,
        _ => seen.answers += 1,
    }
    let first = name.as_bytes()[0];
    // Where the honest answer came too, nothing else must have won. Over TCP it may have been lost
    // with the connection, which others share.
    if b"efghi".contains(&first) {
        let lost = name.ends_with(".t.example") && message[3] & 0x0f == 2;
        assert!(lost || found == [GOOD.to_vec()], "{name}: {found:?}");
    }
}

fn names(zone: &str, round: usize, each: usize) -> Vec<String> {
    (0..each)
        .flat_map(|i| WAYS.iter().map(move |way| (i, *way as char)))
        .map(|(i, way)| format!("{way}{round}-{i}.{zone}"))
        .collect()
}

fn routes(hostile: &Hostile, good: &Hostile) -> String {
    let route = |name: &str, suffix: &str, upstream: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nsuffixes = [\"{suffix}\"]\n\
             upstreams = [\"{upstream}\"]\ntimeout = \"400ms\"\ndeadline = \"1s\"\n"
        )
    };
    [
        route("udp", "u.example", &hostile.addr.to_string()),
        route("tcp", "t.example", &format!("tcp://{}", hostile.addr)),
        route("good", "good.example", &good.addr.to_string()),
    ]
    .concat()
}

#[test]
fn a_hostile_upstream_harms_nobody() {
    let hostile = Hostile::start(Ipv4Addr::new(127, 0, 0, 77));
    let good = Hostile::start(Ipv4Addr::new(127, 0, 0, 78));
    good.behaves.store(true, Ordering::Relaxed);
    let mut daemon = Daemon::with_routes(&routes(&hostile, &good));
    let (threads, mut seen) = (daemon.threads(), Seen::default());
    let rounds = 4;
    let mut before = 0;
    for round in 0..rounds {
        ask_all(&daemon, &names("u.example", round, 6), &mut seen);
        ask_all(&daemon, &names("t.example", round, 6), &mut seen);
        daemon.assert_alive();
        let query = question(7, &format!("calm{round}.good.example"), 1);
        let answer = daemon.ask(&query, PATIENCE).expect("the good route is not affected");
        assert_eq!(answers(&query, &answer, 1), Some(vec![GOOD.to_vec()]));
        if round == 0 {
            before = daemon.resident();
        }
    }
    let after = daemon.resident();
    println!(
        "{seen:?}; {} queries reached the upstream; resident {before} KiB after the first round, \
         {after} KiB at the end",
        hostile.asked.load(Ordering::Relaxed)
    );
    assert!(seen.answers > 0 && seen.failures > 0, "{seen:?}");
    assert!(after <= before + GROWTH, "grew from {before} to {after} KiB");
    assert_eq!(daemon.threads(), threads, "the threads are not those of before:\n{}", daemon.log());
    recovers(&mut daemon, &hostile);
    daemon.stop();
}

/// The same server, behaving: good answers again, over both transports.
fn recovers(daemon: &mut Daemon, hostile: &Hostile) {
    hostile.behaves.store(true, Ordering::Relaxed);
    for zone in ["u.example", "t.example"] {
        let end = Instant::now() + PATIENCE;
        let mut turn = 0;
        // It may still count as down: then a probe finds it up again.
        loop {
            let query = question(8, &format!("z{turn}.{zone}"), 1);
            let answer = daemon.ask(&query, DEADLINE).expect("an answer or a failure");
            if answers(&query, &answer, 1) == Some(vec![GOOD.to_vec()]) {
                break;
            }
            assert!(Instant::now() < end, "{zone} does not recover");
            turn += 1;
        }
        for i in 0..50 {
            let query = question(i, &format!("y{i}.{zone}"), 1);
            let answer = daemon.ask(&query, DEADLINE).expect("an answer");
            assert_eq!(answers(&query, &answer, 1), Some(vec![GOOD.to_vec()]));
        }
    }
    daemon.assert_alive();
}
