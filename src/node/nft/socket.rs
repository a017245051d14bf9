//! The socket on which nf_tables is spoken to: transactions, and reading one table.
//!
//! It belongs to the network namespace of the thread that opened it, wherever it is used later. It
//! blocks; the kernel works on a transaction inside the sending call. Decides nothing.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{Socket as RawSocket, SocketAddr};
use socket2::SockRef;

use super::NftError;
use super::attr::Attrs;
use super::message::{
    Answers, Batch, Body, GENERATION, Refusal, Verb, generation_question, question,
};
use super::table::{self, Table};
use crate::sys::set_receive_buffer;

/// The longest wait for the answer to one request. It comes in microseconds, except while another
/// program changes many rules: the kernel then waits, uninterruptibly, before it begins with ours.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes for one datagram of the kernel; it sends no more than 32 KiB of a list at once.
const DATAGRAM: usize = 64 * 1024;
/// Bytes of answers that may wait: one for each message of the longest transaction, all refused.
const WAITING: usize = 1 << 20;
/// The most datagrams read of one list: 128 MB of other programs' chains.
const MAX_DATAGRAMS: usize = 4096;
/// How often a list is read again because the ruleset changed meanwhile.
const ATTEMPTS: usize = 5;

/// An open socket.
pub(super) struct Socket {
    socket: RawSocket,
    /// The next sequence number.
    seq: u32,
    /// Transactions that were done.
    done: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one in the thread's network namespace.
    pub fn open() -> Result<Self, NftError> {
        let failed = |e: io::Error| NftError::from_io("open a netfilter netlink socket", e);
        let mut socket = RawSocket::new(NETLINK_NETFILTER).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        // To the kernel alone: a connected socket takes no other process's messages for answers.
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
        // Both since Linux 4.12; without them errors are told in numbers, with the request behind.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        set_receive_buffer(&socket, WAITING).map_err(failed)?;
        SockRef::from(&socket).set_read_timeout(Some(REQUEST_TIMEOUT)).map_err(failed)?;
        Ok(Self { socket, seq: 1, done: 0, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// Does a transaction: all that `fill` puts into it, or nothing.
    pub fn commit(&mut self, fill: impl FnOnce(&mut Batch)) -> Result<(), NftError> {
        let mut batch = Batch::new(self.seq);
        fill(&mut batch);
        self.seq = batch.last().wrapping_add(2);
        let sent = self.socket.send(batch.finish(), 0);
        sent.map_err(|e| NftError::from_io(batch.step(batch.first), e))?;
        let end = Instant::now() + REQUEST_TIMEOUT;
        let mut refused: Option<NftError> = None;
        loop {
            let datagram = match self.receive(end) {
                Ok(datagram) => datagram,
                Err(e) => {
                    let failed = || NftError::from_io(batch.step(batch.first), e);
                    return Err(refused.unwrap_or_else(failed));
                }
            };
            for answer in Answers(datagram) {
                let answer = answer.map_err(|e| NftError::from_io(batch.step(batch.first), e))?;
                // Answers to what timed out before are not ours.
                let age = answer.seq.wrapping_sub(batch.first);
                if age > batch.last().wrapping_sub(batch.first) {
                    continue;
                }
                let Body::Result(result) = answer.body else { continue };
                let failed = result.is_some();
                if let (Some(refusal), None) = (result, &refused) {
                    refused = Some(NftError::refused(batch.step(answer.seq), refusal));
                }
                if answer.seq == batch.last() || (failed && age == 0) {
                    self.done = self.done.wrapping_add(u32::from(refused.is_none()));
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// How many changes others have made to the rules of this network namespace, counted from some
    /// number that stays the same: the kernel numbers all changes, and those made here are known. Now and
    /// then one more than there was.
    pub fn foreign_changes(&mut self) -> Result<u32, NftError> {
        let what = "read the number of the rules' last change";
        let failed = |e: io::Error| NftError::from_io(what, e);
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        self.socket.send(&generation_question(seq), 0).map_err(failed)?;
        let end = Instant::now() + REQUEST_TIMEOUT;
        let mut number = None;
        loop {
            for answer in Answers(self.receive(end).map_err(failed)?) {
                let answer = answer.map_err(failed)?;
                match answer.body {
                    _ if answer.seq != seq => {}
                    Body::Object(attrs) => number = Attrs(attrs).be32(GENERATION),
                    Body::Result(Some(refusal)) | Body::End(Some(refusal)) => {
                        return Err(NftError::refused(what, refusal));
                    }
                    Body::Result(None) | Body::End(None) => {
                        let absent = || failed(io::ErrorKind::InvalidData.into());
                        return number.map(|n: u32| n.wrapping_sub(self.done)).ok_or_else(absent);
                    }
                }
            }
        }
    }

    /// Reads the table of family `inet` of that name; `None` if there is none, or it sleeps.
    pub fn read(&mut self, name: &str) -> Result<Option<Table>, NftError> {
        let mut active = false;
        let found = self.ask(Verb::GetTable, name, |attrs| active = table::is_active(attrs))?;
        if !found || !active {
            return Ok(None);
        }
        let mut sets = Vec::new();
        let mut chains: Vec<table::Chain> = Vec::new();
        let mut rules = Vec::new();
        self.ask(Verb::GetSet, name, |attrs| sets.extend(table::read_set(attrs, name)))?;
        self.ask(Verb::GetChain, name, |attrs| chains.extend(table::read_chain(attrs, name)))?;
        self.ask(Verb::GetRule, name, |attrs| {
            if let Some((chain, rule)) = table::read_rule(attrs, name) {
                rules.push((chain.to_owned(), rule));
            }
        })?;
        for (name, rule) in rules {
            if let Some(chain) = chains.iter_mut().find(|chain| chain.name == name) {
                chain.rules.push(rule);
            }
        }
        Ok(Some(Table { name: name.to_owned(), comment: "", sets, chains }))
    }

    /// The addresses in a set of a table; none if there is no such set.
    pub fn elements(&mut self, table: &str, set: &str) -> Result<Vec<IpAddr>, NftError> {
        let mut found = Vec::new();
        let each = |attrs: Attrs<'_>| found.extend(table::read_elements(attrs));
        self.ask_of(Verb::GetElements, table, Some(set), each)?;
        Ok(found)
    }

    fn ask(
        &mut self,
        verb: Verb,
        table: &str,
        each: impl FnMut(Attrs<'_>),
    ) -> Result<bool, NftError> {
        self.ask_of(verb, table, None, each)
    }

    /// Asks, and again if the ruleset changed meanwhile; `each` sees an object once, unless so.
    /// `false` if there is no such table, or set.
    fn ask_of(
        &mut self,
        verb: Verb,
        table: &str,
        set: Option<&str>,
        mut each: impl FnMut(Attrs<'_>),
    ) -> Result<bool, NftError> {
        let what = format!("read the table inet {table}");
        for _ in 0..ATTEMPTS {
            let mut objects = Vec::new();
            match self.list(verb, table, set, &mut objects) {
                Ok(Some(None)) => {
                    objects.iter().for_each(|bytes| each(Attrs(bytes)));
                    return Ok(true);
                }
                Ok(Some(Some(refusal))) if refusal.errno == libc::ENOENT => return Ok(false),
                Ok(Some(Some(refusal))) if refusal.errno != libc::EINTR => {
                    return Err(NftError::refused(&what, refusal));
                }
                Ok(_) => {}
                Err(e) => return Err(NftError::from_io(&what, e)),
            }
        }
        let busy = "the rules changed each time while they were being read";
        Err(NftError::from_io(&what, io::Error::other(busy)))
    }

    /// One round of asking; `None` if the list was interrupted.
    fn list(
        &mut self,
        verb: Verb,
        table: &str,
        set: Option<&str>,
        objects: &mut Vec<Vec<u8>>,
    ) -> io::Result<Option<Option<Refusal>>> {
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        self.socket.send(&question(verb, table, set, seq), 0)?;
        let end = Instant::now() + REQUEST_TIMEOUT;
        let mut interrupted = false;
        for _ in 0..MAX_DATAGRAMS {
            for answer in Answers(self.receive(end)?) {
                let answer = answer?;
                if answer.seq != seq {
                    continue;
                }
                interrupted |= answer.interrupted;
                match answer.body {
                    Body::Object(attrs) if concerns(attrs, table) => objects.push(attrs.to_vec()),
                    Body::Object(_) => {}
                    Body::Result(end) | Body::End(end) => {
                        return Ok((!interrupted).then_some(end));
                    }
                }
            }
        }
        Err(io::Error::other("there are more rules on this host than are read"))
    }

    /// The next datagram, waited for until `end`.
    fn receive(&mut self, end: Instant) -> io::Result<&[u8]> {
        loop {
            self.buffer.clear();
            let result = self.socket.recv(&mut self.buffer, 0);
            match result {
                Ok(_) => return Ok(&self.buffer),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock || Instant::now() >= end => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Whether an object is of that table: whatever it is, the first attribute names the table.
fn concerns(attrs: &[u8], table: &str) -> bool {
    Attrs(attrs).text(table::TABLE_NAME) == Some(table)
}
