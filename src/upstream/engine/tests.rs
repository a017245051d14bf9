//! What a send says of the datagram before it, on sockets of this host alone.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::*;
use crate::accept::Crossing;
use crate::cache::Hashed;
use crate::upstream::Upstream;
use crate::upstream::tests::route_of;
use crate::wire::edns::ede;
use crate::wire::rtype;

struct OneHorizon;

impl Horizons for OneHorizon {
    fn owns(&self, _: u16, _: &[u8]) -> bool {
        true
    }

    fn crossing(&self, _: u16, _: &[u8]) -> Crossing {
        Crossing::Inside
    }
}

/// Below the ports that the kernel gives away, on an address that no other test has.
fn closed_port() -> SocketAddr {
    let host = 0x7f30_0000 | (std::process::id() % 0x10_0000);
    (Ipv4Addr::from_bits(host), 5398).into()
}

fn key(name: &[u8]) -> SharedKey {
    let key = Key::of(name, rtype::A, false, false);
    SharedKey::new(Hashed::raw(key.as_bytes(), u64::from(name[1])))
}

/// ICMP answers the first query; the second, on the same socket, is told in its stead. It goes out all the
/// same, and the first fails at once: no event would ever say so, as the error has been taken.
#[test]
fn what_a_send_says_of_the_query_before_it_is_not_lost() {
    let (addr, now) = (closed_port(), Tick(1));
    let mut state = route_of(1);
    state.upstreams = vec![Arc::new(Upstream::new(addr, Transport::Udp))];
    state.ports = 1;
    let view = Rc::new(RouteView(Arc::new(vec![state])));
    let route = || RouteRef::new(&view, 0).unwrap();
    let epoll = Rc::new(Epoll::new().unwrap());
    let mut engine = Engine::new(epoll, 8, 1, Arc::new(OneHorizon), now);

    engine.start(key(b"\x01a\0"), route(), None, now).unwrap();
    let server = UdpSocket::bind(addr).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    engine.start(key(b"\x01b\0"), route(), None, now).unwrap();
    engine.flush(now);

    let mut done = Vec::new();
    engine.take_done(&mut done);
    let [first] = &done[..] else { panic!("{done:?}") };
    assert_eq!(first.key, key(b"\x01a\0"));
    let Outcome::Failure { reason, overload: false } = &first.outcome else { panic!("{first:?}") };
    assert_eq!(reason.code, ede::NETWORK_ERROR);
    // The second is under way, and it alone.
    assert_eq!(engine.in_flight(), 1);
    let mut query = [0; 512];
    let len = server.recv(&mut query).unwrap();
    assert_eq!(&query[12..len.min(15)], b"\x01b\0");
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut query).is_err());
}
