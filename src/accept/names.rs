//! Names in an upstream's message, looked at where they lie: whose they are, whether they are sound,
//! and which bytes they are made of. Nothing here is copied.

use crate::wire::header;
use crate::wire::read_u16;
use crate::wire::records::{NameBuf, Record, names_in, skip_name};

/// Whether the name at `at` is nothing but a pointer to the question.
#[inline]
pub(super) fn is_question_pointer(message: &[u8], at: usize) -> bool {
    message.get(at..at + 2) == Some(&[0xc0, header::LEN as u8])
}

/// Whether the name at `at` is this one, folded.
pub(super) fn owner_is(message: &[u8], at: usize, name: &[u8]) -> bool {
    // Nearly every owner is a pointer to the question.
    if name.len() == 1 && message.get(at) == Some(&0) {
        return true;
    }
    NameBuf::expand(message, at).is_some_and(|owner| owner.as_wire() == name)
}

/// Whether the owner is a proper ancestor of `name`.
pub(super) fn owner_is_above(message: &[u8], at: usize, name: &[u8]) -> bool {
    let Some(owner) = NameBuf::expand(message, at) else { return false };
    let mut rest = name;
    while let Some((&len, _)) = rest.split_first() {
        let Some(parent) = rest.get(1 + usize::from(len)..).filter(|_| len > 0) else {
            return false;
        };
        if parent == owner.as_wire() {
            return true;
        }
        rest = parent;
    }
    false
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

/// Names inside RDATA must parse and end where the fixed layout of the type lets them, which is the
/// same in all classes (RFC 1035, 3.3).
pub(super) fn names_are_sound(message: &[u8], record: &Record) -> Option<()> {
    let Some((front, count)) = names_in(record.rtype) else { return Some(()) };
    let mut at = record.rdata.start + front;
    for _ in 0..count {
        NameBuf::expand(message, at)?;
        at = skip_name(message, at)?;
    }
    (at <= record.rdata.end).then_some(())
}
