#![allow(clippy::unwrap_used)]
use super::super::json::MAX_STDIN;
use super::*;

/// What containerd writes for ADD, of a conflist that HeadCNI made.
const ADD: &str = r#"{
  "cniVersion": "1.0.0", "name": "cbr0", "type": "horizond-cni",
  "capabilities": {"dns": true, "io.kubernetes.cri.pod-annotations": true},
  "redirect": "required",
  "runtimeConfig": {
    "dns": {"Servers": ["10.96.0.10"], "Searches": ["shop.svc.cluster.local"], "Options": null},
    "io.kubernetes.cri.pod-annotations": {"horizond.io/dns": "off", "note": "two\nlines"}
  },
  "prevResult": {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x", "mtu": 1420}],
    "ips": [{"address": "10.244.1.7/24", "gateway": "10.244.1.1", "interface": 0}],
    "dns": {"domain": "d"},
    "of the future": {"x": [1, 2.5, null]}
  }
}"#;

fn changed(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
    let mut value: Map<String, Value> = serde_json::from_str(ADD).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}

fn with(key: &str, value: Value) -> Vec<u8> {
    changed(|keys| drop(keys.insert(key.into(), value)))
}

#[test]
fn add_as_containerd_asks() {
    let conf = Conf::parse(ADD.as_bytes()).unwrap();
    assert_eq!(conf.version, Version::V1_0_0);
    assert_eq!((conf.network.as_str(), conf.plugin.as_str()), ("cbr0", "horizond-cni"));
    let dns = conf.runtime.dns.as_ref().unwrap();
    assert_eq!(dns.nameservers, ["10.96.0.10"]);
    assert_eq!(dns.search, ["shop.svc.cluster.local"]);
    assert!(conf.runtime.is_opted_out());
    assert_eq!(conf.previous.unwrap().dns().unwrap().domain.as_deref(), Some("d"));
}

#[test]
fn the_result_is_handed_on_with_all_its_keys() {
    let came: Value = serde_json::from_str::<Value>(ADD).unwrap()["prevResult"].clone();
    let hand_on = |version, dns: &Dns| {
        Conf::parse(ADD.as_bytes()).unwrap().previous.unwrap().with_dns(version, dns)
    };
    let dns = Dns { nameservers: vec!["169.254.20.10".into()], ..Dns::default() };
    let mut expected = came.clone();
    expected["dns"] = json!({"nameservers": ["169.254.20.10"]});
    assert_eq!(hand_on(Version::V1_0_0, &dns), expected);
    expected["cniVersion"] = json!("0.4.0");
    expected["ips"][0]["version"] = json!("4");
    expected.as_object_mut().unwrap().remove("dns");
    assert_eq!(hand_on(Version::V0_4_0, &Dns::default()), expected);
}

#[test]
fn a_result_of_another_version() {
    let of = |version: &str, ips: Value| {
        let previous = json!({"cniVersion": version, "ips": ips});
        Conf::parse(&with("prevResult", previous)).map(|conf| conf.previous.unwrap())
    };
    // A newer one has no version of IP, an older one has, and what is there stays.
    let ips = json!([{"address": "10.0.0.5/24"}, {"address": "fd00::5/64", "interface": 0},
        {"address": "10.0.0.6/24", "version": "4"}]);
    let mut old = ips.clone();
    old[0]["version"] = json!("4");
    old[1]["version"] = json!("6");
    for (version, expected) in [
        (Version::V0_3_1, &old),
        (Version::V0_4_0, &old),
        (Version::V1_0_0, &ips),
        (Version::V1_1_0, &ips),
    ] {
        let result = of("1.0.0", ips.clone()).unwrap().in_version(version);
        assert_eq!(result, json!({"cniVersion": version.as_str(), "ips": expected}));
    }
    let kept = of("0.4.0", old.clone()).unwrap().in_version(Version::V1_1_0);
    assert_eq!(kept["ips"], old);
    for version in ["0.1.0", "0.2.0"] {
        let error = of(version, json!(null)).unwrap_err();
        assert_eq!(error.code(), 1);
        assert!(error.details().starts_with(&format!("prevResult is of {version}")), "{error:?}");
    }
}

#[test]
fn what_may_be_absent() {
    for version in Version::ALL {
        let conf =
            json!({"cniVersion": version.as_str(), "name": "n", "type": "t", "prevResult": null});
        let conf = Conf::parse(conf.to_string().as_bytes()).unwrap();
        assert_eq!((conf.version, conf.previous), (version, None));
        assert_eq!(conf.runtime, Runtime::default());
        assert!(!conf.runtime.is_opted_out());
    }
    for runtime in [
        json!(null),
        json!({}),
        json!({"dns": null}),
        json!({"dns": {"Servers": null, "Searches": null, "Options": null}}),
        json!({"io.kubernetes.cri.pod-annotations": {"horizond.io/dns": "Off", "x": 1}}),
    ] {
        let conf = Conf::parse(&with("runtimeConfig", runtime)).unwrap();
        assert_eq!(conf.runtime.dns, None);
        assert!(!conf.runtime.is_opted_out());
    }
}

#[test]
fn what_is_refused() {
    let spoken = "spoken here: 0.3.1, 0.4.0, 1.0.0, 1.1.0";
    for (stdin, code, details) in [
        (changed(|keys| drop(keys.remove("cniVersion"))), 1, &*format!("no cniVersion; {spoken}")),
        (with("cniVersion", json!("0.2.0")), 1, &format!("\"0.2.0\" is not {spoken}")),
        (with("cniVersion", json!(1)), 7, "cniVersion: a number where a text belongs"),
        (changed(|keys| drop(keys.remove("name"))), 7, "name: missing"),
        (changed(|keys| drop(keys.remove("type"))), 7, "type: missing"),
        (with("nameserver", json!(1)), 2, "\"nameserver\": \"1\"; did you mean nameservers?"),
        (with("prevResult", json!([])), 7, "prevResult: not an object"),
        (
            with("prevResult", json!({"dns": 1})),
            7,
            "prevResult.dns: a number where an object belongs",
        ),
        (
            with("runtimeConfig", json!({"dns": {"Servers": 1}})),
            7,
            "runtimeConfig.dns.Servers: a number where a list belongs",
        ),
        (with("runtimeConfig", json!([])), 7, "runtimeConfig: a list where an object belongs"),
        (b"[1]".to_vec(), 6, "a list instead of an object"),
        (b"".to_vec(), 6, "EOF while parsing a value at line 1 column 0"),
        (b"{} {}".to_vec(), 6, "trailing characters at line 1 column 4"),
        (b"{\"a\":\"\xff\"}".to_vec(), 6, "invalid unicode code point at line 1 column 7"),
        (b"[".repeat(100_000), 6, "recursion limit exceeded at line 1 column 128"),
        (vec![b' '; MAX_STDIN + 1], 6, "more than 4194304 bytes on standard input"),
    ] {
        let error = Conf::parse(&stdin).unwrap_err();
        assert_eq!((error.code(), error.details()), (code, details));
    }
    for name in ["", "..", "../x", "a/b", "a b"] {
        assert_eq!(Conf::parse(&with("name", json!(name))).unwrap_err().code(), 7, "{name}");
    }
}

#[test]
fn an_error_is_answered_in_the_callers_version() {
    for (stdin, version) in [
        (with("name", json!("..")), Version::V1_0_0),
        (with("cniVersion", json!("0.3.1")), Version::V0_3_1),
        (with("cniVersion", json!("9.0.0")), Version::LATEST),
        (b"{".to_vec(), Version::LATEST),
    ] {
        assert_eq!(Version::to_answer(&stdin), version);
    }
}

#[test]
fn what_goes_is_not_held_up_by_other_keys() {
    let spoilt = changed(|keys| {
        keys.insert("nameservers".into(), json!("spoilt"));
        keys.insert("serach".into(), json!(1));
        keys.insert("prevResult".into(), json!(1));
        keys.insert("podDir".into(), json!("/var/pods"));
    });
    let cleanup = Cleanup::parse(&spoilt).unwrap();
    assert_eq!((cleanup.version, cleanup.network.as_str()), (Version::V1_0_0, "cbr0"));
    assert_eq!((cleanup.pod_dir, cleanup.attachments), (Ok("/var/pods".into()), None));
    for (given, why) in [("pods", "is not an absolute path"), ("/a/../b", "has .. in it")] {
        let error = Cleanup::parse(&with("podDir", json!(given))).unwrap().pod_dir.unwrap_err();
        assert_eq!(error.details(), format!("podDir: {given:?} {why}"));
    }
}

/// All that Kubernetes lets a pod have, as Go writes it.
#[test]
fn no_pod_has_more_annotations_than_are_read() {
    let annotations = json!({ANNOTATIONS: {"note": "<".repeat(256 << 10)}});
    let stdin = String::from_utf8(with("runtimeConfig", annotations)).unwrap();
    let stdin = stdin.replace('<', "\\u003c");
    assert!(stdin.len() > 3 << 19 && stdin.len() < MAX_STDIN / 2);
    let conf = Conf::parse(stdin.as_bytes()).unwrap();
    assert_eq!(conf.runtime.annotations["note"].len(), 256 << 10);
    assert!(Cleanup::parse(stdin.as_bytes()).is_ok());
}

#[test]
fn attachments_that_remain() {
    let read = |value: Value| Cleanup::parse(&with(VALID_ATTACHMENTS, value));
    assert_eq!(read(json!([])).unwrap().attachments, Some(vec![]));
    let two =
        json!([{"containerID": "a1", "ifname": "eth0"}, {"containerID": "a1", "ifname": "net1"}]);
    let remaining = read(two).unwrap().attachments.unwrap();
    let shown: Vec<_> =
        remaining.iter().map(|a| format!("{} {}", a.container, a.interface)).collect();
    assert_eq!(shown, ["a1 eth0", "a1 net1"]);
    for (value, details) in [
        (json!({}), ": an object where a list belongs"),
        (json!(["a1"]), "[0]: a text where an object belongs"),
        (json!([{"containerID": "a1"}]), "[0].ifname: missing"),
        (
            json!([{"containerID": 1, "ifname": "eth0"}]),
            "[0].containerID: a number where a text belongs",
        ),
    ] {
        let error = read(value).unwrap_err();
        assert_eq!((error.code(), error.details()), (7, &*format!("{VALID_ATTACHMENTS}{details}")));
    }
    // What could not have a record has none, and keeps the others from nothing.
    let odd = json!([{"containerID": "../a", "ifname": "eth0"}, {"containerID": "b", "ifname": ""},
        {"containerID": "c", "ifname": "eth0"}]);
    let remaining = read(odd).unwrap().attachments.unwrap();
    assert!(remaining.len() == 1 && remaining[0].container.as_str() == "c", "{remaining:?}");
}

#[test]
fn attachments_by_either_name() {
    let one = |id: &str| json!([{"containerID": id, "ifname": "eth0"}]);
    let read = |change: &dyn Fn(&mut Map<String, Value>)| {
        let attachments = Cleanup::parse(&changed(change)).unwrap().attachments;
        attachments.map(|all| all[0].container.to_string())
    };
    let older = |keys: &mut Map<String, Value>| drop(keys.insert(ATTACHMENTS.into(), one("old")));
    assert_eq!(read(&older).as_deref(), Some("old"));
    let both = |keys: &mut Map<String, Value>| {
        older(keys);
        keys.insert(VALID_ATTACHMENTS.into(), one("new"));
    };
    assert_eq!(read(&both).as_deref(), Some("new"));
    let nobody = |keys: &mut Map<String, Value>| {
        older(keys);
        keys.insert(VALID_ATTACHMENTS.into(), json!(null));
    };
    assert_eq!(read(&nobody).as_deref(), Some("old"));
    // So libcni says that none remain. Who does not know says nothing.
    for key in [VALID_ATTACHMENTS, ATTACHMENTS] {
        let none = Cleanup::parse(&with(key, json!(null))).unwrap();
        assert_eq!(none.attachments, Some(vec![]));
    }
    assert_eq!(Cleanup::parse(&changed(|_| {})).unwrap().attachments, None);
}
