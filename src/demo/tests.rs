//! The demo's servers, asked over real sockets as a forwarder would ask them.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::authority::Authority;
use super::zones::name;
use super::{DemoError, Embedded, zones};

mod cluster;
mod internet;
mod setup;
mod tailnet;

const PATIENCE: Duration = Duration::from_secs(5);

/// A loopback address that only this process's tests use.
fn own_ip() -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 54, high, low.clamp(1, 254)))
}

async fn served(authority: Authority) -> Embedded {
    Embedded::start(authority, own_ip(), 0).await.unwrap()
}

fn question(owner: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x4d2, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(owner), kind));
    message
}

fn with_size(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

/// The answer over UDP, and how long it was.
async fn over_udp(server: SocketAddr, question: &Message) -> (Message, usize) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let len = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    (Message::from_vec(&buffer[..len]).unwrap(), len)
}

async fn over_tcp(server: SocketAddr, question: &Message) -> Message {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let bytes = question.to_vec().unwrap();
        stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let len = stream.read_u16().await.unwrap();
        let mut buffer = vec![0; usize::from(len)];
        stream.read_exact(&mut buffer).await.unwrap();
        Message::from_vec(&buffer).unwrap()
    };
    timeout(PATIENCE, exchange).await.unwrap()
}

/// The answer of a server that says the same over UDP and TCP, which is checked.
async fn ask(server: &Embedded, owner: &str, kind: RecordType) -> Message {
    let question = with_size(question(owner, kind), 1232);
    let (udp, len) = over_udp(server.addr(), &question).await;
    let tcp = over_tcp(server.addr(), &question).await;
    assert!(len <= 1232);
    assert_eq!(udp, tcp, "{owner} {kind}");
    assert_eq!(udp.metadata.id, question.metadata.id);
    assert_eq!(udp.metadata.message_type, MessageType::Response);
    assert_eq!(udp.queries, question.queries);
    assert!(udp.metadata.recursion_desired);
    udp
}

/// Records as dig shows them, without the class, sorted.
fn shown(records: &[Record]) -> Vec<String> {
    let show = |record: &Record| {
        format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
    };
    let mut shown: Vec<String> = records.iter().map(show).collect();
    shown.sort();
    shown
}

/// NOERROR, authoritative, with exactly these records, in any order.
async fn expect(server: &Embedded, owner: &str, kind: RecordType, records: &[&str]) -> Message {
    let answer = ask(server, owner, kind).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{owner} {kind}");
    assert!(answer.metadata.authoritative, "{owner} {kind}");
    let mut records = records.to_vec();
    records.sort_unstable();
    assert_eq!(shown(&answer.answers), records, "{owner} {kind}");
    answer
}

/// No records, `code`, and the SOA of `zone` with this TTL and MINIMUM.
async fn expect_negative(
    server: &Embedded,
    (owner, kind): (&str, RecordType),
    code: ResponseCode,
    (zone, ttl): (&str, u32),
) {
    let answer = ask(server, owner, kind).await;
    assert_eq!(answer.metadata.response_code, code, "{owner} {kind}");
    assert!(answer.metadata.authoritative);
    assert_eq!(answer.answers, [], "{owner} {kind}");
    let [soa] = answer.authorities.as_slice() else {
        panic!("{owner} {kind}: {:?}", answer.authorities)
    };
    assert_eq!(soa.name, name(zone), "{owner} {kind}");
    let RData::SOA(data) = &soa.data else { panic!("{soa}") };
    assert_eq!((soa.ttl, data.minimum), (ttl, ttl), "{owner} {kind}");
}

#[tokio::test]
async fn edns_is_answered_if_it_was_asked() {
    let server = served(zones::internet()).await;
    let plain = question("www.example.com.", RecordType::A);
    let (answer, _) = over_udp(server.addr(), &plain).await;
    assert_eq!(answer.edns, None);
    let (answer, _) = over_udp(server.addr(), &with_size(plain.clone(), 1400)).await;
    let edns = answer.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.version()), (1400, 0));
    assert!(edns.flags().dnssec_ok);
    let (answer, _) = over_udp(server.addr(), &with_size(plain.clone(), 100)).await;
    assert_eq!(answer.edns.unwrap().max_payload(), 512);
    let mut version_1 = with_size(plain, 1232);
    version_1.edns.as_mut().unwrap().set_version(1);
    let (answer, _) = over_udp(server.addr(), &version_1).await;
    // 16 is BADVERS here, though the decoder calls it by TSIG's name for the same number.
    assert_eq!(u16::from(answer.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert_eq!(answer.edns.unwrap().version(), 0);
}

#[tokio::test]
async fn what_no_zone_answers() {
    let server = served(zones::cluster()).await;
    let refused = [
        question("www.example.com.", RecordType::A),
        question("db.c.binrc.com.", RecordType::A),
        question("cluster.local.", RecordType::AXFR),
        {
            let mut chaos = question("cluster.local.", RecordType::TXT);
            chaos.queries[0].set_query_class(hickory_proto::rr::DNSClass::CH);
            chaos
        },
    ];
    for question in &refused {
        let answer = over_tcp(server.addr(), question).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{question}");
        assert!(!answer.metadata.authoritative);
        assert_eq!(answer.answers, []);
    }
    let mut status = question("cluster.local.", RecordType::A);
    status.metadata.op_code = OpCode::Status;
    let answer = over_tcp(server.addr(), &status).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
    let mut twice = question("cluster.local.", RecordType::A);
    twice.add_query(Query::query(name("cluster.local."), RecordType::AAAA));
    let answer = over_tcp(server.addr(), &twice).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn one_connection_carries_many_questions() {
    let server = served(zones::internet()).await;
    let exchange = async {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        for id in 0..20u16 {
            let mut question = question(&format!("n{id}.bulk.example."), RecordType::A);
            question.metadata.id = id;
            let bytes = question.to_vec().unwrap();
            stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..20 {
            let len = stream.read_u16().await.unwrap();
            let mut buffer = vec![0; usize::from(len)];
            stream.read_exact(&mut buffer).await.unwrap();
            let answer = Message::from_vec(&buffer).unwrap();
            assert_eq!(answer.answers.len(), 1);
            seen.push(answer.metadata.id);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    };
    timeout(PATIENCE, exchange).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_passed_over_and_a_stopped_server_gives_its_own_back() {
    let first = Embedded::start(zones::tailnet(), own_ip(), 20_053).await.unwrap();
    let second = Embedded::start(zones::tailnet(), own_ip(), first.addr().port()).await.unwrap();
    assert!(second.addr().port() > first.addr().port());
    let addr = first.addr();
    first.stop().await.unwrap();
    let again = Embedded::start(zones::cluster(), own_ip(), addr.port()).await.unwrap();
    assert_eq!(again.addr(), addr);
    expect(
        &again,
        "v4only.default.svc.cluster.local.",
        RecordType::A,
        &["v4only.default.svc.cluster.local. 5 A 10.96.12.8"],
    )
    .await;
}

#[tokio::test]
async fn an_address_of_another_host_is_an_error_that_names_it() {
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let Err(error) = Embedded::start(zones::tailnet(), elsewhere, 5353).await else {
        panic!("bound {elsewhere}")
    };
    assert!(matches!(error, DemoError::Listen { .. }), "{error}");
    assert!(error.to_string().contains("192.0.2.1:5353"), "{error}");
}
