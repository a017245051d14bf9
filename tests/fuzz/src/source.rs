//! Values drawn from the fuzzer's bytes; zeros when they run out.

/// Bytes to draw from.
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Two bytes.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Four bytes.
    pub fn long(&mut self) -> u32 {
        u32::from(self.word()) << 16 | u32::from(self.word())
    }

    /// At most `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// An uncompressed name of at most `labels` labels and 255 bytes.
    pub fn name(&mut self, labels: u8) -> Vec<u8> {
        let mut name = vec![];
        for _ in 0..labels {
            let want = usize::from(self.byte() % 64);
            let label = self.take(want);
            if label.is_empty() || name.len() + label.len() + 2 > 255 {
                break;
            }
            name.push(label.len() as u8);
            name.extend(label);
        }
        name.push(0);
        name
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
