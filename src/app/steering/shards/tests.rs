//! Against sockets that share a port as the shards do, each with a thread that answers, or not.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;

use super::*;
use crate::answer::Question;
use crate::listen::bind_udp;
use crate::local::chaos;
use crate::wire::{CLASS_CH, rtype};

/// A port with shards behind it; they end when dropped.
struct Fake {
    addr: SocketAddr,
    stuck: Vec<Arc<AtomicBool>>,
    refusing: Arc<AtomicBool>,
    swapped: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Fake {
    fn new(count: usize) -> Fake {
        Fake::at("127.0.0.1:0".parse().unwrap(), count)
    }

    fn at(addr: SocketAddr, count: usize) -> Fake {
        let first = bind_udp(addr, 1 << 16).unwrap();
        let addr = first.local_addr().unwrap();
        let others = (1..count).map(|_| bind_udp(addr, 1 << 16).unwrap());
        let sockets: Vec<UdpSocket> = [first].into_iter().chain(others).collect();
        let [refusing, swapped, end] = [(); 3].map(|()| Arc::<AtomicBool>::default());
        let (mut stuck, mut threads) = (Vec::new(), Vec::new());
        for (number, socket) in sockets.into_iter().enumerate() {
            let is_stuck = Arc::new(AtomicBool::new(false));
            stuck.push(Arc::clone(&is_stuck));
            let [refusing, swapped, end] = [&refusing, &swapped, &end].map(Arc::clone);
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            threads.push(std::thread::spawn(move || {
                let mut query = [0; 512];
                while !end.load(SeqCst) {
                    let Ok((len, from)) = socket.recv_from(&mut query) else { continue };
                    if !is_stuck.load(SeqCst) {
                        let number = if swapped.load(SeqCst) { count - 1 - number } else { number };
                        let answer = answer(&query[..len], number, refusing.load(SeqCst));
                        socket.send_to(&answer, from).unwrap();
                    }
                }
            }));
        }
        Fake { addr, stuck, refusing, swapped, end, threads }
    }

    fn set(&self, shard: usize, stuck: bool) {
        self.stuck[shard].store(stuck, SeqCst);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.store(true, SeqCst);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn answer(query: &[u8], number: usize, refused: bool) -> Vec<u8> {
    let name = crate::local::chaos::SHARD;
    let question = Question { name, qtype: rtype::TXT, qclass: CLASS_CH };
    let mut bytes = chaos::answer(question, &[format!("shard-{number}")]).wire().to_vec();
    bytes[..2].copy_from_slice(&query[..2]);
    bytes[3] |= if refused { 5 } else { 0 };
    bytes
}

fn shards(fakes: &[&Fake], count: usize) -> Shards {
    let addresses: Vec<SocketAddr> = fakes.iter().map(|fake| fake.addr).collect();
    let overload = Overload::new(addresses.clone(), Vec::new());
    Shards::new(addresses, count, overload).unwrap()
}

#[test]
fn one_socket_for_each_shard_is_found_and_kept() {
    let (one, other) = (Fake::new(4), Fake::new(4));
    let mut shards = shards(&[&one, &other], 4);
    (0..2).for_each(|beat| shards.ask(beat).unwrap());
    let kept: Vec<u64> = shards.lines.keys().copied().collect();
    assert_eq!(kept.len(), 8, "two addresses, four shards");
    (2..20).for_each(|beat| shards.ask(beat).unwrap());
    assert_eq!(shards.lines.keys().copied().collect::<Vec<_>>(), kept);
}

#[test]
fn one_stuck_shard_of_four_is_missed_at_once_and_found_again() {
    let fake = Fake::new(4);
    let mut shards = shards(&[&fake], 4);
    shards.ask(0).unwrap();
    for stuck in [2, 0] {
        fake.set(stuck, true);
        let began = Instant::now();
        let missed = shards.ask(1).unwrap_err();
        assert!(began.elapsed() < TRY * TRIES * 2, "{:?}", began.elapsed());
        assert_eq!((missed.shard, missed.busy), (Some(stuck), false));
        assert!(missed.to_string().ends_with("no answer"), "{missed}");
        fake.set(stuck, false);
        shards.ask(2).unwrap();
    }
}

/// A shard that has been stuck from the beginning has no socket that would be known to lead to it.
#[test]
fn a_shard_that_never_answered_is_missed() {
    let fake = Fake::new(2);
    fake.set(1, true);
    let mut shards = shards(&[&fake], 2);
    for beat in 0..3 {
        assert_eq!(shards.ask(beat).unwrap_err().shard, Some(1));
        assert!(shards.lines.len() <= 1, "what leads nowhere is not kept");
    }
    fake.set(1, false);
    shards.ask(3).unwrap();
}

#[test]
fn a_refusal_or_a_closed_port_is_a_miss_at_once() {
    let fake = Fake::new(2);
    let mut shards = shards(&[&fake], 2);
    shards.ask(0).unwrap();
    fake.refusing.store(true, SeqCst);
    let missed = shards.ask(1).unwrap_err();
    assert!(matches!(missed.fault, Fault::Refused), "{missed}");
    fake.refusing.store(false, SeqCst);
    shards.ask(2).unwrap();

    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let overload = Overload::new(vec![closed], Vec::new());
    let mut shards = Shards::new(vec![closed], 2, overload).unwrap();
    let missed = shards.ask(0).unwrap_err();
    assert!(matches!(missed.fault, Fault::Io(_)), "{missed}");
}

/// What the system says about the questions of one beat must not be held against the next.
#[test]
fn who_was_gone_is_heard_at_once_when_it_is_back() {
    let (one, other) = (Fake::new(2), Fake::new(2));
    let addresses = [one.addr, other.addr];
    let mut shards = shards(&[&one, &other], 2);
    (0..2).for_each(|beat| shards.ask(beat).unwrap());
    drop((one, other));
    for beat in 2..8 {
        assert!(shards.ask(beat).is_err());
    }
    let _back = addresses.map(|addr| Fake::at(addr, 2));
    (8..10).for_each(|beat| shards.ask(beat).unwrap());
}

/// The kernel may spread clients otherwise after a while.
#[test]
fn a_socket_that_leads_elsewhere_is_found_anew() {
    let fake = Fake::new(2);
    let mut shards = shards(&[&fake], 2);
    shards.ask(0).unwrap();
    let before: Vec<u64> = shards.lines.keys().copied().collect();
    fake.swapped.store(true, SeqCst);
    shards.ask(1).unwrap();
    let after: Vec<u64> = shards.lines.keys().copied().collect();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|token| !before.contains(token)));
}

#[test]
fn every_shard_and_every_address_has_its_turn() {
    for (addresses, shards) in [(1, 1), (1, 4), (3, 1), (2, 2), (3, 2), (2, 64), (16, 4)] {
        let mut pairs = std::collections::BTreeSet::new();
        for beat in 0..addresses * shards {
            let due = due(addresses, shards, beat);
            assert_eq!(due.len(), addresses.max(shards));
            for address in 0..addresses {
                assert!(due.iter().any(|place| place.0 == address));
            }
            for shard in 0..shards {
                assert!(due.iter().any(|place| place.1 == shard));
            }
            pairs.extend(due);
        }
        assert_eq!(pairs.len(), addresses * shards, "{addresses} addresses, {shards} shards");
    }
    assert!(due(0, 4, 7).is_empty());
}

#[test]
fn each_of_many_addresses_is_asked_with_the_first_beat() {
    let fakes: Vec<Fake> = (0..20).map(|_| Fake::new(1)).collect();
    // A beat has 150 ms; a machine that is busy elsewhere may need another try.
    let asked = |_| {
        let mut shards = shards(&fakes.iter().collect::<Vec<_>>(), 1);
        shards.ask(0).is_ok() && shards.lines.len() == fakes.len()
    };
    assert!((0..20).any(asked));
}
