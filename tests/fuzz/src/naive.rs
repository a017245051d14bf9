//! A slow and simple reader of DNS messages, written from RFC 1035 without a look at the daemon's.

/// A record with its names written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rr {
    /// 0 answer, 1 authority, 2 additional.
    pub section: usize,
    /// Uncompressed, lower case.
    pub owner: Vec<u8>,
    /// TYPE.
    pub rtype: u16,
    /// CLASS.
    pub class: u16,
    /// TTL.
    pub ttl: u32,
    /// RDATA; its names uncompressed and in lower case where the type may compress them.
    pub rdata: Vec<u8>,
    /// Whether a pointer in one of its names leads into the header or into a TTL: bytes that a
    /// forwarder has to change.
    pub leans_on_changing: bool,
}

/// A whole message.
#[derive(Debug, Clone)]
pub struct Message {
    /// ID.
    pub id: u16,
    /// The flag word.
    pub flags: u16,
    /// The bytes of the question section.
    pub question: Vec<u8>,
    /// All records, in order.
    pub records: Vec<Rr>,
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

/// The name at `at`: its labels in lower case, where it ends, and which bytes it was read from. What
/// a pointer leads to lies in front of the part of the name that it stands in, and there are no more
/// pointers than a name can have labels.
pub fn name(message: &[u8], at: usize) -> Option<(Vec<u8>, usize, Vec<usize>)> {
    let (mut out, mut here, mut end, mut read) = (vec![], at, None, vec![]);
    let (mut lowest, mut bound, mut pointers) = (at, message.len(), 0);
    loop {
        let len = usize::from(*message.get(here)?);
        let behind = match len {
            0 => here + 1,
            1..=63 => here + 1 + len,
            192.. => here + 2,
            _ => return None,
        };
        if behind > bound {
            return None;
        }
        read.extend(here..behind);
        if len == 0 {
            out.push(0);
            return (out.len() <= 255).then_some((out, end.unwrap_or(behind), read));
        }
        if len < 64 {
            out.extend(message[here..behind].to_ascii_lowercase());
            here = behind;
            continue;
        }
        let target = usize::from(u16_at(message, here)? & 0x3fff);
        pointers += 1;
        if target >= lowest || pointers > 127 {
            return None;
        }
        end = end.or(Some(behind));
        (here, lowest, bound) = (target, target, lowest);
    }
}

/// Fixed bytes in front of the names in RDATA, and how many names (RFC 1035, 3.3; RFC 1183; RFC
/// 2163; RFC 2782; RFC 6672).
fn layout(rtype: u16) -> (usize, usize) {
    match rtype {
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 1),
        6 | 14 | 17 => (0, 2),
        15 | 18 | 21 => (2, 1),
        26 => (2, 2),
        33 => (6, 1),
        _ => (0, 0),
    }
}

/// RDATA with its names written out, and the bytes they were read from; as it lies if it has none
/// or they do not parse.
fn rdata(message: &[u8], rtype: u16, start: usize, end: usize) -> (Vec<u8>, Vec<usize>) {
    let written_out = || {
        let (front, count) = layout(rtype);
        let mut out = message.get(start..start + front)?.to_vec();
        let (mut at, mut all) = (start + front, vec![]);
        for _ in 0..count {
            let (labels, behind, read) = name(message, at)?;
            out.extend(labels);
            all.extend(read);
            at = behind;
        }
        out.extend(message.get(at..end)?);
        (at <= end).then_some((out, all))
    };
    written_out().unwrap_or_else(|| (message[start..end].to_vec(), vec![]))
}

/// Reads a message with at most one question; `None` unless it is sound to its last byte.
pub fn parse(message: &[u8]) -> Option<Message> {
    let count = |i: usize| u16_at(message, 4 + 2 * i);
    let (mut at, questions) = (12, count(0)?);
    match questions {
        0 => {}
        1 => at = name(message, 12)?.1 + 4,
        _ => return None,
    }
    let question = message.get(12..at)?.to_vec();
    let (mut records, mut reads): (Vec<Rr>, Vec<Vec<usize>>) = (vec![], vec![]);
    let mut changing: Vec<usize> = (0..12).collect();
    for section in 0..3 {
        for _ in 0..count(section + 1)? {
            let (owner, fixed, mut read) = name(message, at)?;
            let start = fixed + 10;
            let end = start + usize::from(u16_at(message, fixed + 8)?);
            message.get(start..end)?;
            let rtype = u16_at(message, fixed)?;
            let (rdata, more) = rdata(message, rtype, start, end);
            read.extend(more);
            records.push(Rr {
                section,
                owner,
                rtype,
                class: u16_at(message, fixed + 2)?,
                ttl: u32::from(u16_at(message, fixed + 4)?) << 16
                    | u32::from(u16_at(message, fixed + 6)?),
                rdata,
                leans_on_changing: false,
            });
            reads.push(read);
            changing.extend(fixed + 4..fixed + 8);
            at = end;
        }
    }
    for (record, read) in records.iter_mut().zip(reads) {
        record.leans_on_changing = read.iter().any(|byte| changing.binary_search(byte).is_ok());
    }
    let (id, flags) = (u16_at(message, 0)?, u16_at(message, 2)?);
    (at == message.len()).then_some(Message { id, flags, question, records })
}
