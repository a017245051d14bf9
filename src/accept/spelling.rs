//! The case of the letters of a name in a query (draft-vixie-dnsext-dns0x20): whoever guesses an answer
//! without having seen the query must guess it too.

/// Which letters of a name are capitals: bit n for the bytes n, n + 64 and so on. A name with k letters
/// among its first 64 bytes has k bits to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling(u64);

impl Spelling {
    /// No capitals.
    pub const FOLDED: Spelling = Spelling(0);

    /// From 64 bits, to be drawn at random.
    pub fn new(bits: u64) -> Spelling {
        Spelling(bits)
    }

    /// Whether it has no capitals.
    #[inline]
    pub fn is_folded(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn of(self, at: usize, folded: u8) -> u8 {
        let capital = self.0 >> (at % 64) & 1 == 1;
        if capital { folded.to_ascii_uppercase() } else { folded }
    }

    /// Writes a folded name so. Lengths of labels are no letters.
    pub fn write(self, name: &mut [u8]) {
        if !self.is_folded() {
            name.iter_mut().enumerate().for_each(|(at, byte)| *byte = self.of(at, *byte));
        }
    }

    /// Whether `name` is `folded` written so.
    #[inline]
    pub fn is(self, folded: &[u8], name: &[u8]) -> bool {
        if self.is_folded() {
            return folded == name;
        }
        let mut both = folded.iter().zip(name).enumerate();
        folded.len() == name.len() && both.all(|(at, (byte, came))| self.of(at, *byte) == *came)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_known_again() {
        let folded = [&b"\x03www\x09e-x4mple\xe4\x02de"[..], b"\x3f", &[b'q'; 63], b"\0"];
        let folded = folded.concat();
        for bits in [0, 1, 0x10, 0xffff_ffff_ffff_ffff, 0x5555_aaaa_0f0f_1234] {
            let spelling = Spelling::new(bits);
            let mut name = folded.clone();
            spelling.write(&mut name);
            assert!(name.eq_ignore_ascii_case(&folded), "{bits:x}");
            assert!(spelling.is(&folded, &name), "{bits:x}");
            assert!(!spelling.is(&folded, &name[1..]), "{bits:x}");
            for at in (0..name.len()).filter(|&at| name[at].is_ascii_alphabetic()) {
                let mut other = name.clone();
                other[at] ^= 0x20;
                assert!(!spelling.is(&folded, &other), "{bits:x} byte {at}");
            }
        }
    }
}
