//! DNS messages of the tests: written and read here without the code under test, so that both sides
//! cannot share a mistake. Names are written in full, but for the owner that is the question's name.

use crate::text;

/// Flag bits by the names that scripts use.
pub const FLAGS: [(&str, u16); 7] = [
    ("qr", 0x8000),
    ("aa", 0x0400),
    ("tc", 0x0200),
    ("rd", 0x0100),
    ("ra", 0x0080),
    ("ad", 0x0020),
    ("cd", 0x0010),
];

/// The OPT pseudo-record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opt {
    pub payload: u16,
    pub extended_rcode: u8,
    pub version: u8,
    pub dnssec_ok: bool,
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Opt {
    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(c, _)| *c == code).map(|(_, data)| &data[..])
    }
}

/// A record as text: owner, TTL, type, data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub section: usize,
    pub line: String,
}

impl Record {
    /// The record with `name` as its owner where that is written `@`.
    pub fn about(&self, name: &str) -> Record {
        let line = match self.line.strip_prefix("@ ") {
            Some(rest) => format!("{name} {rest}"),
            None => self.line.clone(),
        };
        Record { section: self.section, line }
    }
}

/// A message, read.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: u16,
    pub flags: u16,
    pub counts: [u16; 4],
    /// The question as it stood: name, type and class.
    pub question: Vec<u8>,
    pub name: String,
    pub rtype: u16,
    pub class: u16,
    pub records: Vec<Record>,
    pub opt: Option<Opt>,
    pub raw: Vec<u8>,
}

impl Message {
    /// The response code, extended bits included.
    pub fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |opt| u16::from(opt.extended_rcode) << 4);
        self.flags & 15 | upper
    }

    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.opt.as_ref()?.option(code)
    }

    /// Code and text of every extended error.
    pub fn errors(&self) -> Vec<(u16, String)> {
        let options = self.opt.as_ref().map_or(&[][..], |opt| &opt.options);
        let errors = options.iter().filter(|(code, data)| *code == 15 && data.len() >= 2);
        errors
            .map(|(_, data)| {
                let code = u16::from_be_bytes([data[0], data[1]]);
                (code, String::from_utf8_lossy(&data[2..]).into_owned())
            })
            .collect()
    }

    /// For messages of failed expectations.
    pub fn describe(&self) -> String {
        let flags: Vec<_> =
            FLAGS.iter().filter(|(_, bit)| self.flags & bit != 0).map(|f| f.0).collect();
        let mut out = format!(
            "{} {} {} [{}] {} bytes",
            text::rcode_name(self.rcode()),
            self.name,
            text::type_name(self.rtype),
            flags.join(" "),
            self.raw.len()
        );
        for record in &self.records {
            out.push_str(&format!("\n      {}: {}", SECTIONS[record.section], record.line));
        }
        if let Some(opt) = &self.opt {
            out.push_str(&format!("\n      OPT payload {} do {}", opt.payload, opt.dnssec_ok));
        }
        for (code, text) in self.errors() {
            out.push_str(&format!("\n      EDE {code} {text}"));
        }
        out
    }
}

/// Names of the sections as scripts write them.
pub const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// Reads a whole message.
pub fn read(raw: &[u8]) -> Result<Message, String> {
    let word = |at: usize| -> Result<u16, String> {
        let bytes = raw.get(at..at + 2).ok_or("the message is cut short")?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let counts = [word(4)?, word(6)?, word(8)?, word(10)?];
    let mut message = Message {
        id: word(0)?,
        flags: word(2)?,
        counts,
        question: Vec::new(),
        name: String::new(),
        rtype: 0,
        class: 0,
        records: Vec::new(),
        opt: None,
        raw: raw.to_vec(),
    };
    let mut at = 12;
    for _ in 0..counts[0] {
        let (name, end) = read_name(raw, at)?;
        message.question = raw.get(at..end + 4).ok_or("the question is cut short")?.to_vec();
        (message.name, message.rtype, message.class) = (name, word(end)?, word(end + 2)?);
        at = end + 4;
    }
    for section in 0..3 {
        for _ in 0..counts[section + 1] {
            let (owner, fixed) = read_name(raw, at)?;
            let (rtype, class) = (word(fixed)?, word(fixed + 2)?);
            let ttl = u32::from(word(fixed + 4)?) << 16 | u32::from(word(fixed + 6)?);
            let data = fixed + 10;
            at = data + usize::from(word(fixed + 8)?);
            let rdata = raw.get(data..at).ok_or("a record is cut short")?;
            if rtype == 41 {
                if message.opt.is_some() || section != 2 {
                    return Err("an OPT too many".into());
                }
                message.opt = Some(read_opt(class, ttl, rdata)?);
                continue;
            }
            let data = text::show_data(raw, rtype, data, at)?;
            let line = format!("{owner} {ttl} {} {data}", text::type_name(rtype));
            message.records.push(Record { section, line });
        }
    }
    if at != raw.len() {
        return Err(format!("{} bytes are left over", raw.len() - at));
    }
    Ok(message)
}

fn read_opt(payload: u16, ttl: u32, mut rdata: &[u8]) -> Result<Opt, String> {
    let [extended_rcode, version, flags, _] = ttl.to_be_bytes();
    let mut options = Vec::new();
    while let [c1, c2, l1, l2, rest @ ..] = rdata {
        let len = usize::from(u16::from_be_bytes([*l1, *l2]));
        let data = rest.get(..len).ok_or("an option is cut short")?;
        options.push((u16::from_be_bytes([*c1, *c2]), data.to_vec()));
        rdata = &rest[len..];
    }
    if !rdata.is_empty() {
        return Err("bytes are left over in OPT".into());
    }
    Ok(Opt { payload, extended_rcode, version, dnssec_ok: flags & 0x80 != 0, options })
}

/// Reads a name that may be compressed; returns where it ends.
pub fn read_name(raw: &[u8], at: usize) -> Result<(String, usize), String> {
    let (mut name, mut here, mut end, mut jumps) = (String::new(), at, None, 0);
    loop {
        let len = usize::from(*raw.get(here).ok_or("a name is cut short")?);
        match len {
            0 => {
                let name = if name.is_empty() { ".".to_owned() } else { name };
                return Ok((name, end.unwrap_or(here + 1)));
            }
            1..=63 => {
                let label = raw.get(here + 1..here + 1 + len).ok_or("a label is cut short")?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                here += 1 + len;
            }
            _ => {
                let low = *raw.get(here + 1).ok_or("a pointer is cut short")?;
                end.get_or_insert(here + 2);
                here = (len & 0x3f) << 8 | usize::from(low);
                jumps += 1;
                if jumps > 40 {
                    return Err("pointers go round".into());
                }
            }
        }
    }
}

/// Writes a message part by part.
pub struct Writer {
    pub bytes: Vec<u8>,
    name: String,
}

impl Writer {
    pub fn new(id: u16, flags: u16) -> Writer {
        let mut bytes = vec![0; 12];
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        Writer { bytes, name: String::new() }
    }

    fn count(&mut self, which: usize) {
        self.bytes[5 + 2 * which] = self.bytes[5 + 2 * which].wrapping_add(1);
        if self.bytes[5 + 2 * which] == 0 {
            self.bytes[4 + 2 * which] += 1;
        }
    }

    pub fn question(&mut self, name: &str, rtype: u16, class: u16) -> Result<(), String> {
        self.bytes.extend(text::name(name)?);
        self.bytes.extend(rtype.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self.name = name.to_owned();
        self.count(0);
        Ok(())
    }

    pub fn record(&mut self, record: &Record) -> Result<(), String> {
        let mut words = record.line.split_whitespace();
        let mut next = || words.next().ok_or("a record is: owner TTL TYPE data");
        let (owner, ttl, rtype) = (next()?, next()?, next()?);
        let ttl: u32 = ttl.parse().map_err(|_| format!("{ttl} is no TTL"))?;
        let rtype = text::type_of(rtype)?;
        let data = text::data(rtype, &words.collect::<Vec<_>>())?;
        if owner.eq_ignore_ascii_case(&self.name) && owner != "." {
            self.bytes.extend([0xc0, 0x0c]);
        } else {
            self.bytes.extend(text::name(owner)?);
        }
        self.bytes.extend(rtype.to_be_bytes());
        self.bytes.extend([0, 1]);
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend((data.len() as u16).to_be_bytes());
        self.bytes.extend(data);
        self.count(record.section + 1);
        Ok(())
    }

    pub fn opt(&mut self, opt: &Opt) {
        self.bytes.extend([0, 0, 41]);
        self.bytes.extend(opt.payload.to_be_bytes());
        let flags = if opt.dnssec_ok { 0x80 } else { 0 };
        self.bytes.extend([opt.extended_rcode, opt.version, flags, 0]);
        let len: usize = opt.options.iter().map(|(_, data)| 4 + data.len()).sum();
        self.bytes.extend((len as u16).to_be_bytes());
        for (code, data) in &opt.options {
            self.bytes.extend(code.to_be_bytes());
            self.bytes.extend((data.len() as u16).to_be_bytes());
            self.bytes.extend(data);
        }
        self.count(3);
    }
}
