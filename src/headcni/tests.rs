#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::config::{Config, file};
use crate::wire::name::Name;

/// Where a test's file and its configuration lie.
struct Place {
    folder: TempDir,
    config: Config,
}

impl Place {
    /// A cluster, a corporation, the tailnet with these keys, and everything else.
    fn new(tailnet: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let route = |name: &str, keys: &str| format!("[[route]]\nname = \"{name}\"\n{keys}\n");
        let to = "upstreams = [\"10.0.0.1\"]\n";
        let text = [
            "[listen]\naddresses = [\"10.9.9.9\"]\n".to_owned(),
            route("cluster", &format!("suffixes = [\"cluster.local\"]\n{to}")),
            route("corp", &format!("suffixes = [\"corp.example\"]\n{to}")),
            route("tailnet", &format!("headcni_conflist = {path:?}\n{tailnet}")),
            route("internet", &format!("suffixes = [\".\"]\n{to}")),
        ];
        let config = file::parse(&text.concat(), Path::new("t.toml"));
        Place { folder, config: config.unwrap_or_else(|e| panic!("{e}")).config }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("list")
    }

    fn learnt(&self) -> Learnt {
        Learnt::of(&self.config.routes).unwrap()
    }

    /// Writes a file and has it looked at.
    fn look(&self, learnt: &mut Learnt, text: &str) {
        fs::write(self.path(), text).unwrap();
        learnt.take(read(&self.path()), &self.config.routes);
    }
}

fn list(block: &str) -> String {
    format!(r#"{{"cniVersion":"1.0.0","plugins":[{{"type":"headcni","magic_dns":{block}}}]}}"#)
}

/// A block in use.
fn block(domains: &str, servers: &str) -> String {
    list(&format!(
        r#"{{"enable":true,"base_domain":"cluster.local","nameservers":[{servers}],
        "search_domains":[{domains}],"mtu":1280}}"#
    ))
}

const GOOD: &str = r#""c.binrc.com", "cluster.local""#;

fn names(learnt: &Learnt) -> Vec<String> {
    learnt.suffixes.iter().map(ToString::to_string).collect()
}

fn servers(learnt: &Learnt) -> Vec<String> {
    learnt.servers.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_of_the_deployment_is_read() {
    let place = Place::new("");
    let mut learnt = place.learnt();
    place.look(&mut learnt, include_str!("../../deploy/cni/10-headcni.conflist"));
    assert_eq!(names(&learnt), ["c.binrc.com."]);
    assert_eq!(servers(&learnt), ["10.2.0.1:53"]);
    assert_eq!(learnt.left, ["cluster.local. (route cluster, suffix cluster.local.)"]);
    assert_eq!((learnt.trouble(), learnt.route), (None, 2));
    assert_eq!(learnt.origin(), format!("{}, plugins[2].magic_dns", place.path().display()));
}

#[test]
fn whose_a_domain_is() {
    let place = Place::new("suffixes = [\"own.example\"]\n");
    let mut learnt = place.learnt();
    let domains = r#""Own.Example.", "C.BinRC.com.", "c.binrc.com", "a.own.example", "lan",
        "svc.cluster.local", "x.corp.example", "xcorp.example", "example""#;
    place.look(&mut learnt, &block(domains, r#""10.2.0.1""#));
    let taken = ["c.binrc.com.", "a.own.example.", "lan.", "xcorp.example.", "example."];
    assert_eq!(names(&learnt), taken);
    let left = [
        "svc.cluster.local. (route cluster, suffix cluster.local.)",
        "x.corp.example. (route corp, suffix corp.example.)",
    ];
    assert_eq!((&learnt.left[..], &learnt.refused[..]), (&left.map(str::to_owned)[..], &[][..]));
    let table = learnt.table(&place.config.routes);
    let owner = |name: &str| table.find(name.parse::<Name>().unwrap().as_wire()).unwrap().route;
    for (name, route) in [
        ("db.c.binrc.com", 2),
        ("xc.binrc.com", 3),
        ("www.example", 2),
        ("own.example", 2),
        ("a.corp.example", 1),
        ("a.svc.cluster.local", 0),
        ("com", 3),
    ] {
        assert_eq!(owner(name), route, "{name}");
    }
}

#[test]
fn what_is_no_domain_and_no_server() {
    let place = Place::new("");
    let mut learnt = place.learnt();
    let long = "a.".repeat(130);
    let domains = format!(
        r#""c.binrc.com", ".", "a..b", "*.b", "a b", "é", "10.in-addr.arpa", "ip6.arpa", "arpa", "{long}""#
    );
    let addresses =
        r#""magic", "10.2.0.1", "fe80::1", "0.0.0.0", "tls://10.2.0.1", "tcp://10.2.0.2""#;
    place.look(&mut learnt, &block(&domains, addresses));
    assert_eq!((names(&learnt), learnt.trouble()), (vec!["c.binrc.com.".to_owned()], None));
    assert_eq!(servers(&learnt), ["10.2.0.1:53", "tcp://10.2.0.2:53"]);
    let reverse = "has reverse names, which are written in the route's reverse";
    let expected = [
        r#"search_domains: "." would be everything"#.to_owned(),
        r#"search_domains: "a..b" has an empty label"#.to_owned(),
        r#"search_domains: "*.b" has a wildcard"#.to_owned(),
        r#"search_domains: "a b" has characters that are not printable ASCII"#.to_owned(),
        r#"search_domains: "é" has characters that are not printable ASCII"#.to_owned(),
        format!(r#"search_domains: "10.in-addr.arpa" {reverse}"#),
        format!(r#"search_domains: "ip6.arpa" {reverse}"#),
        format!(r#"search_domains: "arpa" {reverse}"#),
        format!(r#"search_domains: "{}"... is longer than 255 bytes"#, &long[..60]),
    ];
    assert_eq!(learnt.refused[..expected.len()], expected);
    let about: Vec<&str> = learnt.refused[expected.len()..]
        .iter()
        .map(|what| what.split('"').nth(1).unwrap())
        .collect();
    assert_eq!(about, ["magic", "fe80::1", "0.0.0.0", "tls://10.2.0.1"]);
}

#[test]
fn more_servers_than_a_route_may_have() {
    let place = Place::new("");
    let mut learnt = place.learnt();
    let many: Vec<String> = (1..=20).map(|i| format!("\"10.2.0.{i}\"")).collect();
    place.look(&mut learnt, &block(GOOD, &many.join(",")));
    assert_eq!((learnt.servers.len(), learnt.refused.len()), (16, 4));
}

#[test]
fn servers_that_lead_back_or_nowhere_are_not_asked() {
    let place = Place::new("");
    let mut learnt = place.learnt();
    let addresses = r#""10.9.9.9", "127.0.0.53", "127.0.0.1", "10.2.0.1", "10.2.0.1:53",
        "100.100.100.100", "10.5.5.5""#;
    place.look(&mut learnt, &block(GOOD, addresses));
    let own = ["10.5.5.5".parse().unwrap()];
    let found = learnt.usable(&place.config.listen.addresses, &own);
    let asked: Vec<String> = found.servers.iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["10.2.0.1:53", "100.100.100.100:53", "10.5.5.5:53"]);
    for (at, word) in
        ["listen there", "resolved", "loopback", "more than once", "tailscaled", "host"]
            .into_iter()
            .enumerate()
    {
        assert!(found.said[at].contains(word), "{word} in {:?}", found.said);
    }
}

/// What says nothing changes nothing.
#[test]
fn a_file_that_goes_bad_takes_nothing_away() {
    let good = block(GOOD, r#""10.2.0.1""#);
    let half = &good[..good.len() / 2];
    let long = format!("{good}{}", " ".repeat(MAX_BYTES));
    let many = format!("[{}]", vec![r#""x.example""#; 65].join(","));
    let many = list(&format!(r#"{{"enable":true,"search_domains":{many}}}"#));
    for (text, fault) in [
        ("", "EOF"),
        ("\n", "EOF"),
        (half, "EOF"),
        ("\0\0\0\0", "expected value"),
        ("[]", "a list instead of an object"),
        ("{}", "no magic_dns block"),
        (r#"{"plugins":[{"type":"headcni"}]}"#, "no magic_dns block"),
        (&list("{}"), "does not say \"enable\": true"),
        (&list("null"), "no magic_dns block"),
        (&list("[]"), "magic_dns: a list where an object belongs"),
        (&block("", ""), "search_domains names no domain, nameservers names no server"),
        (
            &block(r#""..""#, r#""x""#),
            "search_domains names no domain, nameservers names no server",
        ),
        (&list(r#"{"enable":true,"search_domains":"c.binrc.com"}"#), "a text where a list belongs"),
        (&long, "longer than 1048576 bytes"),
        (&many, "more than 64 elements"),
    ] {
        let place = Place::new("");
        let mut learnt = place.learnt();
        place.look(&mut learnt, text);
        let said = learnt.trouble().unwrap();
        assert!(said.contains(fault), "{said}");
        assert!(learnt.suffixes.is_empty() && learnt.servers.is_empty());
        place.look(&mut learnt, &good);
        assert_eq!((names(&learnt), learnt.trouble()), (vec!["c.binrc.com.".to_owned()], None));
        place.look(&mut learnt, text);
        let said = learnt.trouble().unwrap();
        assert!(said.contains(fault) && said.ends_with("what it said last holds"), "{said}");
        assert_eq!(names(&learnt), ["c.binrc.com."], "{text}");
        assert_eq!(servers(&learnt), ["10.2.0.1:53"], "{text}");
        fs::remove_file(place.path()).unwrap();
        learnt.take(read(&place.path()), &place.config.routes);
        assert_eq!((names(&learnt).len(), servers(&learnt).len()), (1, 1));
        assert!(learnt.trouble().unwrap().contains("cannot read"));
    }
}

#[test]
fn each_list_is_believed_by_itself() {
    let place = Place::new("");
    let mut learnt = place.learnt();
    place.look(&mut learnt, &block(r#""a.example""#, ""));
    assert_eq!((names(&learnt), servers(&learnt)), (vec!["a.example.".to_owned()], vec![]));
    place.look(&mut learnt, &block("", r#""10.2.0.7""#));
    assert_eq!((names(&learnt).len(), servers(&learnt).len()), (1, 1));
    place.look(&mut learnt, &block(r#""b.example""#, ""));
    let (b, server) = (vec!["b.example.".to_owned()], vec!["10.2.0.7:53".to_owned()]);
    assert_eq!((names(&learnt), servers(&learnt)), (b, server));
}

#[test]
fn turned_off_it_gives_nothing() {
    let place = Place::new("");
    let mut learnt = place.learnt();
    let off =
        list(r#"{"enable":false,"nameservers":["10.2.0.1"],"search_domains":["c.binrc.com"]}"#);
    place.look(&mut learnt, &off);
    assert_eq!((names(&learnt).len(), servers(&learnt).len(), &learnt.fault), (0, 0, &None));
    assert!(learnt.trouble().unwrap().ends_with("plugins[0].magic_dns: enable is false"));
    place.look(&mut learnt, &block(GOOD, r#""10.2.0.1""#));
    let before = learnt.clone();
    assert_eq!(names(&learnt), ["c.binrc.com."]);
    place.look(&mut learnt, &off);
    assert_eq!((names(&learnt).len(), servers(&learnt).len()), (0, 0));
    assert_eq!(learnt.moved(&before), ["c.binrc.com".parse().unwrap()]);
    assert_eq!(before.moved(&learnt), ["c.binrc.com".parse().unwrap()]);
    assert_eq!(before.moved(&before), []);
}

#[test]
fn what_check_says() {
    let place = Place::new("");
    let said = |text: Option<&str>| {
        match text {
            Some(text) => fs::write(place.path(), text).unwrap(),
            None => fs::remove_file(place.path()).unwrap_or_default(),
        }
        let report = check(&place.config);
        let short = |list: Vec<String>| -> Vec<String> {
            let path = place.path().display().to_string();
            list.into_iter().map(|line| line.replace(&path, "FILE")).collect()
        };
        (short(report.lines), short(report.warnings))
    };
    let (lines, warnings) = said(Some(&block(GOOD, r#""10.2.0.1""#)));
    let key = "FILE, plugins[0].magic_dns";
    assert_eq!(
        lines,
        [
            format!("route tailnet: suffixes c.binrc.com. from {key}.search_domains"),
            format!("route tailnet: upstreams 10.2.0.1:53 from {key}.nameservers"),
            format!(
                "route tailnet: left to their owners from {key}.search_domains: \
                 cluster.local. (route cluster, suffix cluster.local.)"
            ),
        ]
    );
    assert_eq!(warnings, [""; 0]);
    let (lines, warnings) = said(None);
    assert_eq!(lines, [""; 0]);
    assert!(warnings[0].starts_with("route tailnet: cannot read FILE: "), "{warnings:?}");
    assert!(warnings[1].contains("no suffix is known"), "{warnings:?}");
    assert!(warnings[2].contains("no server is known"), "{warnings:?}");
    let (lines, warnings) = said(Some(&block(r#""c.binrc.com", "..""#, r#""10.9.9.9", "x""#)));
    assert_eq!((lines.len(), warnings.len()), (1, 4), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("we listen there")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("search_domains: \"..\"")), "{warnings:?}");
}

#[test]
fn a_configuration_without_the_key_has_nothing_to_say() {
    let text = "[[route]]\nname = \"a\"\nsuffixes = [\".\"]\nupstreams = [\"10.0.0.1\"]\n";
    let config = file::parse(text, Path::new("t.toml")).unwrap().config;
    assert_eq!((check(&config), Learnt::of(&config.routes)), (Report::default(), None));
}

/// Follows a file in the background and hands over what is told of it.
struct Follow {
    told: mpsc::UnboundedReceiver<Result<Block, ReadError>>,
    task: tokio::task::JoinHandle<()>,
}

impl Follow {
    fn start(path: &Path) -> Follow {
        let (sender, told) = mpsc::unbounded_channel();
        let path = path.to_owned();
        let task = tokio::spawn(async move {
            let every = Duration::from_millis(5);
            follow(&path, every, |look| _ = sender.send(look)).await;
        });
        Follow { told, task }
    }

    /// The domain that is told of next; what cannot be read meanwhile is passed over.
    async fn next(&mut self) -> String {
        loop {
            let told = timeout(Duration::from_secs(10), self.told.recv()).await;
            if let Ok(block) = told.expect("no change was seen").unwrap() {
                return block.said.search_domains.concat();
            }
        }
    }

    async fn next_fault(&mut self) -> String {
        let told = timeout(Duration::from_secs(10), self.told.recv()).await;
        told.expect("nothing was seen").unwrap().unwrap_err().to_string()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_file_that_comes_changes_is_replaced_and_goes_is_followed() {
    let place = Place::new("");
    let at = |name: &str| place.folder.path().join(name);
    let write = |name: &str, domain: &str| {
        fs::write(at(name), block(&format!("{domain:?}"), r#""10.2.0.1""#)).unwrap();
    };
    let mut follow = Follow::start(&place.path());
    assert!(follow.next_fault().await.contains("cannot read"));
    write("list", "a.example");
    assert_eq!(follow.next().await, "a.example");
    // In place, with the same length and very likely at the same time.
    write("list", "b.example");
    assert_eq!(follow.next().await, "b.example");
    // Renamed over it.
    write("new", "c.example");
    fs::rename(at("new"), at("list")).unwrap();
    assert_eq!(follow.next().await, "c.example");
    // By a link, which is replaced by another.
    write("one", "d.example");
    symlink(at("one"), at("link")).unwrap();
    fs::rename(at("link"), at("list")).unwrap();
    assert_eq!(follow.next().await, "d.example");
    write("two", "e.example");
    symlink("two", at("link")).unwrap();
    fs::rename(at("link"), at("list")).unwrap();
    assert_eq!(follow.next().await, "e.example");
    // It goes, and comes again as it was: that is told, too.
    fs::rename(at("list"), at("away")).unwrap();
    assert!(follow.next_fault().await.contains("cannot read"));
    fs::rename(at("away"), at("list")).unwrap();
    assert_eq!(follow.next().await, "e.example");
}

#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(folder.path()), Err(ReadError::File(FileError::NotAFile { .. }))));
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(read(&pipe), Err(ReadError::File(FileError::NotAFile { .. }))));
}
