//! What the server tells about itself in CH TXT.

use std::sync::Arc;

use super::{Client, Desk, Reply, Step};
use crate::answer::{Answer, Question};
use crate::cache::{Entry, Freshness, Key};
use crate::compose;
use crate::headcni::Learnt;
use crate::local::chaos::{self, Topic};
use crate::respond::Ask;
use crate::route::{Match, Rule};
use crate::telemetry::labels::{Family, Source};
use crate::telemetry::stats::NO_ROUTE;
use crate::time::Tick;
use crate::upstream::{RouteState, State, Upstream};
use crate::wire::edns::{Ede, ede};
use crate::wire::header::Rcode;
use crate::wire::name::{MAX_NAME, Name, Presentation};
use crate::wire::query::Query;
use crate::wire::rtype;

/// The most rows of one answer; what is beyond is said to be so.
const ROWS: usize = 500;

impl Desk {
    #[cold]
    pub(super) fn ask_chaos(
        &mut self,
        query: &Query<'_>,
        ask: &Ask<'_>,
        client: Client,
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        self.stats.request(NO_ROUTE, client.proto, Family::of(&client.addr), query.qtype);
        let mut folded = [0u8; MAX_NAME];
        let name = &mut folded[..query.name.len()];
        name.copy_from_slice(query.name);
        name.make_ascii_lowercase();
        let question = Question { name, qtype: query.qtype, qclass: query.qclass };
        let reply = Reply { query, ask, client, route: NO_ROUTE, now };
        let Some(topic) = Topic::of(question.name) else {
            let ede = Ede::new(ede::NOT_SUPPORTED, "no such name in class CH");
            let answer = Answer::failure(question, Rcode::REFUSED, ede);
            return self.reply(reply, &answer, Source::Refused, out);
        };
        if topic.is_private() && !self.acls.debug.contains(client.addr.ip()) {
            let text = "for the node itself and [admit] debug only";
            let answer = Answer::failure(question, Rcode::REFUSED, Ede::new(ede::PROHIBITED, text));
            return self.reply(reply, &answer, Source::Refused, out);
        }
        let mut rows = self.rows(&topic, client, now);
        if rows.len() > ROWS {
            let more = rows.len() - ROWS;
            rows.truncate(ROWS);
            rows.push(format!("... and {more} more"));
        }
        self.reply(reply, &chaos::answer(question, &rows), Source::Local, out)
    }

    fn rows(&self, topic: &Topic, client: Client, now: Tick) -> Vec<String> {
        match topic {
            Topic::Version => vec![concat!("horizond ", env!("CARGO_PKG_VERSION")).to_owned()],
            Topic::Identity => vec![self.server.node.to_string()],
            Topic::Whoami => self.whoami(client),
            Topic::Routes => self.routes().iter().map(|route| self.route_row(route)).collect(),
            Topic::Upstreams => self
                .routes()
                .iter()
                .flat_map(|route| {
                    let from = self.server.learnt_by(route.index);
                    let from = from.map_or_else(String::new, |learnt| {
                        format!(", from {}.nameservers", learnt.origin())
                    });
                    route.upstreams.iter().map(move |upstream| {
                        format!("{} {}{from}", route.name, upstream_row(upstream, now))
                    })
                })
                .collect(),
            Topic::Cache => self.cache_rows(),
            Topic::Explain(name) => self.explain(name, client, now),
        }
    }

    fn route_row(&self, route: &RouteState) -> String {
        let policy = self.server.policies.get(usize::from(route.index));
        let private = if policy.is_some_and(|p| p.private) { "private" } else { "public" };
        let upstreams: Vec<String> = route.upstreams.iter().map(|u| u.describe()).collect();
        let upstreams =
            if upstreams.is_empty() { "no upstream".to_owned() } else { upstreams.join(" ") };
        format!("{} {private} {} -> {upstreams}", route.name, self.server.owns(route.index))
    }

    fn cache_rows(&self) -> Vec<String> {
        let cache = &self.server.cache;
        let mut rows = Vec::new();
        let mut total = 0;
        for share in cache.shares() {
            total += share.bytes;
            if share.entries > 0 {
                let route = self.server.policies.get(usize::from(share.route));
                let kind = format!("{:?}", share.kind).to_lowercase();
                rows.push(format!(
                    "{} {kind} {} entries {} bytes",
                    route.map_or("?", |p| &p.name),
                    share.entries,
                    share.bytes
                ));
            }
        }
        rows.push(format!("total {total} bytes of {}", cache.memory()));
        rows
    }

    /// Step by step what would happen to a question for A or AAAA of `name`; sends nothing.
    pub(super) fn explain(&self, name: &Name, client: Client, now: Tick) -> Vec<String> {
        let wire = name.as_wire();
        let ip = client.addr.ip().to_canonical();
        let pod = self.pods.find(ip).map_or_else(String::new, |pod| format!(", pod {pod},"));
        let client = format!("client {ip}{pod} is allowed to ask");
        let mut rows = vec![format!("name {name}"), client];
        let rewritten = self.server.rewrites.find(wire).map(|rewritten| rewritten.name);
        rows.extend(rewritten.as_ref().map(|to| format!("asked for as {to}")));
        let wire = rewritten.as_ref().map_or(wire, Name::as_wire);
        let owner = self.server.table.load().find(wire);
        let question = Question { name: wire, qtype: rtype::A, qclass: 1 };
        if let Some(answer) = self.local_answer(question, owner.as_ref()) {
            let by = self.server.local.explain(question, owner.as_ref()).unwrap_or("by rule");
            rows.push(format!("answered here: {} ({by})", answer.rcode()));
            return rows;
        }
        let Some(owner) = owner else {
            rows.push("no route owns it: REFUSED".into());
            return rows;
        };
        let Some(route) = self.routes().get(usize::from(owner.route)) else { return rows };
        rows.push(format!("route {} by {}", route.name, owner.describe(wire)));
        let learnt = self.server.learnt_by(owner.route);
        rows.extend(learnt.iter().flat_map(|learnt| learnt_rows(learnt, wire, &owner)));
        for (qtype, label) in [(rtype::A, "A"), (rtype::AAAA, "AAAA")] {
            rows.push(format!("cache {label}: {}", self.cache_state(wire, qtype, now)));
            rows.extend(
                self.alias_row(wire, qtype, now).map(|row| format!("cache {label}: {row}")),
            );
        }
        let key = Key::of(wire, rtype::A, false, false);
        let hashed = self.server.cache.hashed(key.as_bytes());
        if self.denied_above(hashed, &owner, now).is_some() {
            rows.push(
                "a name above it does not exist: NXDOMAIN, nobody is asked (RFC 8020)".into(),
            );
        }
        let mut ups: Vec<&Upstream> = route.upstreams.iter().map(AsRef::as_ref).collect();
        ups.sort_by_key(|u| u.health.state(now) == State::Down);
        rows.extend(
            ups.iter()
                .enumerate()
                .map(|(i, u)| format!("upstream {}: {}", i + 1, upstream_row(u, now))),
        );
        if ups.is_empty() {
            rows.push("upstream: none (its file names no usable server)".into());
        }
        rows
    }

    /// Where an alias in the cache leads, if that is out of its horizon.
    fn alias_row(&self, name: &[u8], qtype: u16, now: Tick) -> Option<String> {
        let key = Key::of(name, qtype, false, false);
        let entry = self.server.cache.get(self.server.cache.hashed(key.as_bytes()))?;
        if !entry.is_onward() || entry.freshness(now) == Freshness::Dead {
            return None;
        }
        let target = compose::target(entry.view())?;
        let shown = Presentation(target.as_wire());
        let Some(owner) = self.server.table.load().find(target.as_wire()) else {
            return Some(format!("an alias that leads to {shown}, which no route owns"));
        };
        let policy = self.server.policies.get(usize::from(owner.route));
        let route = policy.map_or("?", |policy| &policy.name);
        Some(format!("an alias that leads to {shown}, which route {route} is asked for"))
    }

    fn cache_state(&self, name: &[u8], qtype: u16, now: Tick) -> String {
        let key = Key::of(name, qtype, false, false);
        let cache = &self.server.cache;
        let hashed = cache.hashed(key.as_bytes());
        let alive = |entry: &Entry| entry.freshness(now) != Freshness::Dead;
        let entry = self.known(hashed, alive);
        let failure = self.failure_row(key.as_bytes(), now);
        let Some(entry) = entry else {
            let expired = || if cache.get(hashed).is_some() { "expired" } else { "nothing" }.into();
            return failure.unwrap_or_else(expired);
        };
        let kind = format!("{:?}", entry.kind()).to_lowercase();
        let rcode = entry.rcode();
        let age = now.secs_since(entry.stored());
        if let Freshness::Fresh(_) = entry.freshness(now) {
            let left = entry.fresh_until().since(now).as_secs();
            return format!("hit, {kind} {rcode}, age {age} s, {left} s left");
        }
        let left = entry.keep_until().since(now).as_secs();
        match failure {
            Some(failure) => {
                format!("stale, {kind} {rcode}, age {age} s, given for {left} s: {failure}")
            }
            None => format!("stale, {kind} {rcode}, age {age} s, usable for {left} s if all fails"),
        }
    }

    /// The failure that is remembered for a question: it stands behind what is fresh, and has what is
    /// past its expiry given at once.
    fn failure_row(&self, key: &[u8], now: Tick) -> Option<String> {
        let failure = self.server.cache.failure(key)?;
        let Freshness::Fresh(_) = failure.freshness(now) else { return None };
        let why = failure.view().ede.map_or("", |e| e.text);
        let left = failure.fresh_until().since(now).as_secs_f32();
        Some(format!("failure remembered for {left:.1} s more: {why}"))
    }
}

impl super::Server {
    /// What a route owns, in few words.
    fn owns(&self, route: u16) -> String {
        let policy = self.policies.get(usize::from(route));
        let mut text = policy.map(|policy| policy.owns.to_string()).unwrap_or_default();
        let Some(learnt) = self.learnt_by(route) else { return text };
        let names: Vec<String> = learnt.suffixes.iter().map(Name::to_string).collect();
        let learnt = shortened(&names) + &format!(" (from {}.search_domains)", learnt.origin());
        if !names.is_empty() {
            text = if text.is_empty() { learnt } else { format!("{text} {learnt}") };
        }
        text
    }

    /// What a route has from HeadCNI's block, if it is the one.
    fn learnt_by(&self, route: u16) -> Option<Arc<Learnt>> {
        self.learnt.load_full().filter(|learnt| learnt.route == route)
    }
}

/// Where a route's suffix and upstreams come from, and what is wrong with that.
fn learnt_rows(learnt: &Learnt, name: &[u8], owner: &Match) -> Vec<String> {
    let origin = learnt.origin();
    let mut rows = Vec::new();
    if let Rule::Suffix(labels) = owner.rule
        && learnt.gave(name, labels.into())
    {
        rows.push(format!("suffix from {origin}.search_domains"));
    }
    if !learnt.servers.is_empty() {
        rows.push(format!("upstreams from {origin}.nameservers"));
    }
    rows.extend(learnt.trouble());
    rows
}

fn upstream_row(upstream: &Upstream, now: Tick) -> String {
    let state = match upstream.health.state(now) {
        State::Up => "up",
        State::Probe => "down, probe due",
        State::Down => "down",
    };
    let srtt = match upstream.health.srtt() {
        Some(srtt) => format!("srtt {:.2} ms", srtt.as_secs_f64() * 1000.0),
        None => "never answered".to_owned(),
    };
    format!("{} {state}, {srtt}", upstream.describe())
}

/// Suffixes and reverse prefixes of a route, cut after a few.
pub(super) fn owns(route: &crate::config::Route) -> String {
    let suffixes = route.suffixes.iter().map(|s| Presentation(s.as_wire()).to_string());
    let reverse = route.reverse.iter().map(|p| format!("{}/{}", p.addr, p.len));
    let all: Vec<String> = suffixes.chain(reverse).collect();
    shortened(&all)
}

/// The first few, and how many more there are.
fn shortened(all: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = all[..all.len().min(SHOWN)].join(" ");
    if all.len() > SHOWN {
        text.push_str(&format!(" and {} more", all.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::answer::{Section, Writer};
    use crate::config::file;
    use crate::serve::Server;
    use crate::telemetry::querylog::QueryLog;
    use crate::telemetry::stats::Stats;
    use crate::time::Clock;
    use crate::wire::CLASS_IN;

    #[test]
    fn what_the_cache_would_give_is_said_before_what_failed() {
        let text = "[[route]]\nname = \"r\"\nsuffixes = [\".\"]\nupstreams = [\"10.0.0.1\"]\n";
        let config = file::parse(text, Path::new("t.toml")).unwrap().config;
        let server = Server::new(&config, "here".into(), Vec::new(), Vec::new(), Clock::manual());
        let stats = Arc::new(Stats::new(1));
        let desk = Desk::new(Arc::new(server), stats, QueryLog::off());
        let name = b"\x01a\0";
        let key = Key::of(name, rtype::A, false, false);
        let hashed = desk.server.cache.hashed(key.as_bytes());
        let question = Question { name, qtype: rtype::A, qclass: CLASS_IN };
        let state = |seconds: u64| desk.cache_state(name, rtype::A, Tick(seconds * 1_000_000));
        assert_eq!(state(0), "nothing");

        let reason = || (Ede::new(ede::OTHER, "why"), Some(Duration::from_secs(30)));
        let fail = |seconds: u64| {
            let now = Tick(seconds * 1_000_000);
            let failure = desk.failure(key.as_bytes(), 0, reason(), false, now);
            desk.server.cache.put(hashed, failure);
        };
        fail(0);
        assert_eq!(state(1), "failure remembered for 29.0 s more: why");

        let mut writer = Writer::new(question, Rcode::NOERROR, 0);
        let fixed = (rtype::A, CLASS_IN, 10);
        writer.record(Section::Answer, &[0xc0, 0x0c], fixed, &[&[192, 0, 2, 1]]);
        let life = (Duration::from_secs(10), Duration::from_secs(90));
        let entry = Entry::new(key.as_bytes(), &writer.finish(), 0, Tick(0), life);
        desk.server.cache.put(hashed, entry);
        fail(9);
        assert_eq!(state(9), "hit, positive NOERROR, age 9 s, 1 s left");
        let failure = "failure remembered for 27.0 s more: why";
        let stale = "stale, positive NOERROR, age 12 s";
        assert_eq!(state(12), format!("{stale}, given for 88 s: {failure}"));
        assert_eq!(state(40), "stale, positive NOERROR, age 40 s, usable for 60 s if all fails");
        assert_eq!(state(100), "expired");
    }
}
