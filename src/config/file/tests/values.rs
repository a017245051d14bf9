//! Good files and what they come to.

use std::time::Duration;

use super::*;
use crate::config::{
    Admin, Admit, Cache, Listen, Local, LocalRecord, Log, Nat64, Node, Over, Pods, Policy,
    PrivateReverse, Refuse, Rewrite, RewriteKind, SingleLabel, Source, Steer, Transport,
    UpstreamAddr, UpstreamSource,
};
use crate::wire::rtype;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_route_alone_has_all_defaults() {
    let config = config(ROUTE);
    assert_eq!(config.listen, Listen::default());
    assert_eq!(config.node, Node::default());
    assert_eq!(config.cache, Cache::default());
    assert_eq!(config.admit, Admit::default());
    assert_eq!(config.local, Local::default());
    assert_eq!(config.pods, Pods::default());
    assert_eq!(config.admin, Admin::default());
    assert_eq!(config.log, Log::default());
    assert_eq!(config.hash, Config::hash_of(ROUTE.as_bytes()));
    let [route] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert!(!route.private);
    assert_eq!(route.policy, Policy::InOrder);
    assert_eq!((route.timeout, route.deadline), (Duration::from_secs(2), Duration::from_secs(4)));
    assert_eq!((route.max_ttl, route.max_negative_ttl, route.stale), (24 * HOUR, HOUR, 24 * HOUR));
    assert_eq!((route.follow_private, route.randomize_case), (false, false));
    assert_eq!((route.rebind_protection, route.rebind_allow.len()), (false, 0));
    assert_eq!((route.servfail_as_nxdomain, route.ports, route.dns64), (false, 16, None));
}

#[test]
fn private_routes_keep_negatives_and_stale_answers_for_a_short_time() {
    let text = "[cache]\nstale = \"2h\"\n[[route]]\nname = \"a\"\nreverse = [\"10.0.0.0/8\"]\n\
        upstreams = [\"tcp://10.0.0.1\"]\n";
    let config = config(&format!("{text}{ROUTE}"));
    let (a, internet) = (&config.routes[0], &config.routes[1]);
    assert!(a.private && !internet.private);
    assert_eq!(a.max_negative_ttl, Duration::from_secs(5));
    assert_eq!(a.stale, Duration::from_secs(60));
    assert_eq!(internet.stale, 2 * HOUR);
    let tcp = UpstreamAddr { addr: "10.0.0.1:53".parse().unwrap(), transport: Transport::Tcp };
    assert_eq!(a.upstreams, [UpstreamSource::Server(tcp)]);
    assert_eq!(a.reverse, ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn every_key_arrives() {
    let config = config(
        r#"
        listen = { addresses = ["10.0.0.9", "[fd00::9]:54"], shards = 3, receive_buffer = 0x10000,
            in_flight = 64, waiting = 4_194_304, drain = "0s", tcp = { connections = 1,
            per_client = 2, pipeline = 3, idle = "1s", read = "100ms", write = "1m" } }
        node = { interface = "dns0", leave_on_exit = true, notrack = true, steer = ["kubelet"],
            name = "n" }
        [[route]]
        name = "a-1_b"
        suffixes = ["Example.COM", "example.org."]
        upstreams = ["/etc/resolv.conf"]
        policy = "round-robin"
        timeout = "50ms"
        deadline = "50ms"
        private = false
        servfail_as_nxdomain = true
        max_ttl = "7d"
        max_negative_ttl = "1d"
        stale = "0s"
        ports = 256
        follow_private = true
        rebind_protection = true
        rebind_allow = ["Intra.Example.com", "."]
        randomize_case = true
        dns64 = "2001:db8:64::/48"
        [cache]
        memory = "1GiB"
        [admit]
        allow = ["10.0.0.0/8"]
        debug = []
        refuse = "drop"
        rate = 1_000_000
        burst = 1
        over = "drop"
        rate_table = 1024
        cookie_secret = "E5E973E5A6B2A43F48E7DC849E37BFCF"
        [local]
        single_label = "forward"
        private_reverse = "nxdomain"
        hosts = "/etc/horizond/hosts"
        hosts_ttl = "0s"
        [[local.record]]
        name = "Printer.LAN"
        type = "A"
        value = ["10.0.0.7", "10.0.0.8"]
        ttl = "7d"
        ptr = true
        [[local.rewrite]]
        from = "Corp.example"
        to = "corp.svc.cluster.local"
        match = "suffix"
        [pods]
        dir = ""
        metrics = true
        namespaces = 1000
        autopath = true
        [admin]
        address = ""
        control = ""
        [log]
        level = "trace"
        format = "json"
        queries = "all"
        "#,
    );
    let listen = &config.listen;
    assert_eq!(listen.addresses, ["10.0.0.9:53".parse().unwrap(), "[fd00::9]:54".parse().unwrap()]);
    assert_eq!((listen.shards, listen.receive_buffer), (Some(3), 65_536));
    assert_eq!((listen.in_flight, listen.waiting, listen.drain), (64, 4_194_304, Duration::ZERO));
    assert_eq!((listen.tcp.connections, listen.tcp.per_client, listen.tcp.pipeline), (1, 2, 3));
    let millis = [listen.tcp.idle, listen.tcp.read, listen.tcp.write].map(|d| d.as_millis());
    assert_eq!(millis, [1000, 100, 60_000]);
    let node = Node {
        interface: Some("dns0".into()),
        leave_on_exit: true,
        notrack: true,
        steer: vec![Steer::Kubelet],
        cluster_dns: vec!["10.96.0.10".parse().unwrap()],
        stand_ins: Vec::new(),
        name: Some("n".into()),
    };
    assert_eq!(config.node, node);
    let route = &config.routes[0];
    assert_eq!(route.name, "a-1_b");
    assert_eq!(route.suffixes, ["example.com".parse().unwrap(), "example.org".parse().unwrap()]);
    assert_eq!(route.upstreams, [UpstreamSource::ResolvConf("/etc/resolv.conf".into())]);
    assert_eq!((route.policy, route.ports), (Policy::RoundRobin, 256));
    assert_eq!((route.private, route.servfail_as_nxdomain), (false, true));
    assert_eq!((route.timeout.as_millis(), route.deadline.as_millis()), (50, 50));
    assert_eq!((route.max_ttl, route.max_negative_ttl), (7 * 24 * HOUR, 24 * HOUR));
    assert_eq!(route.stale, Duration::ZERO);
    assert_eq!((route.follow_private, route.randomize_case), (true, true));
    assert!(route.rebind_protection);
    assert_eq!(route.rebind_allow, ["intra.example.com".parse().unwrap(), ".".parse().unwrap()]);
    assert_eq!(route.dns64, Some("2001:db8:64::/48".parse().unwrap()));
    assert_eq!(config.cache.memory, 1 << 30);
    assert_eq!(config.admit.allow, [Source::Prefix("10.0.0.0/8".parse().unwrap())]);
    let admit = &config.admit;
    assert_eq!((admit.debug.len(), admit.refuse), (0, Refuse::Drop));
    assert_eq!((admit.rate, admit.burst, admit.rate_table), (1_000_000, 1, 1024));
    assert_eq!(admit.over, Over::Drop);
    assert_eq!(admit.cookie_secret, "e5e973e5a6b2a43f48e7dc849e37bfcf".parse().ok());
    every_local_key_arrived(&config.local);
    assert_eq!(config.pods, Pods { dir: None, metrics: true, namespaces: 1000, autopath: true });
    assert_eq!((config.admin.address, &config.admin.control), (None, &None));
    let log = format!("{:?}", config.log);
    assert_eq!(log, "Log { level: Trace, format: Json, queries: All }");
}

fn every_local_key_arrived(local: &Local) {
    assert_eq!(local.single_label, SingleLabel::Forward);
    assert_eq!(local.private_reverse, PrivateReverse::NxDomain);
    assert_eq!(local.hosts.as_deref(), Some(Path::new("/etc/horizond/hosts")));
    assert_eq!(local.hosts_ttl, Duration::ZERO);
    let of = |name: &str, rtype, rdata: &[&[u8]]| LocalRecord {
        name: name.parse().unwrap(),
        rtype,
        rdata: rdata.iter().map(|rdata| (*rdata).into()).collect(),
        ttl: 168 * HOUR,
    };
    let back: &[&[u8]] = &[b"\x07printer\x03lan\0"];
    assert_eq!(
        local.records,
        [
            of("7.0.0.10.in-addr.arpa", rtype::PTR, back),
            of("8.0.0.10.in-addr.arpa", rtype::PTR, back),
            of("printer.lan", rtype::A, &[&[10, 0, 0, 7], &[10, 0, 0, 8]]),
        ]
    );
    let (from, to) = ("corp.example", "corp.svc.cluster.local");
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    assert_eq!(local.rewrites, [Rewrite { kind: RewriteKind::Suffix, from, to }]);
}

/// The data of the only record.
fn rdata(rtype: &str, value: &str) -> Vec<u8> {
    let record = format!("[[local.record]]\nname = \"a.lan\"\ntype = {rtype:?}\nvalue = {value}\n");
    let mut records = config(&format!("{record}{ROUTE}")).local.records;
    assert_eq!((records.len(), records[0].rdata.len()), (1, 1));
    assert_eq!(records[0].ttl, Duration::from_secs(300));
    records.remove(0).rdata.remove(0).into()
}

#[test]
fn data_of_records() {
    for (rtype, value, expected) in [
        ("A", "10.0.0.7", &[10, 0, 0, 7][..]),
        ("AAAA", "::7", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
        ("CNAME", "B.example.", b"\x01b\x07example\0"),
        ("PTR", "b.lan", b"\x01b\x03lan\0"),
        ("MX", "10  mail.lan", b"\0\x0a\x04mail\x03lan\0"),
        ("MX", "0 .", b"\0\0\0"),
        ("SRV", "1 2 258 sip.lan", b"\0\x01\0\x02\x01\x02\x03sip\x03lan\0"),
        ("SRV", "0 0 0 .", b"\0\0\0\0\0\0\0"),
        ("TXT", "", b"\0"),
        ("TXT", "\u{e9} ;", b"\x04\xc3\xa9 ;"),
    ] {
        assert_eq!(rdata(rtype, &format!("{value:?}")), expected, "{rtype} {value}");
        assert_eq!(rdata(rtype, &format!("[{value:?}]")), expected, "{rtype} {value}");
    }
    let long = rdata("TXT", &format!("\"{}\"", "x".repeat(256)));
    assert_eq!((long.len(), long[0], long[256]), (258, 255, 1));
}

#[test]
fn a_name_of_its_own_for_each_type_and_wildcards() {
    let record = |name: &str, rtype: &str, value: &str| {
        format!("[[local.record]]\nname = {name:?}\ntype = {rtype:?}\nvalue = {value:?}\n")
    };
    let text = record("a.lan", "A", "10.0.0.1")
        + &record("a.lan", "AAAA", "fd00::1")
        + &record("*.lan", "CNAME", "a.lan")
        + &record("fd00::1", "PTR", "a.lan")
        + ROUTE;
    let records = config(&text).local.records;
    let names: Vec<_> = records.iter().map(|record| record.name.to_string()).collect();
    let reverse = format!("1.{}0.0.d.f.ip6.arpa.", "0.".repeat(27));
    assert_eq!(names, ["a.lan.", "a.lan.", "*.lan.", reverse.as_str()]);
}

#[test]
fn warnings_about_local_data() {
    let text = r#"[[local.record]]
name = "a.lan"
type = "A"
value = ["10.0.0.1", "10.0.0.1"]
[[local.rewrite]]
from = "a"
to = "b.c"
[[local.rewrite]]
match = "suffix"
from = "c"
to = "d"
[[local.record]]
name = "*.x.c"
type = "TXT"
value = "never found"
"#;
    let loaded = read(&format!("{text}{ROUTE}")).unwrap();
    assert_eq!(loaded.config.local.records[0].rdata.len(), 1);
    assert_eq!(
        shown(&loaded.warnings),
        [
            "4:22 local.record[0].value[1]: this value is listed twice; remove one of them",
            "6:8 local.rewrite[0]: \"b.c.\" is not rewritten again by line 10: a query is rewritten \
             once; write the name that shall be asked for in the end",
            "10:8 local.rewrite[1]: \"*.x.c.\" has records, which are not found: this comes before \
             them; give the records to the name that is asked for instead",
        ]
    );
}

#[test]
fn warnings_about_pods_of_which_nothing_is_known() {
    let text = format!("[pods]\ndir = \"\"\nmetrics = true\nautopath = true\n{ROUTE}");
    let why =
        "without pod records no pod is known, and this has no effect; set dir, or leave this out";
    assert_eq!(
        shown(&read(&text).unwrap().warnings),
        [format!("3:11 pods.metrics: {why}"), format!("4:12 pods.autopath: {why}")]
    );
}

#[test]
fn steering_lets_this_server_ask_itself() {
    let of = |node: &str, allow: &str| {
        let listen = "[listen]\naddresses = [\"169.254.20.10\", \"[fd00:5353::10]:53\"]\n";
        read(&format!("{listen}[node]\n{node}\n[admit]\nallow = [{allow}]\n{ROUTE}"))
    };
    let cni = "steer = [\"cni\"]";
    let why = "6:9 admit.allow: this server's own questions, which come from fd00:5353::10 too, will be \
               refused: it will leave the pods of cni and service-ip to the cluster's DNS; add \"node\"";
    let warnings = |node: &str, allow: &str| shown(&of(node, allow).unwrap().warnings);
    assert_eq!(warnings(cni, "\"10.244.0.0/16\", \"169.254.0.0/16\""), [why]);
    let none = [""; 0];
    assert_eq!(warnings(cni, "\"10.244.0.0/16\", \"node\""), none);
    assert_eq!(warnings(cni, "\"169.254.20.10/32\", \"fd00:5353::/32\""), none);
    assert_eq!(warnings("steer = [\"kubelet\"]", "\"10.244.0.0/16\""), none);
}

#[test]
fn warnings_about_what_has_no_effect_on_the_node() {
    let text = format!("[node]\nleave_on_exit = true\nstand_ins = [\"169.254.20.11\"]\n{ROUTE}");
    assert_eq!(
        shown(&read(&text).unwrap().warnings),
        [
            "2:17 node.leave_on_exit: without interface, notrack and steer nothing is made that could \
             be left, and this has no effect; leave it out",
            "3:13 node.stand_ins: nothing is led to stand-ins but by \"cni\" in steer, and this has no \
             effect; leave it out, or steer by cni",
        ]
    );
}

#[test]
fn warnings() {
    let text = r#"[node]
notrack = true
steer = ["kubelet"]
[[route]]
name = "a"
suffixes = ["a"]
upstreams = ["10.0.0.1", "10.0.0.1:53"]
private = false
[[route]]
name = "b"
suffixes = ["b"]
upstreams = ["10.0.0.1"]
follow_private = true
rebind_allow = ["c.b"]
"#;
    assert_eq!(
        shown(&read(text).unwrap().warnings),
        [
            "4:1 route: no route has the suffix \".\": names outside all suffixes will be REFUSED; \
             add a route with suffixes = [\".\"] unless that is meant"
                .to_owned(),
            "7:26 route[0].upstreams[1]: \"10.0.0.1:53\" is listed twice; remove one of them".into(),
            "8:11 route[0].private: names of this route may be sent to another route's upstreams; \
             leave the key out unless that is meant"
                .into(),
            "13:18 route[1].follow_private: a private route follows its aliases in any case; \
             leave the key out"
                .into(),
            "14:16 route[1].rebind_allow: nothing is removed that this could allow; \
             add rebind_protection = true, or leave the key out"
                .into(),
        ]
    );
}

#[test]
fn dns64_prefixes() {
    let with = |text: &str| config(&format!("{ROUTE}dns64 = \"{text}\"\n")).routes[0].dns64;
    assert_eq!(with(""), None);
    assert_eq!(with("64:ff9b::/96"), Some(Nat64::WELL_KNOWN));
    for text in
        ["2001:db8::/32", "2001:db8::/40", "2001:db8::/48", "2001:db8::/56", "2001:db8::/64"]
    {
        assert_eq!(with(text).unwrap().to_string(), text);
    }
}

#[test]
fn the_well_known_prefix_is_of_little_use_to_a_private_route() {
    let text = |prefix| {
        let route = ROUTE.replace("internet", "a").replace("\".\"", "\"a\"");
        format!("{ROUTE}{route}dns64 = \"{prefix}\"\n")
    };
    let warned = "9:9 route[1].dns64: private addresses are not translated with the well-known \
        prefix; use a prefix of your own, unless the addresses here are public";
    assert_eq!(shown(&read(&text("64:ff9b::/96")).unwrap().warnings), [warned]);
    assert!(read(&text("64:ff9b:1::/96")).unwrap().warnings.is_empty());
}
