//! The internet route's servers come from the node's resolv.conf: one of them dead, or changed.

use std::time::Duration;

use crate::daemon::{RESOLV_CONF, Settings};
use crate::lab::{INTERNET_V6, Lab, NODE_V4};
use crate::pod::Pod;
use crate::process::wait_for;
use crate::servers::{self, Authority};
use crate::tap::Taps;

/// An address of the internet's link where nobody is.
const NOBODY: &str = "198.51.100.99";
/// How soon a change must be in use.
const WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_dead_server_is_passed_over_for_one_of_the_other_family() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let resolv_conf = format!("nameserver {NOBODY}\nnameserver {INTERNET_V6}\n");
    let _daemon = Settings { resolv_conf: &resolv_conf, ..Settings::default() }.start(&lab);
    let pod = Pod::new(&lab);
    for number in 0..20 {
        pod.dig(&format!("@{NODE_V4} host-{number}.many.example.com A")).expect(
            "NOERROR",
            "A",
            &["198.51.100.81"],
        );
    }
    assert!(taps.internet.count("many.example.com") >= 20);
    taps.assert_no_leaks();
}

#[test]
fn a_changed_resolv_conf_is_taken_up() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _internet = servers::internet(&lab);
    let resolv_conf = format!("nameserver {NOBODY}\n");
    let _daemon = Settings { resolv_conf: &resolv_conf, ..Settings::default() }.start(&lab);
    let pod = Pod::new(&lab);
    let mut number = 0;
    let mut ask = || {
        number += 1;
        pod.dig(&format!("@{NODE_V4} host-{number}.many.example.com A"))
    };
    ask().expect("SERVFAIL", "A", &[]);
    // As DHCP clients do it: a new file in the place of the old.
    let next = lab.file("node/resolv.conf.new", "nameserver 198.51.100.53\n");
    std::fs::rename(next, lab.path(RESOLV_CONF)).unwrap();
    wait_for("an answer of the new server", WITHIN, || (ask().status == "NOERROR").then_some(()));
    taps.assert_no_leaks();
}
