#![allow(clippy::unwrap_used)]
use super::*;

const ADD: [(&str, &str); 6] = [
    ("CNI_COMMAND", "ADD"),
    ("CNI_CONTAINERID", "3f1c"),
    ("CNI_NETNS", "/run/netns/cni-1"),
    ("CNI_IFNAME", "eth0"),
    ("CNI_PATH", "/opt/cni/bin:/usr/lib/cni"),
    (
        "CNI_ARGS",
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=3f1c;\
         K8S_POD_UID=u-1",
    ),
];

/// ADD's variables with some of them changed; an empty value takes one away.
fn call(changes: &[(&str, &str)]) -> Result<Call, CniError> {
    let find = |list: &[(&str, &str)], name: &str| {
        list.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    Call::read(|name| find(changes, name).or_else(|| find(&ADD, name)))
}

fn complaint(changes: &[(&str, &str)]) -> String {
    let error = call(changes).unwrap_err();
    assert_eq!(error.code(), 4);
    error.details().to_owned()
}

#[test]
fn add_and_check() {
    let Call::Add(add) = call(&[]).unwrap() else { panic!() };
    assert_eq!((add.container.as_str(), add.interface.as_str()), ("3f1c", "eth0"));
    assert_eq!(add.netns, PathBuf::from("/run/netns/cni-1"));
    assert_eq!(add.path, ["/opt/cni/bin", "/usr/lib/cni"].map(PathBuf::from));
    let expected = Args {
        namespace: Some("shop".into()),
        pod: Some("web-0".into()),
        uid: Some("u-1".into()),
        infra_container: Some("3f1c".into()),
    };
    assert_eq!(add.args, expected);
    assert_eq!(call(&[("CNI_COMMAND", "CHECK")]), Ok(Call::Check(add)));
}

#[test]
fn a_pod_can_always_go() {
    let del = [("CNI_COMMAND", "DEL"), ("CNI_NETNS", ""), ("CNI_PATH", ""), ("CNI_ARGS", "junk")];
    let Call::Del(detach) = call(&del).unwrap() else { panic!() };
    assert_eq!(detach.netns, None);
    let Call::Del(detach) = call(&del[..1]).unwrap() else { panic!() };
    assert_eq!(detach.netns, Some("/run/netns/cni-1".into()));
}

#[test]
fn verbs_that_need_nothing() {
    for (verb, expected) in [("GC", Call::Gc), ("STATUS", Call::Status), ("VERSION", Call::Version)]
    {
        let read = Call::read(|name| (name == "CNI_COMMAND").then(|| verb.to_owned()));
        assert_eq!(read, Ok(expected));
    }
}

#[test]
fn what_is_missing_is_named() {
    for (changes, details) in [
        (&[("CNI_COMMAND", "")][..], "CNI_COMMAND is not set"),
        (
            &[("CNI_COMMAND", "add")],
            "CNI_COMMAND: \"add\" is none of ADD, DEL, CHECK, GC, STATUS, VERSION",
        ),
        (&[("CNI_NETNS", ""), ("CNI_PATH", "")], "not set: CNI_NETNS, CNI_PATH"),
        (&[("CNI_COMMAND", "CHECK"), ("CNI_IFNAME", "")], "not set: CNI_IFNAME"),
        (&[("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "")], "not set: CNI_CONTAINERID"),
    ] {
        assert_eq!(complaint(changes), details);
    }
    for (variable, value) in [
        ("CNI_CONTAINERID", "../../etc"),
        ("CNI_IFNAME", "eth0/.."),
        ("CNI_NETNS", "/run\0"),
        ("CNI_ARGS", "K8S_POD_NAME"),
        ("CNI_ARGS", "K8S_POD_NAME=a\nb"),
    ] {
        assert!(
            complaint(&[(variable, value)]).starts_with(&format!("{variable}: ")),
            "{variable}"
        );
    }
}

#[test]
fn args() {
    let pod = |name: Option<&str>| Args { pod: name.map(str::to_owned), ..Args::default() };
    for (text, expected) in [
        ("", pod(None)),
        (";;", pod(None)),
        ("K8S_POD_NAME=", pod(None)),
        ("K8S_POD_NAME=a;", pod(Some("a"))),
        ("K8S_POD_NAME=a=b", pod(Some("a=b"))),
        ("K8S_POD_NAME=a;X=1;K8S_POD_NAME=b", pod(Some("b"))),
        ("k8s_pod_name=a", pod(None)),
    ] {
        assert_eq!(Args::parse(text), Ok(expected), "{text}");
    }
    assert!(Args::parse(&format!("K8S_POD_NAME={}", "x".repeat(254))).is_err());
    assert!(Args::parse("=").is_ok());
}
