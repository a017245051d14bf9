//! Names in an upstream's message, looked at where they lie: whose they are, whether they are sound,
//! and which bytes they are made of. Nothing here is copied but by [`encloses`].

use crate::wire::header;
use crate::wire::name::is_within;
use crate::wire::records::{NameBuf, Record, names_in, skip_name};
use crate::wire::{CLASS_IN, read_u16, rtype};

/// Whether the name at `at` is nothing but a pointer to the question.
#[inline]
pub(super) fn is_question_pointer(message: &[u8], at: usize) -> bool {
    message.get(at..at + 2) == Some(&[0xc0, header::LEN as u8])
}

/// Whether the name at `at` is nothing but a pointer to one of the labels of the question's name: that
/// name itself, or a zone above it.
#[inline]
pub(super) fn is_in_question(message: &[u8], at: usize, name: &[u8]) -> bool {
    let Some(&[0xc0, to]) = message.get(at..at + 2) else { return false };
    let (to, mut here) = (usize::from(to), header::LEN);
    // A digit inside a label would be a length.
    while here < to {
        let Some(&len @ 1..) = name.get(here - header::LEN) else { return false };
        here += 1 + usize::from(len);
    }
    here == to
}

/// Whether the name at `at` is this one, folded.
pub(super) fn is_name(message: &[u8], at: usize, name: &[u8]) -> bool {
    let (mut here, mut limit, mut rest) = (at, at, name);
    loop {
        match message.get(here) {
            Some(0) => return rest == [0],
            Some(&len @ 1..=63) => {
                let size = 1 + usize::from(len);
                match (message.get(here..here + size), rest.split_at_checked(size)) {
                    (Some(label), Some((own, behind))) if label.eq_ignore_ascii_case(own) => {
                        (here, rest) = (here + size, behind);
                    }
                    _ => return false,
                }
            }
            Some(0xc0..) => {
                let target = usize::from(read_u16(message, here).unwrap_or(u16::MAX) & 0x3fff);
                if target >= limit {
                    return false;
                }
                (here, limit) = (target, target);
            }
            _ => return false,
        }
    }
}

/// Whether the name at `at` is this one, folded, or one above it.
pub(super) fn encloses(message: &[u8], at: usize, name: &[u8]) -> bool {
    // The root.
    message.get(at) == Some(&0)
        || NameBuf::expand(message, at).is_some_and(|owner| is_within(name, owner.as_wire()))
}

/// Whether `holds` for every run of bytes that the name at `at`, which expands, is read from behind
/// its first pointer.
pub(super) fn parts_all(message: &[u8], at: usize, holds: impl Fn(usize, usize) -> bool) -> bool {
    let (mut here, mut jumped) = (at, false);
    loop {
        let next = match message.get(here) {
            None | Some(0) => return !jumped || holds(here, here + 1),
            Some(&len @ 1..=63) => here + 1 + usize::from(len),
            Some(_) => here + 2,
        };
        if jumped && !holds(here, next) {
            return false;
        }
        here = match message.get(here) {
            Some(0xc0..) => {
                jumped = true;
                usize::from(read_u16(message, here).unwrap_or(0) & 0x3fff)
            }
            _ => next,
        };
        // Nearly every pointer leads to the question, which holds no pointer.
        if jumped && here == header::LEN {
            return true;
        }
    }
}

/// RDATA of a known layout must have just that, or those who read it from us will refuse the whole
/// message: an address its length, names that parse and nothing behind them but the numbers of an SOA.
/// The layout of the types with names is the same in all classes (RFC 1035, 3.3). `Some(true)`: it is
/// sound and has names.
pub(super) fn rdata_is_sound(message: &[u8], record: &Record) -> Option<bool> {
    let len = record.rdata.len();
    match record.rtype {
        rtype::A if record.class == CLASS_IN => return (len == 4).then_some(false),
        rtype::AAAA if record.class == CLASS_IN => return (len == 16).then_some(false),
        _ => {}
    }
    let Some((front, count)) = names_in(record.rtype) else { return Some(false) };
    let mut at = record.rdata.start + front;
    for _ in 0..count {
        NameBuf::expand(message, at)?;
        at = skip_name(message, at)?;
    }
    let numbers = if record.rtype == rtype::SOA { 20 } else { 0 };
    (at + numbers == record.rdata.end).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8] = b"\x01a\x0212\x07example\0";

    fn message(tail: &[u8]) -> Vec<u8> {
        [&[0; header::LEN][..], b"\x01A\x0212\x07Example\0", tail].concat()
    }

    #[test]
    fn names_are_compared_where_they_lie() {
        let at = header::LEN + NAME.len();
        for (tail, is) in [
            (&b"\xc0\x0c"[..], true),
            (b"\x01A\xc0\x0e", true),
            (b"\x01a\x0212\x07EXAMPLE\0", true),
            (b"\xc0\x0e", false),
            (b"\x01b\xc0\x0e", false),
            (b"\x01a\x0212\x07example\x01x\0", false),
            (b"\0", false),
            // To itself, ahead, and cut short.
            (b"\xc0\x1b", false),
            (b"\xc0\x1d\0", false),
            (b"\xc0", false),
            (b"\x05a", false),
        ] {
            assert_eq!(is_name(&message(tail), at, NAME), is, "{tail:02x?}");
        }
    }

    #[test]
    fn pointers_into_the_question_lead_to_its_labels() {
        let at = header::LEN + NAME.len();
        for (to, is) in
            [(12, true), (13, false), (14, true), (15, false), (16, false), (17, true), (25, true)]
        {
            assert_eq!(is_in_question(&message(&[0xc0, to]), at, NAME), is, "{to}");
        }
        for to in [11, 26, 27, 0xff] {
            assert!(!is_in_question(&message(&[0xc0, to]), at, NAME), "{to}");
        }
    }
}
