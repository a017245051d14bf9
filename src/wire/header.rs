//! The twelve bytes in front (RFC 1035, 4.1.1) and the numbers in them.

use super::read_u16;

/// Length of the header in bytes.
pub const LEN: usize = 12;

/// Bits of the second 16-bit word.
#[allow(missing_docs)]
pub mod flag {
    pub const QR: u16 = 0x8000;
    pub const OPCODE: u16 = 0x7800;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    pub const AD: u16 = 0x0020;
    pub const CD: u16 = 0x0010;
    pub const RCODE: u16 = 0x000f;
}

/// A response code, the eight upper bits of EDNS included (RFC 6895, 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rcode(pub u16);

#[allow(missing_docs)]
impl Rcode {
    pub const NOERROR: Rcode = Rcode(0);
    pub const FORMERR: Rcode = Rcode(1);
    pub const SERVFAIL: Rcode = Rcode(2);
    pub const NXDOMAIN: Rcode = Rcode(3);
    pub const NOTIMP: Rcode = Rcode(4);
    pub const REFUSED: Rcode = Rcode(5);
    pub const BADVERS: Rcode = Rcode(16);
    pub const BADCOOKIE: Rcode = Rcode(23);
}

impl std::fmt::Display for Rcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("NOERROR"),
            1 => f.write_str("FORMERR"),
            2 => f.write_str("SERVFAIL"),
            3 => f.write_str("NXDOMAIN"),
            4 => f.write_str("NOTIMP"),
            5 => f.write_str("REFUSED"),
            6 => f.write_str("YXDOMAIN"),
            7 => f.write_str("YXRRSET"),
            8 => f.write_str("NXRRSET"),
            9 => f.write_str("NOTAUTH"),
            10 => f.write_str("NOTZONE"),
            16 => f.write_str("BADVERS"),
            23 => f.write_str("BADCOOKIE"),
            other => write!(f, "RCODE{other}"),
        }
    }
}

/// A header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Message id.
    pub id: u16,
    /// The flag word, see [`flag`].
    pub flags: u16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the first twelve bytes; `None` if there are fewer.
    #[inline]
    pub fn read(message: &[u8]) -> Option<Header> {
        let head: &[u8; LEN] = message.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        Some(Header { id: word(0), flags: word(2), counts: [word(4), word(6), word(8), word(10)] })
    }

    /// The twelve bytes.
    #[inline]
    pub fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        for (field, value) in
            bytes.chunks_exact_mut(2).zip([self.id, self.flags].into_iter().chain(self.counts))
        {
            field.copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    /// Whether `bit` is set.
    #[inline]
    pub fn has(&self, bit: u16) -> bool {
        self.flags & bit != 0
    }

    /// The opcode: 0..=15, 0 is QUERY.
    #[inline]
    pub fn opcode(&self) -> u16 {
        (self.flags & flag::OPCODE) >> 11
    }

    /// The lower four bits of the response code.
    #[inline]
    pub fn rcode(&self) -> u16 {
        self.flags & flag::RCODE
    }
}

/// The id of a message; `None` if it has fewer than two bytes.
#[inline]
pub fn id(message: &[u8]) -> Option<u16> {
    read_u16(message, 0)
}
