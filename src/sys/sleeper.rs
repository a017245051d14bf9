//! A thread that sleeps in recvmmsg(2) itself, and how others wake it.
//!
//! Waiting by epoll costs a second system call for each batch. A thread that has one socket to look at
//! and nothing under way can block in the receiving call instead; what is lacking is a way to wake it.
//! Whoever wants to makes the socket non-blocking, so that a call that begins from now on returns at
//! once, and sends the thread a signal that ends a call which has begun. The signal is SIGURG, which
//! does nothing to a process that does not care, and whose handler here does nothing either.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::check;

/// The thread and its socket.
struct Bed {
    /// The same open file as the socket, whose mode it shares.
    socket: OwnedFd,
    thread: libc::pid_t,
}

/// Lets one thread sleep and any wake it.
#[derive(Default)]
pub struct Sleeper {
    /// Set while the thread may be about to sleep or asleep.
    asleep: AtomicBool,
    /// Set when the socket was made non-blocking to wake it.
    woken: AtomicBool,
    bed: Mutex<Option<Bed>>,
}

extern "C" fn nothing(_: libc::c_int) {}

impl Sleeper {
    /// Binds it to the calling thread, which will sleep on `socket`; the socket becomes blocking.
    ///
    /// # Errors
    /// What sigaction(2), dup(2) and fcntl(2) say.
    pub fn lie_down(&self, socket: impl AsFd) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid sigaction, an empty mask and no flags; without
        // SA_RESTART the signal ends a blocked call.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        // SAFETY: the handler does nothing, so it may run at any time; the pointer leads to `action`,
        // which outlives the call.
        check(unsafe { libc::sigaction(libc::SIGURG, &action, std::ptr::null_mut()) })?;
        // A mask that blocks it may have come from whoever started this process.
        // SAFETY: an all-zero set is a valid, empty one; the pointers lead to `set`, which outlives
        // the calls.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut set, libc::SIGURG);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        }
        let socket = socket.as_fd().try_clone_to_owned()?;
        set_blocking(&socket, true)?;
        // SAFETY: takes nothing and cannot fail.
        let thread = unsafe { libc::gettid() };
        *self.bed() = Some(Bed { socket, thread });
        Ok(())
    }

    /// Ends the binding. From here on nobody touches the thread or the socket, which can be closed.
    pub fn get_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        *self.bed() = None;
    }

    /// Receives by `receive`, which blocks on the socket, unless `stay_awake` says that there is
    /// something else to do: then `None`. Called by the thread itself. Whoever has work for it must
    /// make it visible to `stay_awake` before [`Sleeper::wake`].
    #[inline]
    pub fn sleep<R>(
        &self,
        stay_awake: impl FnOnce() -> bool,
        receive: impl FnOnce() -> R,
    ) -> Option<R> {
        // First this, then the look at the work; whoever wakes does it the other way round. So one of
        // the two sees the other.
        self.asleep.store(true, Ordering::SeqCst);
        if self.woken.load(Ordering::SeqCst) {
            self.block_again();
        }
        let received = if stay_awake() { None } else { Some(receive()) };
        self.asleep.store(false, Ordering::Relaxed);
        received
    }

    #[cold]
    fn block_again(&self) {
        self.woken.store(false, Ordering::SeqCst);
        if let Some(bed) = &*self.bed()
            && let Err(error) = set_blocking(&bed.socket, true)
        {
            tracing::error!(%error, "cannot make a listening socket block again");
        }
    }

    /// Ends the sleep of the thread, or keeps it from sleeping; never waits for it. The work it is
    /// woken for must be visible before.
    pub fn wake(&self) {
        if !self.asleep.load(Ordering::SeqCst) {
            return;
        }
        let bed = self.bed();
        let Some(bed) = &*bed else { return };
        self.woken.store(true, Ordering::SeqCst);
        if let Err(error) = set_blocking(&bed.socket, false) {
            tracing::error!(%error, "cannot make a listening socket return");
        }
        // SAFETY: takes no pointers. The thread is alive while the bed is there; and a signal that
        // has no effect may reach any thread.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), bed.thread, libc::SIGURG) };
    }

    fn bed(&self) -> std::sync::MutexGuard<'_, Option<Bed>> {
        self.bed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set_blocking(socket: &OwnedFd, blocking: bool) -> io::Result<()> {
    // SAFETY: the descriptor is open; no pointers are passed.
    let flags = check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) })?;
    let wanted = if blocking { flags & !libc::O_NONBLOCK } else { flags | libc::O_NONBLOCK };
    // SAFETY: as above.
    check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, wanted) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sys::RecvBatch;
    use std::net::UdpSocket;
    use std::sync::atomic::AtomicUsize;

    /// Every piece of work is seen, whenever it comes; the socket itself stays silent.
    #[test]
    fn nobody_sleeps_over_work() {
        const WORK: usize = 20_000;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // One that sleeps over its work is seen by this, not by a test that hangs.
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let (sleeper, given, taken) =
            (Sleeper::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sleeper.lie_down(&socket).unwrap();
                let mut batch = RecvBatch::new(1, 16);
                while taken.load(Ordering::SeqCst) < WORK {
                    let idle = || given.load(Ordering::SeqCst) > taken.load(Ordering::SeqCst);
                    let started = std::time::Instant::now();
                    sleeper.sleep(idle, || batch.wait(&socket).map_err(|e| e.kind()));
                    assert!(started.elapsed().as_secs() < 20, "slept over work");
                    taken.store(given.load(Ordering::SeqCst), Ordering::SeqCst);
                }
                sleeper.get_up();
            });
            for i in 1..=WORK {
                given.store(i, Ordering::SeqCst);
                sleeper.wake();
                if i % 7 == 0 {
                    // Until it has taken it, and is perhaps asleep again.
                    while taken.load(Ordering::SeqCst) < i {
                        std::thread::yield_now();
                    }
                }
            }
        });
        assert_eq!(taken.into_inner(), WORK);
        sleeper.wake();
    }

    /// The signal's mask survives exec: whoever starts this may have blocked it.
    #[test]
    fn a_blocked_signal_is_unblocked() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let (sleeper, ready) = (Sleeper::default(), AtomicBool::new(false));
        let result = std::thread::scope(|scope| {
            let sleeping = scope.spawn(|| {
                // SAFETY: as in `lie_down`.
                unsafe {
                    let mut set: libc::sigset_t = std::mem::zeroed();
                    libc::sigaddset(&mut set, libc::SIGURG);
                    libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                }
                sleeper.lie_down(&socket).unwrap();
                let mut batch = RecvBatch::new(1, 16);
                let look = || {
                    ready.store(true, Ordering::SeqCst);
                    false
                };
                sleeper.sleep(look, || batch.wait(&socket).map_err(|e| e.kind()))
            });
            while !ready.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            // Until it has ended: one signal may come before the call.
            while !sleeping.is_finished() {
                sleeper.wake();
                std::thread::yield_now();
            }
            sleeping.join().unwrap()
        });
        assert!(matches!(
            result,
            Some(Err(io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock))
        ));
    }

    #[test]
    fn datagrams_end_the_sleep_too() {
        let (a, b) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let sleeper = Sleeper::default();
        sleeper.lie_down(&b).unwrap();
        a.send_to(b"x", b.local_addr().unwrap()).unwrap();
        let mut batch = RecvBatch::new(1, 16);
        assert_eq!(sleeper.sleep(|| true, || batch.wait(&b).unwrap()), None);
        assert_eq!(sleeper.sleep(|| false, || batch.wait(&b).unwrap()), Some(1));
    }
}
