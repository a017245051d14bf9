//! An answer as it is kept and handed on: wire bytes made ready once, patched for each client.
//!
//! [`crate::accept`] makes them from what upstreams send, [`crate::local`] from what is known here;
//! the cache holds them; [`crate::respond`] turns them into the bytes for one client. Nothing here
//! knows clients, routes or time.

use smallvec::SmallVec;

use crate::wire::edns::{Ede, EdeRef, ede};
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::{MAX_MESSAGE, read_u16, write_u16, write_u32};

/// What sort of answer it is: how long it may live and how it is counted depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Records that answer the question.
    Positive,
    /// NXDOMAIN or NODATA (RFC 2308).
    Negative,
    /// A failure that is remembered for a while (RFC 9520), or an rcode that is only passed on.
    Failure,
}

/// One answer: header with id 0, folded question, records without OPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The message, and behind it the offsets of its TTLs, two bytes each.
    bytes: Vec<u8>,
    len: u16,
    question_end: u16,
    /// What sort of answer it is.
    pub kind: Kind,
    /// Whether it is only the beginning of an answer: its last CNAME leads to a name that somebody else
    /// must be asked for.
    pub onward: bool,
    /// Whether IPv6 addresses are to be made of the name's IPv4 addresses in its place (RFC 6147); for
    /// [`crate::serve`] to set.
    pub wants_ipv4: bool,
    ede: Option<Box<Ede>>,
}

/// An answer as clients get it, wherever it is kept.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Message and offsets, as they lie.
    pub whole: &'a [u8],
    /// See [`Answer::wire`].
    pub wire: &'a [u8],
    /// The offsets of all TTLs in `wire`, two bytes each.
    pub ttls: &'a [u8],
    /// See [`Answer::question_end`].
    pub question_end: usize,
    /// See [`Answer::ede`].
    pub ede: Option<EdeRef<'a>>,
}

impl View<'_> {
    /// Offsets of all TTLs in the message.
    #[inline]
    pub fn ttls(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.ttls.chunks_exact(2).map(|at| usize::from(u16::from_be_bytes([at[0], at[1]])))
    }

    /// How many TTLs in front have offsets for which `holds` is true; it must be true for none behind
    /// one for which it is not.
    #[inline]
    pub fn ttls_within(&self, holds: impl Fn(usize) -> bool) -> usize {
        let (offsets, _) = self.ttls.as_chunks::<2>();
        offsets.partition_point(|&at| holds(usize::from(u16::from_be_bytes(at))))
    }

    /// The response code (never an extended one).
    #[inline]
    pub fn rcode(&self) -> Rcode {
        Rcode(u16::from(self.wire[3] & 0x0f))
    }

    /// Whether TC is set.
    #[inline]
    pub fn is_truncated(&self) -> bool {
        u16::from_be_bytes([self.wire[2], self.wire[3]]) & flag::TC != 0
    }

    /// The extended error that a stale use of this answer carries (RFC 8914, 4.4 and 4.20).
    pub fn stale_code(&self) -> u16 {
        if self.rcode() == Rcode::NXDOMAIN { ede::STALE_NXDOMAIN } else { ede::STALE }
    }
}

impl Answer {
    /// As [`crate::respond`] takes it.
    #[inline]
    pub fn view(&self) -> View<'_> {
        let (wire, ttls) = self.bytes.split_at(usize::from(self.len));
        let ede = self.ede.as_deref().map(Ede::as_ref);
        View { whole: &self.bytes, wire, ttls, question_end: self.question_end(), ede }
    }

    /// The message. Flags have QR, RA, the rcode, AD where the upstream vouched for it, and AA for
    /// local data.
    #[inline]
    pub fn wire(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The upstream's extended error, or ours.
    #[inline]
    pub fn ede(&self) -> Option<&Ede> {
        self.ede.as_deref()
    }

    /// Where the question ends; 12 where there is none.
    #[inline]
    pub fn question_end(&self) -> usize {
        usize::from(self.question_end)
    }

    /// Header of the message.
    pub fn header(&self) -> Header {
        Header::read(&self.bytes).unwrap_or(Header { id: 0, flags: flag::QR, counts: [0; 4] })
    }

    /// The response code (never an extended one).
    #[inline]
    pub fn rcode(&self) -> Rcode {
        Rcode(u16::from(self.bytes[3] & 0x0f))
    }

    /// A failure without records.
    pub fn failure(question: Question<'_>, rcode: Rcode, ede: Ede) -> Answer {
        let mut writer = Writer::new(question, rcode, 0);
        writer.kind = Kind::Failure;
        writer.ede = Some(ede);
        writer.finish()
    }
}

/// A question, folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// Uncompressed, lower case, root label included.
    pub name: &'a [u8],
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
}

/// Sections that records can go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// Writes an [`Answer`], records in the order of their sections.
pub struct Writer {
    wire: Vec<u8>,
    ttls: SmallVec<[u16; 16]>,
    counts: [u16; 3],
    question_end: usize,
    /// See [`Answer::kind`]; positive until told otherwise.
    pub kind: Kind,
    /// See [`Answer::onward`]; false until told otherwise.
    pub onward: bool,
    /// See [`Answer::ede`].
    pub ede: Option<Ede>,
}

impl Writer {
    /// Header (QR, RA and `flags`, such as AA or AD) and question.
    pub fn new(question: Question<'_>, rcode: Rcode, flags: u16) -> Writer {
        Writer::with_room(question, rcode, flags, 64)
    }

    /// The same with room for so many bytes of records.
    pub fn with_room(question: Question<'_>, rcode: Rcode, flags: u16, room: usize) -> Writer {
        let flags = flag::QR | flag::RA | flags | (rcode.0 & flag::RCODE);
        let head = Header { id: 0, flags, counts: [1, 0, 0, 0] };
        let mut wire = Vec::with_capacity(header::LEN + question.name.len() + 4 + room);
        wire.extend(head.to_bytes());
        wire.extend(question.name);
        wire.extend(question.qtype.to_be_bytes());
        wire.extend(question.qclass.to_be_bytes());
        let question_end = wire.len();
        Writer {
            wire,
            ttls: SmallVec::new(),
            counts: [0; 3],
            question_end,
            kind: Kind::Positive,
            onward: false,
            ede: None,
        }
    }

    /// Adds one record; `owner` is uncompressed wire format or a pointer such as `c0 0c`. Tells
    /// whether it fit into a message.
    pub fn record(
        &mut self,
        section: Section,
        owner: &[u8],
        fixed: (u16, u16, u32),
        rdata: &[&[u8]],
    ) -> bool {
        let len: usize = rdata.iter().map(|part| part.len()).sum();
        if self.wire.len() + owner.len() + 10 + len > MAX_MESSAGE {
            return false;
        }
        let (rtype, class, ttl) = fixed;
        self.wire.extend(owner);
        self.wire.extend(rtype.to_be_bytes());
        self.wire.extend(class.to_be_bytes());
        self.ttls.push(self.wire.len() as u16);
        self.wire.extend(ttl.to_be_bytes());
        self.wire.extend((len as u16).to_be_bytes());
        rdata.iter().for_each(|part| self.wire.extend(*part));
        self.counts[section as usize] += 1;
        true
    }

    /// Adds bytes of whole records as they are, all of the message behind the question; of each its
    /// section, the offset of its TTL, and the TTL that it shall have. For copies out of a message
    /// whose question has the same length, so that compression pointers and offsets stay right.
    pub fn copied(&mut self, bytes: &[u8], records: impl Iterator<Item = (u8, u16, u32)>) {
        self.wire.extend(bytes);
        for (section, at, ttl) in records {
            if let Some(count) = self.counts.get_mut(usize::from(section)) {
                *count += 1;
            }
            write_u32(&mut self.wire, usize::from(at), ttl);
            self.ttls.push(at);
        }
    }

    /// Sets these bits of the flag word, or clears them.
    pub fn set_flags(&mut self, bits: u16, on: bool) {
        let flags = read_u16(&self.wire, 2).unwrap_or(0);
        write_u16(&mut self.wire, 2, if on { flags | bits } else { flags & !bits });
    }

    /// What is written so far; the counts of the header are not.
    pub fn written(&self) -> &[u8] {
        &self.wire
    }

    /// Where the next record will start.
    pub fn position(&self) -> usize {
        self.wire.len()
    }

    /// The finished answer.
    pub fn finish(mut self) -> Answer {
        for (i, count) in self.counts.into_iter().enumerate() {
            write_u16(&mut self.wire, 6 + 2 * i, count);
        }
        let len = self.wire.len() as u16;
        self.wire.extend(self.ttls.iter().flat_map(|at| at.to_be_bytes()));
        Answer {
            bytes: self.wire,
            len,
            question_end: self.question_end as u16,
            kind: self.kind,
            onward: self.onward,
            wants_ipv4: false,
            ede: self.ede.map(Box::new),
        }
    }
}
