//! What an answer is kept under.

use triomphe::ThinArc;

use super::Hashed;
use crate::wire::name::MAX_NAME;
use crate::wire::read_u16;

/// What an answer is kept under: folded name, type, DO and CD, in one run of bytes.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; Key::MAX],
    len: u16,
}

impl Key {
    /// Longest key in bytes.
    pub const MAX: usize = MAX_NAME + 3;
    const DO: u8 = 1;
    const CD: u8 = 2;
    const NAME: u8 = 4;

    /// Folds a question of class IN into its key. `name` is uncompressed wire format in any case;
    /// what is longer than a name can be is cut.
    #[inline]
    pub fn of(name: &[u8], qtype: u16, dnssec_ok: bool, checking_disabled: bool) -> Key {
        let mut key = Key { bytes: [0; Key::MAX], len: 0 };
        let len = name.len().min(MAX_NAME);
        let flags =
            if dnssec_ok { Key::DO } else { 0 } | if checking_disabled { Key::CD } else { 0 };
        let [high, low] = qtype.to_be_bytes();
        key.bytes[..3].copy_from_slice(&[high, low, flags]);
        for (to, from) in key.bytes[3..3 + len].iter_mut().zip(name) {
            // Length bytes are below 'A', so folding may run over them.
            *to = from.to_ascii_lowercase();
        }
        key.len = (3 + len) as u16;
        key
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The folded name in a key's bytes.
    #[inline]
    pub fn name(key: &[u8]) -> &[u8] {
        key.get(3..).unwrap_or(&[0])
    }

    /// The type in a key's bytes.
    #[inline]
    pub fn qtype(key: &[u8]) -> u16 {
        read_u16(key, 0).unwrap_or(0)
    }

    /// DO and CD in a key's bytes.
    #[inline]
    pub fn flags(key: &[u8]) -> (bool, bool) {
        let flags = key.get(2).copied().unwrap_or(0);
        (flags & Key::DO != 0, flags & Key::CD != 0)
    }

    /// The place for what is true of the name whatever the type: that it does not exist (RFC 2308,
    /// 5). `key` is any question's about it.
    pub fn of_name(key: &[u8]) -> Key {
        let mut place = Key { bytes: [0; Key::MAX], len: key.len().min(Key::MAX) as u16 };
        let len = usize::from(place.len);
        place.bytes[..len].copy_from_slice(&key[..len]);
        (place.bytes[0], place.bytes[1]) = (0, 0);
        place.bytes[2] |= Key::NAME;
        place
    }
}

/// A key that is held in several places at once, with its hash; copies are the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedKey(ThinArc<u64, u8>);

impl SharedKey {
    /// A copy on the heap.
    pub fn new(key: Hashed<'_>) -> SharedKey {
        SharedKey(ThinArc::from_header_and_slice(key.hash, key.bytes))
    }

    /// The bytes, see [`Key`].
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }

    /// Bytes and hash.
    #[inline]
    pub fn hashed(&self) -> Hashed<'_> {
        Hashed { bytes: &self.0.slice, hash: self.0.header.header }
    }
}
