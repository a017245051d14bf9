//! Tables of questions and answers as bytes.
//!
//! ```text
//! $NAME = BYTES               a word for bytes, from here on
//! === NAME                    a case: the row and the section of its RFC
//! from ADDRESS                the client's address, 127.0.0.1 if left out
//! udp | tcp                   over this alone, both if left out
//! > BYTES                     the client sends a message
//! < BYTES                     and gets exactly this (<udp, <tcp: where the answers differ)
//! < nothing
//! ```
//!
//! A line that begins with a space goes on with the one before; "#" begins a remark. BYTES are words:
//! hexadecimal digits; `'www.example.com'`, a name; `"text"`; `a*9`, nine times the letter a; `{ .. }`,
//! the bytes inside with their length in two bytes in front; `@9`, the first nine addresses of a long
//! answer; `$NAME`.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use socket2::{Domain, Socket, Type};

use crate::BOUND;
use crate::answers::Answers;
use crate::world::World;

/// A message and what comes back, `None` for nothing; over UDP and over TCP.
struct Exchange {
    line: usize,
    sent: Vec<u8>,
    udp: Option<Vec<u8>>,
    tcp: Option<Vec<u8>>,
}

struct Case {
    name: String,
    from: IpAddr,
    over: [bool; 2],
    exchanges: Vec<Exchange>,
}

/// Plays all cases of a table, each with a server of its own; tells of all that fail.
pub fn play(text: &str, toml: &str) {
    let cases = parse(text);
    let mut failures = Vec::new();
    let mut count = 0;
    for case in &cases {
        assert!(!case.exchanges.is_empty(), "{}: nothing happens", case.name);
        for tcp in [false, true] {
            if !case.over[usize::from(tcp)] {
                continue;
            }
            count += case.exchanges.len();
            let how = if tcp { "tcp" } else { "udp" };
            if let Err(error) = play_case(case, tcp, toml) {
                failures.push(format!("{} ({how}): {error}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n\n{}\n", failures.len(), failures.join("\n\n"));
    println!("{} cases, {count} exchanges", cases.len());
}

fn play_case(case: &Case, tcp: bool, toml: &str) -> Result<(), String> {
    let answers = Answers::start();
    let route = format!(
        "{toml}[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"{}\"]\n",
        answers.addr
    );
    let world = World::start(&route, 1)?;
    let mut client = Client::new(world.addr, case.from, tcp);
    for exchange in &case.exchanges {
        client.send(&exchange.sent);
        let wanted = if tcp { &exchange.tcp } else { &exchange.udp };
        let at = |what: String| format!("line {}: {what}", exchange.line);
        match wanted {
            Some(wanted) => {
                let got = client.receive().ok_or_else(|| at("no answer".into()))?;
                if got != *wanted {
                    return Err(at(format!("\n  got    {}\n  wanted {}", hex(&got), hex(wanted))));
                }
            }
            None => {
                // What would be the answer had come before this one's.
                let mut probe = Client::new(world.addr, Ipv4Addr::LOCALHOST.into(), tcp);
                let other = case.from != IpAddr::from(Ipv4Addr::LOCALHOST);
                let asker = if other { &mut probe } else { &mut client };
                asker.send(PROBE);
                let got = asker.receive().ok_or_else(|| at("no answer to the probe".into()))?;
                if got[..2] != PROBE[..2] || other && client.is_answered() {
                    return Err(at(format!("there is an answer: {}", hex(&got))));
                }
            }
        }
    }
    Ok(())
}

/// id.server in class CH, which is always answered.
const PROBE: &[u8] = b"\xfe\xed\x01\0\0\x01\0\0\0\0\0\0\x02id\x06server\0\0\x10\0\x03";

/// A client over one of the transports.
pub struct Client {
    udp: UdpSocket,
    tcp: Option<TcpStream>,
}

impl Client {
    pub fn new(server: SocketAddr, from: IpAddr, tcp: bool) -> Client {
        let udp = UdpSocket::bind((from, 0)).unwrap();
        udp.connect(server).unwrap();
        udp.set_read_timeout(Some(BOUND)).unwrap();
        let tcp = tcp.then(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
            socket.connect(&server.into()).unwrap();
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(BOUND)).unwrap();
            stream
        });
        Client { udp, tcp }
    }

    pub fn send(&mut self, message: &[u8]) {
        match &mut self.tcp {
            // A connection that the server does not take may be gone already.
            Some(stream) => {
                let len = u16::try_from(message.len()).unwrap().to_be_bytes();
                let _ = stream.write_all(&[&len, message].concat());
            }
            None => drop(self.udp.send(message).unwrap()),
        }
    }

    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        let len = match &mut self.tcp {
            Some(stream) => {
                let mut len = [0; 2];
                stream.read_exact(&mut len).ok()?;
                let len = usize::from(u16::from_be_bytes(len));
                stream.read_exact(&mut buffer[..len]).ok()?;
                len
            }
            None => self.udp.recv(&mut buffer).ok()?,
        };
        buffer.truncate(len);
        Some(buffer)
    }

    /// Whether something has come, up to now; a connection that is closed has nothing.
    fn is_answered(&mut self) -> bool {
        let mut byte = [0];
        match &mut self.tcp {
            Some(stream) => matches!(stream.read(&mut byte), Ok(1)),
            None => {
                self.udp.set_nonblocking(true).unwrap();
                self.udp.recv(&mut byte).is_ok()
            }
        }
    }
}

fn parse(text: &str) -> Vec<Case> {
    let mut words: HashMap<String, Vec<u8>> = HashMap::new();
    let mut cases: Vec<Case> = Vec::new();
    for (line, text) in joined(text) {
        let fail = |what: &str| -> ! { panic!("line {line}: {what}") };
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        if let Some(name) = verb.strip_prefix('$') {
            let value = rest.strip_prefix("= ").unwrap_or_else(|| fail("$NAME = BYTES"));
            words.insert(name.into(), bytes(value, &words));
            continue;
        }
        if verb == "===" {
            let (from, over) = (Ipv4Addr::LOCALHOST.into(), [true; 2]);
            cases.push(Case { name: rest.into(), from, over, exchanges: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| fail("outside a case"));
        let answer = || (rest != "nothing").then(|| bytes(rest, &words));
        match (verb, case.exchanges.last_mut()) {
            ("from", _) => case.from = rest.parse().unwrap(),
            ("udp", _) => case.over = [true, false],
            ("tcp", _) => case.over = [false, true],
            (">", _) => {
                let sent = bytes(rest, &words);
                case.exchanges.push(Exchange { line, sent, udp: None, tcp: None });
            }
            ("<", Some(exchange)) => (exchange.udp, exchange.tcp) = (answer(), answer()),
            ("<udp", Some(exchange)) => exchange.udp = answer(),
            ("<tcp", Some(exchange)) => exchange.tcp = answer(),
            _ => fail("this is no line of a table"),
        }
    }
    cases
}

/// Lines without remarks, each with those that go on with it, by the number of the first.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        match lines.last_mut() {
            _ if line.trim().is_empty() => {}
            Some((_, before)) if line.starts_with(' ') => before.push_str(line.trim_end()),
            _ => lines.push((number + 1, line.trim_end().to_owned())),
        }
    }
    lines
}

/// The bytes that the words stand for.
pub fn bytes(text: &str, words: &HashMap<String, Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).expect("a quote that ends") + 2,
            _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let word = &rest[..end];
        rest = rest[end..].trim_start();
        match first {
            '\'' => out.extend(name(&word[1..end - 1])),
            '"' => out.extend(word[1..end - 1].bytes()),
            '$' => out.extend(&words[&word[1..]]),
            '@' => {
                let count = word[1..].parse().unwrap();
                (0..count).for_each(|last| out.extend(address(last)));
            }
            '{' => {
                open.push(out.len());
                out.extend([0, 0]);
                if word == "{}" {
                    open.pop();
                }
            }
            '}' => {
                let at = open.pop().expect("an opened brace");
                let len = (out.len() - at - 2) as u16;
                out[at..at + 2].copy_from_slice(&len.to_be_bytes());
            }
            _ => match word.split_once('*') {
                Some((letter, times)) => {
                    out.extend(letter.repeat(times.parse().unwrap()).bytes());
                }
                None => out.extend(crate::text::hex(word).expect(word)),
            },
        }
    }
    assert!(open.is_empty(), "a brace that does not end in {text}");
    out
}

/// An A record of the question's name: 192.0.2.LAST, for 300 s.
pub fn address(last: u8) -> Vec<u8> {
    [&b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02"[..], &[last]].concat()
}

/// A name on the wire.
pub fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_notation() {
    let words = HashMap::from([("ab".to_owned(), vec![1, 2])]);
    for (text, expected) in [
        ("1234 00", &b"\x12\x34\0"[..]),
        ("'a.bc' '.' \"a b\"", b"\x01a\x02bc\0\0a b"),
        ("$ab a*3 {} { 01 { 02 } }", b"\x01\x02aaa\0\0\0\x04\x01\0\x01\x02"),
    ] {
        assert_eq!(bytes(text, &words), expected, "{text}");
    }
}
