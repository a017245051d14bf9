//! Records of pods that come and go, good and bad, beside a running daemon.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::daemon::{Daemon, PATIENCE, answers, question};

const TXT: u16 = 16;
const ROUTE: &str =
    "[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"127.0.0.1:1\"]\n";

/// A daemon that looks at a directory, which is not there yet.
fn daemon(folder: &Path, more: &str) -> (Daemon, PathBuf) {
    let dir = folder.join("pods");
    let daemon = Daemon::with_routes(&format!("[pods]\ndir = {dir:?}\n{more}{ROUTE}"));
    (daemon, dir)
}

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

fn record(number: u16) -> String {
    let address = address(number);
    format!(
        r#"{{"version":1,"network":"net","container":"c{number}","interface":"eth0","netns":"",
        "addresses":["{address}"],"namespace":"shop","pod":"web-{number}","uid":"u{number}",
        "search":["shop.svc.cluster.local","cluster.local"],"search_from":"runtime","ndots":5,
        "when_unix_s":1}}"#
    )
}

fn file(dir: &Path, number: u16) -> PathBuf {
    dir.join(format!("net_c{number}_eth0.json"))
}

/// As the plugin does it.
fn put(dir: &Path, number: u16) {
    let unfinished = dir.join(".unfinished");
    fs::write(&unfinished, record(number)).unwrap();
    fs::rename(unfinished, file(dir, number)).unwrap();
}

/// The rows of whoami.horizond for this pod; a question that is not answered fails the test.
fn whoami(daemon: &Daemon, number: u16) -> Vec<String> {
    let mut query = question(number, "whoami.horizond", TXT);
    *query.last_mut().unwrap() = 3;
    let answer = daemon.ask_from(address(number), &query, PATIENCE);
    let answer = answer.unwrap_or_else(|| panic!("no answer to {number}:\n{}", daemon.log()));
    let rows = answers(&query, &answer, TXT).unwrap();
    rows.iter().map(|row| String::from_utf8_lossy(&row[1..]).into_owned()).collect()
}

fn wait(daemon: &mut Daemon, what: &str, mut done: impl FnMut(&Daemon) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done(daemon) {
        daemon.assert_alive();
        assert!(Instant::now() < end, "{what}:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `horizond status` says of the pods.
fn pods(daemon: &Daemon) -> String {
    let status = Command::new(env!("CARGO_BIN_EXE_horizond"))
        .args(["status", "--control", daemon.control().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let text = String::from_utf8(status.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("pods ")).unwrap();
    line.trim_start_matches("pods").trim().to_owned()
}

#[test]
fn a_pod_is_known_while_it_has_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, dir) = daemon(folder.path(), "[log]\nqueries = \"all\"\n");
    assert_eq!(whoami(&daemon, 1).len(), 1);
    fs::create_dir(&dir).unwrap();
    put(&dir, 1);
    wait(&mut daemon, "the pod stays unknown", |daemon| whoami(daemon, 1).len() > 1);
    let rows = whoami(&daemon, 1);
    for row in [
        "pod web-1",
        "namespace shop",
        "network net",
        "search shop.svc.cluster.local. cluster.local. (from the runtime)",
        "ndots 5",
    ] {
        assert!(rows.iter().any(|have| have == row), "{row} is not in {rows:?}");
    }
    assert!(rows.iter().any(|row| row.starts_with("client 127.1.0.1 port ")), "{rows:?}");
    assert_eq!(whoami(&daemon, 2).len(), 1, "another client is not the pod");
    assert_eq!(pods(&daemon), "1 pod");
    wait(&mut daemon, "the query log does not know the pod", |daemon| {
        daemon
            .log()
            .lines()
            .any(|line| line.contains(" 127.1.0.1:") && line.ends_with(" shop/web-1"))
    });
    fs::remove_dir_all(&dir).unwrap();
    wait(&mut daemon, "the pod is not forgotten", |daemon| whoami(daemon, 1).len() == 1);
    assert_eq!(pods(&daemon), "0 pods");
    daemon.stop();
}

#[test]
fn what_is_no_record_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, dir) = daemon(folder.path(), "");
    fs::create_dir(&dir).unwrap();
    fs::write(folder.path().join("elsewhere"), record(1)).unwrap();
    symlink(folder.path().join("elsewhere"), file(&dir, 1)).unwrap();
    mknodat(CWD, file(&dir, 2), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::write(file(&dir, 3), [0xff; 5000]).unwrap();
    fs::write(file(&dir, 4), record(4) + &" ".repeat(1 << 20)).unwrap();
    fs::File::create(file(&dir, 5)).unwrap().set_len(1 << 40).unwrap();
    fs::write(file(&dir, 6), &record(6)[..100]).unwrap();
    fs::create_dir(file(&dir, 7)).unwrap();
    put(&dir, 8);
    wait(&mut daemon, "one bad file hides the good one", |daemon| {
        pods(daemon) == "1 pod; 7 files are no record"
    });
    assert!(whoami(&daemon, 8).contains(&"pod web-8".to_owned()));
    for number in 1..8 {
        assert_eq!(whoami(&daemon, number).len(), 1, "{number}");
    }
    assert!(daemon.log().contains("a file is passed over"), "{}", daemon.log());
    // The rest of the record comes into the same file.
    fs::write(file(&dir, 6), record(6)).unwrap();
    wait(&mut daemon, "the whole record is not seen", |daemon| whoami(daemon, 6).len() > 1);
    assert!(daemon.resident() < 200 << 10, "{} KiB", daemon.resident());
    daemon.stop();
}

#[test]
fn thousands_of_pods_come_and_go_and_every_question_is_answered() {
    const PODS: u16 = 5000;
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, dir) = daemon(folder.path(), "");
    fs::create_dir(&dir).unwrap();
    for number in 1..=PODS {
        put(&dir, number);
        if number % 8 == 0 {
            whoami(&daemon, number);
        }
    }
    wait(&mut daemon, "not all are known", |daemon| pods(daemon) == "5000 pods");
    for number in (1..=PODS).step_by(7) {
        let rows = whoami(&daemon, number);
        assert!(rows.contains(&format!("pod web-{number}")), "{number}: {rows:?}");
    }
    for number in 1..=PODS {
        fs::remove_file(file(&dir, number)).unwrap();
        if number % 8 == 0 {
            whoami(&daemon, number);
        }
    }
    wait(&mut daemon, "not all are forgotten", |daemon| pods(daemon) == "0 pods");
    for number in (1..=PODS).step_by(71) {
        assert_eq!(whoami(&daemon, number).len(), 1, "{number}");
    }
    daemon.stop();
}
