//! Entering a network namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::check;

/// Moves the calling thread, and no other, into the network namespace that an open file of
/// `/proc/PID/ns/net`, or one that is mounted somewhere, stands for. It is meant for a thread that
/// ends with its work: the way back needs a file of the former namespace.
///
/// # Errors
/// What setns(2) says: EPERM without CAP_SYS_ADMIN, EINVAL where the file is no network namespace.
pub fn enter_network_namespace(namespace: impl AsFd) -> io::Result<()> {
    // SAFETY: the call takes a descriptor that is open for its duration and a flag, no memory.
    check(unsafe { libc::setns(namespace.as_fd().as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}
