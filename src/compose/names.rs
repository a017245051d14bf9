//! Names where they lie, compared and written out without a copy in between.

use smallvec::SmallVec;

use crate::wire::name::{MAX_LABEL, MAX_NAME};
use crate::wire::read_u16;

/// Room for any one name, and for most RDATA with names.
pub(super) type Bytes = SmallVec<[u8; 256]>;

/// The labels of the name at a place in a message, the empty one of the root last.
struct Labels<'a> {
    wire: &'a [u8],
    at: usize,
    /// Pointers must go strictly backwards, which ends every loop.
    limit: usize,
    /// Bytes that the name may still have.
    left: usize,
}

impl<'a> Labels<'a> {
    fn new(wire: &'a [u8], at: usize) -> Labels<'a> {
        Labels { wire, at, limit: at, left: MAX_NAME }
    }

    /// The next label with its length byte; `None` if the name is malformed or too long.
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let len = usize::from(*self.wire.get(self.at)?);
            if len <= MAX_LABEL {
                let end = self.at + 1 + len;
                let label = self.wire.get(self.at..end)?;
                self.left = self.left.checked_sub(label.len())?;
                self.at = end;
                return Some(label);
            }
            let to = usize::from(read_u16(self.wire, self.at).filter(|&to| to >= 0xc000)? & 0x3fff);
            if to >= self.limit {
                return None;
            }
            (self.at, self.limit) = (to, to);
        }
    }
}

/// Whether the names at two places, of one message or two, are the same but for case. `None` if one
/// turns out to be malformed before they differ.
#[inline]
pub(super) fn are_same((a, one): (&[u8], usize), (b, two): (&[u8], usize)) -> Option<bool> {
    let (mut one, mut two) = (Labels::new(a, one), Labels::new(b, two));
    loop {
        let (x, y) = (one.next()?, two.next()?);
        // Length bytes are below 'A', so they may be compared with the letters.
        if !x.eq_ignore_ascii_case(y) {
            return Some(false);
        }
        if x == [0] {
            return Some(true);
        }
    }
}

/// Writes a name out, in the case that it has; `None` if it is malformed or too long.
#[inline]
pub(super) fn write_out(wire: &[u8], at: usize, out: &mut Bytes) -> Option<()> {
    let mut labels = Labels::new(wire, at);
    loop {
        let label = labels.next()?;
        out.extend_from_slice(label);
        if label == [0] {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_where_they_lie() {
        let one = b"\x03Foo\x01b\0\x01a\xc0\x00\xc0\x07\0";
        let two = b"\x01A\x03fOO\x01b\0\x01a\x03foo\x01b\x01c\0";
        for (at, there, expected) in
            [(7, 0, true), (11, 0, true), (7, 9, false), (0, 2, true), (0, 0, false), (13, 8, true)]
        {
            let same = are_same((one, at), (two, there));
            assert_eq!(same, Some(expected), "{at} {there}");
        }
    }

    #[test]
    fn what_is_no_name_is_neither_compared_nor_written() {
        let long = [&[63u8; 64][..]; 4].concat();
        for (wire, at) in [
            (&b"\xc0\x00"[..], 0),
            (b"\xc0\x02\xc0\x00", 0),
            (b"\x01a\xc0\x00", 0),
            (b"\x01a\xc0\x02", 0),
            (b"\x80a", 0),
            (b"\x05abc", 0),
            (b"\xc0", 0),
            (b"", 0),
            (&[&long[..], b"\0"].concat(), 0),
        ] {
            assert_eq!(are_same((wire, at), (wire, at)), None, "{wire:?}");
            let mut out = Bytes::new();
            assert_eq!(write_out(wire, at, &mut out), None, "{wire:?}");
        }
    }
}
