//! The OPT pseudo-record (RFC 6891) and the options this server knows.

use super::{read_u16, rtype};

/// What we can take over UDP, and the most we send: fragments do not survive every path to a pod.
pub const OUR_PAYLOAD: u16 = 1232;
/// What every client can take (RFC 1035, 2.3.4; RFC 6891, 6.2.3).
pub const MIN_PAYLOAD: u16 = 512;
/// Length of an OPT record without options.
pub const OPT_LEN: usize = 11;
/// DO in the TTL field (RFC 3225).
const DO: u16 = 0x8000;

/// Option codes (IANA DNS EDNS0 Option Codes).
#[allow(missing_docs)]
pub mod code {
    pub const NSID: u16 = 3;
    pub const COOKIE: u16 = 10;
    pub const KEEPALIVE: u16 = 11;
    pub const EDE: u16 = 15;
}

/// An OPT record of a query or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns<'a> {
    /// Largest UDP payload the sender takes, in bytes, as it stood in the record.
    pub payload: u16,
    /// Upper eight bits of the response code.
    pub extended_rcode: u8,
    /// EDNS version; only 0 exists.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// Whether there is an NSID option (RFC 5001).
    pub nsid: bool,
    /// What there is of a keepalive option (RFC 7828).
    pub keepalive: Keepalive,
    /// Where in the options the data of the first COOKIE begins; 0 without one.
    cookie_at: u16,
    /// The options, known to be well-formed.
    options: &'a [u8],
}

/// The edns-tcp-keepalive option of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// None.
    Absent,
    /// Asked for: it has no data (RFC 7828, 3.2.1).
    Asked,
    /// With data, which only an answer may have.
    Data,
}

impl<'a> Edns<'a> {
    /// Reads the fixed fields and the RDATA of an OPT record. `None` if an option runs past the end.
    #[inline]
    pub fn read(class: u16, ttl: u32, rdata: &'a [u8]) -> Option<Edns<'a>> {
        let edns = Edns::fixed(class, ttl);
        if rdata.is_empty() { Some(edns) } else { edns.with(rdata) }
    }

    /// The fixed fields alone.
    #[inline]
    pub fn fixed(class: u16, ttl: u32) -> Edns<'a> {
        Edns {
            payload: class,
            extended_rcode: (ttl >> 24) as u8,
            version: (ttl >> 16) as u8,
            dnssec_ok: ttl as u16 & DO != 0,
            nsid: false,
            keepalive: Keepalive::Absent,
            cookie_at: 0,
            options: &[],
        }
    }

    /// With these options, which are walked once.
    #[inline(never)]
    pub(super) fn with(mut self, rdata: &'a [u8]) -> Option<Edns<'a>> {
        let mut options = Options(rdata);
        while let Some((code, data)) = options.next() {
            match code {
                code::NSID => self.nsid = true,
                code::COOKIE if self.cookie_at == 0 => {
                    self.cookie_at = (rdata.len() - options.0.len() - data.len()) as u16;
                }
                code::KEEPALIVE if data.is_empty() => self.keepalive = Keepalive::Asked,
                code::KEEPALIVE => self.keepalive = Keepalive::Data,
                _ => {}
            }
        }
        let whole = options.0.is_empty();
        self.options = rdata;
        whole.then_some(self)
    }

    /// The data of the first COOKIE option, of any length; others are ignored (RFC 7873, 5.2).
    #[inline]
    pub fn cookie(&self) -> Option<&'a [u8]> {
        let at = usize::from(self.cookie_at);
        let len = read_u16(self.options, at.checked_sub(2)?)?;
        self.options.get(at..at + usize::from(len))
    }

    /// Whether there is an option that gets an answer made for it.
    #[inline]
    pub fn asks_much(&self) -> bool {
        self.cookie_at != 0 || self.keepalive != Keepalive::Absent
    }

    /// Whether the cookie is as long as one may be: 8 bytes of the client's, or 8 to 32 of a server's
    /// behind them (RFC 7873, 5.2.2). So is none.
    #[inline]
    pub fn is_cookie_sound(&self) -> bool {
        self.cookie_at == 0 || self.cookie().is_some_and(|data| matches!(data.len(), 8 | 16..=40))
    }

    /// The options as code and data, in their order.
    pub fn options(&self) -> Options<'a> {
        Options(self.options)
    }

    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options().find(|&(c, _)| c == code).map(|(_, data)| data)
    }
}

/// Walks options; stops at one that is cut short and leaves its bytes behind.
pub struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = read_u16(self.0, 0)?;
        let end = 4 + usize::from(read_u16(self.0, 2)?);
        let data = self.0.get(4..end)?;
        self.0 = &self.0[end..];
        Some((code, data))
    }
}

/// An extended DNS error (RFC 8914): why an answer is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ede {
    /// The info code, see [`ede`].
    pub code: u16,
    /// Text for people; UTF-8, at most [`Ede::MAX_TEXT`] bytes.
    pub text: Box<str>,
}

/// An [`Ede`] that lies somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdeRef<'a> {
    /// See [`Ede::code`].
    pub code: u16,
    /// See [`Ede::text`].
    pub text: &'a str,
}

/// Info codes (IANA Extended DNS Error Codes).
#[allow(missing_docs)]
pub mod ede {
    pub const OTHER: u16 = 0;
    pub const STALE: u16 = 3;
    pub const CACHED_ERROR: u16 = 13;
    pub const NOT_READY: u16 = 14;
    pub const FILTERED: u16 = 17;
    pub const PROHIBITED: u16 = 18;
    pub const STALE_NXDOMAIN: u16 = 19;
    pub const NOT_AUTHORITATIVE: u16 = 20;
    pub const NOT_SUPPORTED: u16 = 21;
    pub const NO_REACHABLE_AUTHORITY: u16 = 22;
    pub const NETWORK_ERROR: u16 = 23;
    pub const INVALID_DATA: u16 = 24;
    pub const SYNTHESIZED: u16 = 29;
}

impl Ede {
    /// Without its own text.
    #[inline]
    pub fn as_ref(&self) -> EdeRef<'_> {
        EdeRef { code: self.code, text: &self.text }
    }

    /// Longest text that is kept, in bytes: it shares a small answer with records.
    pub const MAX_TEXT: usize = 160;

    /// An error with a text, cut at [`Ede::MAX_TEXT`].
    pub fn new(code: u16, text: impl Into<String>) -> Ede {
        let mut text: String = text.into();
        if text.len() > Ede::MAX_TEXT {
            let cut = (0..=Ede::MAX_TEXT).rev().find(|&at| text.is_char_boundary(at));
            text.truncate(cut.unwrap_or(0));
        }
        Ede { code, text: text.into() }
    }

    /// Reads option data; `None` without the two bytes of the code. Text that is not UTF-8 is
    /// shown as far as it is (a receiver must not trust it, RFC 8914, 2).
    pub fn read(data: &[u8]) -> Option<Ede> {
        let code = read_u16(data, 0)?;
        let text = String::from_utf8_lossy(&data[2..]);
        Some(Ede::new(code, text.trim_end_matches('\0')))
    }
}

/// Writes an OPT record of ours behind a message. The caller counts it in ARCOUNT.
pub struct OptWriter<'a> {
    out: &'a mut [u8],
    start: usize,
    at: usize,
}

impl<'a> OptWriter<'a> {
    /// Begins an OPT at `at`; `None` if `out` has no room for it.
    #[inline]
    pub fn begin(
        out: &'a mut [u8],
        at: usize,
        extended_rcode: u8,
        dnssec_ok: bool,
    ) -> Option<OptWriter<'a>> {
        let fixed = out.get_mut(at..at + OPT_LEN)?;
        let [t1, t2] = rtype::OPT.to_be_bytes();
        let [p1, p2] = OUR_PAYLOAD.to_be_bytes();
        let flags = if dnssec_ok { 0x80 } else { 0 };
        fixed.copy_from_slice(&[0, t1, t2, p1, p2, extended_rcode, 0, flags, 0, 0, 0]);
        Some(OptWriter { out, start: at, at: at + OPT_LEN })
    }

    /// Adds an option made of `parts` in a row if it fits; tells whether it did.
    pub fn option(&mut self, code: u16, parts: &[&[u8]]) -> bool {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        if len > usize::from(u16::MAX) || self.at + 4 + len > self.out.len() {
            return false;
        }
        self.put(&code.to_be_bytes());
        self.put(&(len as u16).to_be_bytes());
        parts.iter().for_each(|part| self.put(part));
        true
    }

    /// Adds an extended error, without its text where only that does not fit.
    pub fn ede(&mut self, error: EdeRef<'_>) -> bool {
        let code = error.code.to_be_bytes();
        self.option(code::EDE, &[&code, error.text.as_bytes()]) || self.option(code::EDE, &[&code])
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Fills in the length; returns where the record ends.
    #[inline]
    pub fn finish(self) -> usize {
        let rdlen = (self.at - self.start - OPT_LEN) as u16;
        super::write_u16(self.out, self.start + 9, rdlen);
        self.at
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn options_that_run_past_the_end_are_refused() {
        assert!(Edns::read(4096, 0, &[]).is_some());
        assert!(Edns::read(4096, 0, &[0, 10, 0, 2, 1, 2]).is_some());
        for bad in [&[0u8][..], &[0, 10, 0], &[0, 10, 0, 2, 1], &[0, 3, 0, 0, 9]] {
            assert_eq!(Edns::read(4096, 0, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn options_that_mean_something_are_found_in_one_walk() {
        let edns = |rdata| Edns::read(4096, 0, rdata).unwrap();
        let none = edns(&[0, 100, 0, 1, 7]);
        assert_eq!((none.nsid, none.keepalive, none.cookie()), (false, Keepalive::Absent, None));
        let all = edns(b"\0\x64\0\0\0\x03\0\0\0\x0b\0\0\0\x0a\0\x0812345678\0\x0a\0\x01x");
        assert!(all.nsid && all.is_cookie_sound());
        assert_eq!((all.keepalive, all.cookie()), (Keepalive::Asked, Some(&b"12345678"[..])));
        assert_eq!(edns(&[0, 11, 0, 2, 0, 9]).keepalive, Keepalive::Data);
        for len in 0..=50u8 {
            let cookie = [&[0, 10, 0, len][..], &vec![7; len.into()]].concat();
            let sound = len == 8 || (16..=40).contains(&len);
            let read = Edns::read(4096, 0, &cookie).unwrap();
            assert_eq!(read.is_cookie_sound(), sound, "{len}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = [0u8; 64];
        let mut opt = OptWriter::begin(&mut out, 3, 1, true).unwrap();
        assert!(opt.option(code::NSID, &[b"node", b"-1"]));
        assert!(opt.ede(Ede::new(22, "route x: no answer").as_ref()));
        let end = opt.finish();
        let rdata = &out[3 + OPT_LEN..end];
        assert_eq!(usize::from(read_u16(&out, 12).unwrap()), rdata.len());
        let ttl = super::super::read_u32(&out, 8).unwrap();
        let edns = Edns::read(read_u16(&out, 6).unwrap(), ttl, rdata).unwrap();
        assert_eq!((edns.payload, edns.extended_rcode, edns.dnssec_ok), (1232, 1, true));
        assert_eq!(edns.option(code::NSID), Some(&b"node-1"[..]));
        let error = Ede::read(edns.option(code::EDE).unwrap()).unwrap();
        assert_eq!(error, Ede::new(22, "route x: no answer"));
    }

    #[test]
    fn text_gives_way_before_the_code() {
        let mut out = [0u8; OPT_LEN + 6];
        let mut opt = OptWriter::begin(&mut out, 0, 0, false).unwrap();
        assert!(opt.ede(Ede::new(22, "too long for this").as_ref()));
        assert!(!opt.ede(Ede::new(22, "").as_ref()));
        assert_eq!(opt.finish(), OPT_LEN + 6);
        assert_eq!(Ede::new(0, "é".repeat(200)).text.len(), 160);
    }
}
