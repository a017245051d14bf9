//! Framing, order, ceilings and deadlines of TCP clients (RFC 7766).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::BOUND;
use crate::table::bytes;
use crate::upstream::From;
use crate::world::World;

fn world(limits: &str) -> World {
    let route = "[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"$isp\"]\n";
    World::start(&format!("[listen.tcp]\n{limits}\n{route}"), 1).unwrap()
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn wire(text: &str) -> Vec<u8> {
    bytes(text, &HashMap::new())
}

/// A framed question for localhost and its framed answer.
fn local(id: u16) -> (Vec<u8>, Vec<u8>) {
    let ask = format!("{{ {id:04x} 0100 0001 0000 0000 0000 'localhost' 0001 0001 }}");
    let answer =
        "8580 0001 0001 0000 0000 'localhost' 0001 0001 c00c 0001 0001 00000e10 { 7f000001 }";
    (wire(&ask), wire(&format!("{{ {id:04x} {answer} }}")))
}

fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// That the server closes the connection without another byte. Whether with FIN or RST depends on
/// what it had not read.
fn assert_closed(stream: &mut TcpStream) {
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => panic!("a byte came"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let world = world("");
    let mut stream = connect(world.addr);
    for id in 1..3 {
        let (ask, answer) = local(id);
        ask.iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
        assert_eq!(read(&mut stream, answer.len()), answer);
    }
}

#[test]
fn many_messages_may_come_in_one_piece_cut_anywhere() {
    let world = world("");
    let (asks, answers): (Vec<_>, Vec<_>) = (1..=40).map(local).unzip();
    let (asks, answers) = (asks.concat(), answers.concat());
    for cut in [1, 2, 3, 15, 29, 30, 31, 100, asks.len() - 1] {
        let mut stream = connect(world.addr);
        stream.write_all(&asks[..cut]).unwrap();
        stream.write_all(&asks[cut..]).unwrap();
        assert_eq!(read(&mut stream, answers.len()), answers, "cut at {cut}");
    }
}

#[test]
fn what_is_no_message_gets_nothing_and_the_next_is_answered() {
    let world = world("");
    let (ask, answer) = local(7);
    for nothing in ["0000", "0000 0000 0000", "0001 12", "000b 1234 0100 0001 0000 0000 00"] {
        let mut stream = connect(world.addr);
        stream.write_all(&[wire(nothing), ask.clone()].concat()).unwrap();
        assert_eq!(read(&mut stream, answer.len()), answer, "{nothing}");
    }
}

#[test]
fn the_longest_message_is_read_and_judged() {
    let world = world("");
    let mut stream = connect(world.addr);
    // A question and 65,506 bytes behind it.
    let question = "1234 0100 0001 0000 0000 0000 'localhost' 0001 0001";
    let long = wire(&format!("{{ {question} x*65508 }}"));
    assert_eq!(long.len(), 2 + 65_535);
    stream.write_all(&long).unwrap();
    let formerr = wire(&format!("{{ {} }}", question.replacen("0100", "8181", 1)));
    assert_eq!(read(&mut stream, formerr.len()), formerr);
}

#[test]
fn answers_come_as_they_are_ready() {
    let mut world = world("");
    let mut stream = connect(world.addr);
    let ask = |id: u16, name: &str| {
        wire(&format!("{{ {id:04x} 0100 0001 0000 0000 0000 '{name}' 0001 0001 }}"))
    };
    let (here, found) = local(3);
    stream.write_all(&[ask(1, "a.example"), ask(2, "b.example"), here].concat()).unwrap();
    assert_eq!(read(&mut stream, found.len()), found, "what is known here is not held up");
    let isp = world.upstreams.get_mut("isp").unwrap();
    let mut asked = Vec::new();
    for _ in 0..2 {
        isp.next().unwrap();
        let index = isp.received.len() - 1;
        asked.push((isp.received[index].message.name.clone(), index));
    }
    asked.sort();
    for (id, name, last) in [(2, "b.example", 2), (1, "a.example", 1)] {
        let (_, index) = asked[last - 1];
        let their = isp.received[index].message.id;
        let answer = |id: u16| {
            let record = format!("c00c 0001 0001 0000012c {{ c00002{last:02x} }}");
            let head = "8180 0001 0001 0000 0000";
            format!("{id:04x} {head} '{name}' 0001 0001 {record}")
        };
        isp.send(index, &wire(&answer(their)), From::Itself).unwrap();
        let due = wire(&format!("{{ {} }}", answer(id)));
        assert_eq!(read(&mut stream, due.len()), due, "{name}");
    }
}

#[test]
fn connections_over_the_ceiling_of_a_client_are_closed() {
    let world = world("per_client = 2");
    let (ask, answer) = local(1);
    let mut open: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(world.addr);
            stream.write_all(&ask).unwrap();
            assert_eq!(read(&mut stream, answer.len()), answer);
            stream
        })
        .collect();
    assert_closed(&mut connect(world.addr));
    // One that goes makes room, once the server has seen it go.
    drop(open.pop());
    let begun = Instant::now();
    loop {
        let mut stream = connect(world.addr);
        let mut got = vec![0; answer.len()];
        if stream.write_all(&ask).is_ok() && stream.read_exact(&mut got).is_ok() {
            assert_eq!(got, answer);
            break;
        }
        assert!(begun.elapsed() < BOUND, "its place was not given back");
    }
}

#[test]
fn an_idle_connection_is_closed_and_one_that_asks_is_not() {
    let world = world("idle = \"1s\"");
    let (ask, answer) = local(1);
    let begun = Instant::now();
    let (mut idle, mut busy) = (connect(world.addr), connect(world.addr));
    busy.write_all(&ask).unwrap();
    assert_eq!(read(&mut busy, answer.len()), answer);
    assert_closed(&mut idle);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(990) && waited < BOUND, "{waited:?}");
    assert_closed(&mut busy);
}

#[test]
fn a_message_that_does_not_come_in_time_ends_its_connection() {
    let world = world("idle = \"1m\"\nread = \"100ms\"");
    for begun in ["00", "0010", "0010 1234 0100"] {
        let mut stream = connect(world.addr);
        let (ask, answer) = local(5);
        stream.write_all(&[ask, wire(begun)].concat()).unwrap();
        assert_eq!(read(&mut stream, answer.len()), answer);
        assert_closed(&mut stream);
    }
}

/// What clients that may not ask have for all of them together, and how long each may take.
const STRANGERS: usize = 16;
const STRANGER_IDLE: Duration = Duration::from_secs(1);

fn connect_from(last: u8, addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// As many strangers as are let in, told that they may not ask, and whether one more was turned away;
/// `None` where all that took so long that the first may have run out of time.
fn strangers(addr: SocketAddr) -> Option<(Vec<TcpStream>, bool)> {
    let begun = Instant::now();
    let (ask, _) = local(9);
    let mut open: Vec<_> = (0..STRANGERS).map(|i| connect_from(10 + (i / 4) as u8, addr)).collect();
    let mut more = connect_from(20, addr);
    // It may be closed already.
    let _ = more.write_all(&ask);
    let closed = matches!(more.read(&mut [0; 64]), Ok(0) | Err(_));
    let refused = wire("{ 0009 8185 0001 0000 0000 0000 'localhost' 0001 0001 }");
    for stream in &mut open {
        let mut got = vec![0; refused.len()];
        let done = stream.write_all(&ask).and_then(|()| stream.read_exact(&mut got));
        assert!(got == refused || done.is_err(), "{got:02x?}");
        done.ok()?;
    }
    (begun.elapsed() < STRANGER_IDLE / 2).then_some((open, closed))
}

#[test]
fn clients_that_may_not_ask_have_few_connections_and_take_none_from_others() {
    let toml = "[admit]\nallow = [\"127.0.0.1/32\"]\n[listen.tcp]\nconnections = 4\nper_client = 4\n\
        [[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"$isp\"]\n";
    let mut attempts = (0..10).map(|_| World::start(toml, 1).unwrap());
    let found = attempts.find_map(|world| Some((strangers(world.addr)?, world)));
    let ((mut strangers, closed), world) = found.expect("a host that is not this busy");
    assert!(closed, "one more than {STRANGERS} is let in");
    // Clients that may ask have all their places still.
    let (ask, answer) = local(1);
    let mut friends: Vec<TcpStream> = (0..4).map(|_| connect(world.addr)).collect();
    for stream in &mut friends {
        stream.write_all(&ask).unwrap();
        assert_eq!(read(stream, answer.len()), answer);
    }
    // Who may not ask is not idle for long.
    strangers.iter_mut().for_each(assert_closed);
}
