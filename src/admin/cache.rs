//! What operators see of the cache and do to it, as it travels over the control socket.
//!
//! Fields may be added; none changes its meaning. Unknown fields are ignored when read.

use serde::{Deserialize, Serialize};

use crate::cache::{Cursor, Entry, Filter, Scope};
use crate::telemetry::labels::{type_index, type_label};
use crate::time::Tick;
use crate::wire::name::Presentation;

/// Who has the cache: the core.
pub trait CacheSource: Send + Sync + 'static {
    /// The routes' names, by their index.
    fn route_names(&self) -> Vec<String>;
    /// Forgets, and returns how many entries that were. May take seconds; for a thread that may wait.
    fn flush(&self, scope: &Scope) -> u64;
    /// A page of about `most` entries. May take some milliseconds.
    fn page(&self, from: Cursor, filter: &Filter, most: usize) -> CachePage;
    /// The present figures.
    fn cache_stats(&self) -> CacheStats;
}

/// What a flush has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    /// Entries that went.
    pub entries: u64,
}

/// A part of the cache, in no order that means anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachePage {
    /// Some entries, or none.
    pub entries: Vec<EntryStatus>,
    /// What to give as `from` for the page behind this; `None` at the end.
    pub next: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryStatus {
    /// The question's name.
    pub name: String,
    /// The question's type; `*` where it holds for the name, whatever the type.
    #[serde(rename = "type")]
    pub qtype: String,
    /// Whether DO was set.
    #[serde(rename = "do")]
    pub dnssec_ok: bool,
    /// Whether CD was set.
    #[serde(rename = "cd")]
    pub checking_disabled: bool,
    /// The route that it came by.
    pub route: String,
    /// `positive`, `negative` or `failure`.
    pub kind: String,
    /// The response code.
    pub rcode: String,
    /// Whole seconds since it came.
    pub age_s: u64,
    /// Whole seconds that it is still fresh; 0 when it is stale.
    pub ttl_s: u64,
    /// Whole seconds that it may serve stale, from now or from its expiry on.
    pub stale_s: u64,
    /// What it takes in memory, its place in the table not counted.
    pub bytes: usize,
    /// How often it was used of late, as far as the cache counts that (to 3).
    pub uses: u8,
    /// For a failure, how many it is in a row; else 0.
    pub failures: u8,
    /// Code of its extended error, if it has one.
    pub ede: Option<u16>,
}

impl EntryStatus {
    /// An entry at `now`, which came by the route of this name.
    pub fn new(entry: &Entry, route: &str, now: Tick) -> EntryStatus {
        let (dnssec_ok, checking_disabled) = entry.asked_with();
        let failed = entry.failures() > 0;
        let stale = entry.keep_until().since(now.max(entry.fresh_until()));
        EntryStatus {
            name: Presentation(entry.name()).to_string(),
            qtype: if entry.is_of_name() { "*".to_owned() } else { type_text(entry.qtype()) },
            dnssec_ok,
            checking_disabled,
            route: route.to_owned(),
            kind: format!("{:?}", entry.kind()).to_lowercase(),
            rcode: entry.rcode().to_string(),
            age_s: entry_age(entry, now),
            ttl_s: entry.fresh_until().since(now).as_secs(),
            // A failure that has expired is only counted on.
            stale_s: if failed { 0 } else { stale.as_secs() },
            bytes: entry.heap(),
            uses: entry.uses(),
            failures: entry.failures(),
            ede: entry.view().ede.map(|ede| ede.code),
        }
    }
}

fn entry_age(entry: &Entry, now: Tick) -> u64 {
    now.secs_since(entry.stored()).into()
}

/// A type's name, else `TYPE1234` (RFC 3597, 5).
fn type_text(qtype: u16) -> String {
    match type_label(type_index(qtype)) {
        "other" => format!("TYPE{qtype}"),
        name => name.to_owned(),
    }
}

/// The cache's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Entries.
    pub entries: u64,
    /// What they take, overhead included.
    pub bytes: u64,
    /// What they may take.
    pub limit_bytes: u64,
    /// Entries pushed out since the start because the budget was full.
    pub evictions: u64,
    /// The routes in the order of the configuration.
    pub routes: Vec<RouteCache>,
}

/// One route's share of the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCache {
    /// Its name.
    pub route: String,
    /// Answers with records.
    pub positive: u64,
    /// Answers that say that there are none.
    pub negative: u64,
    /// Failures that are remembered.
    pub failures: u64,
    /// What all of them take, overhead included.
    pub bytes: u64,
    /// Queries answered from fresh entries since the start.
    pub hits: u64,
    /// Queries that were not.
    pub misses: u64,
}

#[cfg(test)]
pub(in crate::admin) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::answer::{Answer, Kind, Question, Writer};
    use crate::cache::Key;
    use crate::wire::edns::Ede;
    use crate::wire::header::Rcode;

    /// An entry that came at 10 s, is fresh for 60 s, and may serve for 30 s more.
    fn entry(key: &Key, rcode: Rcode) -> Entry {
        let name = Key::name(key.as_bytes());
        let question = Question { name, qtype: Key::qtype(key.as_bytes()), qclass: 1 };
        let mut writer = Writer::new(question, rcode, 0);
        writer.kind = Kind::Negative;
        let life = (Duration::from_secs(60), Duration::from_secs(30));
        Entry::new(key.as_bytes(), &writer.finish(), 1, Tick(10_000_000), life)
    }

    #[test]
    fn an_entry_tells_what_it_is_and_how_long_it_lives() {
        let key = Key::of(b"\x02a.\0", 65, true, false);
        let made = entry(&key, Rcode::NOERROR);
        let at = |s: u64| EntryStatus::new(&made, "internet", Tick(s * 1_000_000));
        let fresh = at(15);
        assert_eq!((fresh.name.as_str(), fresh.qtype.as_str()), ("a\\..", "HTTPS"));
        assert_eq!((fresh.dnssec_ok, fresh.checking_disabled), (true, false));
        assert_eq!((fresh.kind.as_str(), fresh.rcode.as_str()), ("negative", "NOERROR"));
        assert_eq!((fresh.age_s, fresh.ttl_s, fresh.stale_s), (5, 55, 30));
        let stale = at(80);
        assert_eq!((stale.age_s, stale.ttl_s, stale.stale_s), (70, 0, 20));
        assert_eq!((stale.ede, stale.failures), (None, 0));
        let place = Key::of_name(key.as_bytes());
        let whole = EntryStatus::new(&entry(&place, Rcode::NXDOMAIN), "internet", Tick(0));
        assert_eq!((whole.qtype.as_str(), whole.rcode.as_str()), ("*", "NXDOMAIN"));
        let odd = entry(&Key::of(b"\0", 4711, false, true), Rcode::NOERROR);
        let odd = EntryStatus::new(&odd, "internet", Tick(0));
        assert_eq!((odd.name.as_str(), odd.qtype.as_str()), (".", "TYPE4711"));
    }

    #[test]
    fn a_failure_says_so_and_is_never_stale() {
        let key = Key::of(b"\x01a\0", 1, false, false);
        let question = Question { name: b"\x01a\0", qtype: 1, qclass: 1 };
        let answer = Answer::failure(question, Rcode::SERVFAIL, Ede::new(22, "no answer"));
        let life = (Duration::from_secs(2), Duration::from_secs(60));
        let failure = Entry::failure(key.as_bytes(), &answer, 0, Tick(0), life, 2);
        let shown = EntryStatus::new(&failure, "cluster", Tick(0));
        assert_eq!((shown.kind.as_str(), shown.failures, shown.ede), ("failure", 2, Some(22)));
        assert_eq!((shown.ttl_s, shown.stale_s), (2, 0));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(
            (&json["type"], &json["do"], &json["cd"]),
            (&"A".into(), &false.into(), &false.into())
        );
    }
}
