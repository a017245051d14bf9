//! Who may ask.

use crate::daemon::Settings;
use crate::lab::{Lab, NODE_V4, NODE_V6};
use crate::pod::Pod;
use crate::servers::{self, Authority};
use crate::tap::Taps;

#[test]
fn a_client_outside_allow_is_refused_and_nothing_is_asked() {
    let lab = Lab::new();
    let taps = Taps::start(&lab);
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    let stranger = Pod::stranger(&lab);
    let names = ["web.default.svc.cluster.local", "nas.c.binrc.com", "www.example.com"];
    for name in names {
        for how in [
            format!("@{NODE_V4}"),
            format!("@{NODE_V4} +tcp"),
            format!("@{NODE_V6}"),
            format!("@{NODE_V6} +tcp"),
        ] {
            let reply = stranger.dig(&format!("{how} {name} A")).expect("REFUSED", "A", &[]);
            assert_eq!(reply.ede, [18], "{}", reply.text);
        }
    }
    for (tap, name) in [&taps.coredns, &taps.magicdns, &taps.internet].into_iter().zip(names) {
        assert_eq!(tap.count(name), 0, "a refused client's question went out");
    }
    // What a pod put into the cache is not given to a stranger either.
    Pod::new(&lab).dig(&format!("@{NODE_V4} {} A", names[2])).expect(
        "NOERROR",
        "A",
        &["198.51.100.80"],
    );
    stranger.dig(&format!("@{NODE_V4} {} A", names[2])).expect("REFUSED", "A", &[]);
}
