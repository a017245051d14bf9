//! What is asked: lines of a file again and again, or names made from a pattern and a number, each
//! source in turn. A question is remembered by its place, not by its bytes.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use horizond::wire::name::Name;

/// Digits in place of `{}`.
const DIGITS: usize = 8;
/// Questions from one pattern; then it begins again.
const NUMBERS: u32 = 100_000_000;

/// The OPT record of the queries (RFC 6891, 6.1).
#[derive(Clone, Copy)]
pub struct Edns {
    /// Payload size in bytes.
    pub size: u16,
    /// DO is set.
    pub dnssec: bool,
}

/// Which question: the source and its number there.
#[derive(Clone, Copy, Default)]
pub struct Question {
    source: u32,
    number: u32,
}

enum Source {
    /// Questions one after the other, `ends` says where each ends; `left` of them are to be asked.
    File { bytes: Vec<u8>, ends: Vec<u32>, next: u32, left: u64 },
    /// One question with [`DIGITS`] to be written at `at`.
    Pattern { bytes: Vec<u8>, at: usize, next: u32 },
}

/// The sources, and where they are.
pub struct Questions {
    sources: Vec<Source>,
    turn: usize,
    left: u64,
    opt: Vec<u8>,
}

impl Questions {
    /// Without a source yet.
    pub fn new(edns: Option<Edns>) -> Questions {
        let opt = edns.map_or(Vec::new(), |edns| {
            let [high, low] = edns.size.to_be_bytes();
            vec![0, 0, 41, high, low, 0, 0, if edns.dnssec { 0x80 } else { 0 }, 0, 0, 0]
        });
        Questions { sources: Vec::new(), turn: 0, left: u64::MAX, opt }
    }

    /// Adds the lines of a file, to be asked `runs` times; 0 is without end.
    pub fn add_file(&mut self, path: &Path, runs: u32) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let (mut bytes, mut ends) = (Vec::with_capacity(text.len() + text.len() / 4), Vec::new());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            bytes.extend(question(line)?);
            ends.push(u32::try_from(bytes.len()).context("the file is too long")?);
        }
        ensure!(!ends.is_empty(), "{} is empty", path.display());
        let left = if runs == 0 { u64::MAX } else { u64::from(runs) * ends.len() as u64 };
        self.sources.push(Source::File { bytes, ends, next: 0, left });
        Ok(())
    }

    /// Adds the names of a pattern, from the number `first` on.
    pub fn add_pattern(&mut self, pattern: &str, first: u32) -> anyhow::Result<()> {
        let zeros = "0".repeat(DIGITS);
        ensure!(pattern.matches("{}").count() == 1, "{pattern}: needs {{}} once");
        let bytes = question(&pattern.replace("{}", &zeros))?;
        let at = bytes
            .windows(DIGITS)
            .rposition(|window| window == zeros.as_bytes())
            .context("no digits in the name")?;
        self.sources.push(Source::Pattern { bytes, at, next: first % NUMBERS });
        Ok(())
    }

    /// At most so many questions in all; 0 is without limit.
    pub fn limit(&mut self, most: u64) {
        if most > 0 {
            self.left = most;
        }
    }

    /// There is no source.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Nothing more is asked.
    pub fn close(&mut self) {
        self.left = 0;
    }

    /// Whether nothing more is asked.
    pub fn is_closed(&self) -> bool {
        self.left == 0
    }

    /// The next question, from each source in turn; `None` once one of them has ended.
    pub fn next(&mut self) -> Option<Question> {
        self.left = self.left.checked_sub(1)?;
        let source = self.turn;
        self.turn = if source + 1 == self.sources.len() { 0 } else { source + 1 };
        let number = match &mut self.sources[source] {
            Source::File { ends, next, left, .. } => {
                let Some(rest) = left.checked_sub(1) else {
                    self.left = 0;
                    return None;
                };
                *left = rest;
                let number = *next;
                *next = if number as usize + 1 == ends.len() { 0 } else { number + 1 };
                number
            }
            Source::Pattern { next, .. } => {
                let number = *next;
                *next = if number + 1 == NUMBERS { 0 } else { number + 1 };
                number
            }
        };
        Some(Question { source: source as u32, number })
    }

    /// Appends the query for a question: RD set, OPT if asked for.
    pub fn write(&self, question: Question, id: u16, out: &mut Vec<u8>) {
        let [high, low] = id.to_be_bytes();
        out.extend([high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!self.opt.is_empty())]);
        let begin = out.len();
        let (bytes, digits) = self.parts(question);
        out.extend(bytes);
        if let Some((at, digits)) = digits {
            out[begin + at..begin + at + DIGITS].copy_from_slice(&digits);
        }
        out.extend(&self.opt);
    }

    /// Where the question ends in `message`, if it is this one to the bit.
    pub fn end_of(&self, question: Question, message: &[u8]) -> Option<usize> {
        let (bytes, digits) = self.parts(question);
        let asked = message.get(12..12 + bytes.len())?;
        let same = match digits {
            None => asked == bytes,
            Some((at, digits)) => {
                asked[..at] == bytes[..at]
                    && asked[at..at + DIGITS] == digits
                    && asked[at + DIGITS..] == bytes[at + DIGITS..]
            }
        };
        same.then_some(12 + bytes.len())
    }

    /// The bytes of a question, and the digits with their place if it was made from a pattern.
    fn parts(&self, question: Question) -> (&[u8], Option<(usize, [u8; DIGITS])>) {
        let number = question.number;
        match &self.sources[question.source as usize] {
            Source::File { bytes, ends, .. } => {
                let i = number as usize;
                let begin = if i == 0 { 0 } else { ends[i - 1] as usize };
                (&bytes[begin..ends[i] as usize], None)
            }
            Source::Pattern { bytes, at, .. } => {
                let (mut digits, mut rest) = ([b'0'; DIGITS], number);
                for digit in digits.iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
                (bytes, Some((*at, digits)))
            }
        }
    }
}

/// `NAME TYPE` in wire format, class IN.
fn question(line: &str) -> anyhow::Result<Vec<u8>> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(kind), None) = (words.next(), words.next(), words.next()) else {
        bail!("{line}: needs a name and a type");
    };
    let kind: u16 = match kind {
        "A" => 1,
        "NS" => 2,
        "SOA" => 6,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "DNSKEY" => 48,
        other => other.parse().with_context(|| format!("{line}: unknown type"))?,
    };
    let name: Name = name.parse().with_context(|| format!("{line}: no name"))?;
    let mut bytes = name.as_wire().to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    Ok(bytes)
}
