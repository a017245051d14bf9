//! A hosts file that is replaced while the daemon runs.

use std::fs;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, PATIENCE, answers, question};

const A: u16 = 1;
const PTR: u16 = 12;

/// The data of the records that it answers with; none where it gives no answer.
fn ask(daemon: &Daemon, name: &str, qtype: u16) -> Vec<Vec<u8>> {
    let query = question(7, name, qtype);
    let answer = daemon.ask(&query, Duration::from_millis(500)).unwrap_or_default();
    answers(&query, &answer, qtype).unwrap_or_default()
}

#[test]
fn names_of_a_hosts_file_that_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("hosts"), folder.path().join("new"));
    fs::write(&path, "10.0.0.1 printer.lan\n").unwrap();
    // Nobody is at the upstream: what is not answered here fails.
    let mut daemon = Daemon::with_routes(&format!(
        "[local]\nhosts = {path:?}\n[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\n\
         upstreams = [\"127.0.0.1:1\"]\n"
    ));
    assert_eq!(ask(&daemon, "printer.lan", A), [[10, 0, 0, 1]], "{}", daemon.log());
    let reverse = "1.0.0.10.in-addr.arpa";
    assert_eq!(ask(&daemon, reverse, PTR), [b"\x07printer\x03lan\0"], "{}", daemon.log());

    fs::write(&new, "10.0.0.2 printer.lan\n10.0.0.1 scanner.lan\n").unwrap();
    fs::rename(&new, &path).unwrap();
    let end = Instant::now() + PATIENCE;
    while ask(&daemon, "printer.lan", A) != [[10, 0, 0, 2]] {
        daemon.assert_alive();
        assert!(Instant::now() < end, "the file is not followed:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(ask(&daemon, reverse, PTR), [b"\x07scanner\x03lan\0"]);

    fs::remove_file(&path).unwrap();
    while !daemon.log().contains("no hosts from the file") {
        daemon.assert_alive();
        assert!(Instant::now() < end, "its loss is not told:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(ask(&daemon, "printer.lan", A), [[10, 0, 0, 2]]);
    daemon.stop();
}
