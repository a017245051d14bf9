//! A link that is kept: what others take away comes back, at once, and not as often as they like.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use horizond::node::link::{Kind, Link, ensure_kinds, keep};
use horizond::node::repairs::Repairs;
use tokio::sync::{mpsc, oneshot};

use super::{Netns, V4, V6, added, enter, ips, made, runtime};

/// A link kept in a namespace, on a thread of its own.
struct Keeper {
    repairs: Arc<Repairs>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Link>,
}

impl Keeper {
    fn start(netns: &Netns, kinds: &'static [Kind]) -> Self {
        let (repairs, (stop, stopped)) = (Arc::new(Repairs::default()), oneshot::channel());
        let (name, counters) = (netns.0.clone(), Arc::clone(&repairs));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let body = move || {
            enter(&name);
            runtime().block_on(async {
                let link = ensure_kinds("horizond0", &ips(&[V4, V6]), kinds).await.unwrap();
                ready.send(()).unwrap();
                keep(link, &counters, stopped).await
            })
        };
        let thread = thread::spawn(body);
        is_ready.recv().unwrap();
        Self { repairs, stop, thread }
    }

    fn end(self) -> Link {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

/// Far below the minute between two looks: the kernel's notice must have been the reason.
const AT_ONCE: Duration = Duration::from_secs(5);

#[track_caller]
fn comes_true(what: &str, mut probe: impl FnMut() -> bool) {
    let end = Instant::now() + AT_ONCE;
    while !probe() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Servers on both addresses that answer what they are sent, over UDP and TCP, until dropped.
struct Echo {
    _stop: mpsc::UnboundedSender<()>,
    addrs: Vec<SocketAddr>,
}

impl Echo {
    fn start(netns: &Netns) -> Self {
        let (stop, mut stopped) = mpsc::unbounded_channel::<()>();
        let (name, (ready, is_ready)) = (netns.0.clone(), std::sync::mpsc::channel());
        let addrs: Vec<_> = ips(&[V4, V6]).into_iter().map(|ip| SocketAddr::new(ip, 53)).collect();
        let bound = addrs.clone();
        thread::spawn(move || {
            enter(&name);
            runtime().block_on(async move {
                for addr in bound {
                    let udp = tokio::net::UdpSocket::bind(addr).await.unwrap();
                    let tcp = tokio::net::TcpListener::bind(addr).await.unwrap();
                    tokio::spawn(async move {
                        let mut buffer = [0; 8];
                        loop {
                            // While the address is away an answer has no way to leave by.
                            let Ok((n, from)) = udp.recv_from(&mut buffer).await else { continue };
                            let _ = udp.send_to(&buffer[..n], from).await;
                        }
                    });
                    tokio::spawn(async move {
                        while let Ok((mut stream, _)) = tcp.accept().await {
                            let (mut read, mut write) = stream.split();
                            let _ = tokio::io::copy(&mut read, &mut write).await;
                        }
                    });
                }
                ready.send(()).unwrap();
                stopped.recv().await
            })
        });
        is_ready.recv().unwrap();
        Self { _stop: stop, addrs }
    }

    /// Whether each address answers over both transports.
    fn answers(&self, netns: &Netns) -> bool {
        netns.run(|| async { self.addrs.iter().all(|addr| ask_udp(*addr) && ask_tcp(*addr)) })
    }
}

fn ask_udp(addr: SocketAddr) -> bool {
    let any: IpAddr = if addr.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let client = UdpSocket::bind(SocketAddr::new(any, 0)).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let asked = client.connect(addr).and_then(|()| client.send(b"?"));
    asked.is_ok() && matches!(client.recv(&mut [0; 8]), Ok(1))
}

fn ask_tcp(addr: SocketAddr) -> bool {
    let Ok(mut client) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) else {
        return false;
    };
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    client.write_all(b"?").is_ok() && matches!(client.read(&mut [0; 8]), Ok(1))
}

#[test]
fn what_others_take_away_comes_back_and_bound_sockets_go_on() {
    let netns = Netns::new();
    let before = netns.state();
    let keeper = Keeper::start(&netns, &[Kind::Dummy, Kind::Bridge]);
    let whole = netns.state();
    let echo = Echo::start(&netns);
    assert!(echo.answers(&netns));
    let repairs = &keeper.repairs;
    let counted = || [repairs.interface.get(), repairs.up.get(), repairs.addresses.get()];
    for (damage, expected) in [
        ("address del 169.254.20.10/32 dev horizond0", [0, 0, 1]),
        ("address del fd00:5353::10/128 dev horizond0", [0, 0, 2]),
        // Takes the IPv6 address away too, and makes the other one of no use.
        ("link set horizond0 down", [0, 1, 3]),
        ("link del horizond0", [1, 1, 5]),
    ] {
        netns.ip(damage);
        comes_true(damage, || counted() == expected);
        assert!(added(&netns.state(), &whole).is_empty(), "{damage}: {:?}", netns.state());
        comes_true(damage, || echo.answers(&netns));
    }
    assert_eq!((counted(), repairs.link_failures.get()), ([1, 1, 5], 0));
    // What was made again is removed like what was made first.
    drop(echo);
    let link = keeper.end();
    assert!(link.made_interface());
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn addresses_on_lo_come_back() {
    let netns = Netns::new();
    let before = netns.state();
    let keeper = Keeper::start(&netns, &[]);
    let whole = netns.state();
    netns.ip("address del 169.254.20.10/32 dev lo");
    netns.ip("address del fd00:5353::10/128 dev lo");
    comes_true("both addresses", || netns.state() == whole);
    let link = keeper.end();
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(netns.state(), before);
}

#[test]
fn an_address_that_was_there_already_is_repaired_and_then_ours() {
    let netns = Netns::new();
    netns.ip("link add horizond0 type bridge");
    netns.ip("address add 169.254.20.10/32 dev horizond0");
    let before = netns.state();
    let keeper = Keeper::start(&netns, &[Kind::Bridge]);
    netns.ip("address del 169.254.20.10/32 dev horizond0");
    comes_true("the address", || netns.state().contains("horizond0 169.254.20.10/32"));
    let link = keeper.end();
    assert_eq!((link.made_interface(), made(&link).len()), (false, 2));
    netns.run(|| async { link.remove().await.unwrap() });
    assert_eq!(added(&netns.state(), &before), ["horizond0 169.254.20.10/32"]);
    assert_eq!(added(&before, &netns.state()), [""; 0]);
}

#[test]
fn who_removes_it_again_and_again_makes_no_busy_loop() {
    let netns = Netns::new();
    let keeper = Keeper::start(&netns, &[Kind::Dummy, Kind::Bridge]);
    let (end, mut removed) = (Instant::now() + Duration::from_secs(3), 0);
    while Instant::now() < end {
        let arguments = ["-n", &netns.0, "address", "del", "169.254.20.10/32", "dev", "horizond0"];
        let output = Command::new("ip").args(arguments).output().unwrap();
        removed += u64::from(output.status.success());
    }
    // Pauses of 0.25, 0.5, 1 and 2 s lie between the repairs.
    assert!((2..=5).contains(&removed), "{removed}");
    assert!(keeper.repairs.addresses.get() <= removed);
    comes_true("the address", || netns.state().contains("horizond0 169.254.20.10/32"));
    let link = keeper.end();
    netns.run(|| async { link.remove().await.unwrap() });
}

#[test]
fn what_cannot_be_repaired_is_counted_and_the_rest_is_repaired() {
    let netns = Netns::new();
    let keeper = Keeper::start(&netns, &[Kind::Dummy, Kind::Bridge]);
    // Takes the IPv6 address away, and none can be added.
    netns.run(|| async {
        fs::write("/proc/sys/net/ipv6/conf/horizond0/disable_ipv6", "1").unwrap()
    });
    comes_true("a failure", || keeper.repairs.link_failures.get() > 0);
    netns.ip("address del 169.254.20.10/32 dev horizond0");
    comes_true("the other address", || netns.state().contains("horizond0 169.254.20.10/32"));
    netns.run(|| async {
        fs::write("/proc/sys/net/ipv6/conf/horizond0/disable_ipv6", "0").unwrap()
    });
    comes_true("the address", || netns.state().contains("horizond0 fd00:5353::10/128"));
    let link = keeper.end();
    netns.run(|| async { link.remove().await.unwrap() });
}
