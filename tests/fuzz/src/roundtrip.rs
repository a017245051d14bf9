//! What hickory-proto can read and write again, the daemon must read too, and alike.

use hickory_proto::op::{Message, MessageType, OpCode};
use horizond::wire::query::{Fault, Query};

use super::{accept, naive, query};

/// Checks one message as hickory-proto writes it: as a query, and as an answer.
pub fn check(data: &[u8]) {
    let Ok(message) = Message::from_vec(data) else { return };
    let Ok(wire) = message.to_vec() else { return };
    // What hickory-proto writes it does not always read: then it proves nothing.
    let Ok(again) = Message::from_vec(&wire) else { return };
    query::check(&wire);
    let one = again.queries.len() == 1;
    match again.metadata.message_type {
        MessageType::Query if one && again.metadata.op_code == OpCode::Query => {
            check_query(&wire, &again)
        }
        MessageType::Query => assert!(Query::parse(&wire).is_err()),
        MessageType::Response => check_response(&wire),
    }
}

fn check_query(wire: &[u8], message: &Message) {
    let asked = &message.queries[0];
    let qtype = u16::from(asked.query_type);
    let special = matches!(qtype, 41 | 249..=254) || !matches!(u16::from(asked.query_class), 1 | 3);
    let version = message.edns.as_ref().map_or(0, |edns| edns.version());
    // A cookie may have a length that none has.
    let options = message.edns.as_ref().map(|edns| edns.options().as_ref());
    let cookie = options.is_some_and(|all| all.iter().any(|(code, _)| u16::from(*code) == 10));
    match Query::parse(wire) {
        Ok(_) => assert!(!special && version == 0),
        Err(Fault::Answer { .. }) => {
            assert!(special || version > 0 || cookie, "a sound query is refused");
        }
        Err(fault) => panic!("{fault:?}"),
    }
}

fn check_response(wire: &[u8]) {
    assert!(naive::parse(wire).is_some() || wire[4..6] != [0, 1]);
    let parameters = [0x3f, 9, 1, 0, 1, 0x10, 0, 60];
    accept::check(&[&parameters[..], wire].concat());
}
