#![allow(clippy::unwrap_used)]
use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Servers, search list, options; and a domain where it is not empty.
fn dns(nameservers: &str, search: &str, options: &str, domain: &str) -> Dns {
    Dns {
        nameservers: words(nameservers),
        domain: (!domain.is_empty()).then(|| domain.to_owned()),
        search: words(search),
        options: words(options),
    }
}

fn settings(keys: &str) -> Settings {
    let value: Value = serde_json::from_str(keys).unwrap();
    Settings::read(value.as_object().unwrap()).unwrap()
}

#[test]
fn every_spelling() {
    for block in [
        r#"{"Servers":["10.96.0.10"],"Searches":["a.b"],"Options":["ndots:5"]}"#,
        r#"{"servers":["10.96.0.10"],"searches":["a.b"],"options":["ndots:5"]}"#,
        r#"{"nameservers":["10.96.0.10"],"search":["a.b"],"options":["ndots:5"]}"#,
        r#"{"Servers":null,"servers":["10.96.0.10"],"search":["","a.b"],"OPTIONS":["ndots:5"],"x":1}"#,
    ] {
        let read = Dns::read("dns", &serde_json::from_str(block).unwrap()).unwrap();
        assert_eq!(read, dns("10.96.0.10", "a.b", "ndots:5", ""), "{block}");
    }
    for block in ["{}", r#"{"Servers":null,"Searches":null,"Options":null}"#, r#"{"domain":""}"#] {
        assert!(Dns::read("dns", &serde_json::from_str(block).unwrap()).unwrap().is_empty());
    }
}

#[test]
fn what_is_no_block() {
    let many = format!(r#"{{"servers":{}}}"#, json!(vec!["x"; 65]));
    let long = format!(r#"{{"domain":"{}"}}"#, "x".repeat(4097));
    for (block, details) in [
        ("[]", "b: a list where an object belongs"),
        (r#"{"Servers":"10.0.0.1"}"#, "b.Servers: a text where a list belongs"),
        (r#"{"searches":[null]}"#, "b.searches[0]: null where a text belongs"),
        (
            r#"{"options":["ok","a\nnameserver x"]}"#,
            "b.options[1]: \"a\\nnameserver x\" holds a control character",
        ),
        (r#"{"domain":["x"]}"#, "b.domain: a list where a text belongs"),
        (many.as_str(), "b.servers: more than 64 elements"),
        (long.as_str(), "b.domain: longer than 4096 bytes"),
    ] {
        let error = Dns::read("b", &serde_json::from_str(block).unwrap()).unwrap_err();
        assert_eq!((error.code(), error.details()), (7, details));
    }
}

#[test]
fn one_over_another() {
    let (full, other) = (dns("1.1.1.1", "a b", "x", "d"), dns("2.2.2.2", "c", "y z", "e"));
    assert_eq!(full.clone().over(&other), full);
    assert_eq!(Dns::default().over(&other), other);
    assert_eq!(other.clone().over(&Dns::default()), other);
    assert_eq!(dns("", "a", "", "d").over(&other), dns("2.2.2.2", "a", "y z", "d"));
}

#[test]
fn what_is_written_reads_back() {
    for block in [dns("1.1.1.1", "a b", "x", "d"), dns("", "a", "", ""), Dns::default()] {
        assert_eq!(Dns::read("dns", &block.to_value()).unwrap(), block);
    }
    assert_eq!(Dns::default().to_value(), json!({}));
}

#[test]
fn result_of_add() {
    let (none, previous) = (Dns::default(), dns("8.8.8.8", "prev", "rotate", "prev.domain"));
    let pod = dns("10.96.0.10", "shop.svc svc", "ndots:5", "");
    let bare = dns("10.96.0.10", "", "", "");
    let magic = r#"{"magic_dns":{"enable":true,"nameservers":["10.2.0.1"],
        "search_domains":["c.binrc.com"]}}"#;
    let based = r#"{"magic_dns":{"enable":true,"base_domain":"cluster.local"}}"#;
    let based_too = r#"{"dns":{"domain":"d"},"magic_dns":{"enable":true,"base_domain":"b"}}"#;
    let magic_off =
        r#"{"magic_dns":{"enable":false,"base_domain":"b","search_domains":["c.binrc.com"]}}"#;
    let own = r#"{"nameservers":["169.254.20.9","fd00::1"],"search":["own"],"options":["o"],
        "magic_dns":{"enable":true,"search_domains":["c.binrc.com"]}}"#;
    let standard = r#"{"dns":{"nameservers":["169.254.20.12"],"domain":"d","search":["s"]}}"#;
    for (keys, pod, previous, expected) in [
        ("{}", None, &none, dns("169.254.20.10", "", "", "")),
        ("{}", None, &previous, dns("169.254.20.10", "prev", "rotate", "prev.domain")),
        (
            "{}",
            Some(&pod),
            &previous,
            dns("169.254.20.10", "shop.svc svc", "ndots:5", "prev.domain"),
        ),
        (own, Some(&bare), &none, dns("169.254.20.9 fd00::1", "", "", "")),
        (own, None, &previous, dns("169.254.20.9 fd00::1", "own", "o", "prev.domain")),
        (magic, None, &previous, dns("169.254.20.10", "c.binrc.com", "rotate", "prev.domain")),
        (magic, Some(&pod), &none, dns("169.254.20.10", "shop.svc svc", "ndots:5", "")),
        (based, None, &previous, dns("169.254.20.10", "prev", "rotate", "cluster.local")),
        (based_too, None, &none, dns("169.254.20.10", "", "", "d")),
        (magic_off, None, &none, dns("169.254.20.10", "", "", "")),
        (standard, None, &previous, dns("169.254.20.12", "s", "rotate", "d")),
    ] {
        assert_eq!(of_result(&settings(keys), pod, previous), expected, "{keys}");
    }
}
