//! Good files and what they come to.

use std::time::Duration;

use super::*;
use crate::config::{
    Admin, Admit, Cache, Listen, Local, Log, Node, Over, Policy, Refuse, SingleLabel, Source,
    Steer, Transport, UpstreamAddr, UpstreamSource,
};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_route_alone_has_all_defaults() {
    let config = config(ROUTE);
    assert_eq!(config.listen, Listen::default());
    assert_eq!(config.node, Node::default());
    assert_eq!(config.cache, Cache::default());
    assert_eq!(config.admit, Admit::default());
    assert_eq!(config.local, Local::default());
    assert_eq!(config.admin, Admin::default());
    assert_eq!(config.log, Log::default());
    assert_eq!(config.hash, Config::hash_of(ROUTE.as_bytes()));
    let [route] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert!(!route.private);
    assert_eq!(route.policy, Policy::InOrder);
    assert_eq!((route.timeout, route.deadline), (Duration::from_secs(2), Duration::from_secs(4)));
    assert_eq!((route.max_ttl, route.max_negative_ttl, route.stale), (24 * HOUR, HOUR, 24 * HOUR));
    assert_eq!((route.servfail_as_nxdomain, route.ports), (false, 16));
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
    assert_eq!(config.cache.memory, 1 << 30);
    assert_eq!(config.admit.allow, [Source::Prefix("10.0.0.0/8".parse().unwrap())]);
    let admit = &config.admit;
    assert_eq!((admit.debug.len(), admit.refuse), (0, Refuse::Drop));
    assert_eq!((admit.rate, admit.burst, admit.rate_table), (1_000_000, 1, 1024));
    assert_eq!(admit.over, Over::Drop);
    assert_eq!(admit.cookie_secret, "e5e973e5a6b2a43f48e7dc849e37bfcf".parse().ok());
    assert_eq!(config.local.single_label, SingleLabel::Forward);
    assert_eq!((config.admin.address, &config.admin.control), (None, &None));
    let log = format!("{:?}", config.log);
    assert_eq!(log, "Log { level: Trace, format: Json, queries: All }");
}

#[test]
fn warnings() {
    let text = r#"[node]
notrack = true
steer = ["kubelet", "cni", "service-ip"]
[[route]]
name = "a"
suffixes = ["a"]
upstreams = ["10.0.0.1", "10.0.0.1:53"]
private = false
"#;
    let hint = "a later version will; until then name the listening address in the kubelet's \
        clusterDNS";
    assert_eq!(
        shown(&read(text).unwrap().warnings),
        [
            "2:11 node.notrack: notrack is not done by this version; \
             a later version will; until then rules of your own can"
                .to_owned(),
            format!("3:21 node.steer[1]: steering by cni is not done by this version; {hint}"),
            format!("3:28 node.steer[2]: steering by service-ip is not done by this version; {hint}"),
            "4:1 route: no route has the suffix \".\": names outside all suffixes will be REFUSED; \
             add a route with suffixes = [\".\"] unless that is meant"
                .into(),
            "7:26 route[0].upstreams[1]: \"10.0.0.1:53\" is listed twice; remove one of them".into(),
            "8:11 route[0].private: names of this route may be sent to another route's upstreams; \
             leave the key out unless that is meant"
                .into(),
        ]
    );
}
