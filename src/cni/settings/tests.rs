#![allow(clippy::unwrap_used)]
use super::*;

fn read(keys: &str) -> Result<Settings, CniError> {
    let value: Value = serde_json::from_str(keys).unwrap();
    Settings::read(value.as_object().unwrap())
}

fn addrs(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn every_key_is_optional() {
    let settings = read(r#"{"type":"horizond-cni","podDir":null,"search":null}"#).unwrap();
    let expected = Settings {
        nameservers: addrs(&["169.254.20.10"]),
        search: vec![],
        options: vec![],
        cluster_dns: addrs(&["10.96.0.10"]),
        pairs: vec![(CLUSTER_DNS, Ipv4Addr::new(169, 254, 20, 11).into())],
        redirect: Redirect::Preferred,
        pod_dir: "/run/horizond/pods".into(),
        dns: Dns::default(),
        magic_dns: None,
    };
    assert_eq!(settings, expected);
    // The entry of the conflist with all keys, as in the manual: the defaults, spelt out.
    let whole = r#"{"type": "horizond-cni",
        "capabilities": {"dns": true, "io.kubernetes.cri.pod-annotations": true},
        "nameservers": ["169.254.20.10"], "search": [], "options": [],
        "clusterDNS": ["10.96.0.10"], "standIns": ["169.254.20.11"], "redirect": "preferred",
        "podDir": "/run/horizond/pods", "magic_dns": {}}"#;
    let expected = Settings { magic_dns: Some(MagicDns::default()), ..expected };
    assert_eq!(read(whole).unwrap(), expected);
}

#[test]
fn every_key_counts() {
    let settings = read(
        r#"{"nameservers":["fd00:5353::10","::ffff:169.254.20.12"],"search":["c.binrc.com"],
        "options":["ndots:2"],"clusterDNS":[],"redirect":"required","podDir":"/var/pods",
        "dns":{"domain":"x"}}"#,
    )
    .unwrap();
    assert_eq!(settings.nameservers, addrs(&["fd00:5353::10", "169.254.20.12"]));
    assert_eq!(
        (settings.search, settings.options),
        (vec!["c.binrc.com".into()], vec!["ndots:2".into()])
    );
    assert_eq!((settings.cluster_dns, settings.redirect), (vec![], Redirect::Required));
    assert_eq!(settings.pod_dir, PathBuf::from("/var/pods"));
    assert_eq!(settings.dns.domain.as_deref(), Some("x"));
}

#[test]
fn stand_ins() {
    let pairs = |keys: &str| read(keys).map(|settings| settings.pairs);
    let one = |a: &str, b: &str| Ok(vec![(a.parse().unwrap(), b.parse().unwrap())]);
    assert_eq!(pairs(r#"{"clusterDNS":["fd00::a"]}"#), one("fd00::a", "fd00:5353::11"));
    assert_eq!(pairs(r#"{"standIns":["10.0.0.1"]}"#), one("10.96.0.10", "10.0.0.1"));
    let error = pairs(r#"{"standIns":["169.254.20.10"]}"#).unwrap_err();
    assert_eq!(error.code(), 7);
    assert!(error.details().starts_with("clusterDNS and standIns: 169.254.20.10 occurs twice"));
}

#[test]
fn headcni_block_as_it_stands() {
    let settings = read(
        r#"{"magic_dns": {"enable": true, "base_domain": "cluster.local",
        "nameservers": ["10.2.0.1"], "search_domains": ["c.binrc.com", "cluster.local"],
        "of_its_next_version": [1, {"x": null}]}}"#,
    )
    .unwrap();
    let expected = MagicDns {
        enable: Some(true),
        base_domain: Some("cluster.local".into()),
        nameservers: vec!["10.2.0.1".into()],
        search_domains: vec!["c.binrc.com".into(), "cluster.local".into()],
    };
    assert_eq!(settings.magic_dns, Some(expected));
    for block in ["{}", r#"{"enable":null,"nameservers":null,"base_domain":""}"#] {
        let settings = read(&format!(r#"{{"magic_dns":{block}}}"#)).unwrap();
        assert_eq!(settings.magic_dns, Some(MagicDns::default()));
    }
}

#[test]
fn values_that_are_wrong() {
    for (keys, details) in [
        (r#"{"nameservers":"x"}"#, "nameservers: a text where a list belongs"),
        (r#"{"nameservers":["x"]}"#, "nameservers: \"x\" is not an IP address"),
        (
            r#"{"nameservers":["fe80::1%eth0"]}"#,
            "nameservers: \"fe80::1%eth0\" is not an IP address",
        ),
        (r#"{"nameservers":["0.0.0.0"]}"#, "nameservers: 0.0.0.0 is not the address of one server"),
        (r#"{"clusterDNS":["ff02::1"]}"#, "clusterDNS: ff02::1 is not the address of one server"),
        (r#"{"dns":{"servers":["x"]}}"#, "dns.nameservers: \"x\" is not an IP address"),
        (r#"{"dns":[]}"#, "dns: a list where an object belongs"),
        (r#"{"search":["a..b"]}"#, "search: \"a..b\" has an empty label"),
        (r#"{"options":[5]}"#, "options[0]: a number where a text belongs"),
        (
            r#"{"redirect":"on"}"#,
            "redirect: \"on\" is none of \"required\", \"preferred\", \"off\"",
        ),
        (r#"{"redirect":true}"#, "redirect: true or false where a text belongs"),
        (r#"{"podDir":"pods"}"#, "podDir: \"pods\" is not an absolute path"),
        (r#"{"podDir":""}"#, "podDir: \"\" is not an absolute path"),
        (r#"{"podDir":"/run/../etc"}"#, "podDir: \"/run/../etc\" has .. in it"),
        (r#"{"podDir":"/run\u0000"}"#, "podDir: \"/run\\0\" holds a control character"),
        (r#"{"magic_dns":true}"#, "magic_dns: true or false where an object belongs"),
        (
            r#"{"magic_dns":{"enable":"yes"}}"#,
            "magic_dns.enable: a text where true or false belongs",
        ),
        (
            r#"{"magic_dns":{"search_domains":[{}]}}"#,
            "magic_dns.search_domains[0]: an object where a text belongs",
        ),
    ] {
        let error = read(keys).unwrap_err();
        assert_eq!((error.code(), error.details()), (7, details), "{keys}");
    }
}

#[test]
fn keys_that_are_nearly_ours() {
    for (key, meant) in [
        ("nameserver", "nameservers"),
        ("nameServers", "nameservers"),
        ("cluster_dns", "clusterDNS"),
        ("clusterDns", "clusterDNS"),
        ("searches", "search"),
        ("option", "options"),
        ("redirects", "redirect"),
        ("reditect", "redirect"),
        ("podDirs", "podDir"),
        ("pod-dir", "podDir"),
        ("magicDNS", "magic_dns"),
    ] {
        let error = read(&format!(r#"{{"{key}":["v"]}}"#)).unwrap_err();
        let details = format!("{key:?}: \"[\\\"v\\\"]\"; did you mean {meant}?");
        assert_eq!((error.code(), error.details()), (2, details.as_str()));
    }
    for key in
        ["args", "ipam", "ipMasq", "cni.dev/attachments", "mtu", "bridge", "delegate", "", "é"]
    {
        assert!(read(&format!(r#"{{"{key}":1}}"#)).is_ok(), "{key}");
    }
}
