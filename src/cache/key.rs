//! What an answer is kept under.

use arrayvec::ArrayVec;
use triomphe::ThinArc;

use super::{Hashed, NameHash};
use crate::wire::name::MAX_NAME;
use crate::wire::read_u16;

/// What an answer is kept under: DO and CD, type, folded name, in one run of bytes.
#[derive(Clone)]
pub struct Key(ArrayVec<u8, { Key::MAX }>);

impl Key {
    /// Longest key in bytes.
    pub const MAX: usize = MAX_NAME + 3;
    const DO: u8 = 1;
    const CD: u8 = 2;
    const NAME: u8 = 4;

    /// Folds a name alone, to be hashed.
    #[inline]
    pub fn fold(name: &[u8]) -> Key {
        Key::of(name, 0, false, false)
    }

    /// Folds a question of class IN into its key. `name` is uncompressed wire format in any case;
    /// what is longer than a name can be is cut.
    #[inline]
    pub fn of(name: &[u8], qtype: u16, dnssec_ok: bool, checking_disabled: bool) -> Key {
        let name = &name[..name.len().min(MAX_NAME)];
        let flags =
            if dnssec_ok { Key::DO } else { 0 } | if checking_disabled { Key::CD } else { 0 };
        let [high, low] = qtype.to_be_bytes();
        let mut key = Key::join(&[flags, high, low], name);
        // Length bytes are below 'A', so folding may run over them.
        key.0[3..].make_ascii_lowercase();
        key
    }

    /// What goes beyond [`Key::MAX`] is cut, which no key does.
    #[inline]
    fn join(front: &[u8; 3], name: &[u8]) -> Key {
        let mut bytes = ArrayVec::new();
        let fits =
            bytes.try_extend_from_slice(front).is_ok() && bytes.try_extend_from_slice(name).is_ok();
        debug_assert!(fits);
        Key(bytes)
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The folded name in a key's bytes.
    #[inline]
    pub fn name(key: &[u8]) -> &[u8] {
        key.get(3..).unwrap_or(&[0])
    }

    /// The type in a key's bytes.
    #[inline]
    pub fn qtype(key: &[u8]) -> u16 {
        read_u16(key, 1).unwrap_or(0)
    }

    /// The byte of flags in a key's bytes.
    #[inline]
    pub(super) fn marks(key: &[u8]) -> u8 {
        key.first().copied().unwrap_or(0)
    }

    /// DO and CD in a key's bytes.
    #[inline]
    pub fn flags(key: &[u8]) -> (bool, bool) {
        let flags = Key::marks(key);
        (flags & Key::DO != 0, flags & Key::CD != 0)
    }

    /// The place for what is true of the name whatever the type: that it does not exist (RFC 2308,
    /// 5). `key` is any question's about it.
    pub fn of_name(key: &[u8]) -> Key {
        Key::join(&[Key::marks(key) | Key::NAME, 0, 0], Key::name(key))
    }
}

/// A key that is held in several places at once, with its hashes; copies are the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedKey(ThinArc<(u64, NameHash), u8>);

impl SharedKey {
    /// A copy on the heap.
    pub fn new(key: Hashed<'_>) -> SharedKey {
        SharedKey(ThinArc::from_header_and_slice((key.hash, key.name), key.bytes))
    }

    /// The bytes, see [`Key`].
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }

    /// Bytes and hashes.
    #[inline]
    pub fn hashed(&self) -> Hashed<'_> {
        let (hash, name) = self.0.header.header;
        Hashed { bytes: &self.0.slice, hash, name }
    }
}
