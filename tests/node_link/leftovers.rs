//! What an earlier run left, and what is taken away when all of ours is to go.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use horizond::node::link::{Outcome, Served, Thing, ensure, marked, remove_all};
use horizond::node::survey::survey;

use super::{Netns, V4, V6, added, crash_after_making, ips, made};

#[test]
fn what_a_killed_process_left_goes_though_the_configuration_is_another() {
    for (interface, addresses) in [
        ("other0", &[V4, V6][..]),
        ("other0", &["169.254.1.1", "fd00:1::1"]),
        ("horizond0", &["169.254.1.1"]),
        ("lo", &["169.254.1.1", V6]),
    ] {
        for place in ["interface", "lo"] {
            let netns = Netns::new();
            netns.ip("link add horizond1 type bridge");
            netns.ip("address add 192.0.2.1/32 dev lo");
            let before = netns.state();
            crash_after_making(&netns, place);
            let link = netns.run(|| async { ensure(interface, &ips(addresses)).await.unwrap() });
            let now = netns.state();
            let mut expected = BTreeSet::new();
            if interface != "lo" {
                expected.insert(interface.to_owned());
            }
            expected.extend(
                ips(addresses)
                    .iter()
                    .map(|ip| format!("{interface} {ip}/{}", if ip.is_ipv4() { 32 } else { 128 })),
            );
            let case = format!("{place} to {interface} {addresses:?}");
            assert_eq!(added(&before, &now), Vec::from_iter(expected), "{case}");
            assert_eq!(made(&link), ips(addresses).into_iter().collect(), "{case}");
            netns.run(|| async { link.remove().await.unwrap() });
            assert_eq!(netns.state(), before, "{case}");
        }
    }
}

#[test]
fn an_address_that_somebody_serves_on_is_not_a_leftover() {
    let netns = Netns::new();
    let other = netns.run(|| async { ensure("horizond0", &ips(&[V4, V6])).await.unwrap() });
    netns.run(|| async {
        let _serving = UdpSocket::bind(SocketAddr::new(ips(&[V6])[0], 5300)).unwrap();
        let link = ensure("other0", &ips(&["169.254.1.1"])).await.unwrap();
        let state = netns.state();
        assert!(!state.contains("horizond0 169.254.20.10/32"), "{state:?}");
        assert!(state.contains("horizond0 fd00:5353::10/128"), "{state:?}");
        link.remove().await.unwrap();
    });
    netns.run(|| async { other.remove().await.unwrap() });
    assert!(!netns.state().contains("horizond0"));
}

#[test]
fn an_interface_that_carries_a_strangers_address_stays() {
    let netns = Netns::new();
    let link = netns.run(|| async { ensure("horizond0", &ips(&[V4, V6])).await.unwrap() });
    netns.ip("address add 192.0.2.7/32 dev horizond0");
    netns.run(|| async { link.remove().await.unwrap() });
    let state = netns.state();
    assert!(state.contains("horizond0 192.0.2.7/32"), "{state:?}");
    assert!(!state.contains("horizond0 169.254.20.10/32"), "{state:?}");
    // A start takes it over, and the end takes it away once nobody needs it.
    let link = netns.run(|| async { ensure("horizond0", &ips(&[V4])).await.unwrap() });
    netns.ip("address del 192.0.2.7/32 dev horizond0");
    netns.run(|| async { link.remove().await.unwrap() });
    assert!(!netns.state().contains("horizond0"));
}

fn told(outcomes: Vec<Outcome>) -> Vec<String> {
    let word = |outcome| match outcome {
        Outcome::Removed(thing) => format!("removed {thing}"),
        Outcome::Kept(thing, _) => format!("kept {thing}"),
        Outcome::Failed(thing, error) => format!("failed {thing}: {error}"),
    };
    outcomes.into_iter().map(word).collect()
}

#[test]
fn all_that_is_ours_is_removed_and_nothing_else() {
    let netns = Netns::new();
    netns.ip("link add foreign0 type bridge");
    netns.ip("address add 192.0.2.1/32 dev foreign0");
    netns.ip("address add 192.0.2.2/32 dev lo");
    netns.ip("address add fd00:2::2/128 dev lo");
    let before = netns.state();
    crash_after_making(&netns, "interface");
    crash_after_making(&netns, "lo");
    netns.run(|| async {
        let seen = survey(Some("horizond0"), &ips(&[V4, "192.0.2.1", "192.0.2.9"])).await.unwrap();
        let interface = seen.interface.unwrap();
        assert!(interface.ours && interface.up, "{interface:?}");
        let places = seen.places.into_iter().map(|p| (p.on.map(|on| on.name), p.ours));
        let on = |name: &str| Some(name.to_owned());
        let expected = [(on("horizond0"), true), (on("foreign0"), false), (None, false)];
        assert_eq!(Vec::from_iter(places), expected);
        let interface = "horizond0".to_owned();
        assert_eq!(seen.leftovers, [Thing::Address { ip: ips(&[V6])[0], interface }]);
    });
    let outcomes = told(netns.run(|| async { remove_all(Served::Stay).await.unwrap() }));
    assert_eq!(
        outcomes,
        [
            "removed address 169.254.20.10 on horizond0",
            "removed address fd00:5353::10 on horizond0",
            "removed interface horizond0",
        ]
    );
    assert_eq!(netns.state(), before);
    let again = netns.run(|| async { (remove_all(Served::Go).await.unwrap(), marked().await) });
    assert!(again.0.is_empty() && again.1.unwrap().is_empty());
}
