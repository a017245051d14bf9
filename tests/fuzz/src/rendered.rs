//! What must hold of every answer that leaves, held against what came in.

use hickory_proto::op::Message as Hickory;
use horizond::respond::{Ask, Ttl};

use super::naive::{self, Message, Rr};

const TC: u16 = 0x0200;
const AD: u16 = 0x0020;

/// What an answer was made from.
pub struct Made<'a> {
    /// The upstream's message, or the stored one.
    pub from: &'a [u8],
    /// What its TTLs were cut to before any time passed.
    pub ttl_cap: Option<u32>,
    /// What became of the TTLs.
    pub ttl: Ttl,
    /// Bytes that there were.
    pub room: usize,
    /// Which of the records are passed on.
    pub kept: &'a dyn Fn(&Message, usize) -> bool,
}

fn is_hop(rr: &Rr) -> bool {
    matches!(rr.rtype, 41 | 250)
}

fn due_ttl(ttl: u32, made: &Made<'_>) -> u32 {
    // RFC 2181, 8: the top bit means zero.
    let sane = if ttl >> 31 == 1 && made.ttl_cap.is_some() { 0 } else { ttl };
    let capped = made.ttl_cap.map_or(sane, |cap| sane.min(cap));
    match made.ttl {
        Ttl::Elapsed(seconds) => capped.saturating_sub(seconds),
        Ttl::Fixed(seconds) => seconds,
    }
}

/// Checks the answer `out` to `ask`, made as `made` says.
pub fn check(out: &[u8], ask: &Ask<'_>, made: &Made<'_>) {
    assert!(out.len() <= made.room.min(usize::from(ask.room)), "longer than the room");
    let came = naive::parse(made.from).expect("made from a sound message");
    let left = naive::parse(out).expect("what leaves is sound to its last byte");
    check_head(&came, &left, ask);
    let opts = left.records.iter().filter(|rr| rr.rtype == 41).count();
    assert_eq!(opts, usize::from(ask.edns.is_some()), "an OPT if and only if there was one");
    assert!(left.records.iter().all(|rr| rr.rtype != 250), "TSIG is of one hop");
    let kept = |at: usize| !is_hop(&came.records[at]) && (made.kept)(&came, at);
    let wanted: Vec<&Rr> =
        (0..came.records.len()).filter(|&at| kept(at)).map(|at| &came.records[at]).collect();
    let got: Vec<&Rr> = left.records.iter().filter(|rr| !is_hop(rr)).collect();
    assert!(got.len() <= wanted.len(), "records were made up");
    for (came, left) in wanted.iter().zip(&got) {
        let due = Rr {
            ttl: due_ttl(came.ttl, made),
            leans_on_changing: left.leans_on_changing,
            ..(*came).clone()
        };
        assert_eq!(**left, due);
    }
    let lost = wanted[got.len()..].iter().any(|rr| rr.section < 2);
    assert_eq!(left.flags & TC != 0, lost || came.flags & TC != 0, "TC if and only if cut");
    if got.len() < wanted.len() {
        check_cut(wanted[got.len()], out, &left, ask, made.room.min(usize::from(ask.room)));
    }
    check_hickory(out, &came, made);
}

/// Nothing is cut that would have fitted. Written out a record is hardly shorter than as it lies:
/// only a pointer to the root is longer than the root itself.
fn check_cut(next: &Rr, out: &[u8], left: &Message, ask: &Ask<'_>, room: usize) {
    let opt = left.records.iter().find(|rr| rr.rtype == 41).map_or(0, |rr| 11 + rr.rdata.len());
    let kept = out.len() - opt;
    let size = next.owner.len() + 10 + next.rdata.len() + 3;
    // An OPT with the options that must be there: keepalive and cookie.
    let reserve = ask.edns.map_or(0, |edns| {
        let keepalive = if edns.keepalive.is_some() { 6 } else { 0 };
        11 + keepalive + if edns.cookie.is_some() { 28 } else { 0 }
    });
    assert!(kept + size + reserve > room, "{kept} bytes and {size} more would fit into {room}");
}

fn check_head(came: &Message, left: &Message, ask: &Ask<'_>) {
    assert_eq!(left.id, ask.id);
    let kept = ask.flags & 0x0110;
    assert_eq!(left.flags & !(TC | AD | 0x040f), 0x8080 | kept, "QR, RA, RD and CD as asked");
    let wants_ad = ask.flags & AD != 0 || ask.edns.is_some_and(|e| e.dnssec_ok);
    assert_eq!(left.flags & AD, if wants_ad { came.flags & AD } else { 0 });
    assert_eq!(left.flags & 0x0f, came.flags & 0x0f, "the response code is the upstream's");
    assert_eq!(&left.question[..ask.name.len()], ask.name, "the question in the client's case");
    assert!(left.question.eq_ignore_ascii_case(&came.question));
}

/// hickory-proto must read what leaves wherever it could read what came, and see the same records.
fn check_hickory(out: &[u8], came: &Message, made: &Made<'_>) {
    let Ok(theirs) = Hickory::from_vec(made.from) else { return };
    let kept: Vec<bool> = (0..came.records.len()).map(|at| (made.kept)(came, at)).collect();
    if has_pointers_beyond_us(came, &kept) {
        return;
    }
    let ours = match Hickory::from_vec(out) {
        Ok(ours) => ours,
        Err(error) => panic!("hickory reads what came, but not what left: {error}"),
    };
    if kept.contains(&false) {
        return;
    }
    let sections = [
        (&theirs.answers, &ours.answers),
        (&theirs.authorities, &ours.authorities),
        (&theirs.additionals, &ours.additionals),
    ];
    for (theirs, ours) in sections {
        let theirs = theirs.iter().filter(|r| u16::from(r.record_type()) != 250);
        for (came, left) in theirs.zip(ours) {
            assert_eq!(came.name.to_lowercase(), left.name.to_lowercase());
            assert_eq!(came.dns_class, left.dns_class);
            assert_eq!(came.data, left.data);
        }
    }
}

/// Whether records that must move may hold compressed names where none are allowed (RFC 3597, 4):
/// they cannot be kept right by anyone who does not know their type.
fn has_pointers_beyond_us(came: &Message, kept: &[bool]) -> bool {
    let stays = |(rr, kept): &(&Rr, &bool)| !is_hop(rr) && **kept;
    let behind = came.records.iter().zip(kept).skip_while(stays).filter(stays);
    behind.into_iter().any(|(rr, _)| matches!(rr.rtype, 24 | 30 | 35 | 36 | 46..))
}
