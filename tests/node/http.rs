//! A small HTTP client: one GET, from inside a namespace.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::netns::Netns;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Status and body. HTTP/1.0, so that the body ends with the connection.
pub fn get(netns: &Netns, at: &str, path: &str) -> io::Result<(u16, String)> {
    let addr: SocketAddr = at.parse().map_err(io::Error::other)?;
    let mut stream = netns.run(|| TcpStream::connect_timeout(&addr, TIMEOUT))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\nAccept: text/plain\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}
