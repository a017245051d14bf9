//! Answers on their way to a TCP client: framed, counted, written several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::serve::StreamSink;

/// Bytes of answers that may wait for one client before its connection is not read any more.
const UNSENT: usize = 256 * 1024;
/// Bytes of answers that may wait for all clients together; beyond it answers are dropped.
const ALL_UNSENT: usize = 64 << 20;

/// What waits to be written to one client.
#[derive(Clone)]
pub(super) struct Unsent(Arc<UnsentBytes>);

struct UnsentBytes {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    less: Notify,
}

impl Unsent {
    pub(super) fn new(all: &Arc<AtomicUsize>) -> Unsent {
        let all = Arc::clone(all);
        Unsent(Arc::new(UnsentBytes { own: AtomicUsize::new(0), all, less: Notify::new() }))
    }

    /// Waits until the client has taken enough to be read again. Cancel safe.
    pub(super) async fn room(&self) {
        while self.0.own.load(Ordering::Acquire) > UNSENT {
            self.0.less.notified().await;
        }
    }

    /// A message with its length in front, counted until it is written; `None` if there is too much
    /// of them all.
    pub(super) fn frame(&self, message: &[u8], permit: OwnedSemaphorePermit) -> Option<Outgoing> {
        let len = 2 + message.len();
        if self.0.all.fetch_add(len, Ordering::AcqRel) + len > ALL_UNSENT {
            self.0.all.fetch_sub(len, Ordering::AcqRel);
            return None;
        }
        self.0.own.fetch_add(len, Ordering::AcqRel);
        let mut frame = Vec::with_capacity(len);
        frame.extend((message.len() as u16).to_be_bytes());
        frame.extend_from_slice(message);
        Some(Outgoing { frame, unsent: self.clone(), _permit: permit })
    }
}

/// A framed message, counted, with the permit of its question.
pub(super) struct Outgoing {
    frame: Vec<u8>,
    unsent: Unsent,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let Unsent(bytes) = &self.unsent;
        bytes.all.fetch_sub(self.frame.len(), Ordering::AcqRel);
        bytes.own.fetch_sub(self.frame.len(), Ordering::AcqRel);
        // The reader may be about to wait: a permit is kept for it.
        bytes.less.notify_one();
    }
}

/// The way back to a connection for one answer.
pub(super) struct Sink {
    pub answers: mpsc::Sender<Outgoing>,
    pub unsent: Unsent,
    pub permit: OwnedSemaphorePermit,
}

impl StreamSink for Sink {
    fn send(self: Box<Self>, message: &[u8]) -> bool {
        let Sink { answers, unsent, permit } = *self;
        let Some(outgoing) = unsent.frame(message, permit) else { return false };
        // The channel has room for every permit; it is only ever closed, when the client has gone.
        let _ = answers.try_send(outgoing);
        true
    }
}

/// Writes answers as they come, several in one go where they wait. False if the client did not take
/// them in time.
pub(super) async fn write_all(
    mut write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    limit: Duration,
) -> bool {
    /// Bytes gathered before they are written.
    const GATHER: usize = 16 * 1024;
    let mut taken = Vec::new();
    let mut bytes = Vec::new();
    while let Some(first) = queue.recv().await {
        bytes.extend_from_slice(&first.frame);
        taken.push(first);
        while bytes.len() < GATHER {
            let Ok(next) = queue.try_recv() else { break };
            bytes.extend_from_slice(&next.frame);
            taken.push(next);
        }
        match timeout(limit, write.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return true,
            Err(_) => return false,
        }
        // Only what is written gives its permit and its bytes back.
        taken.clear();
        bytes.clear();
        bytes.shrink_to(2 * GATHER);
    }
    // Without this a client would see a reset if it had sent more than was read.
    let _ = write.shutdown().await;
    true
}
