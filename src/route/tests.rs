#![allow(clippy::unwrap_used)]
use super::*;

fn table(routes: &[(&[&str], &[&str])]) -> RouteTable {
    let mut table = RouteTable {
        suffixes: HashMap::default(),
        label_counts: 0,
        v4: Prefixes::default(),
        v6: Prefixes::default(),
    };
    for (index, (suffixes, reverse)) in routes.iter().enumerate() {
        for suffix in *suffixes {
            table.add_suffix(&suffix.parse().unwrap(), index as u16);
        }
        for prefix in *reverse {
            let (addr, len) = prefix.split_once('/').unwrap();
            let prefix = Prefix { addr: addr.parse().unwrap(), len: len.parse().unwrap() };
            table.add_prefix(prefix, index as u16);
        }
    }
    table
}

fn owner(table: &RouteTable, name: &str) -> Option<u16> {
    table.find(name.parse::<Name>().unwrap().as_wire()).map(|m| m.route)
}

#[test]
fn the_longest_suffix_at_a_label_wins() {
    let table = table(&[
        (&["cluster.local"], &[]),
        (&["c.binrc.com"], &[]),
        (&["."], &[]),
        (&["svc.cluster.local"], &[]),
    ]);
    for (name, route) in [
        ("a.cluster.local", 0),
        ("cluster.local", 0),
        ("CLUSTER.Local", 0),
        ("a.svc.cluster.local", 3),
        ("xcluster.local", 2),
        ("cluster.local.example", 2),
        ("db.c.binrc.com", 1),
        ("binrc.com", 2),
        ("xc.binrc.com", 2),
        (".", 2),
        ("local", 2),
    ] {
        assert_eq!(owner(&table, name), Some(route), "{name}");
    }
}

#[test]
fn without_a_root_some_names_have_no_owner() {
    let table = table(&[(&["cluster.local"], &[])]);
    assert_eq!(owner(&table, "example.com"), None);
    assert_eq!(owner(&table, "."), None);
}

#[test]
fn reverse_prefixes_of_any_length() {
    let table = table(&[
        (&[], &["10.96.0.0/12", "10.244.16.0/20", "fd00:10:96::/112", "10.0.0.128/25"]),
        (&["."], &[]),
        (&["5.244.10.in-addr.arpa"], &["100.64.0.0/10", "fd7a:115c:a1e0::/48", "10.100.0.0/16"]),
    ]);
    for (name, route) in [
        ("10.0.96.10.in-addr.arpa", 0),
        ("1.2.111.10.in-addr.arpa", 0),
        ("1.2.112.10.in-addr.arpa", 1),
        ("1.2.95.10.in-addr.arpa", 1),
        ("96.10.in-addr.arpa", 0),
        ("10.in-addr.arpa", 1),
        ("1.1.100.10.in-addr.arpa", 2),
        ("16.244.10.in-addr.arpa", 0),
        ("31.244.10.in-addr.arpa", 0),
        ("32.244.10.in-addr.arpa", 1),
        ("9.5.244.10.in-addr.arpa", 2),
        ("127.0.0.10.in-addr.arpa", 1),
        ("128.0.0.10.in-addr.arpa", 0),
        ("0/26.0.96.10.in-addr.arpa", 0),
        ("b._dns-sd._udp.0.0.96.10.in-addr.arpa", 0),
        ("1.127.100.in-addr.arpa", 2),
        ("1.128.100.in-addr.arpa", 1),
        ("256.96.10.in-addr.arpa", 0),
        ("010.96.10.in-addr.arpa.example", 1),
        ("x10.96.10.xin-addr.arpa", 1),
        ("in-addr.arpa", 1),
        ("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", 2),
        ("1.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", 2),
        ("e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", 1),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa", 0),
        ("1.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa", 1),
    ] {
        assert_eq!(owner(&table, name), Some(route), "{name}");
    }
}

#[test]
fn a_match_explains_itself() {
    let table = table(&[(&["cluster.local"], &["10.96.0.0/12"]), (&["."], &[])]);
    let say = |text: &str| {
        let name: Name = text.parse().unwrap();
        let found = table.find(name.as_wire()).unwrap();
        (found.describe(name.as_wire()), found.is_apex(name.as_wire()))
    };
    assert_eq!(say("a.b.cluster.local"), ("suffix cluster.local.".into(), false));
    assert_eq!(say("cluster.local"), ("suffix cluster.local.".into(), true));
    assert_eq!(say("example.com"), ("suffix .".into(), false));
    assert_eq!(say("1.0.96.10.in-addr.arpa"), ("reverse 10.96.0.0/12".into(), false));
}

#[test]
fn ten_thousand_suffixes() {
    let names: Vec<String> = (0..10_000).map(|i| format!("s{i}.example")).collect();
    let suffixes: Vec<&str> = names.iter().map(String::as_str).collect();
    let table = table(&[(&suffixes, &[]), (&["."], &[])]);
    assert_eq!(owner(&table, "a.b.s9999.example"), Some(0));
    assert_eq!(owner(&table, "a.b.s10000.example"), Some(1));
}
