#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::cni::record::PodRecord;
use crate::config::file;
use crate::pods::{Namespaces, Pod, Table};
use crate::serve::{Foreseen, Server, Step};
use crate::telemetry::labels::Proto;
use crate::telemetry::querylog::QueryLog;
use crate::telemetry::snapshot::Snapshot;
use crate::telemetry::stats::Stats;
use crate::time::{Clock, Tick};

/// Pods at 10.0.0.1, 10.0.0.2 and so on, in these namespaces, of which one is counted apart.
fn table(namespaces: &[&str]) -> Table {
    let mut slots = Namespaces::new(1);
    let mut pods = Vec::new();
    for (i, namespace) in namespaces.iter().enumerate() {
        let json = format!(
            r#"{{"version":1,"network":"net","container":"c{i}","interface":"eth0","netns":"",
            "addresses":["10.0.0.{}"],"namespace":{namespace:?},"pod":"p{i}","ndots":5,
            "search":["{namespace}.svc.cluster.local","example.com"],"when_unix_s":1}}"#,
            i + 1
        );
        let record = PodRecord::parse(json.as_bytes()).unwrap();
        pods.push(Arc::new(Pod::of(&record, &mut slots).unwrap()));
    }
    Table::new(pods, 0, &slots)
}

fn desk(stats: Stats) -> Desk {
    let text = "[[route]]\nname = \"r\"\nsuffixes = [\".\"]\nupstreams = [\"10.9.0.1\"]\n";
    let config = file::parse(text, Path::new("t.toml")).unwrap().config;
    let server = Server::new(&config, "here".into(), Vec::new(), Vec::new(), Clock::manual());
    Desk::new(Arc::new(server), Arc::new(stats), QueryLog::off())
}

fn client(address: &str) -> Client {
    Client { addr: SocketAddr::new(address.parse().unwrap(), 4242), proto: Proto::Udp }
}

/// Asks for localhost A, which is answered here.
fn ask(desk: &mut Desk, address: &str) {
    let query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";
    let mut out = [0; 1232];
    let step = desk.ask(query, Foreseen::default(), client(address), Tick(0), &mut out);
    assert!(matches!(step, Step::Reply(_)), "{address}");
}

#[test]
fn requests_are_counted_by_namespace_where_that_is_on() {
    let mut desk = desk(Stats::new(1).with_namespaces(Namespaces::slots(1)));
    desk.server.set_pods(table(&["shop", "late", "other"]));
    desk.refresh();
    for (address, times) in [("10.0.0.1", 3), ("10.0.0.2", 2), ("10.0.0.3", 5), ("10.0.0.9", 7)] {
        for _ in 0..times {
            ask(&mut desk, address);
        }
    }
    // A stranger is refused and counted for nobody.
    let query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";
    desk.ask(query, Foreseen::default(), client("192.0.2.1"), Tick(0), &mut [0; 1232]);
    let seen = Snapshot::of(&[Arc::clone(&desk.stats)]);
    let counts: Vec<_> = (0..3).map(|slot| seen.namespace(slot).unwrap()).collect();
    let names: Vec<_> = desk.pods.namespaces().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["(none)", "other", "shop"]);
    assert_eq!(counts, [7, 2 + 5, 3]);
}

#[test]
fn nothing_is_counted_where_that_is_off() {
    let mut desk = desk(Stats::new(1));
    desk.server.set_pods(table(&["shop"]));
    desk.refresh();
    ask(&mut desk, "10.0.0.1");
    assert!(!desk.by_namespace);
    assert_eq!(Snapshot::of(&[Arc::clone(&desk.stats)]).namespace(0), None);
}

#[test]
fn whoami_knows_the_pod_from_the_next_batch_on() {
    let mut desk = desk(Stats::new(1));
    desk.server.set_pods(table(&["shop"]));
    assert_eq!(desk.whoami(client("10.0.0.1")), ["client 10.0.0.1 port 4242 udp"]);
    assert!(!desk.refresh(), "the upstreams are those of before");
    let known = [
        "client 10.0.0.1 port 4242 udp",
        "pod p0",
        "namespace shop",
        "network net",
        "search shop.svc.cluster.local. example.com. (from the plugin's configuration)",
        "ndots 5",
    ];
    assert_eq!(desk.whoami(client("10.0.0.1")), known);
    assert_eq!(desk.whoami(client("::ffff:10.0.0.1")), known);
    assert_eq!(desk.whoami(client("10.0.0.2")), ["client 10.0.0.2 port 4242 udp"]);
}

#[test]
fn explain_says_which_pod_asks() {
    let mut desk = desk(Stats::new(1));
    desk.server.set_pods(table(&["shop"]));
    desk.refresh();
    let name: Name = "localhost".parse().unwrap();
    let row = |address| desk.explain(&name, client(address), Tick(0)).swap_remove(1);
    assert_eq!(row("10.0.0.1"), "client 10.0.0.1, pod shop/p0, is allowed to ask");
    assert_eq!(row("10.0.0.2"), "client 10.0.0.2 is allowed to ask");
}
