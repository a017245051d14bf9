//! A pod's search list, walked here (autopath): with `ndots:5` a pod that looks for `www.example.com`
//! asks for it under each element of its list first, for A and for AAAA, and waits for every denial.
//!
//! Where the first of these names does not exist, the rest of that pod's own list and the name itself are
//! looked up here, in the order in which its resolver would, and the answer is an alias from the name
//! that it asked for to the first one that exists. Where nothing can be said for sure (an upstream
//! fails, a name has some types and is denied for others, it takes too long) the pod gets the first
//! denial and goes on by itself, as without this. Nothing is asked that the pod would not ask next, if it
//! searches.
//!
//! Whether it does cannot be seen of one question: who means just `db.shop.svc.cluster.local` asks as one
//! does who searches for `db`. Two signs are heeded: a name of the form of a StatefulSet's pod is meant as it
//! is ([`is_replica`]), and so is one for which the pod was just denied the same name with the list's first
//! element behind it ([`Desk::is_searched_for_itself`]).
//!
//! Whether a name exists does not depend on the type. So it is asked for by A, and AAAA only of the name
//! that was found: both questions of a pod walk together, each name is asked for once, and they end at the
//! same one.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::journey::{Journey, Stage};
use super::{Client, Desk, Settled};
use crate::answer::{Section, Writer};
use crate::cache::{Entry, Freshness, Key, SharedKey};
use crate::cni::record::SearchFrom;
use crate::local::Rewrites;
use crate::pods::Pod;
use crate::telemetry::labels::{Autopath, Source};
use crate::time::Tick;
use crate::wire::edns::{Ede, ede};
use crate::wire::header::{Rcode, flag};
use crate::wire::name::{Labels, MAX_NAME, Name, Presentation, is_within};
use crate::wire::query::Query;
use crate::wire::{CLASS_IN, rtype};

/// So many elements of a search list are walked; Kubernetes allows 32 (pod validation), glibc any number.
/// Behind them the pod goes on by itself: the name as it is comes after all of them.
const MOST: usize = 32;
/// A walk that has taken longer than this is not begun another step of: the pod's resolver is given the
/// denial and goes on itself. It waits 5 s for an answer, and the last step may take a route's deadline, 4 s
/// by default.
const LONGEST: Duration = Duration::from_millis(800);
/// The longest TTL of the alias, in seconds: what comes into being under an earlier element shall be
/// found.
const LONGEST_TTL: u64 = 30;

/// The name that is being made of a host's and an element of the list.
type Candidate = SmallVec<[u8; MAX_NAME]>;

/// How far a walk has come.
pub(super) struct Path {
    pod: Arc<Pod>,
    /// Bytes of the labels in front of the list's first element.
    host: usize,
    /// The element of the list that is being asked with; as many as there are: none.
    step: usize,
    /// What the question's own name was denied by.
    denial: Option<Denial>,
    /// Until when all denials hold.
    holds: Tick,
    /// When to give up.
    until: Tick,
}

/// The answer to the client's own question.
pub(super) struct Denial {
    pub stage: Stage,
    pub note: Option<Ede>,
    pub source: Source,
}

/// What is to be done next on a walk.
// Used at once, not stored.
#[allow(clippy::large_enum_variant)]
pub(super) enum Turn {
    /// Not on a walk, or no more: the answer is taken for what it is.
    Take,
    /// To ask for this.
    Ask(Key),
    /// To leave the client with this.
    Nowhere(Denial),
}

/// What an answer says of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Exists,
    Denied,
    /// Denied, while another type of it is known.
    Unsure,
    Failed,
}

impl Path {
    /// The walk that a question for this folded name may become, if the pod's resolver made it by its
    /// search list.
    fn of(pod: &Arc<Pod>, name: &[u8], now: Tick) -> Option<Box<Path>> {
        let first = pod.search.first().filter(|_| pod.search_from == SearchFrom::Runtime)?;
        let host = name.len().checked_sub(first.as_wire().len()).filter(|host| *host > 0)?;
        if first.is_root() || !is_within(name, first.as_wire()) {
            return None;
        }
        // What it makes by a later element may end with the first one too: that is no search for the
        // labels in front of it, of which nobody but this pod has to know.
        let by_another = |other: &Name| {
            let element = other.as_wire();
            element.len() > first.as_wire().len()
                && name.len() > element.len()
                && is_within(name, element)
        };
        if pod.search.iter().any(by_another) {
            return None;
        }
        // Names with as many dots are asked for as they are first (resolv.conf(5)).
        let ndots = usize::from(pod.ndots.unwrap_or(1));
        let is_first_as_it_is = |name| Labels(name).count() > ndots;
        if is_first_as_it_is(&name[..host])
            || (is_replica(&name[..host]) && is_first_as_it_is(name))
        {
            return None;
        }
        let (pod, denial) = (Arc::clone(pod), None);
        let holds = Tick(u64::MAX);
        Some(Box::new(Path { pod, host, step: 0, denial, holds, until: now + LONGEST }))
    }

    /// Takes in that the present name does not exist.
    fn deny(&mut self, found: &Settled) {
        // What is known here does not expire.
        if found.source != Source::Local {
            self.holds = self.holds.min(found.entry.fresh_until());
        }
        let (stage, note, source) = (Stage::of(found), found.note.clone(), found.source);
        self.denial.get_or_insert(Denial { stage, note, source });
    }

    /// The next name that the resolver would ask for; `None` behind the last, where it has been long on
    /// the way, or where that name would be asked for as another.
    fn next(&mut self, name: &[u8], rewrites: &Rewrites, now: Tick) -> Option<Candidate> {
        let host = name.get(..self.host)?;
        let list = &self.pod.search[..self.pod.search.len().min(MOST)];
        while now < self.until {
            self.step += 1;
            let element = match list.get(self.step) {
                Some(element) => element.as_wire(),
                None if self.step == self.pod.search.len() => &[0],
                None => return None,
            };
            if host.len() + element.len() <= MAX_NAME {
                let candidate: Candidate = host.iter().chain(element).copied().collect();
                return rewrites.find(&candidate).is_none().then_some(candidate);
            }
        }
        None
    }

    /// The alias from the name that was asked for to one that exists.
    fn alias(&self, journey: &Journey, target: &[u8], now: Tick) -> Option<Stage> {
        let denial = self.denial.as_ref()?;
        let left = self.holds.since(now).as_secs().min(LONGEST_TTL) as u32;
        let mut writer = Writer::new(journey.question(), Rcode::NOERROR, 0);
        let fixed = (rtype::CNAME, CLASS_IN, left);
        writer.record(Section::Answer, &[0xc0, 0x0c], fixed, &[target]);
        writer.onward = true;
        let text = format!("search list of {}: {}", self.pod, Presentation(target));
        writer.ede = Some(Ede::new(ede::SYNTHESIZED, text));
        let life = (Duration::ZERO, Duration::ZERO);
        let (key, route) = (journey.key.as_bytes(), denial.stage.entry.route());
        Some(Stage::made(Entry::new(key, &writer.finish(), route, now, life)))
    }
}

/// Types that resolvers ask for by a search list. Others are asked by people and tools that mean the very
/// name.
fn is_searched(qtype: u16) -> bool {
    let others = [rtype::SRV, rtype::TXT, rtype::MX, rtype::SVCB, rtype::HTTPS];
    matches!(qtype, rtype::A | rtype::AAAA) || others.contains(&qtype)
}

/// Whether labels are those of a pod and its Service, `db-0.db`: StatefulSets number their pods, and an
/// endpoint without a name is called by its address, `10-244-1-5.db`. Such a pod is not there while it is
/// not ready, and whoever looks for it must not be led to a host of the internet that happens to be called
/// so.
fn is_replica(labels: &[u8]) -> bool {
    let mut labels = Labels(labels);
    let (Some(pod), Some(_), None) = (labels.next(), labels.next(), labels.next()) else {
        return false;
    };
    let number = pod.rsplit(|&byte| byte == b'-').next().filter(|number| *number != pod);
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Whether it has no records for a name of one label.
fn is_bare(entry: &Entry) -> bool {
    entry.header().counts[1] == 0 && Labels(entry.name()).count() == 1
}

impl Desk {
    /// The walk that a question may become. Not one with DO: an alias without a signature would be
    /// bogus to a client that validates.
    #[inline]
    pub(super) fn path(
        &self,
        query: &Query<'_>,
        folded: &[u8],
        client: Client,
        now: Tick,
    ) -> Option<Box<Path>> {
        if !self.autopath {
            return None;
        }
        let plain = query.header.has(flag::RD) && !query.dnssec_ok();
        let pod = self.pods.find(client.addr.ip()).filter(|_| plain && is_searched(query.qtype))?;
        Path::of(pod, folded, now).filter(|path| !self.is_searched_for_itself(path, folded, now))
    }

    /// Whether the name with the list's first element behind it was denied just now. A resolver asks for
    /// that before it asks for the name as it is, if that has fewer dots than `ndots`.
    fn is_searched_for_itself(&self, path: &Path, name: &[u8], now: Tick) -> bool {
        let element = path.pod.search.first().map_or(&[][..], Name::as_wire);
        let labels = name.strip_suffix(&[0]).unwrap_or_default();
        if labels.len() + element.len() > MAX_NAME {
            return false;
        }
        let longer: Candidate = labels.iter().chain(element).copied().collect();
        let key = Key::of(&longer, rtype::A, false, false);
        let denied = |entry: &Entry| {
            entry.rcode() == Rcode::NXDOMAIN && matches!(entry.freshness(now), Freshness::Fresh(_))
        };
        self.known(self.server.cache.hashed(key.as_bytes()), denied).is_some()
    }

    /// The question for A that tells first whether the name exists. AAAA is asked by resolvers that ask
    /// for A too; other types wait for it only if it is under way.
    pub(super) fn led_by(&self, key: &[u8]) -> Option<SharedKey> {
        let (dnssec_ok, checking_disabled) = Key::flags(key);
        let a = Key::of(Key::name(key), rtype::A, dnssec_ok, checking_disabled);
        let a = self.server.cache.hashed(a.as_bytes());
        let led = match Key::qtype(key) {
            rtype::A => false,
            rtype::AAAA => true,
            _ => self.server.flights.is_under_way(a),
        };
        led.then(|| SharedKey::new(a))
    }

    /// Takes in an answer on a walk.
    pub(super) fn turn(&self, journey: &mut Journey, found: &Settled, now: Tick) -> Turn {
        let Some(mut path) = journey.path.take() else { return Turn::Take };
        let entry = &found.entry;
        let (dnssec_ok, checking_disabled) = Key::flags(journey.key.as_bytes());
        let ask =
            |name: &[u8], qtype| Turn::Ask(Key::of(name, qtype, dnssec_ok, checking_disabled));
        let own = Key::qtype(journey.key.as_bytes());
        let for_another = entry.qtype() != own;
        let (result, turn) = match self.verdict(found, now) {
            Verdict::Denied => {
                path.deny(found);
                let name = Key::name(journey.key.as_bytes());
                if let Some(next) = path.next(name, &self.server.rewrites, now) {
                    journey.path = Some(path);
                    return ask(&next, rtype::A);
                }
                let all = path.step > path.pod.search.len();
                (
                    if all { Autopath::Nowhere } else { Autopath::GivenUp },
                    path.denial.map(Turn::Nowhere),
                )
            }
            Verdict::Exists if path.step > 0 => {
                journey.parts.extend(path.alias(journey, entry.name(), now));
                (Autopath::Found, for_another.then(|| ask(entry.name(), own)))
            }
            // The question of another type was to tell whether there is a walk, and has told that there
            // is none, or nothing.
            Verdict::Exists | Verdict::Unsure if path.step == 0 => {
                return if for_another { ask(entry.name(), own) } else { Turn::Take };
            }
            Verdict::Failed if path.step == 0 => {
                // Nor is a failure waited for twice: it is the name's servers that are silent.
                if !for_another || now >= path.until {
                    return Turn::Take;
                }
                journey.path = Some(path);
                return ask(entry.name(), own);
            }
            _ => (Autopath::GivenUp, path.denial.map(Turn::Nowhere)),
        };
        self.stats.autopath(result);
        turn.unwrap_or(Turn::Take)
    }

    fn verdict(&self, found: &Settled, now: Tick) -> Verdict {
        let entry = &found.entry;
        match entry.rcode() {
            // A single label that nobody is asked for (horizon rule 7) exists as little as one denied.
            Rcode::NOERROR if found.source == Source::Local && is_bare(entry) => Verdict::Denied,
            Rcode::NOERROR => Verdict::Exists,
            // An alias exists, wherever it leads.
            Rcode::NXDOMAIN if entry.header().counts[1] > 0 => Verdict::Exists,
            Rcode::NXDOMAIN => {
                let (dnssec_ok, checking_disabled) = entry.asked_with();
                let key = Key::of(entry.name(), entry.qtype(), dnssec_ok, checking_disabled);
                // One past its expiry says what was: its own question is asked anew, and must not end
                // elsewhere than this one.
                match self.sibling(self.server.cache.hashed(key.as_bytes()), now) {
                    Some(Freshness::Fresh(_)) => Verdict::Unsure,
                    _ => Verdict::Denied,
                }
            }
            _ => Verdict::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
