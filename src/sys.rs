//! System calls that no safe library gives in the form the shards need: datagrams in batches,
//! epoll, eventfd, sleep that can be ended. The only unsafe code of the crate; every block states what it relies on.

#![allow(unsafe_code)]

mod datagrams;
mod lock;
mod netns;
mod poll;
mod sleeper;

pub use datagrams::{RecvBatch, SendBatch};
pub use lock::try_lock;
pub use netns::enter_network_namespace;
pub use poll::{Epoll, Event, Events, Interest, Waker, wait_readable};
pub use sleeper::Sleeper;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Turns the -1 of a system call into the error it stands for.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Has the processor fetch the cache line of an address, which need not be valid, and goes on.
#[inline]
pub fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction neither faults nor changes anything, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// How many CPUs this process may use (its affinity mask and its cgroup's quota); at least 1.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The host's name as the kernel knows it (gethostname(2)); `None` if it is not UTF-8.
pub fn host_name() -> Option<String> {
    let mut buffer = [0u8; 256];
    // SAFETY: the pointer and length describe `buffer`, which the call fills; one byte is kept
    // back, so that it ends in a zero whatever the call does.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    check(result).ok()?;
    let end = buffer.iter().position(|&b| b == 0)?;
    String::from_utf8(buffer[..end].to_vec()).ok().filter(|name| !name.is_empty())
}

/// Raises the limit of open files to what the system allows this process, and returns it.
///
/// # Errors
/// What getrlimit(2) and setrlimit(2) say.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer leads to one rlimit, which the call fills.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer leads to one rlimit, which the call reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(limit.rlim_cur)
}

/// Sets a socket's receive buffer to `bytes`, past the system's limit for unprivileged processes
/// (net.core.rmem_max) where this process may (CAP_NET_ADMIN).
///
/// # Errors
/// What setsockopt(2) says, EPERM apart: without the privilege the limit holds.
pub fn set_receive_buffer(socket: impl AsFd, bytes: usize) -> io::Result<()> {
    let size = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let set = |option| {
        // SAFETY: the pointer and length describe `size`, which outlives the call.
        check(unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                std::ptr::from_ref(&size).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        })
    };
    match set(libc::SO_RCVBUFFORCE) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => set(libc::SO_RCVBUF)?,
        result => result?,
    };
    Ok(())
}
