//! Plays scenarios: each statement of a script, done to the server, its clients or its upstreams.
//!
//! ```text
//! given [NAME] [shards=N] [drain=TIME]          must come first; drain: what connections have at a stop
//! time passes 5s
//! the cache is flushed [name=NAME] [suffix=NAME] [route=ROUTE] [of=N]
//!                                              the whole of it, or what is named; it had N entries
//! the suffixes of ROUTE are "NAME NAME" | none [of=N]
//!                                              from here on, beside those of the configuration; the
//!                                              cache had N entries of those that are new or gone
//! the server stops                             takes no more questions, finishes what is in flight
//! nobody received anything else                also checked at the end of every scenario
//! the hosts file says "LINE|LINE"              and is taken over at once
//! CLIENT is a pod at ADDRESS that searches "SUFFIX SUFFIX" [ndots=5] [of=configuration]
//!                                              and so says its record, and all records of before
//! CLIENT asks NAME TYPE [tcp] [do] [cd] [ad] [norecurse] [edns[=SIZE]] [option=CODE:HEX]
//!             [class=CH] [times=N] ...         see client.rs; with times, "#" in NAME is the number
//! CLIENT sends HEX [tcp]
//! CLIENT gets RCODE [aa] [tc] [ad] [ede=CODE,..] [says="TEXT"] [nsid=TEXT] [keepalive=TENTHS]
//!             [bare] [about=NAME] [times=N] [size=N] [loose]
//!                                              with exactly these records, "@" being the name that
//!                                              was asked for; see verify; loose: with or without OPT
//! CLIENT gets nothing | hangs up
//! UPSTREAM receives NAME TYPE [tcp] [plain] [do] [cd] [connection=N] [respelled] | receives N questions
//! UPSTREAM answers [RCODE] [aa] [tc] [ad] [norecursion] [plain] [opt-first] [ede=CODE:TEXT]
//!             [option=CODE:HEX] [garbage] [bare] [wrong-id] [question=NAME] [elsewhere] [impostor]
//!             [to=N | to=N-M] [times=N]
//!             [folded] [upper] [type=TYPE] [class=CH] [opcode=N] [query] [counts=N,N,N] [tail=HEX] ...
//!             see reply.rs; with wrong-id and times, each has another wrong id
//! UPSTREAM is down | is up | refuses tcp | closes | freezes | thaws
//! UPSTREAM received N questions | saw N ids | saw N ports | saw N spellings
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use horizond::cache::Scope;
use horizond::cni::record::{self, PodRecord, SearchFrom};
use horizond::config::units;
use horizond::local::hosts;
use horizond::pods::{Namespaces, Pod, Table};
use horizond::route::RouteTable;
use horizond::wire::name::Name;

use crate::client::{Client, until};
use crate::expect::{Expected, expect_query};
use crate::message::Record;
use crate::reply::make_answer;
use crate::script::{Options, Scenario, Script, Step};
use crate::text;
use crate::upstream::From;
use crate::world::World;

/// Plays one scenario; errors begin with `FILE:LINE: `.
pub fn play(file: &str, script: &Script, scenario: &Scenario) -> Result<(), String> {
    let at = |line: usize| move |what: String| format!("{file}:{line}: {}: {what}", scenario.name);
    let mut steps = &scenario.steps[..];
    let mut toml = include_str!("standard.toml");
    let (mut shards, mut drain) = (1, Duration::ZERO);
    if let [given, rest @ ..] = steps
        && given.words[0] == "given"
    {
        let fail = at(given.line);
        let mut options = Options::new(&given.words[1..]);
        shards = options.number("shards").map_err(fail)?.unwrap_or(1);
        if let Some(time) = options.value("drain") {
            drain = units::duration(&time).map_err(|error| fail(error.to_string()))?;
        }
        if let Some(name) = options.next() {
            toml = script.configs.get(&name).ok_or_else(|| fail(format!("no config {name}")))?;
        }
        steps = rest;
    }
    let world = World::start_to_drain(toml, shards, drain).map_err(at(scenario.line))?;
    let mut stage =
        Stage { world, clients: BTreeMap::new(), pods: Vec::new(), suffixes: Vec::new() };
    for step in steps {
        stage.play(step).map_err(at(step.line))?;
    }
    stage.nothing_else().map_err(at(scenario.line))
}

struct Stage {
    world: World,
    clients: BTreeMap<String, Client>,
    pods: Vec<Arc<Pod>>,
    /// What the last statement of them said.
    suffixes: Vec<Name>,
}

impl Stage {
    fn play(&mut self, step: &Step) -> Result<(), String> {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match &words[..] {
            ["time", "passes", time] => self.time_passes(time),
            ["the", "server", "stops"] => {
                self.world.leave();
                Ok(())
            }
            ["nobody", "received", "anything", "else"] => self.nothing_else(),
            ["the", "cache", "is", "flushed", ..] => self.flush(Options::new(&step.words[4..])),
            ["the", "suffixes", "of", route, "are", names, ..] => {
                self.suffixes(route, names, Options::new(&step.words[6..]))
            }
            ["the", "hosts", "file", "says", lines] => self.hosts_file(lines),
            [name, "is", "a", "pod", "at", address, "that", "searches", list, ..] => {
                self.pod(name, address, list, Options::new(&step.words[9..]))
            }
            [upstream, verb, rest @ ..] if self.world.upstreams.contains_key(*upstream) => {
                let options = Options::new(&step.words[2..]);
                let done = self.upstream(upstream, verb, rest, options, &step.records);
                done.map_err(|error| format!("{upstream}: {error}"))
            }
            [client, verb, rest @ ..] => {
                let done = self.client(client, verb, rest, step);
                done.map_err(|error| format!("{client}: {error}"))
            }
            _ => Err("this is no statement".into()),
        }
    }

    /// All that is under way comes to rest, the clock goes on, and what is due then is done. Two
    /// round trips: a shard looks at its timers after it has answered.
    fn time_passes(&mut self, time: &str) -> Result<(), String> {
        let time = units::duration(time).map_err(|error| error.to_string())?;
        self.rest()?;
        self.world.clock.advance(time);
        self.rest()
    }

    /// What is under way comes to rest before, and begins after it in time too.
    fn flush(&mut self, mut options: Options) -> Result<(), String> {
        let name = |text: String| text.parse().map_err(|error| format!("{text} {error}"));
        let scope = if let Some(text) = options.value("name") {
            Scope::Name(name(text)?)
        } else if let Some(text) = options.value("suffix") {
            Scope::Suffix(name(text)?)
        } else if let Some(route) = options.value("route") {
            let mut policies = self.world.server.policies.iter();
            let index = policies.position(|policy| *policy.name == *route);
            Scope::Route(index.ok_or_else(|| format!("no route {route}"))? as u16)
        } else {
            Scope::All
        };
        let expected: Option<u64> = options.number("of")?;
        options.done()?;
        self.rest()?;
        let gone = self.world.server.cache.flush(&scope, self.world.clock.now());
        self.world.clock.advance(Duration::from_micros(1));
        match expected {
            Some(count) if count != gone => Err(format!("{gone} entries went")),
            _ => self.rest(),
        }
    }

    /// As a file from which a route learns has them, in time as with a flush.
    fn suffixes(&mut self, route: &str, names: &str, mut options: Options) -> Result<(), String> {
        let routes = &self.world.routes;
        let index = routes.iter().position(|r| r.name == route);
        let index = index.ok_or_else(|| format!("no route {route}"))? as u16;
        let names: Result<Vec<Name>, _> =
            names.split_whitespace().filter(|name| *name != "none").map(str::parse).collect();
        let names = names.map_err(|error| error.to_string())?;
        let mut table = RouteTable::of(routes);
        names.iter().for_each(|name| table.learn(name, index));
        let before = std::mem::replace(&mut self.suffixes, names.clone());
        let gone = before.iter().filter(|name| !names.contains(name));
        let come = names.iter().filter(|name| !before.contains(name));
        let moved = gone.chain(come).cloned().collect();
        let expected: Option<u64> = options.number("of")?;
        options.done()?;
        self.rest()?;
        let gone = self.world.server.set_suffixes(table, moved);
        self.world.clock.advance(Duration::from_micros(1));
        match expected {
            Some(count) if count != gone => Err(format!("{gone} entries went")),
            _ => self.rest(),
        }
    }

    /// A server that takes no more questions cannot be asked whether it rests.
    fn rest(&mut self) -> Result<(), String> {
        if self.world.is_leaving() {
            return Ok(());
        }
        let mut probe = Client::new(self.world.addr, Ipv4Addr::LOCALHOST.into());
        probe.round_trip()?;
        probe.round_trip()
    }

    fn nothing_else(&mut self) -> Result<(), String> {
        self.rest()?;
        for (name, upstream) in &mut self.world.upstreams {
            upstream.settle().map_err(|error| format!("{name}: {error}"))?;
            if let Some(question) = upstream.received.get(upstream.spoken_of) {
                return Err(format!("{name} also received {}", question.message.describe()));
            }
        }
        Ok(())
    }

    fn hosts_file(&mut self, lines: &str) -> Result<(), String> {
        let parsed = hosts::parse(lines.replace('|', "\n").as_bytes());
        self.world.server.set_hosts(parsed.map_err(|error| error.to_string())?.hosts);
        Ok(())
    }

    fn pod(
        &mut self,
        name: &str,
        address: &str,
        list: &str,
        mut options: Options,
    ) -> Result<(), String> {
        let address: IpAddr = address.parse().map_err(|_| "at which address?")?;
        let search_from = match options.value("of").as_deref() {
            None => SearchFrom::Runtime,
            Some("configuration") => SearchFrom::Configuration,
            Some(_) => return Err("of= configuration, or left out".into()),
        };
        let record = PodRecord {
            version: record::VERSION,
            network: "net".into(),
            container: name.into(),
            interface: "eth0".into(),
            netns_id: None,
            netns: String::new(),
            addresses: vec![address],
            namespace: Some("shop".into()),
            pod: Some(name.into()),
            uid: None,
            search: list.split_whitespace().map(Into::into).collect(),
            search_from,
            ndots: options.number("ndots")?,
            redirect: Vec::new(),
            when_unix_s: 1,
        };
        options.done()?;
        let mut namespaces = Namespaces::new(1);
        let record = PodRecord::parse(&record.to_json()).map_err(|error| error.to_string())?;
        let pod = Pod::of(&record, &mut namespaces).map_err(|error| error.to_string())?;
        self.pods.push(Arc::new(pod));
        self.world.server.set_pods(Table::new(self.pods.clone(), 0, &namespaces));
        self.clients.insert(name.to_owned(), Client::new(self.world.addr, address));
        // The threads take it over with their next batch.
        self.rest()
    }

    fn client(&mut self, name: &str, verb: &str, rest: &[&str], step: &Step) -> Result<(), String> {
        if verb == "gets" && rest == ["nothing"] {
            self.rest()?;
        }
        let addr = self.world.addr;
        let mut options = Options::new(&step.words[2..]);
        let from = options.value("from");
        let from: IpAddr = match from {
            Some(from) => from.parse().map_err(|_| "from= wants an address")?,
            None => Ipv4Addr::LOCALHOST.into(),
        };
        let client = self.clients.entry(name.to_owned()).or_insert_with(|| Client::new(addr, from));
        let words: Vec<String> =
            step.words[2..].iter().filter(|word| !word.starts_with("from=")).cloned().collect();
        match (verb, rest) {
            ("asks", _) => {
                let times = Options::new(&words).number("times")?.unwrap_or(1);
                let server = &self.world.server;
                let before = server.flights.waiting();
                for number in 1..=times {
                    client.ask(&words, number)?;
                    // No socket's buffer is to overflow.
                    if times > 1 && number % 64 == 0 {
                        let all = || server.flights.waiting() >= before + number;
                        until("not all questions wait for their answer", all)?;
                    }
                }
                if times > 1 {
                    let all = || server.flights.waiting() >= before + times;
                    until("not all questions wait for their answer", all)?;
                }
                Ok(())
            }
            ("sends", [hex, ..]) => client.send_raw(&text::hex(hex)?, rest.contains(&"tcp")),
            ("gets", ["nothing"]) => client.nothing(),
            ("gets", [rcode, ..]) => {
                let rcode = text::rcode_of(rcode).ok_or_else(|| format!("{rcode} is no rcode"))?;
                let mut options = Options::new(&words[1..]);
                let times = options.number("times")?.unwrap_or(1);
                let about = options.value("about");
                let expected = Expected::new(rcode, options, &step.records)?;
                for _ in 0..times {
                    let (asked, message) = client.answer(about.as_deref())?;
                    expected
                        .verify(&asked, &message)
                        .map_err(|error| format!("{error}\n    it got {}", message.describe()))?;
                }
                Ok(())
            }
            ("hangs", ["up"]) => {
                client.hang_up();
                Ok(())
            }
            _ => Err(format!("\"{verb}\" is nothing that a client or upstream does")),
        }
    }

    /// An upstream answers, many times if so told, and never more at once than a socket can hold.
    fn answers(
        &mut self,
        name: &str,
        mut options: Options,
        records: &[Record],
    ) -> Result<(), String> {
        const BURST: usize = 64;
        let times = options.number("times")?.unwrap_or(1);
        let to = options.value("to").map(|to| range(&to)).transpose()?;
        let from = match (options.flag("elsewhere"), options.flag("impostor")) {
            (true, _) => From::AnotherPort,
            (_, true) => From::AnotherAddress,
            _ => From::Itself,
        };
        let upstream = self.world.upstreams.get(name).ok_or("there is no such upstream")?;
        let (first, last) = to.unwrap_or((upstream.spoken_of, upstream.spoken_of));
        let all = (first..=last).flat_map(|to| (1..=times).map(move |number| (to, number)));
        for (sent, (to, number)) in all.enumerate() {
            let upstream = self.world.upstreams.get(name).ok_or("there is no such upstream")?;
            let index = to.checked_sub(1).ok_or("it has received nothing yet")?;
            let question = upstream.received.get(index).ok_or("it has not received that")?;
            let answer = make_answer(&question.message, options.clone(), records, number)?;
            upstream.send(index, &answer, from)?;
            if (sent + 1).is_multiple_of(BURST) {
                self.rest()?;
            }
        }
        Ok(())
    }

    fn upstream(
        &mut self,
        name: &str,
        verb: &str,
        rest: &[&str],
        options: Options,
        records: &[Record],
    ) -> Result<(), String> {
        let upstream = self.world.upstreams.get_mut(name).ok_or("there is no such upstream")?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text}: no number"));
        match (verb, rest) {
            ("receives", [count, "questions"]) => {
                (0..number(count)?).try_for_each(|_| upstream.next().map(drop))
            }
            ("receives", _) => {
                let question = upstream.next()?;
                let (message, connection) = (&question.message, question.connection);
                expect_query(message, connection, options)
                    .map_err(|error| format!("{error}\n    it received {}", message.describe()))
            }
            ("answers", _) => self.answers(name, options, records),
            ("received", [count, "questions" | "question"]) => {
                upstream.settle()?;
                let (count, got) = (number(count)?, upstream.received.len());
                (got == count).then_some(()).ok_or(format!("it received {got} questions"))
            }
            ("saw", [count, what]) => {
                let seen: BTreeSet<String> = match *what {
                    "ids" => upstream.received.iter().map(|q| q.message.id.to_string()).collect(),
                    "ports" => {
                        upstream.received.iter().map(|q| q.peer.port().to_string()).collect()
                    }
                    "spellings" => {
                        upstream.received.iter().map(|q| q.message.name.clone()).collect()
                    }
                    _ => return Err("it can see ids, ports and spellings".into()),
                };
                let enough = seen.len() >= number(count)?;
                enough.then_some(()).ok_or(format!("it saw only {} {what}", seen.len()))
            }
            ("is", ["down"]) => {
                upstream.down();
                Ok(())
            }
            ("is", ["up"]) => upstream.up(),
            ("refuses", ["tcp"]) => {
                upstream.refuse_tcp();
                Ok(())
            }
            ("closes", []) => {
                upstream.close();
                Ok(())
            }
            ("freezes" | "thaws", []) => {
                upstream.freeze(verb == "freezes");
                Ok(())
            }
            _ => Err(format!("\"{verb}\" is nothing that an upstream does")),
        }
    }
}

/// `N` or `N-M`.
fn range(text: &str) -> Result<(usize, usize), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| format!("to={text} is no question"));
    Ok((number(first)?, number(last)?))
}
