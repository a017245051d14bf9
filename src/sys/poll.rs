//! epoll(7), eventfd(2), and poll(2) for one descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::check;

/// Waits until a read of any kind of file would not block: there is something, its end, or an error.
/// `false` if that is not so within `patience`, which is rounded up to milliseconds.
///
/// # Errors
/// What poll(2) says; EINTR where a signal came first.
pub fn wait_readable(fd: impl AsFd, patience: Duration) -> io::Result<bool> {
    let mut asked = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let patience_ms = patience.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX);
    // SAFETY: the pointer and the count describe one pollfd, which the call fills; the descriptor is open
    // for its duration.
    Ok(check(unsafe { libc::poll(&mut asked, 1, patience_ms) })? > 0)
}

/// What a descriptor is watched for; level-triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or an error.
    Read,
    /// Something to read, room to write, or an error.
    ReadWrite,
}

impl Interest {
    fn bits(self) -> u32 {
        let bits = match self {
            Interest::Read => libc::EPOLLIN,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT,
        };
        bits as u32
    }
}

/// A descriptor became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What [`Epoll::add`] was given.
    pub token: u64,
    /// There may be something to read, an end of stream or an error.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// An epoll instance. Closing a descriptor takes it out.
pub struct Epoll(OwnedFd);

/// What became ready in one wait.
pub struct Events {
    buffer: Vec<libc::epoll_event>,
    ready: usize,
}

impl Events {
    /// Room for `count` events at a time.
    pub fn new(count: usize) -> Events {
        Events { buffer: vec![libc::epoll_event { events: 0, u64: 0 }; count.max(1)], ready: 0 }
    }

    /// What the last wait found.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        let read_bits = (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLRDHUP) as u32;
        self.buffer.iter().take(self.ready).map(move |event| {
            let bits = event.events;
            Event {
                token: event.u64,
                readable: bits & read_bits != 0,
                writable: bits & libc::EPOLLOUT as u32 != 0,
            }
        })
    }
}

impl Epoll {
    /// Makes one.
    ///
    /// # Errors
    /// What epoll_create1(2) says.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers; the descriptor it returns is owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Epoll(fd))
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, token: u64, bits: u32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: bits, u64: token };
        // SAFETY: both descriptors are open for the length of the call; `event` outlives it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), op, fd.as_raw_fd(), &mut event) })?;
        Ok(())
    }

    /// Watches `fd`, whose events will carry `token`.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_fd(), token, interest.bits())
    }

    /// Changes what `fd` is watched for.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_fd(), token, interest.bits())
    }

    /// Watches `fd` no longer.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd.as_fd(), 0, 0)
    }

    /// Waits until something is ready or `timeout` is over (`None`: for ever). A signal ends the
    /// wait early with nothing.
    ///
    /// # Errors
    /// What epoll_wait(2) says, EINTR apart.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.ready = 0;
        // Rounded up: a timer that is due in half a millisecond must not make the loop spin.
        let millis = timeout.map_or(-1, |t| t.as_micros().div_ceil(1000).min(60_000) as i32);
        let room = events.buffer.len() as i32;
        // SAFETY: the pointer and `room` describe the buffer, which outlives the call.
        let ready = check(unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), events.buffer.as_mut_ptr(), room, millis)
        });
        events.ready = match ready {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other? as usize,
        };
        Ok(())
    }
}

/// Wakes a thread that waits in [`Epoll::wait`], from any thread.
pub struct Waker(OwnedFd);

impl Waker {
    /// Makes one; it must be added to the epoll that it shall wake.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: takes no pointers; the descriptor it returns is owned by nobody else.
        let fd = unsafe {
            OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?)
        };
        Ok(Waker(fd))
    }

    /// Makes the descriptor readable. Never blocks: a counter that is full is readable already.
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the pointer and length describe `one`, which outlives the call.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable again.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the pointer and length describe `count`, which the call fills.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_waker_wakes_once() {
        let epoll = Epoll::new().unwrap();
        let waker = Waker::new().unwrap();
        epoll.add(&waker, 7, Interest::Read).unwrap();
        let mut events = Events::new(4);
        let mut wait = |timeout| {
            epoll.wait(&mut events, timeout).unwrap();
            events.iter().collect::<Vec<_>>()
        };
        assert_eq!(wait(Some(Duration::ZERO)), []);
        waker.wake();
        waker.wake();
        assert_eq!(wait(None), [Event { token: 7, readable: true, writable: false }]);
        waker.clear();
        assert_eq!(wait(Some(Duration::ZERO)), []);
    }
}
