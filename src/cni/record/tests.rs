#![allow(clippy::unwrap_used)]
use super::*;

fn record() -> PodRecord {
    PodRecord {
        version: VERSION,
        network: "cbr0".into(),
        container: "0123abcd".into(),
        interface: "eth0".into(),
        netns: "/run/netns/cni-1".into(),
        netns_id: Some(NamespaceId(4, 4_026_532_008)),
        addresses: vec!["10.244.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
        namespace: Some("default".into()),
        pod: Some("web-0".into()),
        uid: None,
        search: vec!["default.svc.cluster.local".into(), "cluster.local".into()],
        search_from: SearchFrom::Runtime,
        ndots: Some(5),
        redirect: vec![("10.96.0.10".parse().unwrap(), "169.254.20.11".parse().unwrap())],
        when_unix_s: 1_780_000_000,
    }
}

#[test]
fn what_is_written_is_read() {
    let json = record().to_json();
    assert_eq!(PodRecord::parse(&json).unwrap(), record());
    let text = String::from_utf8(json).unwrap();
    assert!(text.starts_with("{\"version\":1,\"network\":\"cbr0\",") && text.ends_with("}\n"));
    assert!(text.contains("\"netns_id\":[4,4026532008]"));
    assert!(text.contains("\"search_from\":\"runtime\"") && !text.contains("uid"));
    assert!(text.contains("\"redirect\":[[\"10.96.0.10\",\"169.254.20.11\"]]"));
}

#[test]
fn what_is_not_needed_may_be_lacking_and_what_is_unknown_is_passed_over() {
    let json = br#"{"version":1,"network":"n","container":"c","interface":"eth0","netns":"",
        "when_unix_s":0,"of_the_future":{"x":[1]}}"#;
    let record = PodRecord::parse(json).unwrap();
    assert_eq!((record.ndots, record.search_from), (None, SearchFrom::Configuration));
    assert!(record.addresses.is_empty() && record.redirect.is_empty());
}

#[test]
fn what_is_no_record_is_refused() {
    let with = |change: &dyn Fn(&mut PodRecord)| {
        let mut record = record();
        change(&mut record);
        PodRecord::parse(&record.to_json()).unwrap_err().to_string()
    };
    assert_eq!(with(&|r| r.version = 2), "version 2, and 1 is read here");
    assert!(with(&|r| r.network = "../x".into()).starts_with("network: \"../x\" is not"));
    assert!(with(&|r| r.container = String::new()).starts_with("container: "));
    assert!(with(&|r| r.interface = "a/b".into()).starts_with("interface: "));
    assert!(with(&|r| r.pod = Some("a\nb".into())).starts_with("pod: "));
    assert!(with(&|r| r.netns = "x".repeat(MAX_TEXT + 1)).starts_with("netns: "));
    assert!(with(&|r| r.search = vec!["a..b".into()]).starts_with("search: \"a..b\""));
    assert!(with(&|r| r.search = vec!["a\nb".into()]).starts_with("search: "));
    let many = |r: &mut PodRecord| r.addresses = vec![[10, 0, 0, 1].into(); MAX_ADDRESSES + 1];
    assert_eq!(with(&many), "addresses: 65 elements; at most 64");
    assert_eq!(with(&|r| r.search = vec!["a".into(); 65]), "search: 65 elements; at most 64");
    let long = vec![b' '; MAX_RECORD + 1];
    assert!(matches!(PodRecord::parse(&long), Err(RecordError::TooLong)));
    for bytes in [&b""[..], b"[]", b"{}", b"{\"version\":\"1\"}", b"{\"version\":1}", b"\xff"] {
        assert!(matches!(PodRecord::parse(bytes), Err(RecordError::Json(_))), "{bytes:?}");
    }
}

#[test]
fn file_names() {
    let identity = record().identity().unwrap();
    assert_eq!(identity.file_name(), "cbr0_0123abcd_eth0.json");
}
