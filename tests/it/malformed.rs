//! The whole daemon under malformed packets, over real sockets.
//!
//! How many is in `HORIZOND_MALFORMED`; a tenth of them warms up before memory is first read.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Shutdown, UdpSocket};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use horizond::wire::query::Query;

use crate::daemon::{Daemon, PATIENCE, answers, corpus, framed, question, read_message, write_all};
use crate::promises::naive;

/// Packets on their way at a time: what the least receive buffer of either side holds.
const FLIGHT: usize = 64;
/// How much the resident set may have grown since the warm-up, in KiB.
const GROWTH: u64 = 4 * 1024;

/// Questions with an answer that stays the same.
const PROBES: [(&str, u16); 4] = [
    ("api.default.svc.cluster.local", 1),
    ("db.c.binrc.com", 1),
    ("www.example.com", 1),
    ("localhost", 28),
];

fn count() -> usize {
    std::env::var("HORIZOND_MALFORMED").map_or(100_000, |n| n.parse().unwrap())
}

/// Makes packets that are no sound queries.
struct Maker {
    rng: StdRng,
    seeds: Vec<Vec<u8>>,
}

impl Maker {
    fn new(seed: u64) -> Maker {
        let mut seeds = corpus("query");
        seeds.extend(corpus("roundtrip"));
        seeds.extend(PROBES.map(|(name, qtype)| question(0, name, qtype)));
        seeds.retain(|seed| seed.len() >= 12);
        Maker { rng: StdRng::seed_from_u64(seed), seeds }
    }

    /// One packet with this id, where it is long enough to have one.
    fn packet(&mut self, id: u16) -> Vec<u8> {
        loop {
            let mut packet = match self.rng.random_range(0..10u8) {
                0 => self.noise(600),
                1 => self.behind_a_header(),
                2 => self.cut(),
                _ => self.spoiled(),
            };
            packet.iter_mut().zip(id.to_be_bytes()).for_each(|(old, new)| *old = new);
            // A query that is sound after all would fill the cache with its name.
            if Query::parse(&packet).is_err() {
                return packet;
            }
        }
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        let len = self.rng.random_range(0..most);
        (0..len).map(|_| self.rng.random()).collect()
    }

    fn behind_a_header(&mut self) -> Vec<u8> {
        let mut packet = vec![0, 0, self.rng.random_range(0..2), 0];
        for _ in 0..4 {
            packet.extend([0, self.rng.random_range(0..4)]);
        }
        packet.extend(self.noise(300));
        packet
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.rng.random_range(0..self.seeds.len());
        self.seeds[at].clone()
    }

    fn cut(&mut self) -> Vec<u8> {
        let mut packet = self.seed();
        packet.truncate(self.rng.random_range(0..packet.len()));
        packet
    }

    fn spoiled(&mut self) -> Vec<u8> {
        let mut packet = self.seed();
        for _ in 0..self.rng.random_range(1..6) {
            let at = self.rng.random_range(0..packet.len());
            match self.rng.random_range(0..6u8) {
                0 => packet[at] ^= 1 << self.rng.random_range(0..8),
                1 => packet[at] = self.rng.random(),
                2 => packet.insert(at, self.rng.random()),
                3 if packet.len() > 1 => drop(packet.remove(at)),
                4 => {
                    let count: u8 = self.rng.random();
                    packet.iter_mut().skip(4 + at % 8).take(1).for_each(|old| *old = count);
                }
                _ => {
                    let pointer = 0xc000 | self.rng.random_range(0..packet.len() as u16 + 4);
                    let place = packet.iter_mut().skip(at);
                    place.zip(u16::to_be_bytes(pointer)).for_each(|(old, new)| *old = new);
                }
            }
        }
        packet
    }
}

/// What is to be answered at all: a header, and not the header of an answer.
fn deserves_answer(packet: &[u8]) -> bool {
    packet.len() >= 12 && packet[2] & 0x80 == 0
}

struct Clients {
    sockets: Vec<UdpSocket>,
    answered: usize,
}

impl Clients {
    /// Several, so that the kernel spreads them over all shards.
    fn new(daemon: &Daemon) -> Clients {
        let sockets = (0..8).map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.connect(daemon.addr).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        });
        Clients { sockets: sockets.collect(), answered: 0 }
    }

    /// Sends a flight from one socket, and a probe behind it; takes exactly the answers due.
    fn fly(&mut self, turn: usize, packets: &[Vec<u8>], expected: &[Vec<Vec<u8>>]) {
        let socket = &self.sockets[turn % self.sockets.len()];
        let mut due: HashSet<u16> = HashSet::new();
        for (id, packet) in packets.iter().enumerate() {
            socket.send(packet).unwrap();
            if deserves_answer(packet) {
                due.insert(id as u16);
            }
        }
        let which = turn % PROBES.len();
        let (name, qtype) = PROBES[which];
        let probe = question(0xffff, name, qtype);
        socket.send(&probe).unwrap();
        due.insert(0xffff);
        let mut answer = [0; 2048];
        while !due.is_empty() {
            let len = socket.recv(&mut answer).unwrap_or_else(|error| {
                panic!("{} answers are missing: {error}", due.len());
            });
            let answer = &answer[..len];
            let read = naive::parse(answer).expect("an answer is sound to its last byte");
            assert!(due.remove(&read.id), "an answer to nothing, or a second one");
            assert!(len <= 1232);
            if read.id == 0xffff {
                assert_eq!(answers(&probe, answer, qtype).as_ref(), Some(&expected[which]));
            } else {
                let packet = &packets[usize::from(read.id)];
                // BADVERS and BADCOOKIE have 0 and 7 here.
                assert!(matches!(read.flags & 0x0f, 0 | 1 | 4 | 5 | 7), "{packet:02x?}");
                self.answered += 1;
            }
        }
    }
}

fn expected_answers(daemon: &Daemon) -> Vec<Vec<Vec<u8>>> {
    let ask = |(name, qtype): (&str, u16)| {
        let query = question(9, name, qtype);
        let answer = daemon.ask(&query, PATIENCE).unwrap();
        let found = answers(&query, &answer, qtype).unwrap();
        assert!(!found.is_empty(), "{name} has no answer to compare with");
        found
    };
    PROBES.map(ask).into()
}

#[test]
fn malformed_datagrams() {
    let (count, seed) = (count(), rand::random());
    println!("{count} packets, seed {seed}");
    let mut daemon = Daemon::demo();
    let expected = expected_answers(&daemon);
    let (threads, mut maker) = (daemon.threads(), Maker::new(seed));
    let mut clients = Clients::new(&daemon);
    let (flights, started) = (count.div_ceil(FLIGHT), Instant::now());
    let mut warm = 0;
    for turn in 0..flights {
        if turn == flights / 10 {
            warm = daemon.resident();
        }
        let packets: Vec<Vec<u8>> = (0..FLIGHT).map(|id| maker.packet(id as u16)).collect();
        clients.fly(turn, &packets, &expected);
    }
    let (took, end) = (started.elapsed(), daemon.resident());
    println!(
        "{} packets in {took:.1?}, {} answered, {flights} probes right; \
         resident {warm} KiB after a tenth, {end} KiB at the end",
        flights * FLIGHT,
        clients.answered
    );
    daemon.assert_alive();
    assert_eq!(daemon.threads(), threads, "the threads are not those of before:\n{}", daemon.log());
    assert!(end <= warm + GROWTH, "grew from {warm} to {end} KiB");
    assert_eq!(expected_answers(&daemon), expected);
    daemon.stop();
}

/// What one connection does that no client should.
fn misbehave(daemon: &Daemon, maker: &mut Maker, how: u8) -> usize {
    let mut stream = daemon.connect();
    let probe = question(0xffff, PROBES[0].0, 1);
    match how {
        // A length that promises more than comes.
        0 => {
            write_all(&mut stream, &[&[0xff, 0xff][..], &maker.noise(300)].concat());
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_message(&mut stream), None);
            0
        }
        // Half a message, or half a length.
        1 => {
            let whole = framed(&probe);
            let cut = maker.rng.random_range(1..whole.len());
            write_all(&mut stream, &whole[..cut]);
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_message(&mut stream), None);
            0
        }
        // Frames without a message, then a question: the frames are passed over.
        2 => {
            let empty = vec![0; 2 * maker.rng.random_range(1..400usize)];
            assert!(write_all(&mut stream, &[&empty[..], &framed(&probe)].concat()));
            let answer = read_message(&mut stream).unwrap();
            assert_eq!(answers(&probe, &answer, 1).map(|found| found.len()), Some(1));
            1
        }
        // Noise without frames.
        3 => {
            write_all(&mut stream, &maker.noise(3000));
            let _ = stream.shutdown(Shutdown::Write);
            std::iter::from_fn(|| read_message(&mut stream)).count()
        }
        // Gone before the answers come.
        4 => {
            let packets: Vec<u8> = (0..100).flat_map(|id| framed(&maker.packet(id))).collect();
            write_all(&mut stream, &packets);
            0
        }
        _ => pipeline(&mut stream, maker, &probe),
    }
}

/// Many malformed messages in one write and a question behind them: each gets what it deserves.
fn pipeline(stream: &mut std::net::TcpStream, maker: &mut Maker, probe: &[u8]) -> usize {
    let packets: Vec<Vec<u8>> = (0..300).map(|id| maker.packet(id)).collect();
    let due = packets.iter().filter(|packet| deserves_answer(packet)).count();
    let bytes: Vec<u8> =
        packets.iter().map(Vec::as_slice).chain([probe]).flat_map(framed).collect();
    assert!(write_all(stream, &bytes));
    stream.shutdown(Shutdown::Write).unwrap();
    let got: Vec<Vec<u8>> = std::iter::from_fn(|| read_message(stream)).collect();
    assert_eq!(got.len(), due + 1);
    for answer in &got {
        let read = naive::parse(answer).expect("an answer is sound to its last byte");
        assert!(read.flags & 0x8000 != 0);
    }
    let probed = got.iter().filter(|answer| answer[..2] == [0xff, 0xff]);
    assert_eq!(probed.filter_map(|answer| answers(probe, answer, 1)).count(), 1);
    got.len()
}

#[test]
fn malformed_streams() {
    let (connections, seed) = ((count() / 500).max(60), rand::random());
    println!("{connections} connections, seed {seed}");
    let mut daemon = Daemon::demo();
    let expected = expected_answers(&daemon);
    let (threads, mut maker) = (daemon.threads(), Maker::new(seed));
    let (started, mut messages, mut warm) = (Instant::now(), 0, 0);
    for turn in 0..connections {
        if turn == connections / 5 {
            warm = daemon.resident();
        }
        messages += misbehave(&daemon, &mut maker, (turn % 6) as u8);
        daemon.assert_alive();
    }
    let (took, end) = (started.elapsed(), daemon.resident());
    println!(
        "{connections} connections in {took:.1?}, {messages} answers; \
         resident {warm} KiB after a fifth, {end} KiB at the end"
    );
    assert!(took < Duration::from_secs(600));
    assert_eq!(daemon.threads(), threads, "the threads are not those of before:\n{}", daemon.log());
    assert!(end <= warm + GROWTH, "grew from {warm} to {end} KiB");
    assert_eq!(expected_answers(&daemon), expected);
    daemon.stop();
}
