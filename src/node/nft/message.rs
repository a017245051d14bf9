//! Netlink messages to nf_tables: requests, transactions, and what comes back.
//!
//! A transaction is a row of messages between two marks, in one datagram: the kernel does all of it
//! or nothing (linux/netfilter/nfnetlink.h). Pure: bytes in, bytes out; `super::socket` sends
//! them. Each message carries a line that says what it is for, so that a refusal can be told.

use std::borrow::Cow;
use std::io;

use super::attr::{Attrs, Writer, u16_at, u32_at};
use super::expr::Expr;
use super::table::{self, Table};

/// Length, type, flags, sequence number, port (linux/netlink.h).
const HEADER: usize = 16;
/// Family, version, resource (linux/netfilter/nfnetlink.h).
const FAMILY_HEADER: usize = 4;
const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
const BEGIN: u16 = libc::NFNL_MSG_BATCH_BEGIN as u16;
const END: u16 = libc::NFNL_MSG_BATCH_END as u16;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;
const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACK: u16 = libc::NLM_F_ACK as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const EXCL: u16 = libc::NLM_F_EXCL as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const CAPPED: u16 = libc::NLM_F_CAPPED as u16;
const HAS_TEXT: u16 = libc::NLM_F_ACK_TLVS as u16;
/// The message of an error: NLMSGERR_ATTR_MSG (linux/netlink.h).
const ERROR_TEXT: u16 = 1;
/// The number of a ruleset's last change: NFTA_GEN_ID (linux/netfilter/nf_tables.h).
pub(super) const GENERATION: u16 = 1;

/// What is done to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Verb {
    NewTable = libc::NFT_MSG_NEWTABLE as u16,
    GetTable = libc::NFT_MSG_GETTABLE as u16,
    DelTable = libc::NFT_MSG_DELTABLE as u16,
    NewChain = libc::NFT_MSG_NEWCHAIN as u16,
    GetChain = libc::NFT_MSG_GETCHAIN as u16,
    NewRule = libc::NFT_MSG_NEWRULE as u16,
    GetRule = libc::NFT_MSG_GETRULE as u16,
    NewSet = libc::NFT_MSG_NEWSET as u16,
    GetSet = libc::NFT_MSG_GETSET as u16,
    GetElements = libc::NFT_MSG_GETSETELEM as u16,
    NewElements = libc::NFT_MSG_NEWSETELEM as u16,
    DelElements = libc::NFT_MSG_DELSETELEM as u16,
    GetGeneration = libc::NFT_MSG_GETGEN as u16,
}

/// A transaction.
#[derive(Debug)]
pub(super) struct Batch {
    writer: Writer,
    /// Sequence number of the mark it begins with; the messages follow, each one higher.
    pub first: u32,
    /// What each message is for, as it follows "cannot".
    steps: Vec<Cow<'static, str>>,
    last_at: usize,
}

impl Batch {
    /// An empty one. `first`: a sequence number that is not in use, nor are those that follow.
    pub fn new(first: u32) -> Self {
        let mut writer = Writer::default();
        message(&mut writer, BEGIN, REQUEST, first, libc::AF_UNSPEC as u8, SUBSYSTEM >> 8, |_| {});
        Self { writer, first, steps: Vec::new(), last_at: 0 }
    }

    fn push(
        &mut self,
        verb: Verb,
        flags: u16,
        what: impl Into<Cow<'static, str>>,
        content: impl FnOnce(&mut Writer),
    ) {
        self.steps.push(what.into());
        self.last_at = self.writer.0.len();
        let (seq, inet) = (self.last(), libc::NFPROTO_INET as u8);
        message(&mut self.writer, SUBSYSTEM | verb as u16, REQUEST | flags, seq, inet, 0, content);
    }

    /// Sequence number of the last message, the only one whose success is told.
    pub fn last(&self) -> u32 {
        self.first.wrapping_add(self.steps.len() as u32)
    }

    /// What the message of that sequence number was for; for the mark, the whole.
    pub fn step(&self, seq: u32) -> &str {
        let index = seq.wrapping_sub(self.first) as usize;
        let whole = "commit the changes to nf_tables";
        index.checked_sub(1).and_then(|i| self.steps.get(i)).map_or(whole, |step| step)
    }

    /// Makes a table with all that is in it. With `exclusive` the transaction fails (EEXIST) if
    /// there is a table of that name.
    pub fn create(&mut self, table: &Table, exclusive: bool) {
        let name = &table.name;
        let flags = if exclusive { CREATE | EXCL } else { CREATE };
        let what = format!("make the table inet {name}");
        self.push(Verb::NewTable, flags, what, |w| table::put_table(w, table));
        for (set, id) in table.sets.iter().zip(1..) {
            let what = format!("make the set {} in the table inet {name}", set.name);
            self.push(Verb::NewSet, CREATE, what, |w| table::put_set(w, name, set, id));
        }
        // All chains first: rules jump to them.
        for chain in &table.chains {
            let what = format!("make the chain {} in the table inet {name}", chain.name);
            self.push(Verb::NewChain, CREATE, what, |w| table::put_chain(w, name, chain));
        }
        for chain in &table.chains {
            for (number, rule) in chain.rules.iter().enumerate() {
                let (chain, number) = (&chain.name, number + 1);
                let what = format!("add rule {number} to chain {chain} of the table inet {name}");
                let flags = CREATE | APPEND;
                self.push(Verb::NewRule, flags, what, |w| {
                    table::put_rule(w, name, chain, rule);
                });
            }
        }
    }

    /// Adds a rule to a chain, behind those that are there; ENOENT if there is no such chain or table.
    pub fn append(&mut self, table: &str, chain: &str, rule: &[Expr]) {
        let what = format!("add a rule to chain {chain} of the table inet {table}");
        self.push(Verb::NewRule, CREATE | APPEND, what, |w| table::put_rule(w, table, chain, rule));
    }

    /// Makes a table in place of whatever has its name.
    pub fn replace(&mut self, table: &Table) {
        // Deleting what is not there would fail; making what is there does not.
        let name = &table.name;
        let what = format!("find the table inet {name}");
        self.push(Verb::NewTable, CREATE, what, |w| table::put_name(w, name));
        self.delete(name);
        self.create(table, false);
    }

    /// Removes a table with all that is in it; ENOENT if there is none.
    pub fn delete(&mut self, name: &str) {
        let what = format!("remove the table inet {name}");
        self.push(Verb::DelTable, 0, what, |w| table::put_name(w, name));
    }

    /// Leaves exactly these addresses in a set, each for `timeout_ms` from now; ENOENT if there is
    /// no such set or table.
    ///
    /// All go before they come again: kernels before 6.12 do not prolong an element that is there.
    pub fn refill(&mut self, table: &str, set: &str, ips: &[std::net::IpAddr], timeout_ms: u64) {
        self.push(Verb::DelElements, 0, "empty a set of addresses that are alive", |w| {
            table::put_elements(w, table, set, &[], timeout_ms);
        });
        if !ips.is_empty() {
            self.push(Verb::NewElements, CREATE, "renew the addresses that are alive", |w| {
                table::put_elements(w, table, set, ips, timeout_ms);
            });
        }
    }

    /// The datagram. Asks for an answer to the last message: it comes after all errors, success or
    /// not, except where the whole was refused, which is told of the first mark.
    pub fn finish(&mut self) -> &[u8] {
        let at = self.last_at + 6;
        if let Some(flags) = u16_at(&self.writer.0, at) {
            self.writer.0[at..at + 2].copy_from_slice(&(flags | ACK).to_ne_bytes());
        }
        let seq = self.last().wrapping_add(1);
        let unspec = libc::AF_UNSPEC as u8;
        message(&mut self.writer, END, REQUEST, seq, unspec, SUBSYSTEM >> 8, |_| {});
        &self.writer.0
    }
}

/// A question about one table (`GetTable`), about everything in it of a kind, or about the elements of
/// a `set` of it (`GetElements`).
pub(super) fn question(verb: Verb, table: &str, set: Option<&str>, seq: u32) -> Vec<u8> {
    let mut w = Writer::default();
    let (flags, name_attribute) = match verb {
        Verb::GetTable => (ACK, table::TABLE_NAME),
        Verb::GetRule => (DUMP, table::RULE_TABLE),
        Verb::GetSet => (DUMP, table::SET_TABLE),
        Verb::GetElements => (DUMP, table::LIST_TABLE),
        _ => (DUMP, table::CHAIN_TABLE),
    };
    let inet = libc::NFPROTO_INET as u8;
    message(&mut w, SUBSYSTEM | verb as u16, REQUEST | flags, seq, inet, 0, |w| {
        w.text(name_attribute, table);
        if let Some(set) = set {
            w.text(table::LIST_SET, set);
        }
    });
    w.0
}

/// A question about the number of the last change: it comes as [`GENERATION`] of one object.
pub(super) fn generation_question(seq: u32) -> Vec<u8> {
    let mut w = Writer::default();
    let kind = SUBSYSTEM | Verb::GetGeneration as u16;
    message(&mut w, kind, REQUEST | ACK, seq, libc::AF_UNSPEC as u8, 0, |_| {});
    w.0
}

fn message(
    w: &mut Writer,
    kind: u16,
    flags: u16,
    seq: u32,
    family: u8,
    resource: u16,
    content: impl FnOnce(&mut Writer),
) {
    let start = w.0.len();
    w.0.extend_from_slice(&[0; 4]);
    w.0.extend_from_slice(&kind.to_ne_bytes());
    w.0.extend_from_slice(&flags.to_ne_bytes());
    w.0.extend_from_slice(&seq.to_ne_bytes());
    w.0.extend_from_slice(&[0; 4]);
    w.0.extend_from_slice(&[family, 0]);
    w.0.extend_from_slice(&resource.to_be_bytes());
    content(w);
    let length = u32::try_from(w.0.len() - start).unwrap_or(u32::MAX);
    w.0[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// A message of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub seq: u32,
    /// The ruleset changed while it was being told (NLM_F_DUMP_INTR).
    pub interrupted: bool,
    pub body: Body<'a>,
}

/// What a message of the kernel says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A request was done (`None`) or refused.
    Result(Option<Refusal>),
    /// The end of a list.
    End(Option<Refusal>),
    /// The attributes of a table, chain, set or rule.
    Object(&'a [u8]),
}

/// Why the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The error number.
    pub errno: i32,
    /// The kernel's words, where it has any: rarely.
    pub text: Option<String>,
}

/// The messages of one datagram of the kernel. What cannot be read ends with an error.
#[derive(Debug)]
pub(super) struct Answers<'a>(pub &'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = io::Result<Answer<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.0 = &[];
        }
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a malformed netlink answer");
        Some(read.ok_or_else(malformed))
    }
}

impl<'a> Answers<'a> {
    fn read(&mut self) -> Option<Answer<'a>> {
        let length = u32_at(self.0, 0)? as usize;
        let message = self.0.get(..length)?;
        let payload = message.get(HEADER..)?;
        let (kind, flags) = (u16_at(message, 4)?, u16_at(message, 6)?);
        let seq = u32_at(message, 8)?;
        let body = match kind {
            ERROR => Body::Result(refusal(payload, flags)?),
            DONE => Body::End(refusal(payload, flags | CAPPED)?),
            _ => Body::Object(payload.get(FAMILY_HEADER..)?),
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        let interrupted = flags & libc::NLM_F_DUMP_INTR as u16 != 0;
        Some(Answer { seq, interrupted, body })
    }
}

/// Reads a negative error number, the header of the request, the rest of it unless capped, and then
/// attributes; `Some(None)` for success.
fn refusal(payload: &[u8], flags: u16) -> Option<Option<Refusal>> {
    let errno = u32_at(payload, 0)?.cast_signed().wrapping_neg();
    if errno == 0 {
        return Some(None);
    }
    let request = u32_at(payload, 4).unwrap_or(0) as usize;
    let request = if flags & CAPPED == 0 { request.next_multiple_of(4) } else { HEADER };
    let rest = payload.get(4 + request..).filter(|_| flags & HAS_TEXT != 0).unwrap_or_default();
    let text = Attrs(rest).text(ERROR_TEXT).map(str::to_owned);
    Some(Some(Refusal { errno, text }))
}

#[cfg(test)]
mod tests;
