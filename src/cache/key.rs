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
        let [high, low] = qtype.to_be_bytes();
        let flags = Key::mark(dnssec_ok, checking_disabled);
        let mut key = Key::join(&[flags, high, low], name);
        // Length bytes are below 'A', so folding may run over them.
        fold(&mut key.0[3..]);
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

    #[inline]
    fn mark(dnssec_ok: bool, checking_disabled: bool) -> u8 {
        (u8::from(dnssec_ok) * Key::DO) | (u8::from(checking_disabled) * Key::CD)
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

    /// Whether a key's bytes are such a place as [`Key::of_name`] gives.
    pub(super) fn is_of_name(key: &[u8]) -> bool {
        Key::marks(key) & Key::NAME != 0
    }

    /// The place for what is true of the name whatever the type: that it does not exist (RFC 2308,
    /// 5). `key` is any question's about it.
    pub fn of_name(key: &[u8]) -> Key {
        Key::join(&[Key::marks(key) | Key::NAME, 0, 0], Key::name(key))
    }
}

/// A question as it came, for comparing without a copy.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// The name in any case.
    pub name: &'a [u8],
    /// QTYPE.
    pub qtype: u16,
    /// The flags of its key.
    pub(super) marks: u8,
    /// Of the folded name.
    pub hash: NameHash,
}

impl<'a> Probe<'a> {
    /// For a question of class IN whose folded name has this hash.
    #[inline]
    pub fn new(
        name: &'a [u8],
        qtype: u16,
        (dnssec_ok, checking_disabled): (bool, bool),
        hash: NameHash,
    ) -> Probe<'a> {
        Probe { name, qtype, marks: Key::mark(dnssec_ok, checking_disabled), hash }
    }
}

const WORD: usize = 8;

/// Makes ASCII capitals small, eight bytes at a time: most names are too short for more.
#[inline]
fn fold(bytes: &mut [u8]) {
    let Some(last) = bytes.len().checked_sub(WORD) else { return bytes.make_ascii_lowercase() };
    let mut word = |at: usize| {
        if let Some(word) = bytes[at..].first_chunk_mut() {
            *word = folded_word(word);
        }
    };
    (0..last).step_by(WORD).for_each(&mut word);
    // Some of these are small already, which does no harm.
    word(last);
}

/// Whether `name`, folded, is `folded`.
#[inline]
pub(super) fn folds_to(name: &[u8], folded: &[u8]) -> bool {
    if name.len() != folded.len() {
        return false;
    }
    let Some(last) = name.len().checked_sub(WORD) else {
        return name.iter().zip(folded).all(|(a, b)| a.to_ascii_lowercase() == *b);
    };
    let same = |at: usize| match (name[at..].first_chunk(), folded[at..].first_chunk()) {
        (Some(name), Some(folded)) => folded_word(name) == *folded,
        _ => false,
    };
    (0..last).step_by(WORD).all(same) && same(last)
}

#[inline]
fn folded_word(word: &[u8; WORD]) -> [u8; WORD] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let value = u64::from_ne_bytes(*word);
    // The top bit of each byte says whether its lower seven are at least 'A', and whether they are
    // beyond 'Z'; neither sum carries into the next byte.
    let low = value & (0x7f * EACH);
    let from_a = low + (0x80 - u64::from(b'A')) * EACH;
    let beyond_z = low + (0x7f - u64::from(b'Z')) * EACH;
    let capital = !value & from_a & !beyond_z & (0x80 * EACH);
    (value | capital >> 2).to_ne_bytes()
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
