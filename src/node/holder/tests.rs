#![allow(clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream, UdpSocket};

use super::*;

fn addr(s: &str) -> SocketAddr {
    s.parse().unwrap()
}

/// A line of a table as the kernel of this machine's byte order writes it.
fn line(local: SocketAddr, state: &str, inode: u64) -> String {
    let bytes = match local.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words: String = bytes
        .chunks_exact(4)
        .map(|w| format!("{:08X}", u32::from_ne_bytes(w.try_into().unwrap())))
        .collect();
    let none = "0".repeat(words.len());
    format!(
        " 12: {words}:{:04X} {none}:0000 {state} 00000000:00000000 00:00000000 00000000   101  \
         0 {inode} 2 0000000000000000 0",
        local.port()
    )
}

#[cfg(target_endian = "little")]
#[test]
fn reads_the_kernels_own_lines() {
    let v4 = "  1: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 \
              101 0 4711 2 0000000000000000 0";
    let found = line_in_the_way(v4, Proto::Udp, addr("127.0.0.53:53"));
    assert_eq!(found, Some(Bound { rank: 0, inode: 4711 }));
    let v6 = "  0: 000000FD000000000000000010000000:0035 00000000000000000000000000000000:0000 0A \
              00000000:00000000 00:00000000 00000000 0 0 99 1 0000000000000000 100 0 0 10 0";
    let found = line_in_the_way(v6, Proto::Tcp, addr("[fd00::10]:53"));
    assert_eq!(found, Some(Bound { rank: 0, inode: 99 }));
}

#[test]
fn exact_beats_wildcard_beats_the_other_family() {
    let ours = addr("169.254.20.10:53");
    let rank = |local: &str| {
        line_in_the_way(&line(addr(local), "07", 7), Proto::Udp, ours).map(|b| b.rank)
    };
    assert_eq!(rank("169.254.20.10:53"), Some(0));
    assert_eq!(rank("[::ffff:169.254.20.10]:53"), Some(0));
    assert_eq!(rank("0.0.0.0:53"), Some(1));
    assert_eq!(rank("[::]:53"), Some(2));
    assert_eq!(rank("169.254.20.10:54"), None);
    assert_eq!(rank("169.254.20.11:53"), None);
    assert_eq!(rank("[fd00::10]:53"), None);
}

#[test]
fn ipv4_wildcard_does_not_hold_ipv6() {
    let there = line(addr("0.0.0.0:53"), "07", 7);
    assert_eq!(line_in_the_way(&there, Proto::Udp, addr("[fd00::10]:53")), None);
}

#[test]
fn tcp_connections_are_not_listeners() {
    let ours = addr("127.0.0.1:53");
    for (state, held) in [("0A", true), ("01", false), ("06", false)] {
        let found = line_in_the_way(&line(ours, state, 7), Proto::Tcp, ours);
        assert_eq!(found.is_some(), held, "state {state}");
    }
}

#[test]
fn junk_lines_are_passed_over() {
    let ours = addr("127.0.0.1:53");
    let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                   uid  timeout inode ref pointer drops";
    let dead = line(ours, "07", 0);
    for junk in ["", " ", heading, "0: zz:0035", "0: 0100007F", "0: é100007:0035 x 07", &dead] {
        assert_eq!(line_in_the_way(junk, Proto::Udp, ours), None, "{junk:?}");
    }
}

#[test]
fn names_the_holder_of_udp_and_tcp() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for (proto, taken) in
        [(Proto::Udp, udp.local_addr().unwrap()), (Proto::Tcp, tcp.local_addr().unwrap())]
    {
        let holder = holder_of(proto, taken).unwrap();
        assert_eq!(holder.pid, std::process::id());
        let said = probe(taken).unwrap_err().to_string();
        assert_eq!(said, format!("{taken}/{proto} is taken by {holder}"));
    }
}

#[test]
fn a_wildcard_socket_holds_each_address() {
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let ours = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    assert!(matches!(
        probe(ours),
        Err(PortTaken::Taken { proto: Proto::Udp, holder: Some(Holder { pid, .. }), .. })
            if pid == std::process::id()
    ));
}

#[test]
fn a_socket_that_shares_its_port_is_found() {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&addr("127.0.0.1:0").into()).unwrap();
    let taken = socket.local_addr().unwrap().as_socket().unwrap();
    assert!(matches!(probe(taken), Err(PortTaken::Taken { .. })));
}

#[test]
fn time_wait_does_not_count() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let client = TcpStream::connect(here).unwrap();
    let (server, _) = listener.accept().unwrap();
    // Whoever closes first is left in TIME_WAIT: the server's side, on the port to be probed.
    drop(server);
    let mut rest = [0u8; 1];
    assert_eq!((&client).read(&mut rest).unwrap(), 0);
    drop(client);
    drop(listener);
    probe(here).unwrap();
}

#[test]
fn an_address_that_is_not_ours_says_what_to_do() {
    // TEST-NET-1 (RFC 5737) is nobody's.
    let said = probe(addr("192.0.2.1:5300")).unwrap_err().to_string();
    assert!(said.contains("192.0.2.1:5300/udp") && said.contains("[node] interface"), "{said}");
}

#[test]
fn every_refusal_says_what_is_missing() {
    let error = |code| io::Error::from_raw_os_error(code);
    let here = addr("127.0.0.1:53");
    let said = explain(Proto::Tcp, here, error(libc::EACCES)).to_string();
    assert!(said.contains("127.0.0.1:53/tcp") && said.contains("CAP_NET_BIND_SERVICE"), "{said}");
    let said = explain(Proto::Udp, here, error(libc::EMFILE)).to_string();
    assert!(said.starts_with("127.0.0.1:53/udp cannot be bound: "), "{said}");
    let unknown = PortTaken::Taken { addr: here, proto: Proto::Udp, holder: None };
    assert!(unknown.to_string().starts_with("127.0.0.1:53/udp is taken by a process"));
    let holder = Some(Holder { pid: 123, command: "unbound".into() });
    let taken = PortTaken::Taken { addr: addr("127.0.0.1:5300"), proto: Proto::Udp, holder };
    assert_eq!(taken.to_string(), "127.0.0.1:5300/udp is taken by unbound (pid 123)");
}

#[test]
fn a_server_waits_for_whoever_comes() {
    let udp = UdpSocket::bind("127.77.5.1:0").unwrap();
    let (ip, at) = (udp.local_addr().unwrap().ip(), udp.local_addr().unwrap());
    let found = server_on(ip).unwrap();
    assert_eq!((found.addr, found.proto), (at, Proto::Udp));
    assert_eq!(found.holder.as_ref().map(|holder| holder.pid), Some(std::process::id()));
    assert!(found.to_string().starts_with(&format!("{at}/udp is served by ")), "{found}");
    assert_eq!(server_at(at), Some(found));
    assert_eq!(server_at(SocketAddr::new(ip, at.port() ^ 1)), None);
    assert_eq!(server_on(addr("127.77.5.2:1").ip()), None);
    // Whoever asks from the address is no server.
    udp.connect(addr("127.0.0.1:9")).unwrap();
    assert_eq!(server_on(ip), None);
    drop(udp);
    let tcp = TcpListener::bind("[::1]:0").unwrap();
    assert!(server_on(tcp.local_addr().unwrap().ip()).is_some());
}
