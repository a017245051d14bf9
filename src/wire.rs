//! DNS messages as bytes (RFC 1035): borrowed views and edits in place.
//!
//! This is the road every query travels, so nothing here allocates on the way of a hit, and nothing
//! here panics or loops on any input: every length is checked before it is used, compression
//! pointers may only point backwards, and counts are believed no further than the bytes go.

pub mod edns;
pub mod header;
pub mod name;
pub mod query;
pub mod records;

/// Numbers of RR types that this server treats in a way of their own (IANA DNS parameters).
#[allow(missing_docs)]
pub mod rtype {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const HINFO: u16 = 13;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const RRSIG: u16 = 46;
    pub const NSEC: u16 = 47;
    pub const NSEC3: u16 = 50;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
    pub const TKEY: u16 = 249;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const MAILB: u16 = 253;
    pub const MAILA: u16 = 254;
    pub const ANY: u16 = 255;
}

/// Class IN (RFC 1035, 3.2.4).
pub const CLASS_IN: u16 = 1;
/// Class CH, used for questions about the server itself (RFC 4892).
pub const CLASS_CH: u16 = 3;

/// Longest DNS message: the length prefix of TCP has two bytes (RFC 1035, 4.2.2).
pub const MAX_MESSAGE: usize = 65_535;

/// Reads a big-endian u16 at `at`.
#[inline]
pub fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Reads a big-endian u32 at `at`.
#[inline]
pub fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Writes a big-endian u16 at `at`; does nothing where the bytes end before.
#[inline]
pub fn write_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Writes a big-endian u32 at `at`; does nothing where the bytes end before.
#[inline]
pub fn write_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}
