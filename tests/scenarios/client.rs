//! Clients of the tests: sockets that ask and keep what was asked until the answer has been looked
//! at.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::BOUND;
use crate::message::{self, Message, Opt, Record, Writer};
use crate::script::Options;
use crate::text;

/// Sockets of a client that asks many times: so that it reaches every shard, and no receive buffer
/// has to hold too many answers.
const SOCKETS: usize = 64;

/// Something that was asked.
#[derive(Clone)]
pub struct Asked {
    pub id: u16,
    pub flags: u16,
    pub name: String,
    /// The question as it was sent.
    pub question: Vec<u8>,
    pub opt: Option<Opt>,
    pub tcp: bool,
    socket: usize,
}

/// One client.
pub struct Client {
    server: SocketAddr,
    from: IpAddr,
    udp: Vec<UdpSocket>,
    tcp: Option<TcpStream>,
    next_id: u16,
    /// Without an answer, oldest first.
    pub asked: VecDeque<Asked>,
    /// Answers that came before they were looked at.
    early: Vec<(bool, Message)>,
}

impl Client {
    pub fn new(server: SocketAddr, from: IpAddr) -> Client {
        let (asked, early) = (VecDeque::new(), Vec::new());
        Client { server, from, udp: Vec::new(), tcp: None, next_id: 0x1a00, asked, early }
    }

    fn socket(&mut self, at: usize) -> Result<&UdpSocket, String> {
        while self.udp.len() <= at {
            let open = || -> std::io::Result<UdpSocket> {
                let socket = UdpSocket::bind((self.from, 0))?;
                socket.connect(self.server)?;
                socket.set_read_timeout(Some(BOUND))?;
                Ok(socket)
            };
            self.udp.push(open().map_err(|error| format!("no socket: {error}"))?);
        }
        Ok(&self.udp[at])
    }

    fn stream(&mut self) -> Result<&TcpStream, String> {
        let open = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(self.from, 0).into())?;
            socket.connect(&self.server.into())?;
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(BOUND))?;
            Ok(stream)
        };
        if self.tcp.is_none() {
            self.tcp = Some(open().map_err(|error| format!("no connection: {error}"))?);
        }
        self.tcp.as_ref().ok_or_else(|| "no connection".into())
    }

    /// Closes its connection.
    pub fn hang_up(&mut self) {
        self.tcp = None;
    }

    /// Sends a question as `options` say. `number` tells it from others of the same statement.
    pub fn ask(&mut self, words: &[String], number: usize) -> Result<(), String> {
        let mut options = Options::new(words);
        let next = |o: &mut Options| o.next().ok_or("what is asked? NAME TYPE");
        let name = next(&mut options)?.replace('#', &number.to_string());
        let rtype = text::type_of(&next(&mut options)?)?;
        let tcp = options.flag("tcp");
        let many = options.value("times").is_some();
        self.next_id = self.next_id.wrapping_add(1);
        let id = options.number("id")?.unwrap_or(self.next_id);
        let mut flags = options.number::<u16>("opcode")?.unwrap_or(0) << 11;
        for (flag, bit) in [("qr", 0x8000), ("tc", 0x200), ("ad", 0x20), ("cd", 0x10)] {
            flags |= if options.flag(flag) { bit } else { 0 };
        }
        flags |= if options.flag("norecurse") { 0 } else { 0x100 };
        let class = match options.value("class").as_deref() {
            None => 1,
            Some("CH") => 3,
            Some(number) => number.parse().map_err(|_| "no class")?,
        };
        let mut writer = Writer::new(id, flags);
        writer.question(&name, rtype, class)?;
        let question = writer.bytes[12..].to_vec();
        if let Some(count) = options.number::<u16>("qdcount")? {
            writer.bytes[4..6].copy_from_slice(&count.to_be_bytes());
        }
        if let Some(ttl) = options.value("record") {
            let line = text::normal(&format!("{name} {ttl} A 192.0.2.66"))?;
            writer.record(&Record { section: 0, line })?;
        }
        let opt = opt_of(&mut options)?;
        if let Some(opt) = &opt {
            writer.opt(opt);
            if options.flag("two-opts") {
                writer.opt(opt);
            }
        }
        if let Some(tail) = options.value("tail") {
            writer.bytes.extend(text::tail(&tail)?);
        }
        options.done()?;
        let socket = if many { number % SOCKETS } else { 0 };
        self.asked.push_back(Asked { id, flags, name, question, opt, tcp, socket });
        self.send(&writer.bytes, tcp, socket)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8], tcp: bool) -> Result<(), String> {
        let word =
            |at: usize| bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        let (id, flags, name) = (word(0), word(2), String::new());
        let (question, opt, socket) = (Vec::new(), None, 0);
        self.asked.push_back(Asked { id, flags, name, question, opt, tcp, socket });
        self.send(bytes, tcp, 0)
    }

    fn send(&mut self, bytes: &[u8], tcp: bool, socket: usize) -> Result<(), String> {
        let failed = |error| format!("cannot send: {error}");
        if !tcp {
            return self.socket(socket)?.send(bytes).map(drop).map_err(failed);
        }
        let framed = [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
        let mut stream = self.stream()?;
        stream.write_all(&framed).map_err(failed)
    }

    /// Takes the answer to the oldest question, or the oldest about `name`.
    pub fn answer(&mut self, name: Option<&str>) -> Result<(Asked, Message), String> {
        let wanted = |asked: &Asked| name.is_none_or(|name| asked.name == name);
        let at = self.asked.iter().position(wanted).ok_or("it has asked nothing like that")?;
        let asked = self.asked.remove(at).ok_or("it has asked nothing like that")?;
        let ours = |(tcp, message): &(bool, Message)| *tcp == asked.tcp && message.id == asked.id;
        loop {
            if let Some(at) = self.early.iter().position(ours) {
                return Ok((asked.clone(), self.early.remove(at).1));
            }
            let bytes = if asked.tcp { self.read_tcp() } else { self.read_udp(asked.socket) }?;
            let bytes = bytes.ok_or("the server closed the connection")?;
            let message = message::read(&bytes).map_err(|e| format!("it got no message: {e}"))?;
            if message.id != asked.id && !self.asked.iter().any(|a| a.id == message.id) {
                return Err(format!("it got an answer to nothing: {}", message.describe()));
            }
            self.early.push((asked.tcp, message));
        }
    }

    fn read_udp(&mut self, socket: usize) -> Result<Option<Vec<u8>>, String> {
        let mut buffer = vec![0; 65_536];
        let len = self.socket(socket)?.recv(&mut buffer);
        let len = len.map_err(|error| format!("it got nothing: {error}"))?;
        Ok(Some(buffer[..len].to_vec()))
    }

    fn read_tcp(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut stream = self.stream()?;
        let mut len = [0; 2];
        if let Err(error) = stream.read_exact(&mut len) {
            let closed = error.kind() == std::io::ErrorKind::UnexpectedEof;
            return if closed { Ok(None) } else { Err(format!("it got nothing: {error}")) };
        }
        let mut bytes = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut bytes).map_err(|error| format!("cut short: {error}"))?;
        Ok(Some(bytes))
    }

    /// That nothing waits for it, now. What it asked is forgotten.
    pub fn nothing(&mut self) -> Result<(), String> {
        self.asked.clear();
        let mut buffer = [0; 512];
        for socket in &self.udp {
            socket.set_nonblocking(true).map_err(|e| e.to_string())?;
            let got = socket.recv(&mut buffer);
            socket.set_nonblocking(false).map_err(|e| e.to_string())?;
            if let Ok(len) = got {
                return Err(format!("it got an answer of {len} bytes"));
            }
        }
        Ok(())
    }

    /// Asks the server for its name and waits for the answer: whatever came before has been seen.
    pub fn round_trip(&mut self) -> Result<(), String> {
        let words = ["id.server", "TXT", "class=CH"].map(str::to_owned);
        self.ask(&words, 0)?;
        self.answer(None).map(drop)
    }
}

fn opt_of(options: &mut Options) -> Result<Option<Opt>, String> {
    let mut opt = Opt { payload: 4096, ..Opt::default() };
    let payload = options.number("edns")?;
    opt.dnssec_ok = options.flag("do");
    let mut wanted = options.flag("edns") | payload.is_some() | opt.dnssec_ok;
    opt.payload = payload.unwrap_or(opt.payload);
    if let Some(version) = options.number("version")? {
        (opt.version, wanted) = (version, true);
    }
    while let Some(option) = options.value("option") {
        let (code, data) = option.split_once(':').ok_or("option=CODE:HEX")?;
        opt.options.push((code.parse().map_err(|_| "no option code")?, text::hex(data)?));
        wanted = true;
    }
    Ok(wanted.then_some(opt))
}

/// Waits until `condition` holds, within the bound.
pub fn until(what: &str, condition: impl Fn() -> bool) -> Result<(), String> {
    let begun = std::time::Instant::now();
    while !condition() {
        if begun.elapsed() > BOUND {
            return Err(format!("{what}: not within {BOUND:?}"));
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}
