//! Judges what an upstream sent before anything believes it.
//!
//! The exchange has matched socket and id; here the question, the shape of every record, the
//! response code and the TTLs are checked, and whose names the records speak of: an upstream is
//! believed about its own horizon alone. What passes becomes an [`Answer`]. Nothing here sends, waits
//! or caches.
//!
//! The message is walked once ([`survey`]), its aliases are followed ([`chain`]), what it says beside
//! them is sifted ([`sift`]), private addresses are removed where the route wants that ([`rebind`]),
//! and the rest is copied ([`copy`]).

mod chain;
mod copy;
mod draft;
mod horizons;
mod names;
mod rebind;
mod sift;
mod spelling;
mod survey;

use crate::answer::{Answer, Kind, Question};
use crate::wire::edns::Ede;
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::read_u16;
use chain::{Chain, End, Last};
use draft::Draft;
use survey::Survey;

pub use horizons::{Crossing, Horizons};
pub use rebind::Rebinding;
pub use spelling::Spelling;

/// What was asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The question, folded.
    pub question: Question<'a>,
    /// Whether our query had an OPT.
    pub edns: bool,
    /// The case of its name.
    pub spelling: Spelling,
    /// Whether the answer must bring that case back: over UDP, where it may have come from somebody who
    /// guesses.
    pub exact: bool,
}

/// Caps of the route, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// No TTL is greater.
    pub max_ttl: u32,
    /// No negative answer lives longer (RFC 2308, 5).
    pub max_negative_ttl: u32,
}

/// What an answer is held against: the route that it came from, and its neighbours.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Index of the route.
    pub route: u16,
    /// Its name, for people.
    pub name: &'a str,
    /// Its caps.
    pub caps: Caps,
    /// Which names are its own.
    pub horizons: &'a dyn Horizons,
    /// Whether private addresses are removed.
    pub rebinding: Option<&'a Rebinding>,
}

/// An answer that may be given to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What clients get.
    pub answer: Answer,
    /// For how many seconds it may be kept; `None`: not at all.
    pub lifetime: Option<u32>,
}

/// What a datagram or message from an upstream is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An answer.
    Accepted(Accepted),
    /// Not an answer to this question: over UDP it is ignored, as whoever sent it may be guessing
    /// (RFC 5452, 9.1), and the wait goes on.
    NotOurs,
    /// An answer to this question in another case: whoever sent it may be guessing, or be a server that
    /// does not keep the case. To be asked again over TCP, while the wait goes on.
    Respelled,
    /// TC is set: to be asked again over TCP; what came is sound and may serve if TCP fails.
    Truncated(Option<Box<Accepted>>),
    /// Bytes that do not parse: over UDP to be asked again over TCP.
    Malformed,
    /// FORMERR, NOTIMP or BADVERS to a query with OPT: to be asked again without (RFC 6891, 7).
    NoEdns(Rcode),
    /// A response code or content that is no answer: the next upstream is to be asked.
    Failed(Failed),
}

/// An upstream's refusal to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its response code.
    pub rcode: Rcode,
    /// Its own reason, if it gave one.
    pub ede: Option<Ede>,
}

/// Judges one message.
pub fn judge(asked: Asked<'_>, message: &[u8], rules: &Rules<'_>) -> Verdict {
    let Some(header) = Header::read(message) else { return Verdict::NotOurs };
    if !header.has(flag::QR) || header.opcode() != 0 {
        return Verdict::NotOurs;
    }
    let question_end = match brought_back(&asked, message, &header) {
        Brought::Exact(end) => end,
        Brought::Respelled(end) if !asked.exact => end,
        Brought::Respelled(_) => return Verdict::Respelled,
        Brought::Other => return without_question(&asked, message, &header),
    };
    let mut survey = Survey::new(&header, question_end);
    let sound = survey.walk(message, &header, asked.question.name).is_some();
    let truncated = header.has(flag::TC);
    if !sound {
        return if truncated { Verdict::Truncated(None) } else { Verdict::Malformed };
    }
    let rcode = survey.rcode;
    if !truncated && asked.edns && refuses_edns(rcode, survey.has_opt) {
        return Verdict::NoEdns(rcode);
    }
    let judged = Judged { question: &asked.question, message, rules };
    let accepted = judged.accept(&mut survey, truncated);
    match accepted {
        Some(mut partial) if truncated => {
            partial.lifetime = None;
            Verdict::Truncated(Some(Box::new(partial)))
        }
        None if truncated => Verdict::Truncated(None),
        Some(accepted) => Verdict::Accepted(accepted),
        None => failed(rcode, survey.ede),
    }
}

/// Whether the question of a message over TCP stands there in another case than it was sent in: its
/// server does not keep the case.
pub fn is_respelled(asked: Asked<'_>, message: &[u8]) -> bool {
    Header::read(message)
        .is_some_and(|h| matches!(brought_back(&asked, message, &h), Brought::Respelled(_)))
}

fn failed(rcode: Rcode, ede: Option<Ede>) -> Verdict {
    Verdict::Failed(Failed { rcode, ede })
}

/// Whether it says that the server does not know EDNS (RFC 6891, 7), or not our version.
fn refuses_edns(rcode: Rcode, has_opt: bool) -> bool {
    matches!(rcode, Rcode::FORMERR | Rcode::BADVERS) || rcode == Rcode::NOTIMP && !has_opt
}

/// A server that does not know EDNS may answer with a bare header (RFC 6891, 7).
fn without_question(asked: &Asked<'_>, message: &[u8], header: &Header) -> Verdict {
    let bare = header.counts[0] == 0 && message.len() == header::LEN;
    match (bare, header.rcode()) {
        (true, 1 | 4) if asked.edns => Verdict::NoEdns(Rcode(header.rcode())),
        (true, 1..) => failed(Rcode(header.rcode()), None),
        _ => Verdict::NotOurs,
    }
}

/// What a message has for a question, and where that ends.
enum Brought {
    /// What was asked, bit for bit.
    Exact(usize),
    /// The same in another case.
    Respelled(usize),
    /// Anything else.
    Other,
}

/// Servers send back the bytes they got (RFC 5452, 9.1), and whoever writes the name in another case may
/// not have seen them.
fn brought_back(asked: &Asked<'_>, message: &[u8], header: &Header) -> Brought {
    let question = &asked.question;
    let at = header::LEN + question.name.len();
    let Some(name) = message.get(header::LEN..at).filter(|_| header.counts[0] == 1) else {
        return Brought::Other;
    };
    let same = read_u16(message, at) == Some(question.qtype)
        && read_u16(message, at + 2) == Some(question.qclass);
    if !same {
        Brought::Other
    } else if asked.spelling.is(question.name, name) {
        Brought::Exact(at + 4)
    } else if name.eq_ignore_ascii_case(question.name) {
        Brought::Respelled(at + 4)
    } else {
        Brought::Other
    }
}

/// A sound message that brought the question back.
struct Judged<'a> {
    question: &'a Question<'a>,
    message: &'a [u8],
    rules: &'a Rules<'a>,
}

impl Judged<'_> {
    /// Makes an answer of what may be believed; `None` where that is none.
    fn accept(&self, survey: &mut Survey, truncated: bool) -> Option<Accepted> {
        let chain = match survey.rcode {
            Rcode(0 | 2 | 3 | 5 | 6..=10) if !survey.is_referral() => {
                survey.follow(self.question, self.message, self.rules)
            }
            _ => None,
        };
        let unfinished = !truncated
            && matches!(chain, Some(Chain { end: End::Bare, last: Last::At(_) }))
            && survey.may_go_on();
        let kind = match (survey.rcode, &chain) {
            (_, Some(_)) if unfinished => Kind::Positive,
            // The response code speaks of the last name of the chain (RFC 6604, 3; RFC 2308, 2.1), which is
            // not the route's own.
            (_, Some(Chain { end: End::Across(_), .. })) => Kind::Positive,
            (Rcode::NOERROR, Some(Chain { end: End::Found, .. })) => Kind::Positive,
            (Rcode::NOERROR | Rcode::NXDOMAIN, Some(_)) => Kind::Negative,
            // As a truncated answer it would look like one.
            (Rcode(6..=10), _) if !truncated => Kind::Failure,
            _ => return None,
        };
        survey.sift(self.question, self.message, self.rules, chain.as_ref());
        let mut draft = Draft::of(survey, kind, truncated);
        if let Some(Chain { end: End::Across(crossing), .. }) = chain {
            draft.cut(survey, crossing);
        }
        if unfinished {
            draft.go_on();
        }
        if let Some(protection) = self.rules.rebinding
            && let Some(removed) = survey.remove_private(self.message, self.question, protection)
        {
            draft.without(removed, survey, self.question.qtype, self.rules.name);
        }
        draft.finish(survey, self.message, self.question, self.rules.caps)
    }
}

#[cfg(test)]
mod tests;
