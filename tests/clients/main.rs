//! What clients send and get, byte by byte: every row of "From clients" and "To clients", over UDP and
//! TCP, against the server in process on real sockets.
//!
//! The tables are the `.txt` files beside this one, in the notation of `table.rs`. The clock is the
//! tests' own and stands still, so that every byte of an answer is known, cookies and TTLs included.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

mod answers;
mod rate;
mod table;
mod tcp;
mod types;

#[allow(dead_code)]
#[path = "../scenarios/message.rs"]
mod message;
#[allow(dead_code)]
#[path = "../scenarios/text.rs"]
mod text;
#[allow(dead_code)]
#[path = "../scenarios/upstream.rs"]
mod upstream;
#[allow(dead_code)]
#[path = "../scenarios/world.rs"]
mod world;

/// The longest wait for anything that must happen.
const BOUND: Duration = Duration::from_secs(10);

/// The secret of the examples in RFC 9018.
const ADMIT: &str = "[admit]\nallow = [\"127.0.0.1/32\"]\n\
    cookie_secret = \"e5e973e5a6b2a43f48e7dc849e37bfcf\"\n";

#[test]
fn from_clients() {
    table::play(include_str!("from_clients.txt"), ADMIT);
}

#[test]
fn options_from_clients() {
    table::play(include_str!("options.txt"), ADMIT);
}

#[test]
fn strangers_get_silence_where_the_config_says_so() {
    table::play(include_str!("silence.txt"), &format!("{ADMIT}refuse = \"drop\"\n"));
}

#[test]
fn to_clients() {
    table::play(include_str!("to_clients.txt"), ADMIT);
}

#[test]
fn the_questions_of_edns_compliance_tests() {
    table::play(include_str!("compliance.txt"), ADMIT);
}
