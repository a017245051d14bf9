//! The records of a message, walked where they lie (RFC 1035, 4.1.3 and 4.1.4).

use std::ops::Range;

use super::name::{MAX_LABEL, MAX_NAME};
use super::{read_u16, read_u32, rtype};

/// The bytes end, or lie, inside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record is cut short or has a broken name")]
pub struct BadRecord;

/// Where a record lies and what its fixed fields say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 0 answer, 1 authority, 2 additional.
    pub section: u8,
    /// Offset of the owner name.
    pub start: usize,
    /// TYPE.
    pub rtype: u16,
    /// CLASS.
    pub class: u16,
    /// TTL in seconds, as it stands.
    pub ttl: u32,
    /// Offset of the TTL.
    pub ttl_at: usize,
    /// Where RDATA lies.
    pub rdata: Range<usize>,
}

/// Walks the records behind the question. After an error it yields nothing more.
pub struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: [u16; 3],
}

impl<'a> Records<'a> {
    /// Starts at offset `at` (behind the question) with the counts of the three sections.
    #[inline]
    pub fn new(message: &'a [u8], at: usize, counts: [u16; 3]) -> Records<'a> {
        Records { message, at, left: counts }
    }

    /// Offset behind the last record that was read.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn read(&mut self, section: u8) -> Option<Record> {
        let start = self.at;
        let fixed = skip_name(self.message, start)?;
        let rdata_at = fixed + 10;
        let len = usize::from(read_u16(self.message, fixed + 8)?);
        let end = rdata_at + len;
        if end > self.message.len() {
            return None;
        }
        self.at = end;
        Some(Record {
            section,
            start,
            rtype: read_u16(self.message, fixed)?,
            class: read_u16(self.message, fixed + 2)?,
            ttl: read_u32(self.message, fixed + 4)?,
            ttl_at: fixed + 4,
            rdata: rdata_at..end,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, BadRecord>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let section = self.left.iter().position(|&left| left > 0)?;
        self.left[section] -= 1;
        let record = self.read(section as u8);
        if record.is_none() {
            self.left = [0; 3];
        }
        Some(record.ok_or(BadRecord))
    }
}

/// Where the name at `at` ends in the message (behind its pointer, if it has one). A pointer must
/// point backwards; what it points at is not read.
#[inline]
pub fn skip_name(message: &[u8], at: usize) -> Option<usize> {
    let mut here = at;
    loop {
        let len = *message.get(here)?;
        match len {
            0 => return Some(here + 1),
            1..=63 => here += 1 + usize::from(len),
            0xc0.. => {
                let target = read_u16(message, here)? & 0x3fff;
                return (usize::from(target) < here).then_some(here + 2);
            }
            _ => return None,
        }
        if here - at > MAX_NAME {
            return None;
        }
    }
}

/// Most pointers in one name: more than it can have labels lead nowhere new.
const MAX_JUMPS: usize = 127;

/// A name taken out of a message: uncompressed, folded to lower case.
#[derive(Clone)]
pub struct NameBuf {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl NameBuf {
    /// Expands the name at `at`. `None` if it is malformed, too long, or its pointers do not go
    /// strictly backwards (which is what ends every loop), to labels in front of it: what is read
    /// behind a pointer lies before `at`.
    pub fn expand(mut message: &[u8], at: usize) -> Option<NameBuf> {
        let mut name = NameBuf { bytes: [0; MAX_NAME], len: 0 };
        let (mut here, mut limit, mut jumps) = (at, at, 0);
        loop {
            let len = *message.get(here)?;
            match usize::from(len) {
                0 => {
                    name.push(&[0])?;
                    return Some(name);
                }
                size @ 1..=MAX_LABEL => {
                    let label = message.get(here..here + 1 + size)?;
                    name.push(label)?;
                    here += 1 + size;
                }
                0xc0.. => {
                    let target = usize::from(read_u16(message, here)? & 0x3fff);
                    if target >= limit {
                        return None;
                    }
                    // A chain of thousands of pointers, in thousands of records, is an attack.
                    jumps += 1;
                    if jumps > MAX_JUMPS {
                        return None;
                    }
                    // A pointer leads to a prior occurrence (RFC 1035, 4.1.4). A label that runs on into
                    // the name itself and what stands behind it would change when that is left out.
                    message = message.get(..limit)?;
                    (here, limit) = (target, target);
                }
                _ => return None,
            }
        }
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        let room = self.bytes.get_mut(self.len..self.len + label.len())?;
        room.copy_from_slice(label);
        // Length bytes are below 'A', so folding may run over them.
        room.make_ascii_lowercase();
        self.len += label.len();
        Some(())
    }

    /// The folded wire format.
    pub fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Offsets inside RDATA at which compressible names stand, in their order, for the types that may
/// compress them (RFC 3597, 4: those of RFC 1035 and the few older ones); the bytes between and
/// behind are opaque.
pub fn names_in(rtype: u16) -> Option<(usize, usize)> {
    // (fixed bytes in front, how many names)
    match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | 3 | 4 | 7 | 8 | 9 | rtype::DNAME => Some((0, 1)),
        rtype::SOA | 14 | 17 => Some((0, 2)),
        rtype::MX | 18 | 21 => Some((2, 1)),
        26 => Some((2, 2)),
        rtype::SRV => Some((6, 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_expand_and_fold() {
        let message = b"\x03Foo\x01b\0\x01a\xc0\x00\xc0\x07";
        assert_eq!(NameBuf::expand(message, 0).unwrap().as_wire(), b"\x03foo\x01b\0");
        assert_eq!(NameBuf::expand(message, 7).unwrap().as_wire(), b"\x01a\x03foo\x01b\0");
        assert_eq!(NameBuf::expand(message, 11).unwrap().as_wire(), b"\x01a\x03foo\x01b\0");
        assert_eq!(skip_name(message, 7), Some(11));
    }

    #[test]
    fn loops_and_forward_pointers_are_no_names() {
        for (message, at) in [
            (&b"\xc0\x00"[..], 0),
            (b"\xc0\x02\xc0\x00", 0),
            (b"\x01a\xc0\x00", 0),
            (b"\x01a\xc0\x02", 0),
            (b"\x80a", 0),
            (b"\x05abc", 0),
            (b"\x05\x01a\xc0\x00bc\0", 1),
            (b"\x01\xc0\x00\0", 1),
            (b"\xc0", 0),
            (b"", 0),
        ] {
            assert!(NameBuf::expand(message, at).is_none(), "{message:?}");
        }
    }

    #[test]
    fn a_name_has_no_more_pointers_than_labels() {
        let chain: Vec<u8> = (0..200u16).flat_map(|n| (0xc000 | (2 * n)).to_be_bytes()).collect();
        let message = [&[0, 0][..], &chain].concat();
        for (jumps, sound) in [(1, true), (127, true), (128, false), (200, false)] {
            assert_eq!(NameBuf::expand(&message, 2 * jumps).is_some(), sound, "{jumps}");
        }
    }

    #[test]
    fn records_end_with_the_bytes() {
        let one = b"\0\0\x10\0\x01\0\0\0\x05\0\x02\x01x";
        let walked: Vec<_> = Records::new(one, 0, [2, 0, 0]).collect();
        assert_eq!(walked.len(), 2);
        let first = walked[0].clone().unwrap();
        assert_eq!((first.ttl, first.ttl_at, first.rdata), (5, 5, 11..13));
        assert_eq!(walked[1], Err(BadRecord));
    }
}
