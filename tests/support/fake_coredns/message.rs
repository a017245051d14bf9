//! DNS messages by hand, as the fake CoreDNS writes them: without compression, cut to whole records.
//!
//! Written apart from the daemon's own `wire` module on purpose: a fault there must not hide behind
//! the same fault here.

/// The types that the fake knows.
pub mod rtype {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
}

const HEADER: usize = 12;

/// Response codes that the fake gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    NoError = 0,
    ServFail = 2,
    NxDomain = 3,
}

/// A query with one question.
#[derive(Debug, Clone)]
pub struct Query {
    id: [u8; 2],
    recursion_desired: bool,
    /// Name, type and class as they came, so that an answer repeats the question's case.
    question: Vec<u8>,
    name_len: usize,
    pub qtype: u16,
    /// UDP payload size and flags of the OPT record.
    opt: Option<(u16, u16)>,
}

impl Query {
    /// Reads a query; none if it is not one with exactly one question.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let count =
            |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        if message.len() < HEADER || message[2] & 0x80 != 0 || count(4)? != 1 {
            return None;
        }
        let name_end = skip_name(message, HEADER)?;
        let question = message.get(HEADER..name_end + 4)?.to_vec();
        let mut opt = None;
        let mut at = name_end + 4;
        for _ in 0..count(6)? + count(8)? + count(10)? {
            let fixed = skip_name(message, at)?;
            if count(fixed)? == rtype::OPT {
                opt = Some((count(fixed + 2)?, count(fixed + 6)?));
            }
            at = fixed + 10 + usize::from(count(fixed + 8)?);
        }
        Some(Self {
            id: [message[0], message[1]],
            recursion_desired: message[2] & 1 != 0,
            question,
            name_len: name_end - HEADER,
            qtype: count(name_end)?,
            opt,
        })
    }

    /// The question's name in wire format, in the case it came in.
    pub fn wire_name(&self) -> Vec<u8> {
        self.question[..self.name_len].to_vec()
    }

    /// The question's name in lower case, without the last dot.
    pub fn name(&self) -> String {
        text(&self.question[..self.name_len]).to_ascii_lowercase()
    }

    /// The most bytes that an answer over UDP may have.
    pub fn payload(&self) -> usize {
        usize::from(self.opt.map_or(512, |(payload, _)| payload.max(512)))
    }
}

/// One resource record of class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Wire format.
    pub owner: Vec<u8>,
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    pub data: Vec<u8>,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut out = self.owner.clone();
        out.extend(self.rtype.to_be_bytes());
        out.extend([0, 1]);
        out.extend(self.ttl.to_be_bytes());
        out.extend((self.data.len() as u16).to_be_bytes());
        out.extend(&self.data);
        out
    }
}

/// What is sent back.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Made here.
    Own { rcode: Rcode, authoritative: bool, answer: Vec<Record>, authority: Vec<Record> },
    /// Another server's message; only the id is changed.
    Relayed(Vec<u8>),
}

impl Reply {
    pub fn authoritative(answer: Vec<Record>) -> Self {
        let (rcode, authority) = (Rcode::NoError, Vec::new());
        Self::Own { rcode, authoritative: true, answer, authority }
    }

    pub fn negative(rcode: Rcode, soa: Record) -> Self {
        Self::Own { rcode, authoritative: true, answer: Vec::new(), authority: vec![soa] }
    }

    pub fn failure(rcode: Rcode) -> Self {
        Self::Own { rcode, authoritative: false, answer: Vec::new(), authority: Vec::new() }
    }

    /// The message, cut to as many whole records as `limit` bytes hold, with TC where it was cut.
    pub fn encode(&self, query: &Query, limit: usize) -> Vec<u8> {
        let (rcode, authoritative, answer, authority) = match self {
            Self::Own { rcode, authoritative, answer, authority } => {
                (*rcode, *authoritative, answer, authority)
            }
            Self::Relayed(raw) => {
                let mut out = raw.clone();
                out[..2].copy_from_slice(&query.id);
                return out;
            }
        };
        let mut out = vec![0; HEADER];
        out[..2].copy_from_slice(&query.id);
        out.extend(&query.question);
        let opt = query.opt.map(|(payload, flags)| {
            let (root, [p1, p2], [f1, f2]) = (0, payload.to_be_bytes(), flags.to_be_bytes());
            [root, 0, rtype::OPT as u8, p1, p2, 0, 0, f1, f2, 0, 0]
        });
        let room = limit - opt.map_or(0, |opt| opt.len());
        let mut counts = [1, 0, 0, u16::from(opt.is_some())];
        let mut cut = false;
        for (section, records) in [(1, answer), (2, authority)] {
            for record in records {
                let bytes = record.encode();
                cut |= out.len() + bytes.len() > room;
                if !cut {
                    out.extend(bytes);
                    counts[section] += 1;
                }
            }
        }
        out.extend(opt.into_iter().flatten());
        out[2] = 0x80
            | u8::from(authoritative) << 2
            | u8::from(cut) << 1
            | u8::from(query.recursion_desired);
        out[3] = rcode as u8;
        for (at, count) in counts.into_iter().enumerate() {
            out[4 + at * 2..6 + at * 2].copy_from_slice(&u16::to_be_bytes(count));
        }
        out
    }
}

/// A query for `name` (wire format) with recursion desired.
pub fn question(id: u16, name: &[u8], qtype: u16) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend(name);
    out.extend(qtype.to_be_bytes());
    out.extend([0, 1]);
    out
}

/// A query with an OPT record, to whose sender an extended error can be told (RFC 8914).
pub fn question_with_opt(id: u16, name: &[u8], qtype: u16) -> Vec<u8> {
    let mut out = question(id, name, qtype);
    out[11] = 1;
    out.extend([0, 0, rtype::OPT as u8, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    out
}

/// The answer records of a message, names written out; none if it failed or is malformed.
pub fn answers(message: &[u8]) -> Option<Vec<Record>> {
    let count = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let rcode = message.get(3)? & 0x0f;
    if rcode != Rcode::NoError as u8 && rcode != Rcode::NxDomain as u8 {
        return None;
    }
    let mut at = HEADER;
    for _ in 0..count(4)? {
        at = skip_name(message, at)? + 4;
    }
    let mut records = Vec::new();
    for _ in 0..count(6)? {
        let owner = expand_name(message, at)?;
        let fixed = skip_name(message, at)?;
        let rtype = count(fixed)?;
        let ttl = u32::from(count(fixed + 4)?) << 16 | u32::from(count(fixed + 6)?);
        let end = fixed + 10 + usize::from(count(fixed + 8)?);
        let data = if rtype == rtype::CNAME {
            expand_name(message, fixed + 10)?
        } else {
            message.get(fixed + 10..end)?.to_vec()
        };
        records.push(Record { owner, rtype, ttl, data });
        at = end;
    }
    Some(records)
}

/// `www.example.com` in wire format.
pub fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// A wire-format name as text, without the last dot.
pub fn text(name: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut at = 0;
    while let Some(&len) = name.get(at).filter(|&&len| len > 0) {
        let label = name.get(at + 1..at + 1 + usize::from(len)).unwrap_or_default();
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += 1 + usize::from(len);
    }
    labels.join(".")
}

/// Where the name that begins at `at` ends.
pub fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len if len & 0xc0 == 0xc0 => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

fn expand_name(message: &[u8], mut at: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    // A pointer may lead to a pointer; a name has at most 128 labels, so this ends.
    for _ in 0..256 {
        match *message.get(at)? {
            0 => {
                out.push(0);
                return Some(out);
            }
            len if len & 0xc0 == 0xc0 => {
                at = usize::from(len & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            }
            len => {
                out.extend(message.get(at..at + 1 + usize::from(len))?);
                at += 1 + usize::from(len);
            }
        }
    }
    None
}

/// The first whole message of a TCP stream, and what follows it.
pub fn unframe(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    (bytes.len() >= 2 + len).then(|| (&bytes[2..2 + len], &bytes[2 + len..]))
}

/// A message as TCP carries it.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = (message.len() as u16).to_be_bytes().to_vec();
    out.extend(message);
    out
}
