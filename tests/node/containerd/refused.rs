//! ADD that cannot be done: the pod is not had, says why, and leaves nothing; or it is had without us, where
//! the configuration says that this will do. And CHECK, which no kubelet asks for.

use std::process::Command;

use serde_json::{Value, json};

use super::runtime::{CONFINED, dns};
use super::{KUBELET, Place, call, finds_all, finds_by_the_cluster};
use crate::lab::COREDNS;
use crate::process::checked;
use crate::steering::ruleset;

#[test]
fn a_pod_that_cannot_be_had_leaves_nothing() {
    let place = Place::new(None);
    let runtime = &place.runtime;
    let _daemon = place.daemon(r#"["cni"]"#);
    let file = place.lab.file("no-directory", "");
    for (entry, said) in [
        (json!({"podDir": file}), "no-directory"),
        (json!({"type": CONFINED}), "the pod's DNS cannot be redirected"),
    ] {
        runtime.set_plugin(Some(entry));
        let config = runtime.config("failed", dns(&[COREDNS], KUBELET), &[]);
        let error = runtime.cri().run_pod(&config).unwrap_err();
        assert!(error.contains(said), "{error}");
        // Nobody has cleaned up behind it.
        runtime.is_left_as_it_was();
    }
    // The same pod, once that is mended.
    runtime.set_plugin(Some(json!({})));
    let pod = runtime.pod("failed", dns(&[COREDNS], KUBELET), &[]);
    finds_all(&pod);
    pod.remove();
    runtime.is_left_as_it_was();
}

#[test]
fn where_the_redirect_is_but_preferred_a_pod_does_without() {
    let place = Place::new(None);
    let runtime = &place.runtime;
    let _daemon = place.daemon(r#"["cni"]"#);
    runtime.set_plugin(Some(json!({"type": CONFINED, "redirect": "preferred"})));
    let pod = runtime.pod("web-1", dns(&[COREDNS], KUBELET), &[]);
    finds_by_the_cluster(&pod);
    assert!(!pod.is_ours());
    assert!(pod.becomes_known().iter().any(|row| row == "pod web-1"));
    assert!(!ruleset(&pod.netns()).contains("horizond"));
    let warning = format!("the DNS of container {} is not redirected", pod.pod);
    assert!(runtime.log().contains(&warning), "{}", runtime.log());
    pod.remove();
    runtime.is_left_as_it_was();
}

#[test]
fn check_sees_that_a_pods_rules_were_flushed() {
    let place = Place::new(Some(json!({})));
    let _daemon = place.daemon(r#"["cni"]"#);
    let pod = place.runtime.pod("web-1", dns(&[COREDNS], KUBELET), &[]);
    assert!(pod.is_ours());
    let netns = pod.netns();
    let check = || call(&place, &pod.pod, "CHECK", netns.name(), json!({}));
    let good = check();
    assert!(good.status.success() && good.stdout.is_empty(), "{good:?}");
    netns.run(|| checked(Command::new("nft").args(["flush", "ruleset"])));
    let bad = check();
    let error: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert!(!bad.status.success() && error["code"] == 102, "{bad:?}");
    assert!(error["details"].as_str().unwrap().contains(netns.name()), "{error}");
    assert!(!pod.is_ours());
    pod.remove();
    place.runtime.is_left_as_it_was();
}
