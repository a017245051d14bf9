#![allow(clippy::unwrap_used)]
use super::*;

/// As flannel's, with a key of the future and a number that must stay what it is.
const LIST: &str = r#"{
    "name": "cbr0",
    "cniVersion": "0.3.1",
    "zz": {"b": 1, "a": 9007199254740993},
    "plugins": [
        {
            "type": "flannel",
            "delegate": {
                "isDefaultGateway": true
            }
        },
        {
            "type": "portmap",
            "capabilities": {
                "portMappings": true
            }
        }
    ]
}
"#;

fn keys(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn the_entry_comes_last_and_goes_again() {
    let mut list = Conflist::parse(LIST.as_bytes()).unwrap();
    assert_eq!((list.name().as_str(), list.has_entry()), ("cbr0", false));
    let own = keys(json!({"clusterDNS": ["10.43.0.10"]}));
    assert_eq!(list.put(&own).unwrap(), Change::Added);
    assert_eq!(list.put(&own).unwrap(), Change::None);
    assert_eq!(list.put(&Map::new()).unwrap(), Change::None);
    let text = String::from_utf8(list.to_bytes()).unwrap();
    let expected = LIST.replace(
        r#"{"b": 1, "a": 9007199254740993}"#,
        "{\n        \"b\": 1,\n        \"a\": 9007199254740993\n    }",
    );
    let ours = r#",
        {
            "type": "horizond-cni",
            "capabilities": {
                "dns": true,
                "io.kubernetes.cri.pod-annotations": true
            },
            "clusterDNS": [
                "10.43.0.10"
            ]
        }
    ]
}
"#;
    assert_eq!(text, format!("{}{ours}", expected.strip_suffix("\n    ]\n}\n").unwrap()));
    let mut list = Conflist::parse(text.as_bytes()).unwrap();
    assert_eq!(list.put(&keys(json!({"redirect": "off"}))).unwrap(), Change::Updated);
    assert_eq!(list.plugins()[2]["redirect"], "off");
    assert_eq!(list.plugins()[2]["clusterDNS"], json!(["10.43.0.10"]));
    assert!(list.take().is_some_and(|entry| entry["redirect"] == "off") && list.take().is_none());
    assert!(list.says(&Conflist::parse(LIST.as_bytes()).unwrap()));
    assert_eq!(String::from_utf8(list.to_bytes()).unwrap(), expected);
}

#[test]
fn an_entry_that_the_plugin_refuses_changes_nothing() {
    let mut list = Conflist::parse(LIST.as_bytes()).unwrap();
    let error = list.put(&keys(json!({"redirect": "maybe"}))).unwrap_err().to_string();
    assert!(error.contains("redirect: \"maybe\" is none of"), "{error}");
    assert!(list.says(&Conflist::parse(LIST.as_bytes()).unwrap()));
}

#[test]
fn what_is_not_understood() {
    let of = |text: &str| Conflist::parse(text.as_bytes()).unwrap_err().to_string();
    let with =
        |plugins: &str| of(&format!(r#"{{"name":"n","cniVersion":"1.0.0","plugins":{plugins}}}"#));
    assert!(of("").starts_with("is not JSON: EOF"));
    assert!(of("{} {}").starts_with("is not JSON: trailing"));
    assert!(of("[]").contains("it is no object"));
    assert!(of("{}").contains("name: "));
    assert!(of(r#"{"name":"n","plugins":[{"type":"x"}]}"#).contains("it has no cniVersion"));
    assert!(of(r#"{"name":"n","cniVersion":"0.2.0"}"#).contains("cniVersion \"0.2.0\""));
    // A single plugin, as in a file that ends in .conf.
    assert!(of(r#"{"name":"n","cniVersion":"1.0.0","type":"bridge"}"#).contains("plugins: "));
    for plugins in ["[]", "{}", "null", r#"[{"type":"horizond-cni"}]"#] {
        assert!(with(plugins).contains("there is none before ours"), "{plugins}");
    }
    for plugins in ["[1]", "[{}]", r#"[{"type":""}]"#, r#"[{"type":"x"},{"type":7}]"#] {
        assert!(with(plugins).contains("not every plugin has a type"), "{plugins}");
    }
    let twice = r#"[{"type":"x"},{"type":"horizond-cni"},{"type":"horizond-cni"}]"#;
    assert!(with(twice).contains("more than once"));
}

#[test]
fn lists_of_several_versions() {
    let of = |versions: &str| {
        let text = format!(r#"{{"name":"n",{versions}"plugins":[{{"type":"x"}}]}}"#);
        Conflist::parse(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
    };
    for versions in [
        r#""cniVersions":["0.4.0","1.1.0"],"#,
        r#""cniVersion":"1.0.0","cniVersions":["1.0.0","1.1.0"],"#,
        r#""cniVersion":"1.0.0","cniVersions":[],"#,
        r#""cniVersion":"1.0.0","cniVersions":null,"#,
    ] {
        assert_eq!(of(versions), Ok(()), "{versions}");
    }
    for (versions, expected) in [
        (r#""cniVersions":["1.1.0","9.0.0"],"#, "cniVersion \"9.0.0\"; the plugin speaks 0.3.1"),
        (r#""cniVersion":"9","cniVersions":["1.0.0"],"#, "cniVersion \"9\""),
        (r#""cniVersion":"1.0.0","cniVersions":"1.1.0","#, "cniVersion \"\""),
        (r#""cniVersion":1,"#, "cniVersion \"\""),
        (r#""cniVersions":[],"#, "it has no cniVersion"),
    ] {
        let error = of(versions).unwrap_err();
        assert!(error.contains(expected), "{versions}: {error}");
    }
}

#[test]
fn headcnis_block_comes_along() {
    let text = |block: &str| {
        format!(
            r#"{{"name":"n","cniVersion":"1.0.0","plugins":[{{"type":"x","magic_dns":null}},
            {{"type":"headcni","magic_dns":{block}}},{{"type":"y","magic_dns":{{}}}}]}}"#
        )
    };
    let mut list = Conflist::parse(text(r#"{"enable":true,"z":1}"#).as_bytes()).unwrap();
    assert_eq!(list.put(&Map::new()).unwrap(), Change::Added);
    assert_eq!(list.plugins()[3]["magic_dns"], json!({"enable": true, "z": 1}));
    // Where no other plugin has one any more, the last word stands.
    list.plugins_mut().drain(1..3);
    assert_eq!(list.put(&Map::new()).unwrap(), Change::None);
    // One that is given counts more.
    let mut list = Conflist::parse(text("{}").as_bytes()).unwrap();
    list.put(&keys(json!({"magic_dns": {"enable": false}}))).unwrap();
    assert_eq!(list.plugins()[3]["magic_dns"], json!({"enable": false}));
    let mut list = Conflist::parse(text("7").as_bytes()).unwrap();
    let before = list.clone();
    assert!(list.put(&Map::new()).unwrap_err().to_string().contains("magic_dns"));
    assert_eq!(list, before);
}

#[test]
fn indentation() {
    for (text, expected) in
        [("{\n\t\"a\": 1\n}", "\t"), ("{\n \n \"a\": 1}", " "), ("{\"a\":1}", "  ")]
    {
        assert_eq!(indent(text.as_bytes()), expected, "{text:?}");
    }
}
