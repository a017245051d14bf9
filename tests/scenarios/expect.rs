//! What upstreams and clients must receive: what holds for every message, and what a script says of
//! one.

use crate::client::Asked;
use crate::message::{Message, Opt, Record};
use crate::script::Options;
use crate::text;

/// What every query to an upstream must be, and what the script says of this one.
pub fn expect_query(got: &Message, connection: usize, mut options: Options) -> Result<(), String> {
    let name = options.next().ok_or("what does it receive? NAME TYPE")?;
    let rtype = text::type_of(&options.next().ok_or("of which type?")?)?;
    let same = match options.flag("respelled") {
        true => got.name.eq_ignore_ascii_case(&name) && got.name != name,
        false => got.name == name,
    };
    if !same || (got.rtype, got.class) != (rtype, 1) {
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

/// What a client is to get.
pub struct Expected<'a> {
    rcode: u16,
    flags: u16,
    bare: bool,
    loose: bool,
    errors: Vec<u16>,
    says: Vec<String>,
    nsid: Option<String>,
    keepalive: Option<u16>,
    size: Option<usize>,
    records: &'a [Record],
}

impl<'a> Expected<'a> {
    /// From the words of a statement.
    pub fn new(rcode: u16, mut options: Options, records: &'a [Record]) -> Result<Self, String> {
        let mut expected = Expected {
            rcode,
            flags: 0x8080 | rcode & 15,
            bare: options.flag("bare"),
            loose: options.flag("loose"),
            errors: Vec::new(),
            says: Vec::new(),
            nsid: options.value("nsid"),
            keepalive: options.number("keepalive")?,
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
    pub fn verify(&self, asked: &Asked, got: &Message) -> Result<(), String> {
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
        let tcp = asked.tcp;
        if let (Some(got), Some(asked)) = (&got.opt, &asked.opt) {
            check((got.payload, got.version) == (1232, 0), "OPT is not ours")?;
            check(got.dnssec_ok == asked.dnssec_ok || self.rcode == 16, "DO is not copied")?;
            let due = |code| asked.option(code).is_some() && self.rcode != 16;
            let cookie =
                got.option(10).map(|cookie| (cookie.len(), &cookie[..8.min(cookie.len())]));
            // RFC 7873, 4: what has another length is none.
            let whole = |cookie: &&[u8]| matches!(cookie.len(), 8 | 16..=40);
            let wanted = asked.option(10).filter(|_| due(10)).filter(whole);
            let wanted = wanted.map(|cookie| (24, &cookie[..8]));
            check(cookie == wanted, "no cookie of the right make, or one that nobody asked for")?;
            let known = |code: u16| match code {
                3 => self.nsid.is_some(),
                10 => true,
                11 => due(11) && tcp && self.keepalive.is_some(),
                code => code == 15,
            };
            let stray = got.options.iter().any(|(code, _)| !known(*code));
            check(!stray, "an option that nobody asked for")?;
        }
        let nsid = got.option(3).map(|data| String::from_utf8_lossy(data).into_owned());
        check(nsid == self.nsid, "another NSID")?;
        let keepalive = got.option(11).map(|data| match data {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        });
        check(keepalive == self.keepalive, "another keepalive")?;
        let errors = got.errors();
        let codes: Vec<u16> = errors.iter().map(|(code, _)| *code).collect();
        check(codes == self.errors, "other extended errors")?;
        for text in &self.says {
            let said = errors.iter().any(|(_, said)| said.contains(text));
            check(said, &format!("no extended error says \"{text}\""))?;
        }
        let wanted: Vec<String> =
            self.records.iter().map(|record| show(&record.about(&asked.name))).collect();
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
