//! A DNS server that says who it is: every A question gets its one address, every AAAA question its
//! IPv4 address mapped, every TXT question 59 KB over TCP and a truncated nothing over UDP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

use crate::fake_coredns::Place;
use crate::netns::Netns;

/// How often a thread looks whether it is to stop.
const TICK: Duration = Duration::from_millis(20);
/// How long a client may take within a message.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most TCP connections of a witness's life.
const CONNECTIONS: usize = 10_000;
const TXT: u16 = 16;
/// Strings of 255 bytes in the long answer's records: 58 records of 4 strings, 59 KB in all.
const RECORDS: usize = 58;
const STRINGS: usize = 4;

struct Shared {
    name: Ipv4Addr,
    asked: AtomicUsize,
    stop: AtomicBool,
    /// Taken up to now.
    connections: AtomicUsize,
}

/// Running servers; they stop when dropped.
pub struct Witness {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    /// Serves port 53 of the addresses in the namespace; answers with `name`.
    pub fn start(netns: &Netns, name: &str, addresses: &[&str]) -> Self {
        let (asked, connections) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (name, stop) = (name.parse().unwrap(), AtomicBool::new(false));
        let shared = Arc::new(Shared { name, asked, stop, connections });
        let mut threads = Vec::new();
        for address in addresses {
            let addr = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 53);
            let udp = netns.udp(addr).unwrap_or_else(|e| panic!("{addr}/udp: {e}"));
            let tcp = netns.tcp(addr).unwrap_or_else(|e| panic!("{addr}/tcp: {e}"));
            udp.set_read_timeout(Some(TICK)).unwrap();
            let us = shared.clone();
            threads.push(std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while !us.stop.load(Ordering::Relaxed) {
                    let Ok((length, from)) = udp.recv_from(&mut buffer) else { continue };
                    let _ = udp.send_to(&us.answer(&buffer[..length], false), from);
                }
            }));
            SockRef::from(&tcp).set_read_timeout(Some(TICK)).unwrap();
            let us = shared.clone();
            threads.push(std::thread::spawn(move || {
                while !us.stop.load(Ordering::Relaxed) {
                    let Ok((stream, _)) = tcp.accept() else { continue };
                    let us = us.clone();
                    if us.connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS {
                        std::thread::spawn(move || drop(us.serve(stream)));
                    }
                }
            }));
        }
        Self { shared, threads }
    }

    /// Questions up to now.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Answers a connection's questions until its client has no more.
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut first = [0];
        loop {
            stream.set_read_timeout(Some(TICK))?;
            match stream.read(&mut first) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) if self.stop.load(Ordering::Relaxed) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut second = [0];
            stream.read_exact(&mut second)?;
            let mut query = vec![0; usize::from(u16::from_be_bytes([first[0], second[0]]))];
            stream.read_exact(&mut query)?;
            let answer = self.answer(&query, true);
            let length = (answer.len() as u16).to_be_bytes();
            stream.write_all(&[&length, &answer[..]].concat())?;
        }
    }

    /// The header, the question and the records (RFC 1035, 4.1).
    fn answer(&self, query: &[u8], tcp: bool) -> Vec<u8> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let name_end = 12 + query[12..].iter().position(|b| *b == 0).unwrap();
        let question = &query[12..name_end + 5];
        let qtype = u16::from_be_bytes([query[name_end + 1], query[name_end + 2]]);
        let (count, data, truncated) = match qtype {
            TXT if tcp => (RECORDS, [&[255][..], &[b'x'; 255]].concat().repeat(STRINGS), false),
            TXT => (0, Vec::new(), true),
            28 => (1, self.name.to_ipv6_mapped().octets().to_vec(), false),
            _ => (1, self.name.octets().to_vec(), false),
        };
        let mut out = query[..2].to_vec();
        out.extend([0x84 | u8::from(truncated) << 1, 0, 0, 1, 0, count as u8, 0, 0, 0, 0]);
        out.extend(question);
        for _ in 0..count {
            out.extend([0xc0, 12]);
            out.extend(qtype.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 0]);
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(&data);
        }
        out
    }
}
