//! An upstream that answers at once, by the name it is asked about.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread::JoinHandle;

use crate::table::{address, bytes, name};
use crate::types::TYPES;

/// Ends when dropped.
pub struct Answers {
    pub addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Answers {
    pub fn start() -> Answers {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut query = [0; 4096];
            loop {
                let (len, peer) = socket.recv_from(&mut query).unwrap();
                if len == 0 {
                    return;
                }
                // It asks for no more than there is, and asks again otherwise.
                let _ = socket.send_to(&answer(&query[..len]), peer);
            }
        });
        Answers { addr, thread: Some(thread) }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.send_to(&[], self.addr).unwrap();
        let failed = self.thread.take().is_some_and(|thread| thread.join().is_err());
        assert!(!failed || std::thread::panicking(), "the upstream panicked");
    }
}

/// What an answer is made of: flags, counts of the sections, and their bytes.
type Parts = (u16, [u16; 3], Vec<u8>);

fn answer(query: &[u8]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
    let question = &query[12..end];
    let (asked, qtype) = question.split_at(question.len() - 4);
    let qtype = u16::from_be_bytes([qtype[0], qtype[1]]);
    let (flags, counts, records) = parts(asked, qtype);
    let mut out = query[..2].to_vec();
    // CD comes back; the rest is the upstream's own.
    let flags = flags | u16::from_be_bytes([query[2], query[3]]) & 0x0010;
    for word in [flags, 1, counts[0], counts[1], counts[2]] {
        out.extend(word.to_be_bytes());
    }
    out.extend(question);
    out.extend(records);
    out
}

/// What is known; NXDOMAIN without an SOA is kept by nobody.
fn parts(asked: &[u8], qtype: u16) -> Parts {
    let make = |text: &str| bytes(text, &HashMap::new());
    if let Some((_, rdata)) = TYPES.iter().find(|(number, _)| *number == qtype)
        && asked == name("types.example.com")
    {
        let record = format!("c00c {qtype:04x} 0001 0000012c {{ {rdata} }}");
        return (0x8180, [1, 0, 0], make(&record));
    }
    let is = |text: &str, rtype: u16| asked == name(text) && qtype == rtype;
    if is("www.example.com", 1) {
        return (0x8580, [1, 0, 0], address(1));
    }
    if is("ad.example.com", 1) {
        return (0x81a0, [1, 0, 0], address(1));
    }
    if is("many.example.com", 1) {
        return (0x8180, [100, 0, 0], (0..100).flat_map(address).collect());
    }
    if is("opt.example.com", 1) {
        let opt = make(
            "00 0029 1000 00008000 { 0003 { \"them\" } 000a { 0102030405060708 } 000b { 0064 }
              fde9 { aa } 000f { 0004 \"forged\" } }",
        );
        return (0x8180, [1, 0, 1], [address(1), opt].concat());
    }
    if is("more.example.com", 1) {
        return (0x8180, [1, 0, 40], (0..41).flat_map(address).collect());
    }
    let soa = "0006 0001 00000e10 { 026e73 c00c 02686d c00c 00000001 00000e10 00000384 00093a80 0000012c }";
    if is("example.com", 6) {
        return (0x8180, [1, 0, 0], make(&format!("c00c {soa}")));
    }
    if is("example.com", 48) {
        let key = |last: u32| format!("c00c 0030 0001 00000e10 {{ 0100030d k*255 {last:02x} }} ");
        return (0x8180, [4, 0, 0], make(&(0..4).map(key).collect::<String>()));
    }
    if is("none.example.com", 28) {
        return (0x8180, [0, 1, 0], make(&format!("c011 {soa}")));
    }
    (0x8183, [0; 3], Vec::new())
}
