//! Stored answers of any make, patched for any client.

use horizond::answer::{Answer, Question, Section, Writer};
use horizond::respond::{self, Ask, AskEdns, Ttl};
use horizond::wire::edns::Ede;
use horizond::wire::header::Rcode;

use super::rendered::{self, Made};
use super::source::Source;

/// Checks one answer, drawn from the bytes: first the client, then the question, then records.
pub fn check(data: &[u8]) {
    let mut source = Source(data);
    let (choice, room, flags) = (source.byte(), source.word(), source.word());
    let ttl = match choice & 1 {
        0 => Ttl::Elapsed(source.long()),
        _ => Ttl::Fixed(source.long() & 0xffff),
    };
    let name = source.name(5);
    let folded = name.to_ascii_lowercase();
    let ede = (choice & 2 == 2).then(|| Ede::new(22, "why".repeat(usize::from(choice))));
    let answer = stored(&mut source, &folded, ede);
    let note = (choice & 4 == 4).then(|| Ede::new(3, "é".repeat(usize::from(choice))));
    let nsid = vec![b'n'; usize::from(choice)];
    let edns = (choice & 8 == 8).then(|| AskEdns {
        dnssec_ok: choice & 16 == 16,
        nsid: choice & 32 == 32,
        keepalive: (choice & 64 == 64).then_some(100),
        cookie: (choice & 128 == 128).then_some([choice; 24]),
    });
    let ask = Ask { id: 7, flags, name: &name, edns, room: 512 + room % 721 };
    let mut out = vec![0xee; 1232];
    let len = respond::answer(answer.view(), &ask, ttl, note.as_ref(), &nsid, &mut out);
    assert!(out[len..].iter().all(|&byte| byte == 0xee), "nothing is written behind the answer");
    let made =
        Made { from: answer.wire(), ttl_cap: None, ttl, room: out.len(), kept: &|_, _| true };
    rendered::check(&out[..len], &ask, &made);
    check_cramped(&answer, &ask, ttl, usize::from(room % 600));
}

/// A buffer shorter than any client's room: an answer that fits it, or none.
fn check_cramped(answer: &Answer, ask: &Ask<'_>, ttl: Ttl, room: usize) {
    let mut out = vec![0; room];
    let len = respond::answer(answer.view(), ask, ttl, None, b"node", &mut out);
    let made = Made { from: answer.wire(), ttl_cap: None, ttl, room, kept: &|_, _| true };
    if len > 0 {
        rendered::check(&out[..len], ask, &made);
    } else {
        // Header, the longest question, OPT with cookie and keepalive.
        assert!(room < 12 + 259 + 11 + 34);
    }
}

fn stored(source: &mut Source<'_>, name: &[u8], ede: Option<Ede>) -> Answer {
    let question = Question { name, qtype: source.word(), qclass: 1 };
    // QR and RA are the writer's; AA, TC and AD may be added; no more.
    let (rcode, flags) = (Rcode(u16::from(source.byte() & 0x0f)), source.word() & 0x0420);
    let mut writer = Writer::new(question, rcode, flags);
    writer.ede = ede;
    let mut section = Section::Answer;
    while !source.is_empty() {
        let shape = source.byte();
        section = match shape & 3 {
            1 => section.max(Section::Authority),
            2 => Section::Additional,
            _ => section,
        };
        let owner = if shape & 4 == 4 { source.name(3) } else { vec![0xc0, 0x0c] };
        let rtype = match shape >> 3 {
            known @ 0..16 => [1, 28, 16, 65, 64, 257, 99, 48][usize::from(known) % 8],
            _ => source.word() | 0x8000,
        };
        let len = match shape & 0x40 {
            0 => usize::from(source.byte() % 40),
            _ => usize::from(source.word() % 5000),
        };
        let (class, ttl) = (source.word(), source.long());
        let rdata = match rtype {
            1 => vec![source.byte(); 4],
            28 => vec![source.byte(); 16],
            _ => vec![source.byte(); len],
        };
        if !writer.record(section, &owner, (rtype, class, ttl), &[&rdata]) {
            break;
        }
    }
    writer.finish()
}
