#![allow(clippy::unwrap_used)]
use super::*;

fn record(container: &str, address: &str, when: u64) -> PodRecord {
    PodRecord {
        version: 1,
        network: "net".into(),
        container: container.into(),
        interface: "eth0".into(),
        netns: "/run/netns/a".into(),
        netns_id: None,
        addresses: vec![address.parse().unwrap()],
        namespace: Some("shop".into()),
        pod: Some(format!("pod-{container}")),
        uid: Some("1-2".into()),
        search: vec!["Shop.svc.cluster.local".into()],
        search_from: SearchFrom::Runtime,
        ndots: Some(5),
        redirect: Vec::new(),
        when_unix_s: when,
    }
}

fn pod(record: &PodRecord) -> Arc<Pod> {
    Arc::new(Pod::of(record, &mut Namespaces::new(2)).unwrap())
}

fn table(records: &[PodRecord]) -> Table {
    Table::new(records.iter().map(pod).collect(), 0, &Namespaces::new(2))
}

fn at(table: &Table, address: &str) -> Option<String> {
    table.find(address.parse().unwrap()).map(|pod| pod.to_string())
}

#[test]
fn a_pod_is_found_by_each_of_its_addresses() {
    let mut both = record("a", "10.0.0.1", 1);
    both.addresses.push("fd00::1".parse().unwrap());
    let table = table(&[both, record("b", "::ffff:10.0.0.2", 1)]);
    assert_eq!(at(&table, "10.0.0.1").unwrap(), "shop/pod-a");
    assert_eq!(at(&table, "::ffff:10.0.0.1").unwrap(), "shop/pod-a");
    assert_eq!(at(&table, "fd00::1").unwrap(), "shop/pod-a");
    assert_eq!(at(&table, "10.0.0.2").unwrap(), "shop/pod-b");
    assert_eq!(at(&table, "10.0.0.3"), None);
    let found = table.find("10.0.0.1".parse().unwrap()).unwrap();
    assert_eq!(found.search[0].as_wire(), b"\x04shop\x03svc\x07cluster\x05local\0");
    assert_eq!((found.ndots, found.slot), (Some(5), 2));
    assert_eq!(Table::default().find("10.0.0.1".parse().unwrap()), None);
}

#[test]
fn the_record_written_last_has_the_address() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let all = [("a", 5), ("b", 7), ("c", 6)];
        let records = order.map(|i| record(all[i].0, "10.0.0.1", all[i].1));
        assert_eq!(at(&table(&records), "10.0.0.1").unwrap(), "shop/pod-b", "{order:?}");
    }
}

#[test]
fn a_pod_in_two_networks_is_one() {
    let mut second = record("a", "10.1.0.1", 1);
    second.network = "other-net".into();
    let table = table(&[record("a", "10.0.0.1", 1), second, record("b", "10.0.0.2", 1)]);
    assert_eq!((table.len(), table.records().len()), (2, 3));
    assert!(at(&table, "10.1.0.1").is_some() && at(&table, "10.0.0.1").is_some());
}

#[test]
fn nobody_takes_the_nodes_own_addresses() {
    let all = ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:127.0.0.1"];
    let records: Vec<_> = all.map(|address| record("a", address, 1)).into();
    let table = table(&records);
    for address in all {
        assert_eq!(at(&table, address), None, "{address}");
    }
}

#[test]
fn words_that_would_spoil_a_line_are_refused_and_missing_ones_are_not() {
    for bad in ["a b", "a/b", "\u{e9}", "a\"", &"x".repeat(254)] {
        for set in [
            (|r, bad| r.namespace = Some(bad)) as fn(&mut PodRecord, String),
            |r, bad| r.pod = Some(bad),
            |r, bad| r.uid = Some(bad),
        ] {
            let mut record = record("a", "10.0.0.1", 1);
            set(&mut record, bad.to_owned());
            let mut namespaces = Namespaces::new(2);
            assert!(Pod::of(&record, &mut namespaces).is_err(), "{bad}");
            assert_eq!(namespaces.names().len(), 2, "a refused record takes no slot");
        }
    }
    let mut nameless = record("a", "10.0.0.1", 1);
    (nameless.namespace, nameless.pod, nameless.uid) = (None, Some(String::new()), None);
    let pod = pod(&nameless);
    assert_eq!((pod.to_string().as_str(), pod.slot), ("-/-", 0));
}

#[test]
fn namespaces_keep_their_slots_and_the_rest_is_other() {
    let mut namespaces = Namespaces::new(2);
    let asked = [Some("a"), None, Some("other"), Some("b"), Some("c"), Some("a"), Some("c")];
    let slots: Vec<_> = asked.iter().map(|name| namespaces.slot(*name)).collect();
    assert_eq!(slots, [2, 0, 1, 3, 1, 2, 1]);
    let names: Vec<_> = namespaces.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["(none)", "other", "a", "b"]);
    assert_eq!(names.len(), Namespaces::slots(2));
}

#[test]
fn whoever_holds_a_table_is_not_the_one_to_take_it_apart() {
    let known = Known::default();
    let first = pod(&record("a", "10.0.0.1", 1));
    let weak = Arc::downgrade(&first);
    known.store(Table::new(vec![first], 0, &Namespaces::new(1)));
    let held = known.load();
    known.store(Table::default());
    known.store(Table::default());
    drop(held);
    assert!(weak.upgrade().is_some(), "the holder took it apart");
    known.tidy();
    assert!(weak.upgrade().is_none());
    assert!(known.load().is_empty());
}
