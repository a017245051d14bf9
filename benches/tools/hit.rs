//! Asks for names that are in the cache, in batches as a shard takes them, for callgrind to count
//! the instructions of: `benches/instructions/check` runs it.
//!
//! All that is counted happens in [`counted_batch`]: from the received datagrams to the answers
//! queued for sending. The system calls around it, the filling of the cache and the checking of
//! every answer are outside. It ends with an error if one answer was no hit, or not the right one.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use horizond::serve::{Client, Desk, Foreseen, Step};
use horizond::sys::{RecvBatch, SendBatch};
use horizond::telemetry::labels::Proto;
use horizond::telemetry::snapshot::Snapshot;
use horizond::time::Clock;
use horizond::wire::edns::{OPT_LEN, OUR_PAYLOAD};
use horizond::wire::{header, read_u16, read_u32, rtype};

mod made;

use made::Numbers;

/// Names in the cache, each with an answer for A and one for AAAA.
const NAMES: usize = 1000;
/// Batches that are counted, and their size.
const BATCHES: usize = 3125;
const BATCH: usize = 32;
/// Longest query that a shard reads.
const QUERY: usize = 4096;
/// Age of the entries when they are first asked for, so that TTLs have to be changed.
const AGE: Duration = Duration::from_secs(7);
/// Time from batch to batch: 200,000 queries a second.
const BETWEEN: Duration = Duration::from_micros(160);

/// What of a shard a hit passes through.
struct Shard {
    desk: Desk,
    clock: Clock,
    socket: UdpSocket,
    received: RecvBatch,
    sends: SendBatch,
}

impl Shard {
    /// The batch that was received last, as `listen::udp::Shard` serves it; returns how many
    /// answers are queued.
    #[inline(never)]
    fn serve(&mut self, count: usize) -> usize {
        self.desk.refresh();
        let now = self.clock.now();
        let mut queued = 0;
        let mut foreseen = [Foreseen::default(); BATCH];
        for (i, place) in foreseen.iter_mut().enumerate().take(count) {
            *place = self.desk.foresee(self.received.bytes(i));
        }
        foreseen.iter().take(count).for_each(|&place| self.desk.foresee_answer(place));
        for (i, foreseen) in foreseen.into_iter().enumerate().take(count) {
            let Some(addr) = self.received.from(i) else { continue };
            if self.received.is_cut(i) || self.sends.is_full() {
                continue;
            }
            let client = Client { addr, proto: Proto::Udp };
            let out = self.sends.next_buffer();
            let packet = self.received.bytes(i);
            if let Step::Reply(len) = self.desk.ask(packet, foreseen, client, now, out) {
                self.sends.queue(len, addr);
                queued += 1;
            }
        }
        self.desk.end_batch(now, self.clock.now());
        queued
    }
}

/// The part that is counted, known to callgrind by its name.
#[inline(never)]
fn counted_batch(shard: &mut Shard, count: usize, hits: &mut usize) {
    *hits += shard.serve(count);
}

/// A query, and what its answer must be like.
struct Asked {
    packet: Vec<u8>,
    question_end: usize,
    addresses: u8,
    edns: bool,
}

/// How many addresses a question's answer has: none makes it negative.
fn addresses(number: usize, qtype: u16) -> u8 {
    match qtype {
        rtype::A => 1 + (number / 3 % 4) as u8,
        _ => (number / 3 % 3) as u8,
    }
}

fn fill(desk: &Desk) -> anyhow::Result<()> {
    for number in 0..NAMES {
        let (name, route) = made::name(number)?;
        for qtype in [rtype::A, rtype::AAAA] {
            let key = made::key(name.as_wire(), qtype);
            let answer = made::answer(name.as_wire(), qtype, addresses(number, qtype));
            made::put(&desk.server.cache, &key, &answer, route);
        }
    }
    Ok(())
}

/// One question: half of them with EDNS, one in eight not in lower case.
fn question(number: usize, qtype: u16, numbers: &mut Numbers) -> anyhow::Result<Asked> {
    let (name, _) = made::name(number)?;
    let mut name = name.as_wire().to_vec();
    if numbers.below(8) == 0 {
        name = made::mixed_case(&name, numbers);
    }
    let edns = numbers.below(2) == 0;
    let packet = made::query(numbers.below(0x1_0000) as u16, &name, qtype, edns)?;
    let question_end = header::LEN + name.len() + 4;
    Ok(Asked { packet, question_end, addresses: addresses(number, qtype), edns })
}

/// A batch of questions, some names asked for more often than others.
fn batch(numbers: &mut Numbers) -> anyhow::Result<Vec<Asked>> {
    let mut one = || {
        let number = numbers.below(NAMES) * numbers.below(NAMES) / NAMES;
        let qtype = [rtype::A, rtype::AAAA][numbers.below(2)];
        question(number, qtype, numbers)
    };
    (0..BATCH).map(|_| one()).collect()
}

/// Whether these are the bytes of the right answer, aged by `age` seconds.
fn is_answer(asked: &Asked, answer: &[u8], age: u32) -> bool {
    let Some(head) = header::Header::read(answer) else { return false };
    let counts = [1, asked.addresses.into(), (asked.addresses == 0).into(), asked.edns.into()];
    let question = header::LEN..asked.question_end;
    header::id(&asked.packet) == Some(head.id)
        && head.has(header::flag::QR)
        && head.rcode() == 0
        && head.counts == counts
        && answer.get(question.clone()) == asked.packet.get(question)
        // The first record's TTL comes after its owner, type and class.
        && read_u32(answer, asked.question_end + 6) == Some(made::TTL - age)
        && (!asked.edns || read_u16(answer, answer.len() - OPT_LEN + 1) == Some(rtype::OPT))
}

/// Who asks, and looks at what comes back.
struct Asker {
    socket: UdpSocket,
    server: SocketAddr,
    sends: SendBatch,
    received: RecvBatch,
}

impl Asker {
    /// Sends a batch of questions, has `serve` answer it, and checks the answers.
    fn round(
        &mut self,
        questions: &[Asked],
        shard: &mut Shard,
        mut serve: impl FnMut(&mut Shard, usize),
    ) -> anyhow::Result<()> {
        for asked in questions {
            self.sends.next_buffer()[..asked.packet.len()].copy_from_slice(&asked.packet);
            self.sends.queue(asked.packet.len(), self.server);
        }
        ensure!(self.sends.flush(&self.socket) == 0, "the queries cannot be sent");
        let count = shard.received.receive(&shard.socket).context("no query came")?;
        ensure!(count == questions.len(), "{count} of {} queries came", questions.len());
        serve(shard, count);
        ensure!(shard.sends.flush(&shard.socket) == 0, "the answers cannot be sent");
        let count = self.received.receive(&self.socket).context("no answer came")?;
        ensure!(count == questions.len(), "{count} of {} answers came", questions.len());
        let age = shard.clock.now().0 / 1_000_000;
        for (i, asked) in questions.iter().enumerate() {
            let answer = self.received.bytes(i);
            if !is_answer(asked, answer, age as u32) {
                bail!("to {:?} came {answer:?}", asked.packet);
            }
        }
        shard.clock.advance(BETWEEN);
        Ok(())
    }
}

fn hits_and_misses(desk: &Desk) -> (u64, u64) {
    let sums = Snapshot::of(&[std::sync::Arc::clone(&desk.stats)]);
    let sum = |count: fn(&Snapshot, u16) -> u64| sums.routes().map(|r| count(&sums, r)).sum();
    (sum(Snapshot::hits), sum(Snapshot::misses))
}

fn main() -> anyhow::Result<()> {
    let clock = Clock::manual();
    let desk = made::desk(clock.clone())?;
    fill(&desk)?;
    clock.advance(AGE);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut asker = Asker {
        socket: UdpSocket::bind("127.0.0.1:0")?,
        server: socket.local_addr()?,
        sends: SendBatch::new(BATCH, QUERY),
        received: RecvBatch::new(BATCH, OUR_PAYLOAD.into()),
    };
    let (received, sends) =
        (RecvBatch::new(BATCH, QUERY), SendBatch::new(BATCH, OUR_PAYLOAD.into()));
    let mut shard = Shard { desk, clock, socket, received, sends };

    let mut numbers = Numbers(1);
    // What comes before the counting: each question once, then as many as will be counted, so that
    // what a thread does once in so many hits has its share.
    for number in 0..NAMES {
        let questions = [rtype::A, rtype::AAAA].map(|qtype| question(number, qtype, &mut numbers));
        let questions = questions.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        asker.round(&questions, &mut shard, |shard, count| {
            shard.serve(count);
        })?;
    }
    for _ in 0..BATCHES {
        asker.round(&batch(&mut numbers)?, &mut shard, |shard, count| {
            shard.serve(count);
        })?;
    }
    let (before, _) = hits_and_misses(&shard.desk);
    let mut queued = 0;
    for _ in 0..BATCHES {
        asker.round(&batch(&mut numbers)?, &mut shard, |shard, count| {
            counted_batch(shard, count, &mut queued);
        })?;
    }
    let (hits, misses) = hits_and_misses(&shard.desk);
    let hits = hits - before;
    ensure!(misses == 0, "{misses} questions were no hits");
    ensure!(queued == BATCHES * BATCH && hits == queued as u64, "{queued} answers, {hits} hits");
    println!("{hits} hits");
    Ok(())
}
