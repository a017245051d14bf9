//! Questions to ourselves over UDP that reach every shard.
//!
//! The kernel spreads clients over the shards by their port (SO_REUSEPORT), so a socket of ours leads to
//! the same shard each time. To which one the answer tells: as many are opened as it takes to have one for
//! each shard at each address, and those are kept. A beat asks every shard and every address, but not each
//! shard at each address: those take turns.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::overload::Overload;
use super::question::{Fault, Thread, judge, question};
use crate::sys::{Epoll, Events, Interest};

/// How long a try waits. Questions and answers may be lost; the same one is asked again.
/// Longer in tests, whose machine may be busy with others.
const TRY: Duration = Duration::from_millis(if cfg!(test) { 400 } else { 50 });
const TRIES: u32 = 3;
/// Sockets opened at a time to find a shard's, for each shard there is; and how many more than once that
/// for each address in one beat.
const CANDIDATES: usize = 4;
const MORE_CANDIDATES: usize = 32;
/// Events and bytes taken at a time.
const EVENTS: usize = 64;
const ANSWER: usize = 512;

/// A listening address and a shard, by their numbers.
type Place = (usize, usize);

/// Who did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{addr}/udp{}: {fault}", shard.map(|shard| format!(", shard {shard}")).unwrap_or_default())]
pub(super) struct Missed {
    addr: SocketAddr,
    shard: Option<usize>,
    fault: Fault,
    /// It serves, but is overloaded.
    pub busy: bool,
}

/// A socket of ours, connected to a listening address.
struct Line {
    socket: UdpSocket,
    address: usize,
    /// Whom it leads to, once known.
    shard: Option<usize>,
    /// The question that is not answered yet.
    asked: Option<[u8; 2]>,
    /// Answered in this beat.
    heard: bool,
}

/// The sockets, and how they are waited for.
pub(super) struct Shards {
    addresses: Vec<SocketAddr>,
    count: usize,
    lines: BTreeMap<u64, Line>,
    next: u64,
    epoll: Epoll,
    events: Events,
    overload: Overload,
}

impl Shards {
    /// For `count` shards that all listen on `addresses`.
    pub fn new(addresses: Vec<SocketAddr>, count: usize, overload: Overload) -> io::Result<Shards> {
        let (epoll, events) = (Epoll::new()?, Events::new(EVENTS));
        Ok(Shards { addresses, count, lines: BTreeMap::new(), next: 0, epoll, events, overload })
    }

    /// Asks; after three tries everybody has answered, or has not.
    pub fn ask(&mut self, beat: usize) -> Result<(), Missed> {
        let due = due(self.addresses.len(), self.count, beat);
        for line in self.lines.values_mut() {
            (line.asked, line.heard) = (None, false);
        }
        let result = self.try_all(&due);
        let silent: Vec<usize> = self.missing(&due).iter().map(|(_, shard)| *shard).collect();
        self.lines.retain(|_, line| line.shard.is_some());
        result.map_err(|(address, shard, fault)| {
            let busy = matches!(fault, Fault::Silent) && self.overload.explains(&silent);
            Missed { addr: self.addresses[address], shard, fault, busy }
        })
    }

    fn try_all(&mut self, due: &[Place]) -> Result<(), (usize, Option<usize>, Fault)> {
        let began = Instant::now();
        let mut candidates = 0;
        for attempt in 1..=TRIES {
            self.send(due);
            let until = began + TRY * attempt;
            while !self.missing(due).is_empty() {
                candidates += self.open_candidates(due, candidates)?;
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                self.receive(left)?;
            }
            match self.missing(due).first() {
                None => return Ok(()),
                Some(&(address, shard)) if attempt == TRIES => {
                    return Err((address, Some(shard), Fault::Silent));
                }
                Some(_) if attempt == 1 => self.overload.note(),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whom nobody has heard from in this beat.
    fn missing(&self, due: &[Place]) -> Vec<Place> {
        let heard = |place: &&Place| {
            self.lines.values().any(|line| line.heard && line.leads_to(place.0, place.1))
        };
        due.iter().filter(|place| !heard(place)).copied().collect()
    }

    /// Sends what is not answered, once more where it has been sent.
    fn send(&mut self, due: &[Place]) {
        for line in self.lines.values_mut().filter(|line| !line.heard) {
            let is_due = |shard| due.contains(&(line.address, shard));
            if line.shard.is_none_or(is_due) {
                line.send();
            }
        }
    }

    /// Opens sockets, and asks by them, at addresses where a shard is looked for and nobody is waited for.
    fn open_candidates(
        &mut self,
        due: &[Place],
        opened: usize,
    ) -> Result<usize, (usize, Option<usize>, Fault)> {
        let mut count = 0;
        let limit = (CANDIDATES * self.addresses.len() + MORE_CANDIDATES) * self.count;
        for (address, shard) in self.missing(due) {
            let known = |line: &Line| line.leads_to(address, shard);
            let pending = |line: &Line| line.address == address && line.shard.is_none();
            if opened + count >= limit || self.lines.values().any(|l| known(l) || pending(l)) {
                continue;
            }
            for _ in 0..CANDIDATES * self.count {
                let line = self.open(address).map_err(|e| (address, None, Fault::Io(e)))?;
                self.lines.entry(line).and_modify(Line::send);
                count += 1;
            }
        }
        Ok(count)
    }

    fn open(&mut self, address: usize) -> io::Result<u64> {
        let any: SocketAddr = match self.addresses[address] {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(self.addresses[address])?;
        let token = self.next;
        self.next += 1;
        self.epoll.add(&socket, token, Interest::Read)?;
        let line = Line { socket, address, shard: None, asked: None, heard: false };
        self.lines.insert(token, line);
        Ok(token)
    }

    /// Waits for answers, for `left` at most, and takes them.
    fn receive(&mut self, left: Duration) -> Result<(), (usize, Option<usize>, Fault)> {
        let Shards { epoll, events, .. } = self;
        // Interrupted or not: what has come is looked at.
        let _ = epoll.wait(events, Some(left));
        let tokens: Vec<u64> = self.events.iter().map(|event| event.token).collect();
        for token in tokens {
            while let Some(line) = self.lines.get_mut(&token) {
                let place = (line.address, line.shard);
                match line.receive() {
                    Ok(None) => break,
                    Ok(Some(thread)) => self.heard(token, thread),
                    Err(fault) => return Err((place.0, place.1, fault)),
                }
            }
        }
        Ok(())
    }

    fn heard(&mut self, token: u64, shard: usize) {
        let Some(line) = self.lines.get(&token) else { return };
        let address = line.address;
        match line.shard {
            Some(known) if known == shard => {}
            // The kernel spreads them otherwise now: all are to be found anew.
            Some(_) => return self.lines.retain(|_, line| line.address != address),
            None if self.lines.values().any(|line| line.leads_to(address, shard)) => {
                self.lines.remove(&token);
                return;
            }
            None => {}
        }
        if let Some(line) = self.lines.get_mut(&token) {
            (line.shard, line.asked, line.heard) = (Some(shard), None, true);
        }
    }
}

impl Line {
    fn leads_to(&self, address: usize, shard: usize) -> bool {
        self.address == address && self.shard == Some(shard)
    }

    fn send(&mut self) {
        // An error of the beat before says nothing about this one.
        let _ = self.socket.take_error();
        let (id, mut query) = question();
        let id = *self.asked.get_or_insert(id);
        query[..2].copy_from_slice(&id);
        // What cannot be sent is not answered either.
        let _ = self.socket.send(&query);
    }

    /// The shard that answered; `None` if nobody has.
    fn receive(&mut self) -> Result<Option<usize>, Fault> {
        let mut answer = [0u8; ANSWER];
        loop {
            let len = match self.socket.recv(&mut answer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // It is about a question of an earlier beat.
                Err(_) if self.asked.is_none() => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            match self.asked.and_then(|id| judge(&answer[..len], id)) {
                None => {}
                Some(Ok(Thread::Shard(shard))) => return Ok(Some(shard)),
                Some(Ok(Thread::Tcp)) => return Err(Fault::Foreign),
                Some(Err(fault)) => return Err(fault),
            }
        }
    }
}

/// Every shard and every address once, the pairs in turn from beat to beat.
fn due(addresses: usize, shards: usize, beat: usize) -> Vec<Place> {
    if addresses == 0 {
        return Vec::new();
    }
    (0..addresses.max(shards)).map(|k| ((k + beat) % addresses, k % shards)).collect()
}

#[cfg(test)]
mod tests;
