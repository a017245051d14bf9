//! Replays what the fuzzer found worth keeping, and the seeds written by hand.

use std::fs;
use std::path::PathBuf;

use crate::promises;

fn replay(target: &str, check: fn(&[u8])) {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/fuzz/corpus", target].iter().collect();
    let files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 5, "{} holds next to nothing", folder.display());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&bytes));
        assert!(outcome.is_ok(), "{} breaks a promise", file.display());
    }
}

#[test]
fn query() {
    replay("query", promises::query::check);
}

#[test]
fn accept() {
    replay("accept", promises::accept::check);
}

#[test]
fn respond() {
    replay("respond", promises::respond::check);
}

#[test]
fn config() {
    replay("config", promises::config::check);
}

#[test]
fn roundtrip() {
    replay("roundtrip", promises::roundtrip::check);
}

#[test]
fn wire() {
    replay("wire", promises::wire::check);
}

#[test]
fn entry() {
    replay("entry", promises::entry::check);
    // The same form, with other numbers in front.
    replay("accept", promises::entry::check);
}

#[test]
fn cni() {
    replay("cni", promises::cni::check);
}

#[test]
fn resolv_conf() {
    replay("resolv_conf", promises::resolv_conf::check);
}
