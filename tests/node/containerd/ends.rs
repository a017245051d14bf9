//! How the runtime calls the plugin when a pod ends: again and again, with the namespace and without.

use std::process::Command;

use serde_json::json;

use super::runtime::{NOTING, dns};
use super::{KUBELET, Place};
use crate::lab::COREDNS;
use crate::process::checked;

fn call(verb: &str, with_namespace: bool) -> (String, bool) {
    (verb.to_owned(), with_namespace)
}

#[test]
fn a_pod_is_deleted_as_often_as_the_runtime_likes() {
    let place = Place::new(Some(json!({"type": NOTING})));
    let runtime = &place.runtime;
    let pod = runtime.pod("web-1", dns(&[COREDNS], KUBELET), &[]);
    let other = runtime.pod("web-2", dns(&[COREDNS], KUBELET), &[]);
    // What is looked for in vain later is there now.
    let traces = runtime.traces();
    let places =
        ["shim ", "mount ", "/var/lib/cni/results/", "/sys/fs/cgroup/", "cbr0_", "10.244.7."];
    for place in places {
        assert!(traces.iter().any(|trace| trace.starts_with(place)), "{place}: {traces:?}");
    }
    assert!(traces.contains(&pod.pod) && traces.iter().any(|trace| trace.contains("veth")));
    runtime.cri().stop_pod(&pod.pod).unwrap();
    assert_eq!(runtime.calls(&pod.pod), [call("ADD", true), call("DEL", true)]);
    assert!(pod.record().is_none());
    // The kubelet stops a pod again when it is not sure; the runtime knows no namespace any more.
    runtime.cri().stop_pod(&pod.pod).unwrap();
    let calls = runtime.calls(&pod.pod);
    assert_eq!(calls, [call("ADD", true), call("DEL", true), call("DEL", false)]);
    assert!(other.record().is_some());
    pod.remove();
    other.remove();
    runtime.is_left_as_it_was();
}

/// As after a restart of the node: the runtime knows the pod, whose namespace is gone.
#[test]
fn a_pod_whose_namespace_is_lost_can_go() {
    let place = Place::new(Some(json!({"type": NOTING})));
    let runtime = &place.runtime;
    let pod = runtime.pod("web-1", dns(&[COREDNS], KUBELET), &[]);
    let netns = pod.netns();
    checked(Command::new("umount").args(["--lazy", netns.name()]));
    std::fs::remove_file(netns.name()).unwrap();
    runtime.cri().stop_pod(&pod.pod).unwrap();
    assert_eq!(runtime.calls(&pod.pod), [call("ADD", true), call("DEL", false)]);
    assert!(pod.record().is_none());
    assert_eq!(runtime.leases(), Vec::<String>::new());
    pod.remove();
    runtime.is_left_as_it_was();
}
