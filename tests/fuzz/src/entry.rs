//! An accepted answer in the cache, used for clients of all kinds at all ages.
//!
//! What goes out is held byte for byte against a second way to make it, which builds the message anew
//! from the stored one instead of patching a copy.

use std::time::Duration;

use horizond::accept::{Caps, Verdict, judge};
use horizond::answer::{Answer, Question};
use horizond::cache::{Entry, Freshness, Key};
use horizond::respond::{self, Ask, AskEdns, COOKIE_LEN, Ttl};
use horizond::time::Tick;
use horizond::wire::edns::Ede;
use horizond::wire::records::Record;

use super::accept::{PARAMETERS, asked, question_of, rules};
use super::wire::naive_records;

/// Checks one message. The first [`PARAMETERS`] bytes are the seed of everything that a client or
/// a clock decides.
pub fn check(data: &[u8]) {
    let Some((seed, message)) = data.split_first_chunk::<PARAMETERS>() else { return };
    let mut dice = Dice(u64::from_be_bytes(*seed));
    let Some((name, qtype, qclass)) = question_of(message) else { return };
    let question = Question { name: &name, qtype, qclass };
    let caps = Caps { max_ttl: dice.next() as u32 >> 8, max_negative_ttl: dice.below(1000) as u32 };
    let mut accepted = match judge(asked(question), message, &rules(caps)) {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Truncated(Some(accepted)) => *accepted,
        _ => return,
    };
    accepted.answer.wants_ipv4 = dice.coin();
    let key = Key::of(&name, qtype, dice.coin(), dice.coin());
    let kept = Kept {
        stored: Tick(dice.next() >> 3),
        life: (dice.duration(), dice.duration()),
        route: dice.next() as u16,
        failures: if dice.coin() { 0 } else { dice.below(200) as u8 },
    };
    let entry = kept.put(&key, &accepted.answer);
    check_kept(&entry, &accepted.answer, &key, &kept);
    check_type_changed(&entry, &name, &mut dice);
    for _ in 0..6 {
        check_age(&entry, &kept, &mut dice);
        check_use(&entry, &kept, &name, &mut dice);
    }
}

/// Numbers that a seed decides (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Mostly hours, now and then nothing or more seconds than 32 bits hold.
    fn duration(&mut self) -> Duration {
        match self.below(8) {
            0 => Duration::ZERO,
            1 => Duration::from_secs(self.next()),
            2 => Duration::from_secs(self.below(10)),
            _ => Duration::from_micros(self.below(20_000_000_000)),
        }
    }
}

/// What an entry is told beside the answer.
struct Kept {
    stored: Tick,
    life: (Duration, Duration),
    route: u16,
    failures: u8,
}

impl Kept {
    fn put(&self, key: &Key, answer: &Answer) -> Entry {
        match self.failures {
            0 => Entry::new(key.as_bytes(), answer, self.route, self.stored, self.life),
            n => Entry::failure(key.as_bytes(), answer, self.route, self.stored, self.life, n),
        }
    }

    /// Microseconds of a duration as an entry counts it: whole seconds, rounded up.
    fn micros(life: Duration) -> u64 {
        let seconds = life.as_nanos().div_ceil(1_000_000_000).min(u128::from(u32::MAX));
        seconds as u64 * 1_000_000
    }
}

/// It is what was put in.
fn check_kept(entry: &Entry, answer: &Answer, key: &Key, kept: &Kept) {
    let (ours, theirs) = (entry.view(), answer.view());
    assert_eq!((ours.whole, ours.wire, ours.ttls), (theirs.whole, theirs.wire, theirs.ttls));
    assert_eq!((ours.question_end, ours.ede), (theirs.question_end, theirs.ede));
    assert_eq!((entry.wire(), entry.header()), (answer.wire(), answer.header()));
    assert_eq!((entry.rcode(), entry.kind()), (answer.rcode(), answer.kind));
    assert_eq!((entry.route(), entry.failures()), (kept.route, kept.failures));
    assert_eq!(entry.is_onward(), answer.onward);
    assert_eq!(entry.wants_ipv4(), answer.wants_ipv4);
    assert_eq!(entry.is_whole(), !answer.onward && !answer.wants_ipv4);
    assert_eq!(entry.asked_with(), Key::flags(key.as_bytes()));
    assert!(!entry.is_of_name() && !entry.claim_renewal(), "nobody has used it");
    assert_eq!(
        (entry.name(), entry.qtype()),
        (Key::name(key.as_bytes()), Key::qtype(key.as_bytes()))
    );
    assert!(entry.is_for(key.as_bytes()) && entry.is_current());
    let text = theirs.ede.map_or(0, |ede| 2 + ede.text.len());
    assert!(
        entry.heap() >= theirs.whole.len() + text && entry.heap() < theirs.whole.len() + text + 128
    );
    let mut other = key.as_bytes().to_vec();
    for at in 0..other.len() {
        other[at] ^= 1;
        assert!(!entry.is_for(&other), "byte {at} of the key does not count");
        other[at] ^= 1;
    }
    assert!(!entry.is_for(&other[..other.len() - 1]) && !entry.is_for(&[]));
}

/// The same for another type: the type alone is another.
fn check_type_changed(entry: &Entry, name: &[u8], dice: &mut Dice) {
    let qtype = dice.next() as u16;
    let key = Key::of(name, qtype, dice.coin(), dice.coin());
    let other = entry.for_type(key.as_bytes());
    assert!(other.is_for(key.as_bytes()));
    assert_eq!((other.name(), other.qtype()), (entry.name(), qtype));
    assert_eq!((other.stored(), other.fresh_until()), (entry.stored(), entry.fresh_until()));
    assert_eq!((other.keep_until(), other.kind()), (entry.keep_until(), entry.kind()));
    let (mut whole, at) = (entry.view().whole.to_vec(), entry.view().question_end - 4);
    whole[at..at + 2].copy_from_slice(&qtype.to_be_bytes());
    assert_eq!((other.view().whole, other.view().ede), (&whole[..], entry.view().ede));
}

/// A moment anywhere, and the moments around which something changes.
fn moment(kept: &Kept, dice: &mut Dice) -> Tick {
    let fresh = kept.stored.0 + Kept::micros(kept.life.0);
    let around = [kept.stored.0, fresh, fresh + Kept::micros(kept.life.1)];
    Tick(match dice.below(3) {
        0 => around[dice.below(3) as usize].saturating_add(dice.below(3)).saturating_sub(1),
        1 => kept.stored.0 + dice.below(Kept::micros(kept.life.0).max(1)),
        _ => kept.stored.0.saturating_sub(1_000_000) + dice.below(40_000_000_000),
    })
}

fn check_age(entry: &Entry, kept: &Kept, dice: &mut Dice) {
    let now = moment(kept, dice);
    let age = i128::from(now.0) - i128::from(kept.stored.0);
    let fresh = i128::from(Kept::micros(kept.life.0));
    let stale = fresh + i128::from(Kept::micros(kept.life.1));
    let expected = match age {
        _ if age < fresh => Freshness::Fresh((age.max(0) / 1_000_000) as u32),
        _ if age < stale => Freshness::Stale,
        _ => Freshness::Dead,
    };
    assert_eq!(entry.freshness(now), expected, "age {age}, fresh {fresh}, stale {stale}");
    assert_eq!(entry.is_ending(now), age * 10 >= fresh * 9);
}

fn check_use(entry: &Entry, kept: &Kept, name: &[u8], dice: &mut Dice) {
    let ttl = match entry.freshness(moment(kept, dice)) {
        Freshness::Fresh(seconds) => Ttl::Elapsed(seconds),
        Freshness::Stale => Ttl::Fixed(30),
        Freshness::Dead => Ttl::Elapsed(dice.next() as u32),
    };
    let cased = |byte: &u8| if dice.coin() { byte.to_ascii_uppercase() } else { *byte };
    let name: Vec<u8> = name.iter().map(cased).collect();
    let edns = dice.coin().then(|| AskEdns {
        dnssec_ok: dice.coin(),
        nsid: dice.coin(),
        keepalive: dice.coin().then(|| dice.next() as u16),
        cookie: dice.coin().then(|| [dice.next() as u8; COOKIE_LEN]),
    });
    let room = match dice.below(4) {
        0 => u16::MAX,
        1 => 512,
        _ => 512 + dice.below(721) as u16,
    };
    let ask = Ask { id: dice.next() as u16, flags: dice.next() as u16, name: &name, edns, room };
    let note = dice.coin().then(|| Ede::new(3, "é".repeat(dice.below(120) as usize)));
    let nsid = vec![b'n'; dice.below(300) as usize];
    let buffer = if dice.below(4) == 0 { dice.below(600) as usize } else { usize::from(room) };
    let mut out = vec![0xee; buffer];
    let len = respond::answer(entry.view(), &ask, ttl, note.as_ref(), &nsid, &mut out);
    let expected = made_anew(entry, &ask, ttl, note.as_ref(), &nsid, buffer.min(room.into()));
    assert_eq!(out[..len], expected.unwrap_or_default());
    assert!(out.get(len.max(12)..).is_none_or(|rest| len == 0 || rest.iter().all(|b| *b == 0xee)));
}

/// The answer, put together from its parts; `None` if header, question and OPT do not fit.
fn made_anew(
    entry: &Entry,
    ask: &Ask<'_>,
    ttl: Ttl,
    note: Option<&Ede>,
    nsid: &[u8],
    room: usize,
) -> Option<Vec<u8>> {
    let wire = entry.wire();
    let head = entry.header();
    let [_, counts @ ..] = head.counts;
    let (records, end, broken) = naive_records(wire, entry.view().question_end, counts);
    assert!(!broken && end == wire.len(), "what is kept is sound");
    assert_eq!(
        entry.view().ttls().collect::<Vec<_>>(),
        records.iter().map(|r| r.ttl_at).collect::<Vec<_>>()
    );
    // An OPT, a keepalive and a cookie go before records.
    let opt = ask.edns.map_or(0, |edns| {
        11 + if edns.keepalive.is_some() { 6 } else { 0 }
            + if edns.cookie.is_some() { 28 } else { 0 }
    });
    let limit = room.checked_sub(opt)?;
    if entry.view().question_end > limit {
        return None;
    }
    let kept: Vec<&Record> = records.iter().take_while(|r| r.rdata.end <= limit).collect();
    let lost = records[kept.len()..].iter().any(|r| r.section < 2);
    let mut out = header(head.flags, &kept, lost, ask);
    out.extend(ask.name);
    out.extend(&wire[12 + ask.name.len()..entry.view().question_end]);
    for record in kept {
        let left = match ttl {
            Ttl::Elapsed(seconds) => record.ttl.saturating_sub(seconds),
            Ttl::Fixed(seconds) => seconds,
        };
        out.extend(&wire[record.start..record.ttl_at]);
        out.extend(left.to_be_bytes());
        out.extend(&wire[record.ttl_at + 4..record.rdata.end]);
    }
    if let Some(edns) = ask.edns {
        let errors = note.map(Ede::as_ref).into_iter().chain(entry.view().ede);
        let errors = errors.map(|ede| (ede.code, ede.text.as_bytes()));
        append_opt(&mut out, edns, nsid, errors, room);
    }
    Some(out)
}

fn header(stored: u16, kept: &[&Record], lost: bool, ask: &Ask<'_>) -> Vec<u8> {
    let bit = |mask: u16, on: bool| if on { mask } else { 0 };
    let wants_ad = ask.flags & 0x20 != 0 || ask.edns.is_some_and(|edns| edns.dnssec_ok);
    let flags = stored & !0x20
        | bit(0x20, stored & 0x20 != 0 && wants_ad)
        | bit(0x200, lost)
        | bit(0x100, ask.flags & 0x100 != 0)
        | bit(0x10, ask.flags & 0x10 != 0);
    let in_section = |n: u8| kept.iter().filter(|record| record.section == n).count() as u16;
    let additional = in_section(2) + u16::from(ask.edns.is_some());
    let words = [ask.id, flags, 1, in_section(0), in_section(1), additional];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An OPT with what fits: cookie, keepalive and NSID, then errors, each without its text where that is too long.
fn append_opt<'a>(
    out: &mut Vec<u8>,
    edns: AskEdns,
    nsid: &[u8],
    errors: impl Iterator<Item = (u16, &'a [u8])>,
    room: usize,
) {
    out.extend([0, 0, 41, 4, 0xd0, 0, 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    let start = out.len();
    let mut option = |code: u8, data: &[u8]| {
        let fits = out.len() + 4 + data.len() <= room;
        if fits {
            out.extend([0, code]);
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(data);
        }
        fits
    };
    if let Some(cookie) = edns.cookie {
        option(10, &cookie);
    }
    if let Some(timeout) = edns.keepalive {
        option(11, &timeout.to_be_bytes());
    }
    if edns.nsid {
        option(3, nsid);
    }
    for (code, text) in errors {
        let code = code.to_be_bytes();
        let _ = option(15, &[&code, text].concat()) || option(15, &code);
    }
    let length = ((out.len() - start) as u16).to_be_bytes();
    out[start - 2..start].copy_from_slice(&length);
}
