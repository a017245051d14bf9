//! The tailnet's suffixes and servers come from HeadCNI's file: it comes late, and goes bad.

use std::time::Duration;

use crate::daemon::Settings;
use crate::lab::{Lab, MAGICDNS, NODE_V4};
use crate::pod::Pod;
use crate::process::wait_for;
use crate::servers::{self, Authority};
use crate::tap::Taps;

const LIST: &str = "net.d/10-headcni.conflist";
/// How soon a change must be in use.
const WITHIN: Duration = Duration::from_secs(20);

fn list(domain: &str) -> String {
    format!(
        r#"{{"cniVersion":"1.0.0","name":"cbr0","plugins":[{{"type":"headcni","magic_dns":{{
        "enable":true,"nameservers":["{MAGICDNS}"],"search_domains":["{domain}","cluster.local"]}}}}]}}"#
    )
}

#[test]
fn one_file_says_what_the_tailnet_is_and_whom_to_ask() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let internet = servers::internet(&lab);
    let _magicdns = Authority::Knot.magicdns(&lab);
    let _coredns = servers::fake_coredns(&lab, 1);
    lab.file(LIST, &list("other.example"));
    let tailnet = format!("headcni_conflist = {:?}", lab.path(LIST));
    let _daemon = Settings { tailnet: &tailnet, ..Settings::default() }.start(&lab);
    let pod = Pod::new(&lab);
    let ask = |name: &str| pod.dig(&format!("@{NODE_V4} {name} A"));
    // Nobody has said yet that it is the tailnet's.
    ask("nas.c.binrc.com").expect("NXDOMAIN", "A", &[]);
    assert!(internet.log().contains(" nas.c.binrc.com. A IN"), "{}", internet.log());
    ask("web.default.svc.cluster.local").expect("NOERROR", "A", &["10.96.0.20"]);

    // What the internet said is forgotten with the first look at the new file.
    let next = lab.file("net.d/new", &list("c.binrc.com"));
    std::fs::rename(next, lab.path(LIST)).unwrap();
    wait_for("an answer of the tailnet's server", WITHIN, || {
        (ask("nas.c.binrc.com").status == "NOERROR").then_some(())
    });
    ask("nas.c.binrc.com").expect("NOERROR", "A", &["100.64.0.7"]);
    ask("web.default.svc.cluster.local").expect("NOERROR", "A", &["10.96.0.20"]);
    let before = taps.internet.count("c.binrc.com");

    // Half a file, and then none: the tailnet stays what it was.
    for (text, fault) in [(Some(&list("c.binrc.com")[..40]), "EOF"), (None, "cannot read")] {
        match text {
            Some(text) => _ = lab.file(LIST, text),
            None => std::fs::remove_file(lab.path(LIST)).unwrap(),
        }
        wait_for("the fault in the log", WITHIN, || {
            let log = std::fs::read_to_string(lab.path("horizond.log")).unwrap();
            log.contains(fault).then_some(())
        });
        let number = fault.len();
        ask(&format!("host-{number}.many.c.binrc.com")).expect("NOERROR", "A", &["100.64.1.1"]);
        ask(&format!("nobody-{number}.c.binrc.com")).expect("NXDOMAIN", "A", &[]);
    }
    assert_eq!(taps.internet.count("c.binrc.com"), before, "nothing leaks");
    assert_eq!(taps.magicdns.count("cluster.local"), 0);
}
