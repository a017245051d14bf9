//! What `node` does to a host, in network namespaces that each test makes for itself.
//!
//! Needs root and iproute2, and fails without them. The code under test runs on a thread that has
//! moved into the namespace; `ip` looks at the namespace from outside.

#![allow(clippy::unwrap_used)]

#[path = "node_link/keep.rs"]
mod keep;
#[path = "node_link/leftovers.rs"]
mod leftovers;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use horizond::node::NodeError;
use horizond::node::addresses::{own_addresses, watch_own};
use horizond::node::holder::{PortTaken, Proto, holder_of, probe};
use horizond::node::link::{ALIAS, Kind, Link, ensure, ensure_kinds};
use rustix::thread::{
    CapabilitySet, LinkNameSpaceType, capabilities, move_into_link_name_space, set_capabilities,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

const V4: &str = "169.254.20.10";
const V6: &str = "fd00:5353::10";
/// Variables that tell the child of a crash test where to go.
const ENTER: &str = "HORIZOND_TEST_NETNS";
const PLACE: &str = "HORIZOND_TEST_PLACE";

/// A network namespace with `lo` up; deleted when dropped.
struct Netns(String);

impl Netns {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it makes namespaces");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let netns = Self(format!("horizond-test-{}-{count}", std::process::id()));
        run_ip(&["netns", "add", &netns.0]);
        netns.ip("link set lo up");
        netns
    }

    /// Runs `ip` in the namespace; its arguments are separated by spaces.
    fn ip(&self, arguments: &str) -> String {
        let mut all = vec!["-n", &self.0];
        all.extend(arguments.split(' '));
        run_ip(&all)
    }

    /// Every interface and every address, as `ip -o` names them.
    fn state(&self) -> BTreeSet<String> {
        let links = self.ip("-o link show");
        let links = links.lines().filter_map(|line| line.split(": ").nth(1)).map(String::from);
        let addresses = self.ip("-o address show");
        let addresses = addresses.lines().map(|line| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            format!("{} {}", words[1], words[3])
        });
        links.chain(addresses).collect()
    }

    /// Runs code inside, on a thread and a runtime of its own.
    fn run<T: Send, F: Future<Output = T>>(&self, code: impl FnOnce() -> F + Send) -> T {
        self.run_with(|| (), code)
    }

    /// [`Netns::run`], without the capabilities named.
    fn run_without<T: Send, F: Future<Output = T>>(
        &self,
        lost: CapabilitySet,
        code: impl FnOnce() -> F + Send,
    ) -> T {
        let lose = || {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(lost);
            set_capabilities(None, sets).unwrap();
        };
        self.run_with(lose, code)
    }

    fn run_with<T: Send, F: Future<Output = T>>(
        &self,
        prepare: impl FnOnce() + Send,
        code: impl FnOnce() -> F + Send,
    ) -> T {
        let inside = || {
            enter(&self.0);
            prepare();
            runtime().block_on(code())
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

fn run_ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("ip (iproute2) is needed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {error}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

fn enter(netns: &str) {
    let file = File::open(format!("/run/netns/{netns}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn ips(text: &[&str]) -> Vec<IpAddr> {
    text.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn made(link: &Link) -> BTreeSet<IpAddr> {
    link.made_addresses().collect()
}

/// What a state has that the other has not.
fn added(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    after.difference(before).filter(|entry| !entry.contains("fe80")).cloned().collect()
}

#[test]
fn an_interface_is_made_used_and_removed() {
    let netns = Netns::new();
    let before = netns.state();
    let link = netns.run(|| async { ensure("horizond0", &ips(&[V4, V6])).await.unwrap() });
    assert_eq!((link.interface(), link.made_interface()), ("horizond0", true));
    assert_eq!(made(&link), ips(&[V4, V6]).into_iter().collect());
    let expected = ["horizond0", "horizond0 169.254.20.10/32", "horizond0 fd00:5353::10/128"];
    assert_eq!(added(&before, &netns.state()), expected);
    let shown = netns.ip("-d link show horizond0");
    assert!(shown.contains(ALIAS) && shown.contains(",UP"), "{shown}");
    // With duplicate address detection the IPv6 address would be tentative now, and not bindable.
    netns.run(|| async {
        for ip in ips(&[V4, V6]) {
            let server = UdpSocket::bind(SocketAddr::new(ip, 53)).unwrap();
            let client = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
            server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.send_to(b"?", server.local_addr().unwrap()).unwrap();
            let mut buffer = [0u8; 2];
            assert_eq!(server.recv_from(&mut buffer).unwrap().0, 1);
        }
    });
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn the_kind_is_the_first_that_the_kernel_has() {
    let netns = Netns::new();
    let output = Command::new("ip")
        .args(["-n", &netns.0, "link", "add", "try0", "type", "dummy"])
        .output()
        .expect("ip (iproute2) is needed");
    let kind = if output.status.success() { "dummy" } else { "bridge" };
    let link = netns.run(|| async { ensure("horizond0", &ips(&[V4])).await.unwrap() });
    let shown = netns.ip("-d link show horizond0");
    assert!(shown.contains(kind), "{kind} in {shown}");
    netns.run(|| async { link.remove().await.unwrap() });
}

#[test]
fn without_a_kind_the_addresses_go_to_lo_and_leave_it() {
    let netns = Netns::new();
    netns.ip("address add 192.0.2.1/24 dev lo");
    let before = netns.state();
    let wanted = ips(&[V4, V6, "192.0.2.1"]);
    let link = netns.run(|| async { ensure_kinds("horizond0", &wanted, &[]).await.unwrap() });
    assert_eq!((link.interface(), link.made_interface()), ("lo", false));
    assert_eq!(made(&link), ips(&[V4, V6]).into_iter().collect());
    let shown = netns.ip("address show lo");
    assert!(shown.contains("inet 169.254.20.10/32 scope host"), "{shown}");
    assert_eq!(added(&before, &netns.state()), ["lo 169.254.20.10/32", "lo fd00:5353::10/128"]);
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn a_listed_address_on_lo_that_bears_no_mark_is_ours() {
    let netns = Netns::new();
    let before = netns.state();
    netns.ip("address add 169.254.20.10/32 dev lo");
    let link = netns.run(|| async { ensure_kinds("horizond0", &ips(&[V4]), &[]).await.unwrap() });
    assert_eq!(made(&link), ips(&[V4]).into_iter().collect());
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn what_was_there_stays() {
    let netns = Netns::new();
    netns.ip("link add horizond0 type bridge");
    netns.ip("address add 169.254.20.10/32 dev horizond0");
    let before = netns.state();
    let link = netns.run(|| async { ensure("horizond0", &ips(&[V4, V6])).await.unwrap() });
    assert!(!link.made_interface());
    assert_eq!(made(&link), ips(&[V6]).into_iter().collect());
    assert!(netns.ip("link show horizond0").contains(",UP"));
    assert_eq!(added(&before, &netns.state()), ["horizond0 fd00:5353::10/128"]);
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(added(&before, &netns.state()), [""; 0]);
    assert_eq!(added(&netns.state(), &before), [""; 0]);
}

#[test]
fn an_address_on_another_interface_is_used_where_it_is() {
    let netns = Netns::new();
    netns.ip("link add other0 type bridge");
    netns.ip("address add 169.254.20.10/16 dev other0");
    let before = netns.state();
    let link = netns.run(|| async { ensure("horizond0", &ips(&[V4])).await.unwrap() });
    assert_eq!(made(&link), BTreeSet::new());
    assert_eq!(added(&before, &netns.state()), ["horizond0"]);
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn loopback_addresses_need_nothing() {
    let netns = Netns::new();
    let before = netns.state();
    let link =
        netns.run(|| async { ensure("horizond0", &ips(&["127.0.0.5", "::1"])).await.unwrap() });
    assert_eq!(netns.state(), before);
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn a_second_call_finds_what_the_first_made() {
    let netns = Netns::new();
    let before = netns.state();
    let (first, second) = netns.run(|| async {
        let wanted = ips(&[V4, V4, V6]);
        (ensure("horizond0", &wanted).await.unwrap(), ensure("horizond0", &wanted).await.unwrap())
    });
    assert_eq!(first.made_interface(), second.made_interface());
    assert_eq!(made(&first), made(&second));
    netns.run(|| async {
        second.remove().await.unwrap();
        // All of it has gone, which is what was wanted.
        first.remove().await.unwrap();
    });
    assert_eq!(netns.state(), before);
}

#[test]
fn an_address_of_an_earlier_configuration_goes_and_a_strangers_stays() {
    let netns = Netns::new();
    let old = netns.run(|| async { ensure("horizond0", &ips(&[V4])).await.unwrap() });
    netns.ip("address add 192.0.2.7/32 dev horizond0");
    let new = netns.run(|| async { ensure("horizond0", &ips(&["169.254.20.11"])).await.unwrap() });
    let state = netns.state();
    assert!(!state.contains("horizond0 169.254.20.10/32"), "{state:?}");
    assert!(state.contains("horizond0 169.254.20.11/32"), "{state:?}");
    assert!(state.contains("horizond0 192.0.2.7/32"), "{state:?}");
    drop(old);
    netns.run(|| async { new.remove().await.unwrap() });
}

#[test]
fn a_bridge_that_was_given_ports_is_left() {
    let netns = Netns::new();
    let link = netns
        .run(|| async { ensure_kinds("horizond0", &ips(&[V4]), &[Kind::Bridge]).await.unwrap() });
    netns.ip("link add a0 type veth peer name b0");
    netns.ip("link set a0 master horizond0");
    netns.run(|| async { link.remove().await.unwrap() });
    let state = netns.state();
    assert!(state.contains("horizond0"), "{state:?}");
    assert!(!state.contains("horizond0 169.254.20.10/32"), "{state:?}");
}

#[test]
fn a_failure_undoes_what_was_made() {
    let netns = Netns::new();
    let before = netns.state();
    let error = netns.run(|| async {
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        ensure("horizond0", &ips(&[V4, V6])).await.unwrap_err()
    });
    assert!(matches!(error, NodeError::Ipv6Disabled { .. }), "{error}");
    assert_eq!(netns.state(), before);
}

#[test]
fn want_of_permission_is_said_and_nothing_is_made() {
    let netns = Netns::new();
    let before = netns.state();
    for kinds in [&[Kind::Dummy, Kind::Bridge][..], &[]] {
        let error = netns.run_without(CapabilitySet::NET_ADMIN, || async {
            ensure_kinds("horizond0", &ips(&[V4]), kinds).await.unwrap_err()
        });
        assert!(matches!(error, NodeError::NotPermitted { .. }), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    }
    assert_eq!(netns.state(), before);
}

/// Another process that makes the link and then waits to be killed.
fn crash_after_making(netns: &Netns, place: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_that_makes_the_link", "--nocapture"])
        .env(ENTER, &netns.0)
        .env(PLACE, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = wait_for_line(&mut child, "ready");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready, "the child ended before it had made the link");
}

fn wait_for_line(child: &mut Child, wanted: &str) -> bool {
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    output.lines().map_while(Result::ok).any(|line| line.ends_with(wanted))
}

fn kinds_of(place: &str) -> &'static [Kind] {
    if place == "lo" { &[] } else { &[Kind::Dummy, Kind::Bridge] }
}

#[test]
#[ignore = "run as a child by the tests of crashes"]
fn child_that_makes_the_link() {
    let netns = std::env::var(ENTER).expect("run as a child by the tests of crashes");
    let place = std::env::var(PLACE).unwrap();
    enter(&netns);
    let link = runtime().block_on(ensure_kinds("horizond0", &ips(&[V4, V6]), kinds_of(&place)));
    let _link = link.unwrap();
    println!("\nready");
    // Ends with its parent, if that does not kill it first.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn what_a_killed_process_left_is_found_and_removed() {
    for place in ["interface", "lo"] {
        let netns = Netns::new();
        let before = netns.state();
        crash_after_making(&netns, place);
        let left = netns.state();
        assert_ne!(left, before, "{place}");
        let link = netns.run(|| async {
            ensure_kinds("horizond0", &ips(&[V4, V6]), kinds_of(place)).await.unwrap()
        });
        assert_eq!(netns.state(), left, "{place}");
        assert_eq!(made(&link), ips(&[V4, V6]).into_iter().collect(), "{place}");
        netns.run(|| async { link.remove().await.unwrap() });
        assert_eq!(netns.state(), before, "{place}");
    }
}

#[test]
fn changes_of_addresses_are_reported() {
    let netns = Netns::new();
    let (sender, mut changes) = mpsc::unbounded_channel();
    netns.run(|| async move {
        let next = async |changes: &mut mpsc::UnboundedReceiver<Vec<IpAddr>>| {
            // Less than the polling interval: the kernel's notice must have been what woke us.
            timeout(Duration::from_secs(8), changes.recv()).await.expect("no change seen").unwrap()
        };
        let watching = tokio::spawn(watch_own(move |now| {
            let _ = sender.send(now);
        }));
        assert_eq!(next(&mut changes).await, ips(&["127.0.0.1", "::1"]));
        let link = ensure("horizond0", &ips(&[V4])).await.unwrap();
        while !next(&mut changes).await.contains(&ips(&[V4])[0]) {}
        assert!(own_addresses().await.unwrap().contains(&ips(&[V4])[0]));
        link.remove().await.unwrap();
        while next(&mut changes).await != ips(&["127.0.0.1", "::1"]) {}
        watching.abort();
    });
}

#[test]
fn the_holder_of_a_port_is_looked_for_in_its_namespace() {
    let netns = Netns::new();
    let addr: SocketAddr = "127.0.0.1:53".parse().unwrap();
    netns.run(|| async move {
        probe(addr).unwrap();
        let _held = UdpSocket::bind(addr).unwrap();
        let error = probe(addr).unwrap_err().to_string();
        assert!(error.starts_with("127.0.0.1:53/udp is taken by "), "{error}");
        assert!(error.ends_with(&format!("(pid {})", std::process::id())), "{error}");
        assert_eq!(holder_of(Proto::Tcp, addr), None);
    });
    let elsewhere = Netns::new();
    elsewhere.run(|| async move { assert_eq!(holder_of(Proto::Udp, addr), None) });
}

#[test]
fn a_low_port_without_the_capability_says_which() {
    let netns = Netns::new();
    let error = netns.run_without(CapabilitySet::NET_BIND_SERVICE, || async {
        probe("127.0.0.1:53".parse().unwrap()).unwrap_err()
    });
    assert!(matches!(error, PortTaken::Forbidden { proto: Proto::Udp, .. }), "{error}");
    assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"), "{error}");
}

#[test]
fn an_address_is_bindable_once_it_was_made() {
    let netns = Netns::new();
    netns.run(|| async {
        let addr = SocketAddr::new(ips(&[V6])[0], 53);
        assert!(matches!(probe(addr), Err(PortTaken::NoAddress { .. })));
        let link = ensure("horizond0", &[addr.ip()]).await.unwrap();
        probe(addr).unwrap();
        link.remove().await.unwrap();
    });
}
