//! What must hold of each of the daemon's answers, whatever other servers say.

use std::collections::HashMap;
use std::time::Instant;

use crate::ask::Reply;
use crate::compare::Told;
use crate::message::{AA, AD, CD, Message, RA, RD, Rr, TC};
use crate::questions::Question;

/// The largest datagram that the daemon sends.
const LARGEST: usize = 1232;
/// NSID, cookie, keepalive, extended error: all that an OPT record of the daemon's may hold.
const OPTIONS: [u16; 4] = [3, 10, 11, 15];

/// What is broken, in words.
pub fn broken(question: &Question, told: &Told) -> Vec<String> {
    let mut broken = Vec::new();
    for (reply, tcp) in [(Some(&told.first), question.tcp), (told.whole.as_ref(), true)] {
        match reply {
            Some(Reply::Answer(message)) => one(question, message, tcp, &mut broken),
            Some(_) => broken.push("no answer".into()),
            None => {}
        }
    }
    if let (Reply::Answer(part), Some(Reply::Answer(whole))) = (&told.first, &told.whole) {
        partial(part, whole, &mut broken);
    }
    broken
}

fn one(question: &Question, message: &Message, tcp: bool, broken: &mut Vec<String>) {
    let mut must = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    let asked = |flag| question.flags & flag;
    must(message.has(RA), "RA is set");
    must(
        message.flags & (RD | CD) == asked(RD) | asked(CD),
        "RD and CD are copied (RFC 1035, 4.1.1)",
    );
    must(message.flags & 0x7840 == 0, "opcode and reserved bit are zero");
    let may_vouch = asked(AD) != 0 || question.dnssec_ok();
    must(may_vouch || !message.has(AD), "AD only for who asks (RFC 6840, 5.7)");
    let local =
        message.sections[1].iter().any(|rr| rr.rtype == 6) || !message.sections[0].is_empty();
    must(!message.has(AA) || local, "AA only with local data");
    must(message.question == question.section(), "the question as it was asked");
    must(message.opt.is_some() == question.edns.is_some(), "OPT for OPT (RFC 6891, 6.1.1)");
    if let (Some(ours), Some(theirs)) = (&message.opt, &question.edns) {
        must(
            ours.version == 0 && ours.rest == 0,
            "version 0, reserved bits zero (RFC 6891, 6.1.4)",
        );
        must(ours.dnssec_ok == theirs.dnssec_ok, "DO is copied (RFC 3225, 3)");
        must(
            ours.options.iter().all(|(code, _)| OPTIONS.contains(code)),
            "options are not echoed (RFC 6891, 6.1.2)",
        );
    }
    let room = question.edns.as_ref().map_or(512, |edns| edns.payload.clamp(512, 1232).into());
    must(tcp || message.len <= room.min(LARGEST), "a datagram that the client takes");
    must(!tcp || !message.has(TC), "no TC over TCP");
}

/// What was told before, and when: TTLs count down (RFC 1035, 3.2.1).
#[derive(Default)]
pub struct Ages {
    /// By name, type, class, DO and CD, which are what the cache tells answers apart by.
    told: HashMap<Key, (Instant, HashMap<Rr, u32>)>,
}

type Key = (Vec<u8>, bool, u16);

impl Ages {
    /// Whether an answer that was given before has since grown no younger. Others than these may be new
    /// each time: local ones, those that live for less than five minutes, and those that are not kept, since
    /// they have neither the type that was asked for nor an SOA (RFC 2308, 5).
    pub fn count_down(&mut self, question: &Question, told: &Told, now: Instant) -> bool {
        let Some(message) = told.message() else { return true };
        let mut kept = message.sections[..2].iter().flatten();
        let substance = message.has_type(0, question.qtype) || message.has_type(1, 6);
        if message.has(AA) || !substance || kept.any(|rr| rr.ttl < 300) {
            return true;
        }
        let name = question.section().to_ascii_lowercase();
        let key = (name, question.dnssec_ok(), question.flags & CD);
        let ttls: HashMap<Rr, u32> = message.sections[..2]
            .iter()
            .flatten()
            .map(|rr| (Rr { ttl: 0, ..rr.folded() }, rr.ttl))
            .collect();
        let Some((then, before)) = self.told.get(&key) else {
            self.told.insert(key, (now, ttls));
            return true;
        };
        let passed = (now - *then).as_secs() as u32;
        before.iter().all(|(rr, before)| {
            // Rounding: of the daemon's, and of ours.
            ttls.get(rr).is_none_or(|now| now + passed <= before + 1)
        })
    }
}

/// A truncated answer is the front of the whole one.
fn partial(part: &Message, whole: &Message, broken: &mut Vec<String>) {
    if part.rcode != whole.rcode {
        broken.push("truncated and whole answer have one rcode".into());
    }
    let data = |rr: &Rr| Rr { ttl: 0, ..rr.folded() };
    for (part, whole) in part.sections.iter().zip(&whole.sections) {
        let whole: Vec<Rr> = whole.iter().map(data).collect();
        if !part.iter().all(|rr| whole.contains(&data(rr))) {
            broken.push("a truncated answer holds nothing that the whole one lacks".into());
        }
    }
}
