//! The clients: connected sockets with room for some questions each. The low bits of a query's id
//! say which of its socket's slots it belongs to, the others count how often the slot was used, so
//! that an answer finds its question without a search and a late one finds none.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::BATCH;
use crate::questions::{Question, Questions};
use crate::tally::Tally;

/// SO_RCVBUF of a client that may get many answers at once, in bytes.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Room for one question of one client.
#[derive(Clone, Copy)]
struct Slot {
    id: u16,
    busy: bool,
    question: Question,
    sent: Instant,
}

/// Queries for one socket, to be sent together.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// All clients and what they wait for.
pub struct Clients {
    sockets: Vec<UdpSocket>,
    /// `width` of them for each socket.
    slots: Vec<Slot>,
    width: usize,
    /// Slots that wait for a question; the one that has waited longest gets it.
    idle: VecDeque<u32>,
    outgoing: Outgoing,
    outstanding: usize,
    most: usize,
    sent: u64,
}

impl Clients {
    /// `count` clients, in turn for each of the servers, at `addresses` source addresses, with
    /// `outstanding` questions in all.
    pub fn new(
        servers: &[SocketAddr],
        count: usize,
        addresses: u32,
        outstanding: usize,
    ) -> anyhow::Result<Clients> {
        let mut sockets = Vec::with_capacity(count);
        let width = outstanding.div_ceil(count).next_power_of_two();
        ensure!(width <= 1 << 12, "more than 4096 questions for a client");
        for i in 0..count {
            let source = u32::from(Ipv4Addr::new(127, 53, 64, 1)) + i as u32 % addresses;
            let socket = UdpSocket::bind((Ipv4Addr::from(source), 0)).context("no more clients")?;
            socket.connect(servers[i % servers.len()])?;
            if width > 1 {
                horizond::sys::set_receive_buffer(&socket, RECEIVE_BUFFER)?;
            }
            sockets.push(socket);
        }
        let now = Instant::now();
        let slot = |i: usize| Slot {
            id: (i % width) as u16,
            busy: false,
            question: Question::default(),
            sent: now,
        };
        Ok(Clients {
            sockets,
            slots: (0..count * width).map(slot).collect(),
            width,
            idle: (0..(count * width) as u32).collect(),
            outgoing: Outgoing::default(),
            outstanding: 0,
            most: outstanding,
            sent: 0,
        })
    }

    /// The sockets, in the order of their numbers.
    pub fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }

    /// Questions that wait for an answer.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Questions asked.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Asks until as many are outstanding as may be.
    pub fn ask(&mut self, questions: &mut Questions, now: Instant) {
        let mut client = usize::MAX;
        while self.outstanding < self.most {
            let Some(&place) = self.idle.front() else { break };
            let Some(question) = questions.next() else { break };
            self.idle.pop_front();
            let next = place as usize / self.width;
            if next != client || self.outgoing.ends.len() == BATCH {
                self.flush(client);
                client = next;
            }
            let slot = &mut self.slots[place as usize];
            slot.id = slot.id.wrapping_add(self.width as u16);
            (slot.busy, slot.question, slot.sent) = (true, question, now);
            questions.write(question, slot.id, &mut self.outgoing.bytes);
            self.outgoing.ends.push(self.outgoing.bytes.len());
            self.outstanding += 1;
            self.sent += 1;
        }
        self.flush(client);
    }

    /// Sends what is gathered for a client. What the kernel refuses is lost like what the network
    /// loses.
    fn flush(&mut self, client: usize) {
        let Outgoing { bytes, ends } = &mut self.outgoing;
        if ends.is_empty() {
            return;
        }
        let begins = std::iter::once(0).chain(ends.iter().copied());
        let slices: Vec<[IoSlice<'_>; 1]> =
            begins.zip(ends.iter()).map(|(from, &to)| [IoSlice::new(&bytes[from..to])]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
        // Connected, so that the kernel looks up no route: no address.
        let mut headers: Vec<MMsgHdr<'_>> =
            slices.iter().zip(&mut controls).map(|(slice, c)| MMsgHdr::new(slice, c)).collect();
        let mut at = 0;
        while at < headers.len() {
            match sendmmsg(&self.sockets[client], &mut headers[at..], SendFlags::empty()) {
                Ok(count) => at += count.max(1),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => at += 1,
            }
        }
        bytes.clear();
        ends.clear();
    }

    /// Takes an answer that came to a client; returns when its question was asked.
    pub fn answered(
        &mut self,
        client: usize,
        message: &[u8],
        questions: &Questions,
        tally: &mut Tally,
    ) -> Option<Instant> {
        let id = u16::from_be_bytes([*message.first()?, *message.get(1)?]);
        let place = client * self.width + (usize::from(id) & (self.width - 1));
        let slot = &mut self.slots[place];
        if !slot.busy || slot.id != id {
            tally.late += 1;
            return None;
        }
        let Some(end) = questions.end_of(slot.question, message).filter(|_| message[2] & 0x80 != 0)
        else {
            tally.wrong += 1;
            return None;
        };
        slot.busy = false;
        self.idle.push_back(place as u32);
        self.outstanding -= 1;
        tally.answer(message, end).then_some(slot.sent)
    }

    /// Gives up what was asked longer than `patience` ago; returns how many.
    pub fn sweep(&mut self, now: Instant, patience: Duration) -> u64 {
        let mut lost = 0;
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if slot.busy && now.saturating_duration_since(slot.sent) >= patience {
                slot.busy = false;
                self.idle.push_back(place as u32);
                self.outstanding -= 1;
                lost += 1;
            }
        }
        lost
    }
}
