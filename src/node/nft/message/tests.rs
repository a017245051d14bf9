//! The bytes against a recorded exchange of `nft` 1.0.6, and against a second reading.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::attr::Attrs;
use super::super::expr::{End, Expr};
use super::super::rules::{Transport, address_is, port_is_dns, set_address};
use super::super::table::{Chain, Hook, PRIORITY_RAW, Set};
use super::*;

/// What `nft` 1.0.6 sends for
/// `ip daddr 10.96.0.10 udp dport 53 notrack ip daddr set 169.254.20.11`, behind the netlink header.
#[cfg(target_endian = "little")]
const RECORDED: &str = "010000000d000100686f72697a6f6e6400000000080002006f757400ec010480\
     24000180090001006d6574610000000014000280080002000000000f08000100\
     000000012c00018008000100636d700020000280080001000000000108000200\
     000000000c0003800500010002000000340001800c0001007061796c6f616400\
     2400028008000100000000010800020000000001080003000000001008000400\
     000000042c00018008000100636d700020000280080001000000000108000200\
     000000000c000380080001000a60000a24000180090001006d65746100000000\
     14000280080002000000001008000100000000012c00018008000100636d7000\
     20000280080001000000000108000200000000000c0003800500010011000000\
     340001800c0001007061796c6f61640024000280080001000000000108000200\
     00000002080003000000000208000400000000022c00018008000100636d7000\
     20000280080001000000000108000200000000000c0003800600010000350000\
     100001800c0001006e6f747261636b002c0001800e000100696d6d6564696174\
     650000001800028008000100000000010c00028008000100a9fe140b4c000180\
     0c0001007061796c6f6164003c00028008000500000000010800020000000001\
     080003000000001008000400000000040800060000000001080007000000000a\
     0800080000000001";

fn redirecting() -> Vec<Expr> {
    let end = End::Destination;
    let mut rule = address_is(end, [10, 96, 0, 10].into());
    rule.extend(port_is_dns(Transport::Udp, end));
    rule.push(Expr::Notrack);
    rule.extend(set_address(end, [169, 254, 20, 11].into()));
    rule
}

fn small() -> Table {
    let hook = Hook { kind: "route".into(), number: 3, priority: PRIORITY_RAW };
    Table {
        name: "horizond".into(),
        comment: "a comment",
        sets: vec![Set { name: "alive6".into(), ipv6: true }],
        chains: vec![Chain { name: "out".into(), hook: Some(hook), rules: vec![redirecting()] }],
    }
}

/// Type, flags, sequence number and what follows the header, of each message.
fn messages(mut bytes: &[u8]) -> Vec<(u16, u16, u32, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).unwrap() as usize;
        let kind = (u16_at(bytes, 4).unwrap(), u16_at(bytes, 6).unwrap());
        found.push((kind.0, kind.1, u32_at(bytes, 8).unwrap(), &bytes[HEADER..length]));
        bytes = &bytes[length..];
    }
    found
}

#[cfg(target_endian = "little")]
#[test]
fn a_rule_is_the_bytes_that_nft_sends() {
    let mut batch = Batch::new(1);
    batch.create(&small(), false);
    let sent = messages(batch.finish());
    let rule = sent.iter().find(|m| m.0 == SUBSYSTEM | Verb::NewRule as u16).unwrap();
    let hex: String = rule.3.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, RECORDED);
}

#[test]
fn a_transaction_has_its_marks_and_asks_for_one_answer() {
    let mut batch = Batch::new(7);
    batch.replace(&small());
    let (first, last) = (batch.first, batch.last());
    let bytes = batch.finish().to_vec();
    let sent = messages(&bytes);
    let kinds: Vec<u16> = sent.iter().map(|m| m.0).collect();
    let verbs = [
        Verb::NewTable,
        Verb::DelTable,
        Verb::NewTable,
        Verb::NewSet,
        Verb::NewChain,
        Verb::NewRule,
    ];
    let mut expected = vec![BEGIN];
    expected.extend(verbs.map(|verb| SUBSYSTEM | verb as u16));
    expected.push(END);
    assert_eq!(kinds, expected);
    let numbers: Vec<u32> = sent.iter().map(|m| m.2).collect();
    assert_eq!(numbers, (7..15).collect::<Vec<u32>>());
    assert_eq!((first, last), (7, 13));
    let acks: Vec<u32> = sent.iter().filter(|m| m.1 & ACK != 0).map(|m| m.2).collect();
    assert_eq!(acks, [last]);
    assert_eq!(sent[0].3, [0, 0, 0, 10], "for nf_tables, in network order");
    assert_eq!(batch.step(last), "add rule 1 to chain out of the table inet horizond");
    assert_eq!(batch.step(first), "commit the changes to nf_tables");
    assert_eq!(batch.step(99), "commit the changes to nf_tables");
}

#[test]
fn what_is_sent_reads_back_as_what_was_meant() {
    let table = small();
    let mut batch = Batch::new(1);
    batch.create(&table, true);
    let mut read = Table { comment: "", sets: vec![], chains: vec![], ..table.clone() };
    for (kind, flags, _, body) in messages(batch.finish()) {
        let attrs = Attrs(&body[FAMILY_HEADER..]);
        if kind == SUBSYSTEM | Verb::NewTable as u16 {
            assert_eq!(flags & EXCL, EXCL);
            assert!(table::is_active(attrs));
        } else if kind == SUBSYSTEM | Verb::NewSet as u16 {
            read.sets.extend(table::read_set(attrs, "horizond"));
        } else if kind == SUBSYSTEM | Verb::NewChain as u16 {
            assert_eq!(table::read_chain(attrs, "horizond2"), None);
            read.chains.extend(table::read_chain(attrs, "horizond"));
        } else if kind == SUBSYSTEM | Verb::NewRule as u16 {
            read.chains[0].rules.push(table::read_rule(attrs, "horizond").unwrap().1);
        }
    }
    assert_eq!(read, table);
    read.chains[0].rules[0].pop();
    assert_ne!(read, table);
}

#[test]
fn a_beat_empties_before_it_fills() {
    let mut batch = Batch::new(1);
    batch.refill("t", "s", &["10.96.0.10".parse().unwrap()], 700);
    let bytes = batch.finish().to_vec();
    let sent = messages(&bytes);
    assert_eq!(sent[1].0, SUBSYSTEM | Verb::DelElements as u16);
    assert_eq!(Attrs(&sent[1].3[FAMILY_HEADER..]).data(3), None, "no list: all of them");
    assert_eq!(sent[2].0, SUBSYSTEM | Verb::NewElements as u16);
    let elem = Attrs(&sent[2].3[FAMILY_HEADER..]).inside(3).unwrap().inside(1).unwrap();
    assert_eq!(elem.data(4).unwrap(), 700u64.to_be_bytes());
    assert_eq!(elem.inside(1).unwrap().data(1).unwrap(), [10, 96, 0, 10]);
    let mut batch = Batch::new(1);
    batch.refill("t", "s", &[], 700);
    assert_eq!(messages(batch.finish()).len(), 3, "both marks and the emptying");
}

/// A message of type 2: the error, the request's header, the rest of the request, attributes.
fn error(errno: i32, flags: u16, rest: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut request = Writer::default();
    message(&mut request, SUBSYSTEM | Verb::NewRule as u16, REQUEST, 5, 1, 0, |w| {
        w.0.extend_from_slice(rest);
    });
    let kept = if flags & CAPPED != 0 { HEADER } else { request.0.len() };
    let mut out = vec![0; 4];
    out.extend(ERROR.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(5u32.to_ne_bytes());
    out.extend([0; 4]);
    out.extend((-errno).to_ne_bytes());
    out.extend(&request.0[..kept]);
    out.extend(attributes);
    let length = out.len() as u32;
    out[..4].copy_from_slice(&length.to_ne_bytes());
    out
}

#[test]
fn a_refusal_is_read_with_the_kernels_words() {
    let mut words = Writer::default();
    words.be32(2, 20);
    words.text(ERROR_TEXT, "Chain type is not available");
    let read = |bytes: &[u8]| {
        let answers: Vec<_> = Answers(bytes).map(Result::unwrap).collect();
        let [Answer { seq: 5, body: Body::Result(result), .. }] = &answers[..] else {
            panic!("{answers:?}")
        };
        result.clone()
    };
    assert_eq!(read(&error(0, 0, &[], &[])), None);
    let plain = Refusal { errno: libc::ENOENT, text: None };
    assert_eq!(read(&error(libc::ENOENT, CAPPED, &[], &[])), Some(plain.clone()));
    assert_eq!(read(&error(libc::ENOENT, 0, &[0; 12], &[])), Some(plain));
    let told = Refusal { errno: libc::EPERM, text: Some("Chain type is not available".into()) };
    assert_eq!(read(&error(libc::EPERM, CAPPED | HAS_TEXT, &[], &words.0)), Some(told.clone()));
    assert_eq!(read(&error(libc::EPERM, HAS_TEXT, &[0; 12], &words.0)), Some(told));
}

#[test]
fn an_answer_cut_short_is_an_error() {
    let whole = error(libc::EPERM, 0, &[0; 12], &[]);
    for end in 1..whole.len() {
        assert!(Answers(&whole[..end]).next().unwrap().is_err(), "{end} bytes");
    }
    let mut endless = whole.clone();
    endless[..4].fill(0);
    assert_eq!(Answers(&endless).filter(Result::is_err).count(), 1, "a length of 0 ends it");
}

proptest! {
    #[test]
    fn no_answer_can_do_more_than_be_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        length in 0u32..200,
    ) {
        let mut bytes = bytes;
        if let Some(field) = bytes.get_mut(..4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        for answer in Answers(&bytes).flatten() {
            if let Body::Object(attrs) = answer.body {
                table::read_chain(Attrs(attrs), "t");
                table::read_set(Attrs(attrs), "t");
                table::read_rule(Attrs(attrs), "t");
                Expr::read_list(Attrs(attrs));
            }
        }
    }
}
