//! One answer as the cache keeps it: a single allocation that is shared by counting.
//!
//! In front what decides its use, behind it the message, the offsets of its TTLs and its extended
//! error. Nothing in it changes but two marks: that it was used, and that the table let it go.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use triomphe::ThinArc;

use super::key::folds_to;
use super::{Key, Probe};
use crate::answer::{Answer, Kind, View};
use crate::sys;
use crate::time::Tick;
use crate::wire::edns::EdeRef;
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::{read_u16, write_u16};

/// What an entry is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// To be used; it came so many seconds ago.
    Fresh(u32),
    /// To be used where the upstreams fail.
    Stale,
    /// Not to be used.
    Dead,
}

struct Head {
    /// When it came; its TTLs count from here.
    stored: Tick,
    /// For how many seconds it is fresh.
    fresh: u32,
    /// For how many more it may be used at all.
    stale: u32,
    route: u16,
    len: u16,
    question_end: u16,
    ttls: u16,
    /// DO, CD and the place, as in the key.
    flags: u8,
    kind: Kind,
    failures: u8,
    /// As of the answer.
    onward: bool,
    wants_ipv4: bool,
    /// Whether a newer answer is being asked for.
    renewing: AtomicBool,
    /// Times it was used and not yet paid for by a turn in line, up to [`MOST_USES`].
    uses: AtomicU8,
    /// Set when it leaves the table, for whoever still holds it.
    gone: AtomicBool,
}

/// What an answer lacks.
#[derive(Clone, Copy)]
struct Rest {
    onward: bool,
    wants_ipv4: bool,
}

impl Rest {
    fn of(answer: &Answer) -> Rest {
        Rest { onward: answer.onward, wants_ipv4: answer.wants_ipv4 }
    }
}

/// More uses than this are not counted: so many turns in line has an entry that nobody asks
/// for any more before it is let go.
const MOST_USES: u8 = 3;

/// An answer in the cache. Copies are the same entry.
#[derive(Clone)]
pub struct Entry(ThinArc<Head, u8>);

/// What the allocator and the counts add to the bytes of an entry.
const FRAME: usize = size_of::<Head>() + 3 * size_of::<usize>();

impl Entry {
    /// An answer to the question of `key`, by way of `route`, that came at `stored`. It is fresh for
    /// the first duration and may be used for the second beyond; whole seconds, rounded up.
    pub fn new(
        key: &[u8],
        answer: &Answer,
        route: u16,
        stored: Tick,
        life: (Duration, Duration),
    ) -> Entry {
        Entry::of(key, answer.view(), (answer.kind, Rest::of(answer)), route, stored, life, 0)
    }

    /// The same for a failure, the `failures`-th in a row for its question.
    pub fn failure(
        key: &[u8],
        answer: &Answer,
        route: u16,
        stored: Tick,
        life: (Duration, Duration),
        failures: u8,
    ) -> Entry {
        Entry::of(
            key,
            answer.view(),
            (answer.kind, Rest::of(answer)),
            route,
            stored,
            life,
            failures,
        )
    }

    fn of(
        key: &[u8],
        answer: View<'_>,
        (kind, rest): (Kind, Rest),
        route: u16,
        stored: Tick,
        (fresh, stale): (Duration, Duration),
        failures: u8,
    ) -> Entry {
        let seconds = |d: Duration| {
            let up = u64::from(d.subsec_nanos() > 0);
            u32::try_from(d.as_secs() + up).unwrap_or(u32::MAX)
        };
        let head = Head {
            stored,
            fresh: seconds(fresh),
            stale: seconds(stale),
            route,
            len: answer.wire.len() as u16,
            question_end: answer.question_end as u16,
            ttls: (answer.ttls.len() / 2) as u16,
            flags: Key::marks(key),
            kind,
            failures,
            onward: rest.onward,
            wants_ipv4: rest.wants_ipv4,
            renewing: AtomicBool::new(false),
            uses: AtomicU8::new(0),
            gone: AtomicBool::new(false),
        };
        match answer.ede {
            // Nearly always: message and offsets lie in a row already.
            None => Entry(ThinArc::from_header_and_slice(head, answer.whole)),
            Some(ede) => {
                let code = ede.code.to_be_bytes();
                let bytes = [answer.whole, &code[..], ede.text.as_bytes()].concat();
                Entry(ThinArc::from_header_and_slice(head, &bytes))
            }
        }
    }

    #[inline]
    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// What clients get.
    #[inline]
    pub fn view(&self) -> View<'_> {
        let head = self.head();
        let bytes = &self.0.slice;
        let (len, offsets) = (usize::from(head.len), 2 * usize::from(head.ttls));
        let (whole, ede) = bytes.split_at((len + offsets).min(bytes.len()));
        let (wire, ttls) = whole.split_at(len.min(whole.len()));
        let ede = read_u16(ede, 0)
            .map(|code| EdeRef { code, text: std::str::from_utf8(&ede[2..]).unwrap_or_default() });
        View { whole, wire, ttls, question_end: usize::from(head.question_end), ede }
    }

    /// The message, as [`Answer::wire`].
    #[inline]
    pub fn wire(&self) -> &[u8] {
        &self.0.slice[..usize::from(self.head().len)]
    }

    /// The question's name, folded; empty where there is no question.
    pub fn name(&self) -> &[u8] {
        let end = usize::from(self.head().question_end);
        self.wire().get(header::LEN..end.saturating_sub(4)).unwrap_or(&[])
    }

    /// Whether it was asked for with DO and with CD.
    pub fn asked_with(&self) -> (bool, bool) {
        Key::flags(&[self.head().flags])
    }

    /// Whether it says of the name, whatever the type, that it does not exist ([`Key::of_name`]).
    pub fn is_of_name(&self) -> bool {
        Key::is_of_name(&[self.head().flags])
    }

    /// The question's type; 0 where there is no question.
    pub fn qtype(&self) -> u16 {
        let end = usize::from(self.head().question_end);
        end.checked_sub(4).and_then(|at| read_u16(self.wire(), at)).unwrap_or(0)
    }

    /// Header of the message.
    pub fn header(&self) -> Header {
        Header::read(self.wire()).unwrap_or(Header { id: 0, flags: flag::QR, counts: [0; 4] })
    }

    /// The response code (never an extended one).
    #[inline]
    pub fn rcode(&self) -> Rcode {
        Rcode(u16::from(self.wire()[3] & 0x0f))
    }

    /// What sort of answer it is.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.head().kind
    }

    /// Index of the route that it came by.
    #[inline]
    pub fn route(&self) -> u16 {
        self.head().route
    }

    /// How many failures in a row it stands for; 0 for an answer.
    #[inline]
    pub fn failures(&self) -> u8 {
        self.head().failures
    }

    /// Whether it is only the beginning of an answer, see [`Answer::onward`].
    pub fn is_onward(&self) -> bool {
        self.head().onward
    }

    /// Whether addresses are to be made of others in its place, see [`Answer::wants_ipv4`].
    pub fn wants_ipv4(&self) -> bool {
        self.head().wants_ipv4
    }

    /// Whether it is all of the answer to its question.
    #[inline]
    pub fn is_whole(&self) -> bool {
        !self.head().onward && !self.head().wants_ipv4
    }

    /// When it came.
    pub fn stored(&self) -> Tick {
        self.head().stored
    }

    /// Until when it is fresh.
    #[inline]
    pub fn fresh_until(&self) -> Tick {
        let head = self.head();
        Tick(head.stored.0 + u64::from(head.fresh) * 1_000_000)
    }

    /// Until when it may be used at all.
    #[inline]
    pub fn keep_until(&self) -> Tick {
        Tick(self.fresh_until().0 + u64::from(self.head().stale) * 1_000_000)
    }

    /// What it is good for at `now`.
    #[inline]
    pub fn freshness(&self, now: Tick) -> Freshness {
        if now < self.fresh_until() {
            Freshness::Fresh(now.secs_since(self.head().stored))
        } else if now < self.keep_until() {
            Freshness::Stale
        } else {
            Freshness::Dead
        }
    }

    /// Whether it answers the question of these bytes of a key.
    #[inline]
    pub fn is_for(&self, key: &[u8]) -> bool {
        let head = self.head();
        let end = usize::from(head.question_end);
        let Some(question) = self.0.slice.get(header::LEN..end) else { return false };
        let Some((name, [high, low, _, _])) = question.split_last_chunk() else { return false };
        let Some((place, folded)) = key.split_first_chunk() else { return false };
        *place == [head.flags, *high, *low] && folded == name
    }

    /// Whether it answers this question.
    #[inline]
    pub(super) fn answers(&self, probe: Probe<'_>) -> bool {
        let head = self.head();
        let end = usize::from(head.question_end);
        let Some(question) = self.0.slice.get(header::LEN..end) else { return false };
        let Some((name, [high, low, _, _])) = question.split_last_chunk() else { return false };
        (head.flags, [*high, *low]) == (probe.marks, probe.qtype.to_be_bytes())
            && folds_to(probe.name, name)
    }

    /// The same for another question about the same name, for what is true of all types.
    pub fn for_type(&self, key: &[u8]) -> Entry {
        let head = self.head();
        let view = self.view();
        let mut whole: Box<[u8]> = view.whole.into();
        if let Some(at) = view.question_end.checked_sub(4) {
            write_u16(&mut whole, at, Key::qtype(key));
        }
        let (wire, ttls) = whole.split_at(view.wire.len());
        let view = View { whole: &whole, wire, ttls, ..view };
        let life = (Duration::from_secs(head.fresh.into()), Duration::from_secs(head.stale.into()));
        let kind = (head.kind, Rest { onward: head.onward, wants_ipv4: head.wants_ipv4 });
        Entry::of(key, view, kind, head.route, head.stored, life, head.failures)
    }

    /// Has the processor fetch what a look at it will read first.
    #[inline]
    pub(super) fn prefetch(&self) {
        let at = self.0.heap_ptr().cast::<u8>();
        sys::prefetch(at);
        sys::prefetch(at.wrapping_add(64));
    }

    /// Heap bytes of the entry, the allocator's share included.
    pub fn heap(&self) -> usize {
        // glibc hands out multiples of 16 with 8 of its own.
        (self.0.slice.len() + FRAME).next_multiple_of(16)
    }

    /// Notes that it was used. Writes shared memory only a few times between two looks at it.
    #[inline]
    pub(super) fn touch(&self) {
        let uses = &self.head().uses;
        let count = uses.load(Ordering::Relaxed);
        if count < MOST_USES {
            uses.store(count + 1, Ordering::Relaxed);
        }
    }

    /// It is first in line: whether it was used, one use of which is taken off.
    #[inline]
    pub(super) fn pass(&self) -> bool {
        let uses = &self.head().uses;
        let count = uses.load(Ordering::Relaxed);
        if count > 0 {
            uses.store(count - 1, Ordering::Relaxed);
        }
        count > 0
    }

    /// Whether it still is what the table holds for its question.
    #[inline]
    pub fn is_current(&self) -> bool {
        !self.head().gone.load(Ordering::Relaxed)
    }

    /// It has left the table.
    pub(super) fn leave(&self) {
        self.head().gone.store(true, Ordering::Relaxed);
    }

    /// Whether a tenth of its time or less is left.
    #[inline]
    pub fn is_ending(&self, now: Tick) -> bool {
        let head = self.head();
        now.0 >= head.stored.0 + u64::from(head.fresh) * 900_000
    }

    /// Whether it is worth asking for anew before it expires: it was used again and again. True for
    /// one caller, once.
    pub fn claim_renewal(&self) -> bool {
        const OFTEN: u8 = 2;
        let often = self.head().uses.load(Ordering::Relaxed) >= OFTEN;
        often && !self.head().renewing.swap(true, Ordering::Relaxed)
    }

    /// How often it was used, as far as that counts: the table takes one off where it would else
    /// be let go.
    pub fn uses(&self) -> u8 {
        self.head().uses.load(Ordering::Relaxed)
    }

    /// How many hold it.
    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        ThinArc::strong_count(&self.0)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &format_args!("{}", crate::wire::name::Presentation(self.name())))
            .field("qtype", &self.qtype())
            .field("rcode", &self.rcode())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}
