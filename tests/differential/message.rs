//! Reads answers, and writes them as dig would.
//!
//! Written from RFC 1035 without a look at the daemon's own code, which must not be its own judge.
//! Keeps the case of names, since who changes it is to be seen.

use std::fmt::Write;

/// Flag bits of the header's second word.
pub const QR: u16 = 0x8000;
pub const AA: u16 = 0x0400;
pub const TC: u16 = 0x0200;
pub const RD: u16 = 0x0100;
pub const RA: u16 = 0x0080;
pub const AD: u16 = 0x0020;
pub const CD: u16 = 0x0010;

const OPT: u16 = 41;

/// A record with its names written out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rr {
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub rdata: Vec<u8>,
    pub ttl: u32,
}

/// What an OPT record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opt {
    pub version: u8,
    pub dnssec_ok: bool,
    /// The other fifteen bits.
    pub rest: u16,
    /// Codes and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// A message, all of it understood.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: u16,
    pub flags: u16,
    /// With the eight upper bits of the OPT record.
    pub rcode: u16,
    /// The bytes of the question section.
    pub question: Vec<u8>,
    /// Answer, authority, additional; without OPT.
    pub sections: [Vec<Rr>; 3],
    pub opt: Option<Opt>,
    pub len: usize,
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

/// The name at `at`, written out, and where it ends.
fn name(message: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let (mut out, mut here, mut end, mut lowest) = (Vec::new(), at, None, at);
    loop {
        let len = usize::from(*message.get(here)?);
        match len {
            0 => {
                out.push(0);
                return (out.len() <= 255).then(|| (out, end.unwrap_or(here + 1)));
            }
            1..=63 => {
                out.extend(message.get(here..here + 1 + len)?);
                here += 1 + len;
            }
            192.. => {
                let target = usize::from(u16_at(message, here)? & 0x3fff);
                end = end.or(Some(here + 2));
                // Strictly backwards: what ends every loop.
                if target >= lowest {
                    return None;
                }
                (here, lowest) = (target, target);
            }
            _ => return None,
        }
    }
}

/// Where the names of a type's RDATA are, if it has any that servers compress or fold: bytes in front,
/// and how many names.
fn names_of(rtype: u16) -> (usize, usize) {
    match rtype {
        2..=5 | 7..=9 | 12 | 39 => (0, 1),
        6 | 14 | 17 => (0, 2),
        15 | 18 | 21 | 36 => (2, 1),
        26 => (2, 2),
        33 => (6, 1),
        _ => (0, 0),
    }
}

fn rdata(message: &[u8], rtype: u16, at: usize, end: usize) -> Option<Vec<u8>> {
    let (front, count) = names_of(rtype);
    if count == 0 || at == end {
        return Some(message.get(at..end)?.to_vec());
    }
    let mut out = message.get(at..at + front)?.to_vec();
    let mut here = at + front;
    for _ in 0..count {
        let (name, next) = name(message, here)?;
        out.extend(name);
        here = next;
    }
    out.extend(message.get(here..end)?);
    Some(out)
}

impl Message {
    /// Reads a message; `None` if anything of it is broken or left over.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at| u16_at(bytes, at);
        let (flags, questions) = (word(2)?, word(4)?);
        let mut at = 12;
        for _ in 0..questions {
            at = name(bytes, at)?.1 + 4;
        }
        let mut message = Self {
            id: word(0)?,
            flags,
            rcode: flags & 15,
            question: bytes.get(12..at)?.to_vec(),
            sections: Default::default(),
            opt: None,
            len: bytes.len(),
        };
        for section in 0..3 {
            for _ in 0..word(6 + 2 * section)? {
                at = message.record(bytes, section, at)?;
            }
        }
        (at == bytes.len()).then_some(message)
    }

    fn record(&mut self, bytes: &[u8], section: usize, at: usize) -> Option<usize> {
        let (owner, at) = name(bytes, at)?;
        let (rtype, class) = (u16_at(bytes, at)?, u16_at(bytes, at + 2)?);
        let ttl = u32::from(u16_at(bytes, at + 4)?) << 16 | u32::from(u16_at(bytes, at + 6)?);
        let (start, end) = (at + 10, at + 10 + usize::from(u16_at(bytes, at + 8)?));
        let rdata = rdata(bytes, rtype, start, end)?;
        if rtype != OPT {
            self.sections[section].push(Rr { owner, rtype, class, rdata, ttl });
            return Some(end);
        }
        if self.opt.is_some() || section != 2 || owner != [0] {
            return None;
        }
        self.rcode |= ((ttl >> 24) as u16) << 4;
        let mut options = Vec::new();
        let mut rest = &rdata[..];
        while !rest.is_empty() {
            let (code, len) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
            options.push((code, rest.get(4..4 + len)?.to_vec()));
            rest = &rest[4 + len..];
        }
        let version = (ttl >> 16) as u8;
        let (dnssec_ok, others) = (ttl & 0x8000 != 0, ttl as u16 & 0x7fff);
        self.opt = Some(Opt { version, dnssec_ok, rest: others, options });
        Some(end)
    }

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether a section has a record of this type.
    pub fn has_type(&self, section: usize, rtype: u16) -> bool {
        self.sections[section].iter().any(|rr| rr.rtype == rtype)
    }

    /// As dig shows it, long sections and long data cut.
    pub fn show(&self) -> String {
        const MOST: usize = 12;
        let mut text = format!("status {}, flags", rcode_name(self.rcode));
        for (flag, name) in [
            (QR, "qr"),
            (AA, "aa"),
            (TC, "tc"),
            (RD, "rd"),
            (RA, "ra"),
            (0x40, "z"),
            (AD, "ad"),
            (CD, "cd"),
        ] {
            if self.has(flag) {
                write!(text, " {name}").unwrap();
            }
        }
        writeln!(text, "; {} bytes", self.len).unwrap();
        if let Some(opt) = &self.opt {
            let dnssec_ok = if opt.dnssec_ok { " do" } else { "" };
            writeln!(text, "  ; EDNS: version {}, flags{dnssec_ok}", opt.version).unwrap();
            for (code, data) in &opt.options {
                let words: String = data.escape_ascii().to_string();
                writeln!(text, "  ; option {code}: {words}").unwrap();
            }
        }
        for (section, rrs) in ["answer", "authority", "additional"].iter().zip(&self.sections) {
            if !rrs.is_empty() {
                writeln!(text, "  ; {section}, {} records", rrs.len()).unwrap();
            }
            rrs.iter().take(MOST).for_each(|rr| writeln!(text, "  {}", rr.show()).unwrap());
            if rrs.len() > MOST {
                writeln!(text, "  ...").unwrap();
            }
        }
        text
    }
}

impl Rr {
    /// The same with all its names in lower case: what RFC 4343 calls equal. Of RDATA without names
    /// nothing is folded.
    pub fn folded(&self) -> Self {
        let mut rr = self.clone();
        rr.owner.make_ascii_lowercase();
        let (front, count) = names_of(rr.rtype);
        let mut at = front;
        for _ in 0..count {
            let Some((_, end)) = name(&rr.rdata, at) else { break };
            rr.rdata[at..end].make_ascii_lowercase();
            at = end;
        }
        rr
    }

    fn show(&self) -> String {
        const MOST: usize = 48;
        let head = format!("{} {} {}", show_name(&self.owner), self.ttl, type_name(self.rtype));
        let data = match (self.rtype, self.rdata.len()) {
            (1, 4) => {
                let octets: [u8; 4] = self.rdata[..].try_into().unwrap_or_default();
                std::net::Ipv4Addr::from(octets)
            }
            .to_string(),
            (2 | 5 | 12 | 39, 1..) => show_name(&self.rdata),
            (16, _) => format!("\"{}\"", self.rdata.escape_ascii()),
            (_, len) => {
                let hex: String = self.rdata.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("\\# {len} {hex}")
            }
        };
        let cut = data.char_indices().nth(2 * MOST).map_or("", |_| "...");
        format!("{head} {}{cut}", data.chars().take(2 * MOST).collect::<String>())
    }
}

/// Presentation format, with the dot at the end (RFC 1035, 5.1).
pub fn show_name(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((&len, tail)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let (label, tail) = tail.split_at(usize::from(len).min(tail.len()));
        for &byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    write!(text, "\\{}", byte as char).unwrap();
                }
                0x21..=0x7e => text.push(byte as char),
                _ => write!(text, "\\{byte:03}").unwrap(),
            }
        }
        text.push('.');
        rest = tail;
    }
    if text.is_empty() { ".".into() } else { text }
}

/// Wire format of presentation format, the dot at the end or not; panics where it is not a name.
pub fn to_wire(text: &str) -> Vec<u8> {
    let (mut wire, mut label) = (Vec::new(), Vec::new());
    let mut bytes = text.trim_end_matches('.').bytes();
    let mut push = |label: &mut Vec<u8>| {
        assert!(matches!(label.len(), 1..=63), "{text}");
        wire.push(label.len() as u8);
        wire.append(label);
    };
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => push(&mut label),
            b'\\' => {
                let first = bytes.next().unwrap();
                let byte = if first.is_ascii_digit() {
                    [first, bytes.next().unwrap(), bytes.next().unwrap()]
                        .iter()
                        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
                } else {
                    first.into()
                };
                label.push(u8::try_from(byte).unwrap());
            }
            _ => label.push(byte),
        }
    }
    if !label.is_empty() {
        push(&mut label);
    }
    wire.push(0);
    assert!(wire.len() <= 255, "{text}");
    wire
}

/// The types that are asked for or come along.
const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (39, "DNAME"),
    (41, "OPT"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

/// `A` or `TYPE65280`.
pub fn type_name(rtype: u16) -> String {
    let known = TYPES.iter().find(|(number, _)| *number == rtype);
    known.map_or_else(|| format!("TYPE{rtype}"), |(_, name)| (*name).to_owned())
}

/// The reverse of [`type_name`]; panics on what is no type.
pub fn type_number(name: &str) -> u16 {
    match (TYPES.iter().find(|(_, known)| *known == name), name.strip_prefix("TYPE")) {
        (Some((number, _)), _) => *number,
        (None, Some(number)) => number.parse().unwrap(),
        (None, None) => panic!("{name} is not a type"),
    }
}

const RCODES: &[(u16, &str)] = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (9, "NOTAUTH"),
    (16, "BADVERS"),
    (23, "BADCOOKIE"),
];

pub fn rcode_name(rcode: u16) -> String {
    let known = RCODES.iter().find(|(number, _)| *number == rcode);
    known.map_or_else(|| format!("RCODE{rcode}"), |(_, name)| (*name).to_owned())
}
