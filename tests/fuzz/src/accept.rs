//! Bytes from an upstream: what is accepted of them is sound and is what the upstream said.

use horizond::accept::{
    Accepted, Asked, Caps, Crossing, Horizons, Rules, Spelling, Verdict, judge,
};
use horizond::answer::{Kind, Question};
use horizond::respond::{self, Ask, AskEdns, Ttl};
use horizond::wire::edns::Ede;

use super::believed::{encloses, passed_on};
use super::naive::{self, Message};
use super::rendered::{self, Made};
use super::source::Source;

/// Bytes in front of the message that say how it is asked.
pub const PARAMETERS: usize = 8;

/// Checks one message. The first [`PARAMETERS`] bytes choose caps, time and client; the question
/// that was asked is the message's own wherever it has one, or hardly anything would be judged.
pub fn check(data: &[u8]) {
    let mut source = Source(data);
    let (choice, elapsed, room) = (source.byte(), source.byte(), source.word());
    let (flags, caps) = (source.word(), source.word());
    let message = source.0;
    let caps = Caps {
        max_ttl: if caps & 0x80 == 0 { 86_400 } else { u32::from(caps >> 8) },
        max_negative_ttl: u32::from(caps & 0x7f),
    };
    let own = question_of(message).filter(|_| choice & 0x80 == 0);
    let (name, qtype, qclass) = own.unwrap_or((b"\x01a\x07example\0".to_vec(), 1, 1));
    let question = Question { name: &name, qtype, qclass };
    let asked = Asked { edns: choice & 1 == 1, ..asked(question) };
    let rules = rules(caps);
    check_borders(asked, message, &Rules { horizons: &Halves, ..rules });
    let verdict = judge(asked, message, &rules);
    let accepted = match &verdict {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Truncated(Some(accepted)) => {
            assert_eq!(accepted.lifetime, None, "what is truncated is not kept");
            accepted
        }
        _ => return,
    };
    let came = naive::parse(message).expect("only what is sound is accepted");
    check_promises(&came, accepted, caps, matches!(verdict, Verdict::Truncated(_)));
    let client = Client { name: &name, flags, choice };
    for (elapsed, room, edns) in [
        (u32::from(elapsed), 512 + room % 721, choice & 2 == 2),
        (0, 512, false),
        (u32::MAX, 1232, true),
        (1, u16::MAX, choice & 4 == 4),
    ] {
        render(message, &came, accepted, caps, &client, (elapsed, room, edns));
    }
}

/// A question with an OPT, asked in lower case.
pub fn asked(question: Question<'_>) -> Asked<'_> {
    Asked { question, edns: true, spelling: Spelling::FOLDED, exact: false }
}

/// The rules of the one route in a world with one horizon.
pub fn rules(caps: Caps) -> Rules<'static> {
    Rules { route: 0, name: "all", caps, horizons: &One, rebinding: None }
}

/// A world with one horizon.
pub struct One;

impl Horizons for One {
    fn owns(&self, _: u16, _: &[u8]) -> bool {
        true
    }

    fn crossing(&self, _: u16, _: &[u8]) -> Crossing {
        Crossing::Inside
    }
}

/// A world in which every other name belongs to somebody else.
struct Halves;

impl Horizons for Halves {
    fn owns(&self, _: u16, name: &[u8]) -> bool {
        name.iter().fold(0, |sum, byte| sum ^ byte) & 1 == 0
    }

    fn crossing(&self, route: u16, target: &[u8]) -> Crossing {
        if self.owns(route, target) { Crossing::Inside } else { Crossing::Follow }
    }
}

/// Nothing is passed on about another horizon's names, but the zones that the question lies in.
fn check_borders(asked: Asked<'_>, message: &[u8], rules: &Rules<'_>) {
    let accepted = match judge(asked, message, rules) {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Truncated(Some(accepted)) => *accepted,
        _ => return,
    };
    let answer = &accepted.answer;
    let left = naive::parse(answer.wire()).expect("what is made is sound");
    let name = asked.question.name;
    let mut chain = vec![name.to_vec()];
    for rr in &left.records {
        let ours = rr.owner == name || Halves.owns(0, &rr.owner);
        let above = || chain.iter().any(|name| encloses(&rr.owner, name));
        assert!(ours || rr.section == 1 && above(), "a stranger's record: {rr:?}");
        if rr.rtype == 5 {
            chain.push(rr.rdata.clone());
        }
    }
    let target = left.records.iter().rfind(|rr| rr.section == 0 && rr.rtype == 5);
    if answer.onward {
        let target = target.expect("an alias leads onward");
        // Out of the horizon, or on where its server does not: it neither recurses nor says that there is
        // nothing.
        let came = naive::parse(message).expect("what is accepted is sound");
        let no_soa = !came.records.iter().any(|rr| rr.section == 1 && rr.rtype == 6);
        let goes_on = message[3] & 0x80 == 0 && no_soa;
        assert!(goes_on || !Halves.owns(0, &target.rdata), "the last alias leads out");
        assert_eq!((answer.kind, answer.rcode().0), (Kind::Positive, 0));
    }
}

struct Client<'a> {
    name: &'a [u8],
    flags: u16,
    choice: u8,
}

fn render(
    message: &[u8],
    came: &Message,
    accepted: &Accepted,
    caps: Caps,
    client: &Client<'_>,
    (elapsed, room, edns): (u32, u16, bool),
) {
    let upper = client.name.to_ascii_uppercase();
    let edns = edns.then(|| AskEdns {
        dnssec_ok: client.choice & 8 == 8,
        nsid: client.choice & 16 == 16,
        ..AskEdns::default()
    });
    let name = if client.choice & 32 == 32 { client.name } else { &upper };
    let ask = Ask { id: 0xbeef, flags: client.flags, name, edns, room };
    let note = (client.choice & 64 == 64).then(|| Ede::new(3, "n".repeat(usize::from(room % 200))));
    let (ttl, mut out) = (Ttl::Elapsed(elapsed), vec![0xee; usize::from(room)]);
    let len =
        respond::answer(accepted.answer.view(), &ask, ttl, note.as_ref(), b"node-1", &mut out);
    assert!(out[len..].iter().all(|&byte| byte == 0xee), "nothing is written behind the answer");
    assert_eq!(out[2] & 0x04, 0, "AA is not ours to pass on");
    let ttl_cap = Some(ttl_cap(came, accepted.answer.kind, caps));
    let kept = |came: &Message, at: usize| passed_on(came)[at];
    let made = Made { from: message, ttl_cap, ttl, room: out.len(), kept: &kept };
    rendered::check(&out[..len], &ask, &made);
}

/// The message's first question, folded.
pub fn question_of(message: &[u8]) -> Option<(Vec<u8>, u16, u16)> {
    let mut at = 12;
    while *message.get(at)? != 0 {
        let len = usize::from(message[at]);
        at += 1 + len;
        if len > 63 || at > 12 + 254 {
            return None;
        }
    }
    let fixed = message.get(at + 1..at + 5)?;
    let word = |i: usize| u16::from_be_bytes([fixed[i], fixed[i + 1]]);
    Some((message[12..=at].to_ascii_lowercase(), word(0), word(2)))
}

fn sane(ttl: u32) -> u32 {
    if ttl >> 31 == 1 { 0 } else { ttl }
}

/// The least TTL of what is passed on in answer and authority.
fn least(came: &Message) -> Option<u32> {
    let records = came.records.iter().zip(passed_on(came));
    let counted = records.filter(|(rr, kept)| *kept && rr.section < 2);
    counted.map(|(rr, _)| sane(rr.ttl)).min()
}

/// How long the SOA lets a negative answer be kept (RFC 2308, 5).
fn negative(came: &Message) -> Option<u32> {
    let mut records = came.records.iter().zip(passed_on(came));
    let (soa, _) = records.find(|(rr, kept)| *kept && rr.section == 1 && rr.rtype == 6)?;
    let numbers = soa.rdata.last_chunk::<20>().filter(|_| is_soa(&soa.rdata))?;
    let minimum = numbers.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
    Some(sane(soa.ttl).min(sane(minimum)).min(least(came)?))
}

/// Whether these are two names and five numbers.
fn is_soa(rdata: &[u8]) -> bool {
    let mut at = 0;
    for _ in 0..2 {
        while rdata.get(at).is_some_and(|&len| len > 0) {
            at += 1 + usize::from(rdata[at]);
        }
        at += 1;
    }
    at + 20 == rdata.len()
}

fn ttl_cap(came: &Message, kind: Kind, caps: Caps) -> u32 {
    let cap = match kind {
        Kind::Negative => caps.max_negative_ttl.min(caps.max_ttl),
        Kind::Positive | Kind::Failure => caps.max_ttl,
    };
    match kind {
        Kind::Negative => negative(came).map_or(cap, |ttl| ttl.min(cap)),
        Kind::Positive | Kind::Failure => cap,
    }
}

fn check_promises(came: &Message, accepted: &Accepted, caps: Caps, truncated: bool) {
    let opt = came.records.iter().find(|rr| rr.rtype == 41);
    let extended = opt.map_or(0, |rr| rr.ttl >> 24);
    assert_eq!(extended, 0, "an extended response code cannot be told by the header alone");
    assert!(came.records.iter().all(|rr| !rr.leans_on_changing), "a name made of header or TTL");
    let kind = accepted.answer.kind;
    if truncated {
        return;
    }
    let expected = match kind {
        Kind::Positive => least(came).map(|ttl| ttl.min(caps.max_ttl)),
        Kind::Negative => negative(came).map(|ttl| ttl.min(ttl_cap(came, kind, caps))),
        Kind::Failure => None,
    };
    assert_eq!(accepted.lifetime, expected.filter(|&ttl| ttl > 0));
    let rcode = came.flags & 0x0f;
    assert_eq!(kind == Kind::Failure, rcode != 0 && rcode != 3);
}
