//! TCP clients (RFC 7766): pipelined questions, answers as they finish, deadlines and ceilings.
//!
//! All connections live on one thread with a runtime of its own. A hit is answered there; a miss is
//! handed to a shard, whose answer comes back through the connection's channel. A connection has a
//! fixed number of permits, one per question in flight; without a free one it is not read, nor while
//! it has more answers waiting than its client takes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::inbox::{Inbox, Job};
use crate::config::Tcp;
use crate::serve::{Client, Desk, Foreseen, Joined, ReplyTo, Step};
use crate::telemetry::labels::{DropReason, Proto, ShedReason};
use crate::telemetry::logs::Every;
use crate::wire::MAX_MESSAGE;

mod answers;

use answers::{Outgoing, Sink, Unsent, write_all};

/// Connections of clients that may not ask, all together: enough to tell them so.
const STRANGERS: usize = 16;
/// How long such a client may take to ask.
const STRANGER_IDLE: Duration = Duration::from_secs(1);

/// What all connections share; one thread's.
struct Shared {
    desk: RefCell<(Desk, Vec<u8>)>,
    inboxes: Vec<Arc<Inbox>>,
    limits: Tcp,
    clients: RefCell<HashMap<IpAddr, usize>>,
    open: Arc<AtomicUsize>,
    strangers: Cell<usize>,
    unsent: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
}

/// Everything that the TCP thread needs.
pub struct Setup {
    /// The thread's desk.
    pub desk: Desk,
    /// The shards that take its misses.
    pub inboxes: Vec<Arc<Inbox>>,
    /// Ceilings and deadlines.
    pub limits: Tcp,
    /// Set to the number of open connections.
    pub open: Arc<AtomicUsize>,
    /// Becomes true when no more shall be taken.
    pub stop: watch::Receiver<bool>,
    /// How long what is in flight may take then.
    pub drain: Duration,
}

/// Serves `listeners` until told to stop; then lets every connection have the answers it waits for,
/// for at most the drain time. To be run on a current-thread runtime, within a `LocalSet`.
///
/// # Errors
/// The runtime cannot take a listening socket.
pub async fn serve(listeners: Vec<std::net::TcpListener>, setup: Setup) -> io::Result<()> {
    let mut stop = setup.stop.clone();
    let shared = Rc::new(Shared {
        desk: RefCell::new((setup.desk, vec![0; MAX_MESSAGE])),
        inboxes: setup.inboxes,
        limits: setup.limits,
        clients: RefCell::default(),
        open: setup.open,
        strangers: Cell::new(0),
        unsent: Arc::default(),
        stop: setup.stop,
    });
    let connections: Rc<RefCell<JoinSet<()>>> = Rc::default();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        let (shared, connections) = (Rc::clone(&shared), Rc::clone(&connections));
        accepting.spawn_local(accept(listener, shared, connections));
    }
    // An error means that whoever could say stop is gone.
    let _ = stop.wait_for(|&stop| stop).await;
    accepting.shutdown().await;
    let mut open = connections.take();
    let finish = async { while open.join_next().await.is_some() {} };
    let _ = timeout(setup.drain, finish).await;
    Ok(())
}

async fn accept(listener: TcpListener, shared: Rc<Shared>, connections: Rc<RefCell<JoinSet<()>>>) {
    let mut warnings = Every::new(Duration::from_secs(10));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let mut connections = connections.borrow_mut();
                while connections.try_join_next().is_some() {}
                if let Some(place) = Place::take(&shared, peer) {
                    connections.spawn_local(Rc::clone(&shared).serve(stream, peer, place));
                }
            }
            // Out of descriptors or memory: to try again at once would only burn the CPU.
            Err(error) => {
                if let Some(held_back) = warnings.allow(std::time::Instant::now()) {
                    tracing::warn!(%error, held_back, "cannot accept a TCP connection");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection's place under the ceilings; given back when dropped.
struct Place {
    shared: Rc<Shared>,
    client: IpAddr,
    stranger: bool,
}

impl Place {
    fn take(shared: &Rc<Shared>, peer: SocketAddr) -> Option<Place> {
        let client = peer.ip().to_canonical();
        let mut guard = shared.desk.borrow_mut();
        let desk = &mut guard.0;
        desk.refresh();
        // Clients that may not ask have few places of their own, so that they cannot take those of
        // clients that may.
        let stranger = !desk.admits(client);
        if stranger && (desk.is_silent_to_strangers() || shared.strangers.get() >= STRANGERS) {
            desk.stats.dropped(DropReason::Denied);
            return None;
        }
        if !stranger && shared.open.load(Ordering::Relaxed) >= shared.limits.connections {
            desk.stats.shed(ShedReason::TcpConnections);
            return None;
        }
        let mut clients = shared.clients.borrow_mut();
        let count = clients.entry(client).or_default();
        if *count >= shared.limits.per_client {
            desk.stats.shed(ShedReason::TcpPerClient);
            return None;
        }
        *count += 1;
        if stranger {
            shared.strangers.set(shared.strangers.get() + 1);
        } else {
            shared.open.fetch_add(1, Ordering::Relaxed);
        }
        Some(Place { shared: Rc::clone(shared), client, stranger })
    }

    /// How long it may be idle.
    fn idle(&self) -> Duration {
        let idle = self.shared.limits.idle;
        if self.stranger { idle.min(STRANGER_IDLE) } else { idle }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.stranger {
            self.shared.strangers.set(self.shared.strangers.get() - 1);
        } else {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
        }
        let mut clients = self.shared.clients.borrow_mut();
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Why a connection is not read any more.
enum End {
    /// The client closed it, was idle, or we are to stop: what is in flight is still answered.
    Done,
    /// The client broke off inside a message, or was too slow.
    Aborted,
}

/// The reading side of a connection.
struct Reading {
    peer: SocketAddr,
    idle: Duration,
    pipeline: Arc<Semaphore>,
    answers: mpsc::Sender<Outgoing>,
    unsent: Unsent,
}

impl Shared {
    async fn serve(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Small answers must not wait for each other's acknowledgements.
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        let permits = self.limits.pipeline;
        let (answers, queue) = mpsc::channel(permits);
        let writing = tokio::task::spawn_local(write_all(write, queue, self.limits.write));
        let pipeline = Arc::new(Semaphore::new(permits));
        let unsent = Unsent::new(&self.unsent);
        let client = Reading { peer, idle: place.idle(), pipeline, answers, unsent };
        if let End::Aborted = self.read_all(read, client).await {
            self.desk.borrow().0.stats.dropped(DropReason::Aborted);
        }
        // All senders go with their questions; then the writer ends.
        if let Ok(false) = writing.await {
            self.desk.borrow().0.stats.dropped(DropReason::SlowClient);
        }
    }

    async fn read_all(&self, read: OwnedReadHalf, client: Reading) -> End {
        let mut stop = self.stop.clone();
        let mut read = BufReader::with_capacity(2048, read);
        let mut message = Vec::new();
        loop {
            let next = async {
                let permit = Arc::clone(&client.pipeline).acquire_owned().await.ok();
                client.unsent.room().await;
                match permit {
                    Some(permit) => match self.read_message(&mut read, &mut message, &client).await
                    {
                        None => Ok(permit),
                        Some(end) => Err(end),
                    },
                    None => Err(End::Done),
                }
            };
            let permit = tokio::select! {
                next = next => next,
                _ = stop.wait_for(|&stop| stop) => Err(End::Done),
                () = client.answers.closed() => Err(End::Done),
            };
            match permit {
                Ok(permit) => self.answer(&message, &client, permit),
                Err(end) => return end,
            }
        }
    }

    /// Reads one message into `message`; `Some` if there will be none.
    async fn read_message(
        &self,
        read: &mut BufReader<OwnedReadHalf>,
        message: &mut Vec<u8>,
        client: &Reading,
    ) -> Option<End> {
        let mut first = [0u8; 1];
        loop {
            match timeout(client.idle, read.read(&mut first)).await {
                Ok(Ok(0)) => return Some(End::Done),
                Ok(Ok(_)) => break,
                Ok(Err(_)) => return Some(End::Aborted),
                // It waits for answers: that is not idle. One permit is the reader's own.
                Err(_) if client.pipeline.available_permits() + 1 < self.limits.pipeline => {}
                Err(_) => return Some(End::Done),
            }
        }
        let rest = async {
            let len = u16::from_be_bytes([first[0], read.read_u8().await?]);
            message.resize(len.into(), 0);
            read.read_exact(message).await
        };
        let deadline = Instant::now() + self.limits.read;
        match timeout_at(deadline, rest).await {
            Ok(Ok(_)) => None,
            _ => Some(End::Aborted),
        }
    }

    fn answer(&self, message: &[u8], from: &Reading, permit: OwnedSemaphorePermit) {
        let mut guard = self.desk.borrow_mut();
        let (desk, out) = &mut *guard;
        desk.refresh();
        let now = desk.server.clock.now();
        desk.tidy(now);
        let client = Client { addr: from.peer, proto: Proto::Tcp };
        match desk.ask(message, Foreseen::default(), client, now, out) {
            Step::Reply(len) => {
                desk.end_batch(now, desk.server.clock.now());
                match from.unsent.frame(&out[..len], permit) {
                    // The channel has room for every permit.
                    Some(outgoing) => drop(from.answers.try_send(outgoing)),
                    None => desk.stats.shed(ShedReason::TcpUnsent),
                }
            }
            Step::Silent => {}
            Step::Miss(miss) => {
                let (answers, unsent) = (from.answers.clone(), from.unsent.clone());
                let sink = Sink { answers, unsent, permit };
                let joined = desk.join(miss, ReplyTo::Stream(Box::new(sink)));
                if let Joined::Start { key, route, look, late } = joined {
                    self.hand_over(desk, Job::Start { key, route, look, late });
                }
            }
        }
        if desk.has_renewals() {
            for (key, route) in desk.take_renewals() {
                self.hand_over(desk, Job::Renew { key, route });
            }
        }
    }

    /// Has a shard run the exchange.
    fn hand_over(&self, desk: &mut Desk, job: Job) {
        let (Job::Start { key, .. } | Job::Renew { key, .. }) = &job;
        let inbox = &self.inboxes[key.hashed().hash as usize % self.inboxes.len()];
        // What is to be renewed is asked for when somebody asks for it again.
        if let Err(Job::Start { key, .. }) = inbox.push(job) {
            desk.shed(&key, ShedReason::InFlight);
        }
    }
}
