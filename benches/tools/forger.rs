//! An upstream with an enemy beside it: answers each A query with forged replies first, whose
//! address is 192.0.2.66, and then with the right one, 192.0.2.1. Whoever asks must take the right
//! one alone.
//!
//! Usage: `bench-forger ADDR:PORT [KIND...]`, a forged reply for each KIND: `id` (another id),
//! `question` (another name), `case` (the name in the other case), `port` (from another port).
//! Without KIND it only answers. Runs until it is ended; prints its process id when it listens.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, bail};
use horizond::sys::{RecvBatch, SendBatch};

/// Datagrams taken and sent at a time.
const BATCH: usize = 32;
/// Longest datagram.
const SIZE: usize = 1500;
/// SO_RCVBUF in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The right address and the forged one.
const RIGHT: u8 = 1;
const FORGED: u8 = 66;

#[derive(Clone, Copy)]
enum Kind {
    Id,
    Question,
    Case,
    Port,
}

fn kind(word: &str) -> anyhow::Result<Kind> {
    Ok(match word {
        "id" => Kind::Id,
        "question" => Kind::Question,
        "case" => Kind::Case,
        "port" => Kind::Port,
        _ => bail!("{word}: not one of id, question, case, port"),
    })
}

/// Where the question of a query ends; `None` if it is no query with one question.
fn question_end(query: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match usize::from(*query.get(at)?) {
            0 => break,
            len @ 1..64 => at += len + 1,
            _ => return None,
        }
    }
    let one_question = query[2] & 0x80 == 0 && query[4..6] == [0, 1];
    (one_question && query.len() >= at + 5).then_some(at + 5)
}

/// Writes an answer to the query with 192.0.2.`last`; returns its length.
fn answer(query: &[u8], end: usize, last: u8, out: &mut [u8]) -> usize {
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, last];
    out[..end].copy_from_slice(&query[..end]);
    // QR and RA, RD as asked; one question, one answer.
    (out[2], out[3]) = (0x80 | query[2] & 1, 0x80);
    out[4..12].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0]);
    out[end..end + record.len()].copy_from_slice(&record);
    end + record.len()
}

/// Makes an answer what its kind says.
fn forge(kind: Kind, answer: &mut [u8], end: usize) {
    match kind {
        Kind::Id => answer[0] ^= 0x5a,
        // Another letter in the first label, so that it stays a name.
        Kind::Question => answer[13] = if answer[13] == b'z' { b'y' } else { b'z' },
        Kind::Case => {
            for byte in &mut answer[12..end - 4] {
                if byte.is_ascii_alphabetic() {
                    *byte ^= 0x20;
                }
            }
        }
        Kind::Port => {}
    }
}

fn main() -> anyhow::Result<()> {
    let usage = "usage: bench-forger ADDR:PORT [id|question|case|port]...";
    let mut args = std::env::args().skip(1);
    let addr: SocketAddr = args.next().context(usage)?.parse().context(usage)?;
    let kinds = args.map(|word| kind(&word)).collect::<anyhow::Result<Vec<_>>>()?;
    let socket = UdpSocket::bind(addr).with_context(|| format!("cannot listen on {addr}"))?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
    let other_port = UdpSocket::bind((addr.ip(), 0))?;
    println!("{}", std::process::id());

    let mut received = RecvBatch::new(BATCH, SIZE);
    let mut answers = SendBatch::new(BATCH * (kinds.len() + 1), SIZE);
    let mut strays = SendBatch::new(BATCH * kinds.len().max(1), SIZE);
    loop {
        // What an ICMP error or a signal reports concerns one datagram that is gone already.
        let Ok(count) = received.wait(&socket) else { continue };
        for i in 0..count {
            let (query, Some(from)) = (received.bytes(i), received.from(i)) else { continue };
            let Some(end) = question_end(query) else { continue };
            for &kind in &kinds {
                let batch = if matches!(kind, Kind::Port) { &mut strays } else { &mut answers };
                let len = answer(query, end, FORGED, batch.next_buffer());
                forge(kind, batch.next_buffer(), end);
                batch.queue(len, from);
            }
            let len = answer(query, end, RIGHT, answers.next_buffer());
            answers.queue(len, from);
        }
        // The strays first: a forged reply is to come before the right one.
        strays.flush(&other_port);
        answers.flush(&socket);
    }
}
