//! Clients who wait for an upstream's answer, and how it reaches them.

use super::journey::Journey;
use super::{Client, Reply};
use crate::respond::{Ask, AskEdns};
use crate::time::Tick;

/// How to reach a client that waits.
pub enum ReplyTo {
    /// A datagram from the listening socket of this number.
    Datagram {
        /// Number of the listening address, the same in all shards.
        listener: u8,
    },
    /// A stream that takes one message.
    Stream(Box<dyn StreamSink>),
}

/// Takes the answer to one question asked over a stream. Dropped without one, the question stays
/// unanswered.
pub trait StreamSink: Send {
    /// Hands over the message, without its length prefix. Never waits. False if it had to be dropped
    /// because too much waits to be sent.
    fn send(self: Box<Self>, message: &[u8]) -> bool;
}

/// What must be kept of a question until its answer comes.
pub(super) struct Waiting {
    pub id: u16,
    pub flags: u16,
    pub room: u16,
    pub edns: Option<AskEdns>,
    /// The name as the client wrote it, where that is not in lower case.
    pub name: Option<Box<[u8]>>,
    pub client: Client,
    pub since: Tick,
    /// Where the answer takes more than one question: how far it has come.
    pub journey: Option<Box<Journey>>,
}

impl Waiting {
    /// Of the question of `reply`, whose folded name this is.
    pub(super) fn new(
        reply: &Reply<'_, '_>,
        folded: &[u8],
        journey: Option<Box<Journey>>,
    ) -> Waiting {
        let Reply { query, ask, client, now, .. } = *reply;
        let name = (query.name != folded).then(|| query.name.into());
        let (id, flags, room, edns) = (ask.id, ask.flags, ask.room, ask.edns);
        Waiting { id, flags, room, edns, name, client, since: now, journey }
    }

    /// What the answer must know, where the folded name is this.
    pub(super) fn ask<'a>(&'a self, folded: &'a [u8]) -> Ask<'a> {
        let name = self.name.as_deref().unwrap_or(folded);
        Ask { id: self.id, flags: self.flags, name, edns: self.edns, room: self.room }
    }
}

/// A client that waits for an exchange.
pub struct Waiter {
    pub(super) waiting: Waiting,
    /// How to reach it.
    pub reply_to: ReplyTo,
}

impl Waiter {
    /// Who waits.
    pub fn client(&self) -> Client {
        self.waiting.client
    }

    /// Takes the way to reply out.
    pub fn into_reply(self) -> ReplyTo {
        self.reply_to
    }
}
