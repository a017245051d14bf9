//! HeadCNI's file beside a running daemon: it comes, changes, goes bad and goes. What its servers are
//! asked is seen in the tests with namespaces: on loopback they may not be.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, PATIENCE, answers, question};

const A: u16 = 1;
const TXT: u16 = 16;
const KEY: &str = "plugins[1].magic_dns";

/// An internet in which every name has one address. Ends when the test's process does.
struct Internet {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Internet {
    fn start() -> Internet {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let end = 12 + buffer[12..len].iter().position(|byte| *byte == 0).unwrap() + 5;
                let mut bytes = buffer[..end].to_vec();
                seen.lock().unwrap().push(bytes[12..end - 4].to_vec());
                bytes[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 7]);
                let _ = socket.send_to(&bytes, from);
            }
        });
        Internet { addr, asked }
    }

    /// How often it was asked for a name.
    fn count(&self, name: &str) -> usize {
        let query = question(0, name, A);
        let name = &query[12..query.len() - 4];
        self.asked.lock().unwrap().iter().filter(|asked| *asked == name).count()
    }
}

/// A daemon and the file that one of its routes learns from.
struct Place {
    internet: Internet,
    daemon: Daemon,
    list: PathBuf,
    folder: tempfile::TempDir,
}

fn block(domains: &str) -> String {
    format!(
        r#"{{"cniVersion":"1.0.0","name":"cbr0","plugins":[{{"type":"bridge"}},{{"type":"headcni",
        "magic_dns":{{"enable":true,"base_domain":"cluster.local","nameservers":["127.0.0.1"],
        "search_domains":[{domains}]}}}}]}}"#
    )
}

impl Place {
    /// `own`: suffixes in the configuration.
    fn start(own: &str, file: Option<&str>) -> Place {
        let (internet, folder) = (Internet::start(), tempfile::tempdir().unwrap());
        let list = folder.path().join("10-headcni.conflist");
        if let Some(text) = file {
            fs::write(&list, text).unwrap();
        }
        let daemon = Daemon::with_routes(&format!(
            "[[route]]\nname = \"cluster\"\nsuffixes = [\"cluster.local\"]\n\
             upstreams = [\"127.0.0.1:1\"]\n\
             [[route]]\nname = \"tailnet\"\nsuffixes = [{own}]\nheadcni_conflist = {list:?}\n\
             [[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"{}\"]\n",
            internet.addr
        ));
        Place { internet, daemon, list, folder }
    }

    /// Writes a file as careful programs do.
    fn replace(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.list).unwrap();
    }

    fn wait_log(&mut self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.daemon.log().contains(words) {
            self.daemon.assert_alive();
            assert!(Instant::now() < end, "\"{words}\" is not told:\n{}", self.daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The rows of a CH TXT name.
    fn rows(&self, name: &str) -> Vec<String> {
        let mut query = question(9, name, TXT);
        *query.last_mut().unwrap() = 3;
        let answer = self.daemon.ask(&query, PATIENCE).unwrap();
        let rows = answers(&query, &answer, TXT).unwrap();
        rows.iter().map(|row| text(row)).collect()
    }

    /// Waits until explain says that a name is a route's.
    fn wait_owner(&mut self, name: &str, route: &str) {
        let end = Instant::now() + PATIENCE;
        let wanted = format!("route {route} by");
        while !self.rows(&format!("{name}.explain.horizond")).iter().any(|r| r.contains(&wanted)) {
            self.daemon.assert_alive();
            assert!(Instant::now() < end, "{name} is not {route}'s:\n{}", self.daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The response code and the addresses.
    fn ask(&self, name: &str) -> (u8, Vec<Vec<u8>>) {
        let query = question(7, name, A);
        let answer = self.daemon.ask(&query, PATIENCE).unwrap();
        (answer[3] & 15, answers(&query, &answer, A).unwrap())
    }

    /// Whether the internet has answered for it.
    fn is_public(&self, name: &str) -> bool {
        match self.ask(name) {
            (0, addresses) => addresses == [[192, 0, 2, 7]],
            (2, addresses) if addresses.is_empty() => false,
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The strings of a TXT record in a row.
fn text(mut rdata: &[u8]) -> String {
    let mut bytes = Vec::new();
    while let Some((len, rest)) = rdata.split_first() {
        let (string, rest) = rest.split_at((*len).into());
        bytes.extend(string);
        rdata = rest;
    }
    String::from_utf8(bytes).unwrap()
}

fn status(control: &Path) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_horizond"))
        .args(["status", "--control", control.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(run.status.success());
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn suffixes_follow_the_file_and_outlive_its_faults() {
    let mut place = Place::start("", Some(&block(r#""c.binrc.com","cluster.local""#)));
    let (private, other, file) = ("nas.c.binrc.com", "db.new.example", place.list.clone());
    assert!(!place.is_public(private), "{}", place.daemon.log());
    assert!(place.is_public(other) && place.is_public(other));
    assert_eq!(place.internet.count(other), 1);
    assert!(place.daemon.log().contains("a loopback address"), "{}", place.daemon.log());

    // What comes from where.
    let explained = place.rows(&format!("{private}.explain.horizond"));
    let from = format!("{}, {KEY}", file.display());
    for row in
        [format!("suffix from {from}.search_domains"), format!("upstreams from {from}.nameservers")]
    {
        assert!(explained.contains(&row), "{row} not in {explained:#?}");
    }
    let routes = place.rows("routes.horizond").join("\n");
    assert!(routes.contains(&format!("c.binrc.com. (from {from}.search_domains)")), "{routes}");
    let shown = status(&place.daemon.control());
    let line = format!(
        "tailnet: suffixes c.binrc.com., upstreams none, from {} ({KEY}); passed over: nameservers: \
         127.0.0.1:53 is not asked",
        file.display()
    );
    assert!(shown.contains(&line), "{shown}");

    // A name that was cached from the internet comes to the route, and leaves it.
    place.replace(&block(r#""c.binrc.com","new.example""#));
    place.wait_owner(other, "tailnet");
    assert!(!place.is_public(other));
    assert_eq!(place.internet.count(other), 1);

    // Nothing that happens to the file opens the way to the internet.
    fs::remove_file(&file).unwrap();
    place.wait_log("cannot read");
    assert!(!place.is_public(private) && !place.is_public(other));
    fs::write(&file, "").unwrap();
    place.wait_log("EOF while parsing a value");
    assert!(!place.is_public(private) && !place.is_public(other));
    let explained = place.rows(&format!("{private}.explain.horizond"));
    let trouble = explained.iter().find(|row| row.contains("EOF")).unwrap();
    assert!(trouble.ends_with("what it said last holds"), "{trouble}");
    assert!(status(&place.daemon.control()).contains("what it said last holds"));
    let good = block(r#""c.binrc.com","new.example""#);
    fs::write(&file, &good[..good.len() - 9]).unwrap();
    place.wait_log("EOF while parsing a string");
    fs::write(&file, r#"{"plugins":[{"type":"bridge"}]}"#).unwrap();
    place.wait_log("no magic_dns block");
    assert!(!place.is_public(private) && !place.is_public(other));
    assert_eq!((place.internet.count(private), place.internet.count(other)), (0, 1));

    // By a link that leads elsewhere, with one suffix less.
    let (link, target) = (place.folder.path().join("link"), place.folder.path().join("elsewhere"));
    fs::write(&target, block(r#""c.binrc.com""#)).unwrap();
    symlink(&target, &link).unwrap();
    fs::rename(&link, &file).unwrap();
    place.wait_owner(other, "internet");
    assert!(place.is_public(other) && !place.is_public(private));
    assert_eq!(place.internet.count(private), 0);
    let shown = status(&place.daemon.control());
    assert!(!shown.contains("holds"), "{shown}");
    place.daemon.stop();
}

#[test]
fn a_node_without_the_file_serves_the_others_and_keeps_what_the_configuration_says() {
    let mut place = Place::start("\"c.binrc.com\"", None);
    place.wait_log("cannot read");
    assert!(!place.is_public("nas.c.binrc.com"));
    assert!(place.is_public("www.example.com") && place.is_public("db.new.example"));
    place.replace(&block(r#""c.binrc.com","new.example""#));
    place.wait_owner("db.new.example", "tailnet");
    assert!(!place.is_public("db.new.example") && place.is_public("www.example.com"));
    place.replace(&block(r#""new.example""#).replace("\"enable\":true", "\"enable\":false"));
    place.wait_owner("db.new.example", "internet");
    assert!(place.is_public("db.new.example") && !place.is_public("nas.c.binrc.com"));
    assert_eq!(place.internet.count("nas.c.binrc.com"), 0);
    place.daemon.stop();
}

#[test]
fn a_node_that_knows_no_suffix_says_so() {
    let mut place = Place::start("", None);
    place.wait_log("no suffix is known: its names go where other routes lead");
    assert!(place.is_public("nas.c.binrc.com"));
    place.replace(&block(r#""c.binrc.com""#));
    place.wait_owner("nas.c.binrc.com", "tailnet");
    assert!(!place.is_public("nas.c.binrc.com"));
    assert_eq!(place.internet.count("nas.c.binrc.com"), 1);
    place.daemon.stop();
}
