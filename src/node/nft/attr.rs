//! Netlink attributes as bytes: written, nested, and read back.
//!
//! nf_tables sends its integers in network order inside attributes whose headers are in the
//! machine's order (linux/netlink.h, linux/netfilter/nf_tables.h). Knows no meaning of any attribute
//! and does no I/O. Reading never goes past the bytes it was given: what is cut short ends the walk.

/// Set on an attribute that holds attributes (linux/netlink.h, NLA_F_NESTED).
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are its type (linux/netlink.h, NLA_TYPE_MASK).
const TYPE_MASK: u16 = 0x3fff;
/// Length and type.
const HEADER: usize = 4;

/// Appends attributes to a message.
#[derive(Debug, Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    /// One attribute; `data` is at most 65,531 bytes, which all of ours are by far.
    pub fn put(&mut self, kind: u16, data: &[u8]) {
        self.nest_as(kind, |w| w.0.extend_from_slice(data));
    }

    /// A number of 32 bits in network order.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A text, ended by a zero as the kernel wants it.
    pub fn text(&mut self, kind: u16, text: &str) {
        self.nest_as(kind, |w| {
            w.0.extend_from_slice(text.as_bytes());
            w.0.push(0);
        });
    }

    /// An attribute made of attributes.
    pub fn nest(&mut self, kind: u16, content: impl FnOnce(&mut Self)) {
        self.nest_as(kind | NESTED, content);
    }

    fn nest_as(&mut self, kind: u16, content: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; HEADER]);
        content(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + HEADER].copy_from_slice(&kind.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// The attributes in a piece of a message, in order; each is its type and its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attrs<'a>(pub &'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, kind) = (u16_at(self.0, 0)?, u16_at(self.0, 2)?);
        let length = usize::from(length);
        let data = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & TYPE_MASK, data))
    }
}

impl<'a> Attrs<'a> {
    /// The data of the first attribute of that type.
    pub fn data(self, kind: u16) -> Option<&'a [u8]> {
        let mut attrs = self;
        attrs.find(|(k, _)| *k == kind).map(|(_, data)| data)
    }

    /// The attributes inside one.
    pub fn inside(self, kind: u16) -> Option<Self> {
        self.data(kind).map(Attrs)
    }

    /// A number of 32 bits in network order.
    pub fn be32(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.data(kind)?.try_into().ok()?))
    }

    /// A text, without the zero that ends it.
    pub fn text(self, kind: u16) -> Option<&'a str> {
        let bytes = self.data(kind)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).ok()
    }
}

/// Two bytes in the machine's order.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Four bytes in the machine's order.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut w = Writer::default();
        w.text(1, "horizond");
        w.nest(4, |w| {
            w.be32(1, 3);
            w.put(7, &[9]);
        });
        w.be32(5, 7);
        assert_eq!(w.0.len() % 4, 0);
        let attrs = Attrs(&w.0);
        assert_eq!(attrs.text(1), Some("horizond"));
        let inner = attrs.inside(4).unwrap();
        assert_eq!((inner.be32(1), inner.data(7), inner.data(2)), (Some(3), Some(&[9][..]), None));
        assert_eq!(attrs.be32(5), Some(7));
    }

    #[test]
    fn bytes_cut_short_end_the_walk() {
        let mut w = Writer::default();
        w.be32(1, 1);
        w.be32(2, 2);
        for end in 0..w.0.len() {
            assert_eq!(Attrs(&w.0[..end]).count(), usize::from(end >= 8), "{end} bytes");
        }
        assert_eq!(Attrs(&[3, 0, 1, 0, 0, 0, 0, 0]).count(), 0, "a length below the header's");
        assert_eq!(Attrs(&[0; 8]).count(), 0);
    }
}
