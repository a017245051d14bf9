//! Plays scenarios: each statement of a script, done to the server, its clients or its upstreams.
//!
//! ```text
//! given NAME [shards=N]                        must come first
//! time passes 5s
//! nobody received anything else                also checked at the end of every scenario
//! CLIENT asks NAME TYPE [tcp] [do] [cd] [ad] [norecurse] [edns[=SIZE]] [option=CODE:HEX]
//!             [class=CH] [times=N] ...         see client.rs; with times, "#" in NAME is the number
//! CLIENT sends HEX [tcp]
//! CLIENT gets RCODE [aa] [tc] [ad] [ede=CODE,..] [says="TEXT"] [nsid=TEXT] [bare] [about=NAME]
//!             [times=N] [size=N] [loose]       with exactly these records; see verify; loose: with
//!                                              or without OPT
//! CLIENT gets nothing | hangs up
//! UPSTREAM receives NAME TYPE [tcp] [plain] [do] [cd] [connection=N] | receives N questions
//! UPSTREAM answers [RCODE] [aa] [tc] [ad] [plain] [opt-first] [ede=CODE:TEXT] [option=CODE:HEX]
//!             [garbage] [bare] [wrong-id] [question=NAME] [elsewhere] [to=N]
//! UPSTREAM is down | is up | refuses tcp | closes | freezes | thaws
//! UPSTREAM received N questions | saw N ids | saw N ports
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use horizond::config::units;

use crate::client::{Asked, Client, until};
use crate::message::{Message, Opt, Record, Writer};
use crate::script::{Options, Scenario, Script, Step};
use crate::text;
use crate::world::World;

/// Plays one scenario; errors begin with `FILE:LINE: `.
pub fn play(file: &str, script: &Script, scenario: &Scenario) -> Result<(), String> {
    let at = |line: usize| move |what: String| format!("{file}:{line}: {}: {what}", scenario.name);
    let mut steps = &scenario.steps[..];
    let mut toml = include_str!("standard.toml");
    let mut shards = 1;
    if let [given, rest @ ..] = steps
        && given.words[0] == "given"
    {
        let fail = at(given.line);
        let mut options = Options::new(&given.words[1..]);
        shards = options.number("shards").map_err(fail)?.unwrap_or(1);
        if let Some(name) = options.next() {
            toml = script.configs.get(&name).ok_or_else(|| fail(format!("no config {name}")))?;
        }
        steps = rest;
    }
    let world = World::start(toml, shards).map_err(at(scenario.line))?;
    let mut stage = Stage { world, clients: BTreeMap::new() };
    for step in steps {
        stage.play(step).map_err(at(step.line))?;
    }
    stage.nothing_else().map_err(at(scenario.line))
}

struct Stage {
    world: World,
    clients: BTreeMap<String, Client>,
}

impl Stage {
    fn play(&mut self, step: &Step) -> Result<(), String> {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match &words[..] {
            ["time", "passes", time] => self.time_passes(time),
            ["nobody", "received", "anything", "else"] => self.nothing_else(),
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

    fn rest(&mut self) -> Result<(), String> {
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
            ("answers", _) => {
                let mut options = options;
                let to = options.number("to")?.unwrap_or(upstream.spoken_of);
                let index = to.checked_sub(1).ok_or("it has received nothing yet")?;
                let question = upstream.received.get(index).ok_or("it has not received that")?;
                let elsewhere = options.flag("elsewhere");
                let bytes = make_answer(&question.message, options, records)?;
                upstream.send(index, &bytes, elsewhere)
            }
            ("received", [count, "questions" | "question"]) => {
                upstream.settle()?;
                let (count, got) = (number(count)?, upstream.received.len());
                (got == count).then_some(()).ok_or(format!("it received {got} questions"))
            }
            ("saw", [count, what]) => {
                let seen: BTreeSet<u16> = match *what {
                    "ids" => upstream.received.iter().map(|q| q.message.id).collect(),
                    "ports" => upstream.received.iter().map(|q| q.peer.port()).collect(),
                    _ => return Err("it can see ids and ports".into()),
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

/// What every query to an upstream must be, and what the script says of this one.
fn expect_query(got: &Message, connection: usize, mut options: Options) -> Result<(), String> {
    let name = options.next().ok_or("what does it receive? NAME TYPE")?;
    let rtype = text::type_of(&options.next().ok_or("of which type?")?)?;
    if (got.name.as_str(), got.rtype, got.class) != (name.as_str(), rtype, 1) {
        return Err("another question".into());
    }
    let wanted = if options.flag("tcp") { "tcp" } else { "udp" };
    let used = if connection > 0 { "tcp" } else { "udp" };
    if used != wanted {
        return Err(format!("over {used}"));
    }
    if let Some(number) = options.number::<usize>("connection")?
        && number != connection
    {
        return Err(format!("on connection {connection}"));
    }
    let flags = 0x0120 | if options.flag("cd") { 0x10 } else { 0 };
    if got.flags != flags {
        return Err(format!("with flags {:04x}, not {flags:04x}", got.flags));
    }
    let dnssec_ok = options.flag("do");
    let ours = Opt { payload: 1232, dnssec_ok, ..Opt::default() };
    let expected = (!options.flag("plain")).then_some(ours);
    if got.opt != expected || !got.records.is_empty() {
        return Err(format!("with {:?} instead of {expected:?}, or with records", got.opt));
    }
    options.done()
}

fn make_answer(
    query: &Message,
    mut options: Options,
    records: &[Record],
) -> Result<Vec<u8>, String> {
    let mut flags = 0x8080 | query.flags & 0x0110;
    for (flag, bit) in [("aa", 0x400), ("tc", 0x200), ("ad", 0x20)] {
        flags |= if options.flag(flag) { bit } else { 0 };
    }
    let mut opt = query.opt.as_ref().map(|opt| Opt {
        payload: 1232,
        dnssec_ok: opt.dnssec_ok,
        ..Opt::default()
    });
    if options.flag("plain") {
        opt = None;
    }
    let mut add = |code: u16, data: Vec<u8>| {
        let opt = opt.as_mut().ok_or("there is no OPT for this")?;
        opt.options.push((code, data));
        Ok::<_, String>(())
    };
    if let Some(error) = options.value("ede") {
        let (code, text) = error.split_once(':').ok_or("ede=CODE:TEXT")?;
        let code: u16 = code.parse().map_err(|_| "ede=CODE:TEXT")?;
        add(15, [&code.to_be_bytes(), text.as_bytes()].concat())?;
    }
    while let Some(option) = options.value("option") {
        let (code, data) = option.split_once(':').ok_or("option=CODE:HEX")?;
        add(code.parse().map_err(|_| "no option code")?, text::hex(data)?)?;
    }
    let id = if options.flag("wrong-id") { !query.id } else { query.id };
    let (garbage, bare) = (options.flag("garbage"), options.flag("bare"));
    let opt_first = options.flag("opt-first");
    let question = options.value("question");
    let rcode = match options.next() {
        Some(name) => text::rcode_of(&name).ok_or_else(|| format!("{name} is no rcode"))?,
        None => 0,
    };
    options.done()?;
    if let Some(opt) = &mut opt {
        opt.extended_rcode = (rcode >> 4) as u8;
    }
    let mut writer = Writer::new(id, flags | rcode & 15);
    if bare {
        return Ok(writer.bytes);
    }
    let name = question.unwrap_or_else(|| query.name.clone());
    writer.question(&name, query.rtype, query.class)?;
    let (front, behind): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| !opt_first || record.section < 2);
    front.into_iter().try_for_each(|record| writer.record(record))?;
    opt.iter().for_each(|opt| writer.opt(opt));
    behind.into_iter().try_for_each(|record| writer.record(record))?;
    if garbage {
        writer.bytes.pop();
    }
    Ok(writer.bytes)
}

/// What a client is to get.
struct Expected<'a> {
    rcode: u16,
    flags: u16,
    bare: bool,
    loose: bool,
    errors: Vec<u16>,
    says: Vec<String>,
    nsid: Option<String>,
    size: Option<usize>,
    records: &'a [Record],
}

impl<'a> Expected<'a> {
    fn new(rcode: u16, mut options: Options, records: &'a [Record]) -> Result<Self, String> {
        let mut expected = Expected {
            rcode,
            flags: 0x8080 | rcode & 15,
            bare: options.flag("bare"),
            loose: options.flag("loose"),
            errors: Vec::new(),
            says: Vec::new(),
            nsid: options.value("nsid"),
            size: options.number("size")?,
            records,
        };
        for (flag, bit) in [("aa", 0x400), ("tc", 0x200), ("ad", 0x20)] {
            expected.flags |= if options.flag(flag) { bit } else { 0 };
        }
        if let Some(codes) = options.value("ede") {
            let codes: Result<_, _> = codes.split(',').map(str::parse).collect();
            expected.errors = codes.map_err(|_| "ede=CODE,CODE")?;
        }
        while let Some(text) = options.value("says") {
            expected.says.push(text);
        }
        options.done()?;
        Ok(expected)
    }

    /// Id, question, flags and OPT are right for what was asked; rcode, records and extended errors
    /// are exactly those expected; a datagram is no longer than it may be.
    fn verify(&self, asked: &Asked, got: &Message) -> Result<(), String> {
        let check = |good: bool, what: &str| good.then_some(()).ok_or_else(|| what.to_owned());
        check(got.rcode() == self.rcode, "another rcode")?;
        if !self.bare && !asked.question.is_empty() {
            check(got.question == asked.question, "another question, or in another case")?;
        }
        check(self.bare == (got.counts[0] == 0), "the question is there, or is not")?;
        let flags = self.flags | asked.flags & 0x7910 & !0x0600;
        check(got.flags == flags, &format!("flags {:04x}, not {flags:04x}", got.flags))?;
        let same = got.opt.is_some() == asked.opt.is_some();
        check(same || self.loose, "OPT not as in the question")?;
        if let (Some(got), Some(asked)) = (&got.opt, &asked.opt) {
            check((got.payload, got.version) == (1232, 0), "OPT is not ours")?;
            check(got.dnssec_ok == asked.dnssec_ok || self.rcode == 16, "DO is not copied")?;
            let known = |code: u16| code == 15 || code == 3 && self.nsid.is_some();
            let stray = got.options.iter().any(|(code, _)| !known(*code));
            check(!stray, "an option that nobody asked for")?;
        }
        let nsid = got.option(3).map(|data| String::from_utf8_lossy(data).into_owned());
        check(nsid == self.nsid, "another NSID")?;
        let errors = got.errors();
        let codes: Vec<u16> = errors.iter().map(|(code, _)| *code).collect();
        check(codes == self.errors, "other extended errors")?;
        for text in &self.says {
            let said = errors.iter().any(|(_, said)| said.contains(text));
            check(said, &format!("no extended error says \"{text}\""))?;
        }
        let wanted: Vec<String> = self.records.iter().map(show).collect();
        let records: Vec<String> = got.records.iter().map(show).collect();
        check(records == wanted, "other records")?;
        if !asked.tcp {
            let room = asked.opt.as_ref().map_or(512, |opt| opt.payload.clamp(512, 1232));
            check(got.raw.len() <= usize::from(room), "longer than the client takes")?;
        }
        check(self.size.is_none_or(|size| size == got.raw.len()), "another size")
    }
}

fn show(record: &Record) -> String {
    format!("{} {}", record.section, record.line)
}
