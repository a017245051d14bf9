//! The walkers over names, records and options against walkers that are slow and simple.
//!
//! The first three bytes are the counts of the sections; what follows is read as a message, as a name
//! and as options, from every offset.

use horizond::wire::edns::{Ede, Edns, Keepalive, OPT_LEN, OUR_PAYLOAD, OptWriter, code};
use horizond::wire::header::{self, Header};
use horizond::wire::name::{self, Labels, Name, Presentation};
use horizond::wire::records::{NameBuf, Record, Records, skip_name};

use super::naive;

/// So many offsets of a message are tried: the cost of all grows with their square.
const OFFSETS: usize = 120;

/// Checks one input.
pub fn check(data: &[u8]) {
    let (counts, message) = data.split_at(data.len().min(3));
    for at in 0..=message.len().min(OFFSETS) {
        check_compressed(message, at);
        check_uncompressed(&message[at..]);
    }
    let count = |i: usize| u16::from(*counts.get(i).unwrap_or(&0));
    for start in [0, 12, message.len().saturating_sub(4)] {
        check_records(message, start, [count(0), count(1), count(2)]);
    }
    check_records(message, 0, [u16::MAX; 3]);
    check_header(message);
    check_options(message, count(0));
    check_text(message);
}

fn check_compressed(message: &[u8], at: usize) {
    let plain = naive::name(message, at);
    let expanded = NameBuf::expand(message, at);
    assert_eq!(expanded.as_ref().map(NameBuf::as_wire), plain.as_ref().map(|n| &n.0[..]));
    let skipped = skip_name(message, at);
    match plain {
        Some((_, end, _)) => assert_eq!(skipped, Some(end)),
        // A name whose pointers lead nowhere may be skipped, but only inside the bytes.
        None => assert!(skipped.is_none_or(|end| end <= message.len())),
    }
    assert_eq!(skipped, naive_skip(message, at));
}

/// Labels up to a root or to a pointer that leads back, 255 bytes of labels at most.
fn naive_skip(message: &[u8], at: usize) -> Option<usize> {
    let mut here = at;
    while here - at <= 255 {
        match *message.get(here)? {
            0 => return Some(here + 1),
            len @ 1..=63 => here += 1 + usize::from(len),
            high @ 0xc0.. => {
                let target =
                    usize::from(high) * 256 + usize::from(*message.get(here + 1)?) - 0xc000;
                return (target < here).then_some(here + 2);
            }
            _ => return None,
        }
    }
    None
}

fn check_uncompressed(bytes: &[u8]) {
    // Nothing lies in front of the first byte, so no pointer leads anywhere.
    let end = naive::name(bytes, 0).map(|(_, end, _)| end);
    assert_eq!(name::end_of(bytes), end);
    let Some(end) = end else {
        assert!(Name::from_wire(bytes).is_none());
        return;
    };
    let name = Name::from_wire(&bytes[..end]).expect("a name that ends is one");
    assert_eq!(name.as_wire(), bytes[..end].to_ascii_lowercase());
    let labels: Vec<&[u8]> = Labels(name.as_wire()).collect();
    assert_eq!(labels.len(), name.labels());
    let joined = labels.iter().flat_map(|l| [&[l.len() as u8], *l].concat()).chain([0]);
    assert_eq!(joined.collect::<Vec<u8>>(), name.as_wire());
    let text = name.to_string();
    assert_eq!(text.parse::<Name>().as_ref(), Ok(&name), "{text}");
    assert_eq!(Presentation(name.as_wire()).to_string(), text);
    assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
    assert_eq!(name.is_root(), end == 1);
}

fn check_records(message: &[u8], start: usize, counts: [u16; 3]) {
    let (records, end, broken) = naive_records(message, start, counts);
    let mut walk = Records::new(message, start, counts);
    for expected in &records {
        assert_eq!(walk.next(), Some(Ok(expected.clone())));
    }
    assert_eq!(walk.next().map(|record| record.is_err()), broken.then_some(true));
    assert!(walk.next().is_none());
    assert_eq!(walk.position(), end);
}

/// All records up to the first that is broken, where the last sound one ends, and whether one is.
pub fn naive_records(message: &[u8], start: usize, counts: [u16; 3]) -> (Vec<Record>, usize, bool) {
    let (mut at, mut records) = (start, vec![]);
    for section in 0..3u8 {
        for _ in 0..counts[usize::from(section)] {
            let Some(record) = naive_record(message, at, section) else {
                return (records, at, true);
            };
            at = record.rdata.end;
            records.push(record);
        }
    }
    (records, at, false)
}

fn naive_record(message: &[u8], at: usize, section: u8) -> Option<Record> {
    let fixed = naive_skip(message, at)?;
    let [t1, t2, c1, c2, a, b, c, d, l1, l2] = *message.get(fixed..)?.first_chunk::<10>()?;
    let rdata = fixed + 10..fixed + 10 + usize::from(l1) * 256 + usize::from(l2);
    message.get(rdata.clone())?;
    Some(Record {
        section,
        start: at,
        rtype: u16::from(t1) << 8 | u16::from(t2),
        class: u16::from(c1) << 8 | u16::from(c2),
        ttl: [a, b, c, d].iter().fold(0, |ttl, byte| ttl << 8 | u32::from(*byte)),
        ttl_at: fixed + 4,
        rdata,
    })
}

fn check_header(message: &[u8]) {
    let Some(head) = Header::read(message) else {
        assert!(message.len() < 12);
        return;
    };
    assert_eq!(head.to_bytes(), message[..12]);
    assert_eq!(header::id(message), Some(head.id));
    assert_eq!(head.opcode(), u16::from(message[2] >> 3 & 15));
    assert_eq!(head.rcode(), u16::from(message[3] & 15));
    assert_eq!(head.has(header::flag::QR), message[2] >= 128);
}

/// Code and data of all options; `None` unless they fill the bytes.
fn naive_options(mut rdata: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut options = vec![];
    while !rdata.is_empty() {
        let [c1, c2, l1, l2] = *rdata.first_chunk::<4>()?;
        let len = usize::from(l1) << 8 | usize::from(l2);
        options.push((u16::from(c1) << 8 | u16::from(c2), rdata.get(4..4 + len)?));
        rdata = &rdata[4 + len..];
    }
    Some(options)
}

fn check_options(rdata: &[u8], room: u16) {
    let options = naive_options(rdata);
    let edns = Edns::read(0x1234, 0x5678_9abc, rdata);
    assert_eq!(edns.map(|edns| edns.options().collect()), options);
    let Some((edns, options)) = edns.zip(options) else { return };
    assert_eq!((edns.payload, edns.extended_rcode, edns.version), (0x1234, 0x56, 0x78));
    assert!(edns.dnssec_ok);
    check_known_options(&edns, &options);
    for (code, _) in &options {
        let first = options.iter().find(|(other, _)| other == code).map(|(_, data)| *data);
        assert_eq!(edns.option(*code), first);
    }
    write_again(&options, usize::from(room) * 4);
}

/// What was noted of the options on the way past.
fn check_known_options(edns: &Edns<'_>, options: &[(u16, &[u8])]) {
    let data = |wanted: u16| options.iter().filter(move |(code, _)| *code == wanted).map(|o| o.1);
    let cookie = data(code::COOKIE).next();
    let keepalive = match data(code::KEEPALIVE).next_back() {
        None => Keepalive::Absent,
        Some([]) => Keepalive::Asked,
        Some(_) => Keepalive::Data,
    };
    assert_eq!((edns.cookie(), edns.keepalive), (cookie, keepalive));
    assert_eq!(edns.nsid, data(code::NSID).next().is_some());
    assert_eq!(edns.asks_much(), cookie.is_some() || keepalive != Keepalive::Absent);
    let sound = cookie.is_none_or(|data| matches!(data.len(), 8 | 16..=40));
    assert_eq!(edns.is_cookie_sound(), sound);
}

/// Writes the options into little room and reads what fitted.
fn write_again(options: &[(u16, &[u8])], room: usize) {
    let mut out = vec![0xee; room];
    let Some(mut opt) = OptWriter::begin(&mut out, 1, 2, false) else {
        assert!(room < 1 + OPT_LEN);
        return;
    };
    let (mut written, mut end) = (vec![], 1 + OPT_LEN);
    for (code, data) in options {
        let (front, back) = data.split_at(data.len() / 2);
        let fits = end + 4 + data.len() <= room;
        assert_eq!(opt.option(*code, &[front, back]), fits);
        if fits {
            end += 4 + data.len();
            written.push((*code, *data));
        }
    }
    let ede = options.iter().find(|(code, _)| *code == code::EDE);
    let ede = ede.and_then(|(_, data)| Ede::read(data));
    let kept = ede.as_ref().is_some_and(|ede| opt.ede(ede.as_ref()));
    let finished = opt.finish();
    assert!(finished >= end && finished <= room && (kept || finished == end));
    assert!(out[0] == 0xee && out[finished..].iter().all(|byte| *byte == 0xee));
    let record = naive_record(&out, 1, 2).expect("an OPT is a record");
    assert_eq!((record.rtype, record.class, record.rdata.end), (41, OUR_PAYLOAD, finished));
    let mut read = naive_options(&out[record.rdata]).expect("options fill the record");
    if let Some(ede) = ede.filter(|_| kept) {
        let (code, data) = read.pop().expect("the error was written");
        assert_eq!((code, &data[..2]), (code::EDE, &ede.code.to_be_bytes()[..]));
        assert!(data.len() == 2 || &data[2..] == ede.text.as_bytes());
    }
    assert_eq!(read, written);
}

fn check_text(bytes: &[u8]) {
    if let Some(ede) = Ede::read(bytes) {
        assert_eq!(ede.code.to_be_bytes(), bytes[..2]);
        assert!(ede.text.len() <= Ede::MAX_TEXT);
        let whole = String::from_utf8_lossy(&bytes[2..]);
        assert!(whole.starts_with(&*ede.text));
    } else {
        assert!(bytes.len() < 2);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = text.parse::<Name>() else { return };
    assert_eq!(name::end_of(name.as_wire()), Some(name.as_wire().len()));
    assert_eq!(Name::from_wire(name.as_wire()).as_ref(), Some(&name));
    assert_eq!(name.to_string().parse::<Name>(), Ok(name));
}
