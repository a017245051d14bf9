//! Answers what needs no upstream: the records and the hosts file that the configuration names,
//! special-use names, what must not leave a horizon, and the server's own CHAOS names; and says which
//! names are asked for as others ([`rewrite`]).
//!
//! It is asked only after the cache: none of these names is ever cached, so a hit does not pay for
//! the look. Which part wins over which is told by [`data`]. What the CHAOS names say is put together
//! in [`crate::serve`].

use crate::answer::{Answer, Kind, Question, Section, Writer};
use crate::config::SingleLabel;
use crate::route::Match;
use crate::wire::header::{Rcode, flag};
use crate::wire::name::{Labels, is_within};
use crate::wire::{CLASS_IN, rtype};

pub mod chaos;
pub mod data;
pub mod hosts;
pub mod records;
mod reverse;
pub mod rewrite;

pub use data::Data;
pub use rewrite::{Back, Rewrites, Rewritten};

/// TTL of positive local answers, in seconds.
const TTL: u32 = 3600;
/// How long a negative local answer may be kept (SOA TTL and MINIMUM), in seconds.
const NEGATIVE_TTL: u32 = 60;

/// What is answered here by rule. `owner` is the route of the name, if it has one.
fn answer(
    question: Question<'_>,
    owner: Option<&Match>,
    single_label: SingleLabel,
) -> Option<Answer> {
    if let Some(special) = Special::of(question.name, owner) {
        return Some(special.answer(question));
    }
    let routed = owner.is_some_and(|m| !m.is_root());
    let address = matches!(question.qtype, rtype::A | rtype::AAAA);
    let single = Labels(question.name).count() == 1;
    if single && address && !routed && single_label == SingleLabel::NoData {
        return Some(negative(question, Rcode::NOERROR, question.name));
    }
    None
}

/// DS at a private suffix itself belongs to the parent, which lies in another horizon and must not
/// be asked about it: NODATA.
pub fn ds_at_apex(question: Question<'_>) -> Answer {
    negative(question, Rcode::NOERROR, question.name)
}

/// ANY gets one small record instead of all there is (RFC 8482, 4.2): no amplifier, and no answer
/// that depends on what happens to be in a cache.
pub fn minimal_any(question: Question<'_>) -> Answer {
    let mut writer = Writer::new(question, Rcode::NOERROR, 0);
    let fixed = (rtype::HINFO, CLASS_IN, TTL);
    writer.record(Section::Answer, POINTER_TO_QUESTION, fixed, &[b"\x07RFC8482\0"]);
    writer.finish()
}

/// Special-use names (RFC 6761 and its followers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special<'a> {
    /// `localhost` and below (RFC 6761, 6.3).
    Localhost,
    /// Names that do not exist, with the apex that says so (RFC 6761, 6.2 and 6.4; RFC 7686, 2).
    Nowhere(&'a [u8]),
    /// `resolver.arpa`: this server has no designated resolver (RFC 9462, 4).
    ResolverArpa(&'a [u8]),
}

impl<'a> Special<'a> {
    fn of(name: &'a [u8], owner: Option<&Match>) -> Option<Special<'a>> {
        let under = |suffix: &[u8]| is_within(name, suffix).then(|| tail(name, suffix));
        let unrouted = owner.is_none_or(Match::is_root);
        if under(b"\x09localhost\0").is_some() {
            return Some(Special::Localhost);
        }
        if let Some(apex) = under(b"\x07invalid\0").or(under(b"\x05onion\0")) {
            return Some(Special::Nowhere(apex));
        }
        if let Some(apex) = under(b"\x04test\0").filter(|_| unrouted) {
            return Some(Special::Nowhere(apex));
        }
        under(b"\x08resolver\x04arpa\0").map(Special::ResolverArpa)
    }

    fn answer(self, question: Question<'_>) -> Answer {
        match (self, question.qtype) {
            (Special::Localhost, rtype::A) => address(question, &[127, 0, 0, 1]),
            (Special::Localhost, rtype::AAAA) => {
                address(question, &std::net::Ipv6Addr::LOCALHOST.octets())
            }
            (Special::Localhost, _) => negative(question, Rcode::NOERROR, b"\x09localhost\0"),
            (Special::Nowhere(apex), _) => negative(question, Rcode::NXDOMAIN, apex),
            (Special::ResolverArpa(apex), _) => negative(question, Rcode::NOERROR, apex),
        }
    }
}

fn tail<'a>(name: &'a [u8], suffix: &[u8]) -> &'a [u8] {
    &name[name.len() - suffix.len()..]
}

fn address(question: Question<'_>, octets: &[u8]) -> Answer {
    let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
    let fixed = (question.qtype, CLASS_IN, TTL);
    writer.record(Section::Answer, POINTER_TO_QUESTION, fixed, &[octets]);
    writer.finish()
}

/// A negative answer with an SOA at `apex`, so that it may be kept (RFC 2308, 3).
pub(crate) fn negative(question: Question<'_>, rcode: Rcode, apex: &[u8]) -> Answer {
    let mut writer = Writer::new(question, rcode, flag::AA);
    writer.kind = Kind::Negative;
    write_soa(&mut writer, Section::Authority, apex, apex);
    writer.finish()
}

/// The SOA of an empty zone, to the question for it.
fn start_of_authority(question: Question<'_>) -> Answer {
    let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
    write_soa(&mut writer, Section::Answer, POINTER_TO_QUESTION, question.name);
    writer.finish()
}

fn write_soa(writer: &mut Writer, section: Section, owner: &[u8], apex: &[u8]) {
    let numbers = [1, 3600, 600, 86_400, NEGATIVE_TTL].map(u32::to_be_bytes).concat();
    // MNAME is the apex; RNAME is the root: there is nobody to write to (RFC 6303, 3).
    let fixed = (rtype::SOA, CLASS_IN, NEGATIVE_TTL);
    writer.record(section, owner, fixed, &[apex, &[0], &numbers]);
}

/// The owner name of a record about the question itself.
const POINTER_TO_QUESTION: &[u8] = &[0xc0, 0x0c];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::route::Rule;
    use crate::wire::name::Name;
    use crate::wire::records::Records;

    const ROOT: Match = Match { route: 0, rule: Rule::Suffix(0) };
    const ROUTED: Match = Match { route: 1, rule: Rule::Suffix(1) };

    fn ask(name: &str, qtype: u16, owner: Match) -> Option<(Rcode, [u16; 4])> {
        let name: Name = name.parse().unwrap();
        let question = Question { name: name.as_wire(), qtype, qclass: 1 };
        let made = answer(question, Some(&owner), SingleLabel::NoData)?;
        let head = made.header();
        let [_, sections @ ..] = head.counts;
        let mut walk = Records::new(made.wire(), made.question_end(), sections);
        assert!(walk.by_ref().all(|r| r.is_ok()));
        assert_eq!(walk.position(), made.wire().len());
        Some((made.rcode(), head.counts))
    }

    #[test]
    fn special_names() {
        let (ok, nx) = (Rcode::NOERROR, Rcode::NXDOMAIN);
        let (one, none) = ([1, 1, 0, 0], [1, 0, 1, 0]);
        for (name, qtype, expected) in [
            ("localhost", rtype::A, Some((ok, one))),
            ("a.localhost", rtype::AAAA, Some((ok, one))),
            ("localhost", rtype::TXT, Some((ok, none))),
            ("xlocalhost.example", rtype::A, None),
            ("a.invalid", rtype::A, Some((nx, none))),
            ("a.test", rtype::A, Some((nx, none))),
            ("abc.onion", rtype::AAAA, Some((nx, none))),
            ("_dns.resolver.arpa", 64, Some((ok, none))),
            ("a.internal", rtype::A, None),
            ("ipv4only.arpa", rtype::AAAA, None),
            ("web", rtype::A, Some((ok, none))),
            ("web", rtype::AAAA, Some((ok, none))),
            ("com", rtype::NS, None),
            ("com", rtype::DS, None),
            (".", rtype::A, None),
            ("a.notest", rtype::A, None),
        ] {
            assert_eq!(ask(name, qtype, ROOT), expected, "{name}");
        }
    }

    #[test]
    fn a_route_of_ones_own_wins_where_the_rules_let_it() {
        assert_eq!(ask("a.test", rtype::A, ROUTED), None);
        assert_eq!(ask("lan", rtype::A, ROUTED), None);
        assert!(ask("a.onion", rtype::A, ROUTED).is_some());
    }

    #[test]
    fn a_label_that_ends_in_suffix_bytes_is_not_the_suffix() {
        // One label whose text contains the wire form of "test.".
        let name = b"\x06ab\x04tes\x01t\0";
        let sly = b"\x07ab\x04test\0";
        for name in [&name[..], sly] {
            let question = Question { name, qtype: rtype::MX, qclass: 1 };
            assert_eq!(answer(question, Some(&ROOT), SingleLabel::NoData), None);
        }
    }
}
