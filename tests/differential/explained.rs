//! The list of explanations, and which of them fit a difference.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::compare::{Field, Told};
use crate::message::{AA, Message, RA, RD, rcode_name, show_name, type_name};
use crate::questions::Question;

/// The file beside this one.
const FILE: &str = include_str!("explained.toml");

/// One explanation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Who differs from the daemon: `unbound`, `dnsdist`, `itself` (its answer to the same question a
    /// moment before), `promise` (what it must hold to whatever the others say).
    pub peer: Vec<String>,
    /// In what.
    pub differs: Vec<Field>,
    /// Conditions, all of which hold where it applies.
    pub when: Vec<String>,
    /// The reason, and where it is written.
    pub why: String,
    /// Met so seldom that a whole run need not meet it.
    #[serde(default)]
    pub seldom: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    explained: Vec<Explanation>,
}

/// A difference with all that is known of it.
pub struct Case<'a> {
    pub peer: &'a str,
    pub question: &'a Question,
    pub ours: &'a Told,
    pub theirs: &'a Told,
}

/// Reads the list; panics where it is not one.
pub fn list() -> Vec<Explanation> {
    let file: File = toml::from_str(FILE).unwrap_or_else(|error| panic!("explained.toml: {error}"));
    for explanation in &file.explained {
        assert!(!explanation.why.is_empty() && !explanation.differs.is_empty(), "{explanation:?}");
    }
    file.explained
}

/// The fields that no explanation covers; `used` counts for each explanation how often it did.
pub fn unexplained(
    list: &[Explanation],
    case: &Case<'_>,
    found: &BTreeSet<Field>,
    used: &mut [usize],
) -> BTreeSet<Field> {
    let mut left = found.clone();
    for (explanation, used) in list.iter().zip(used) {
        let fits = explanation.peer.iter().any(|peer| peer == case.peer)
            && explanation.differs.iter().any(|field| found.contains(field))
            && explanation.when.iter().all(|condition| holds(condition, case));
        if fits {
            *used += 1;
            left.retain(|field| !explanation.differs.contains(field));
        }
    }
    left
}

/// Whether a condition holds. Before a condition stands `not` to turn it round.
fn holds(condition: &str, case: &Case<'_>) -> bool {
    if let Some(condition) = condition.strip_prefix("not ") {
        return !holds(condition, case);
    }
    let question = case.question;
    let (word, value) = condition.split_once(' ').unwrap_or((condition, ""));
    let is_one_of = |actual: &str| value.split(' ').any(|one| one == actual);
    match word {
        "ours" => case.ours.message().is_some_and(|message| says(value, message, case.ours)),
        "theirs" => case.theirs.message().is_some_and(|message| says(value, message, case.theirs)),
        "type" => is_one_of(&type_name(question.qtype)),
        "class" => is_one_of(&question.qclass.to_string()),
        "name" => value.split(' ').any(|pattern| name_fits(pattern, &question.name)),
        "labels" => question.labels().to_string() == value,
        "rd" => (question.flags & RD != 0) == (value == "1"),
        "tcp" => question.tcp,
        "udp" => !question.tcp,
        "edns" => question.edns.is_some(),
        "version" => question.edns.as_ref().is_some_and(|edns| edns.version.to_string() == value),
        "do" => question.dnssec_ok(),
        "reserved" => question.edns.as_ref().is_some_and(|edns| edns.rest != 0),
        "option" => question
            .edns
            .as_ref()
            .is_some_and(|edns| edns.options.iter().any(|(code, _)| is_one_of(&code.to_string()))),
        "payload-below" => {
            let payload = question.edns.as_ref().map_or(512, |edns| edns.payload.max(512));
            !question.tcp && payload < value.parse().unwrap()
        }
        _ => panic!("explained.toml: no such condition: {condition}"),
    }
}

/// What a condition says of an answer.
fn says(what: &str, message: &Message, told: &Told) -> bool {
    let (word, value) = what.split_once(' ').unwrap_or((what, ""));
    let has = |section: usize, rtype| message.has_type(section, rtype);
    match word {
        "rcode" => value.split(' ').any(|one| one == rcode_name(message.rcode)),
        "aa" => message.has(AA),
        "ra" => message.has(RA),
        "tc" => told.truncated(),
        "over-tcp" => told.whole.is_some(),
        "alias" => has(0, 5),
        "dname" => has(0, 39),
        "nothing" => message.sections.iter().all(Vec::is_empty),
        "no-answer" => message.sections[0].is_empty(),
        "no-authority" => message.sections[1].is_empty(),
        "no-additional" => message.sections[2].is_empty(),
        "no-question" => message.question.is_empty(),
        "soa" => has(1, 6),
        // RFC 2308, 2.2.
        "referral" => message.sections[0].is_empty() && has(1, 2) && !has(1, 6),
        "ede" => message.opt.as_ref().is_some_and(|opt| {
            let code = value.parse::<u16>().unwrap().to_be_bytes();
            opt.options.iter().any(|(option, data)| *option == 15 && data.starts_with(&code))
        }),
        _ => panic!("explained.toml: no such condition on an answer: {what}"),
    }
}

/// `*.suffix` (below it), `+.suffix` (it or below it), or a whole name; `ZONE` stands for each zone with
/// everything.
fn name_fits(pattern: &str, name: &[u8]) -> bool {
    let name = show_name(&name.to_ascii_lowercase());
    let below = |suffix: &str| name.strip_suffix(suffix).is_some_and(|front| front.ends_with('.'));
    let mut patterns = vec![pattern.to_owned()];
    if let Some(front) = pattern.strip_suffix("ZONE") {
        patterns = crate::zones::FULL.iter().map(|apex| format!("{front}{apex}.")).collect();
    }
    patterns.iter().any(|pattern| match (pattern.strip_prefix("*."), pattern.strip_prefix("+.")) {
        (Some(suffix), _) => below(suffix),
        (_, Some(suffix)) => name == suffix || below(suffix),
        _ => name == *pattern,
    })
}
