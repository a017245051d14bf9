//! What an answer is kept under.

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
    const FAILURE: u8 = 4;
    const NAME: u8 = 8;

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
    pub fn of_name(key: &[u8]) -> Box<[u8]> {
        let mut bytes: Box<[u8]> = key.into();
        if let Some([high, low, flags]) = bytes.first_chunk_mut() {
            (*high, *low) = (0, 0);
            *flags |= Key::NAME;
        }
        bytes
    }

    /// The same question's place for failures, which must not push out an answer that is stale.
    pub(super) fn of_failure(key: &[u8]) -> Box<[u8]> {
        let mut bytes: Box<[u8]> = key.into();
        if let Some(flags) = bytes.get_mut(2) {
            *flags |= Key::FAILURE;
        }
        bytes
    }
}
