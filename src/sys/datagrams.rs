//! recvmmsg(2) and sendmmsg(2) over buffers that are allocated once.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use super::check;

/// Headers, vectors and addresses of one batch. What the headers point at is set right before each
/// call ([`Frames::aim`]): a pointer taken earlier would not be valid once its target was used
/// through its owner.
struct Frames {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    addresses: Box<[MaybeUninit<libc::sockaddr_in6>]>,
}

// SAFETY: the raw pointers inside are used only in calls that set them first, to memory of the
// owner.
unsafe impl Send for Frames {}

const ADDRESS_LEN: u32 = mem::size_of::<libc::sockaddr_in6>() as u32;

impl Frames {
    fn new(count: usize, size: usize) -> Frames {
        // SAFETY: all-zero bytes are a valid msghdr: null pointers and zero lengths.
        let header: libc::mmsghdr = unsafe { mem::zeroed() };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: size };
        Frames {
            headers: vec![header; count].into(),
            vectors: vec![vector; count].into(),
            addresses: (0..count).map(|_| MaybeUninit::zeroed()).collect(),
        }
    }

    /// Points the headers in `range` at their vectors, addresses and `size` bytes of `buffers` each;
    /// the lengths stay. `buffers` has `size` bytes for every header.
    #[inline]
    fn aim(&mut self, buffers: &mut [u8], size: usize, range: std::ops::Range<usize>) {
        let buffers = buffers.chunks_exact_mut(size);
        let parts = self.headers.iter_mut().zip(&mut self.vectors).zip(&mut self.addresses);
        for (((header, vector), address), buffer) in
            parts.zip(buffers).skip(range.start).take(range.len())
        {
            vector.iov_base = buffer.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = address.as_mut_ptr().cast();
        }
    }

    fn address(&self, i: usize) -> Option<SocketAddr> {
        // SAFETY: the bytes were zeroed when made and since then written only by the kernel or by
        // `set_address`; every bit pattern is a valid sockaddr_in6.
        let v6 = unsafe { self.addresses[i].assume_init_ref() };
        match i32::from(v6.sin6_family) {
            libc::AF_INET => {
                // SAFETY: a sockaddr_in is shorter than the sockaddr_in6 it lies in, needs no
                // stricter alignment, and the family says that it is one.
                let v4 = unsafe { &*ptr::from_ref(v6).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    fn set_address(&mut self, i: usize, to: SocketAddr) {
        let place = self.addresses[i].as_mut_ptr();
        let len = match to {
            SocketAddr::V4(v4) => {
                let raw = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: the place has room for the longer sockaddr_in6 and its alignment.
                unsafe { place.cast::<libc::sockaddr_in>().write(raw) };
                mem::size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: the place is a sockaddr_in6.
                unsafe { place.write(raw) };
                mem::size_of::<libc::sockaddr_in6>()
            }
        };
        self.headers[i].msg_hdr.msg_namelen = len as u32;
    }
}

/// Receives up to a fixed number of datagrams at a time.
pub struct RecvBatch {
    frames: Frames,
    buffers: Box<[u8]>,
    size: usize,
}

impl RecvBatch {
    /// Room for `count` datagrams of up to `size` bytes. Memory is touched as datagrams need it.
    pub fn new(count: usize, size: usize) -> RecvBatch {
        let buffers = vec![0u8; count * size].into_boxed_slice();
        RecvBatch { frames: Frames::new(count, size), buffers, size }
    }

    /// Takes what waits in the socket, at most the batch, without blocking; returns how many
    /// datagrams there are. What the last call received is gone.
    ///
    /// # Errors
    /// `WouldBlock` when nothing waits; on a connected socket also what ICMP reported, such as
    /// `ConnectionRefused`.
    #[inline]
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.take(socket, libc::MSG_DONTWAIT as _)
    }

    /// As [`RecvBatch::receive`], but waits for the first datagram, as long as the socket's own
    /// timeout says; for a thread that has one socket and nothing else to do.
    ///
    /// # Errors
    /// As [`RecvBatch::receive`], with `WouldBlock` when the socket's timeout is over or it does not
    /// block; `Interrupted` when a signal came first.
    #[inline]
    pub fn wait(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.take(socket, libc::MSG_WAITFORONE as _)
    }

    #[inline]
    fn take(&mut self, socket: impl AsFd, flags: u32) -> io::Result<usize> {
        for header in &mut self.frames.headers {
            header.msg_hdr.msg_namelen = ADDRESS_LEN;
        }
        let room = self.frames.headers.len() as u32;
        self.frames.aim(&mut self.buffers, self.size, 0..room as usize);
        // SAFETY: the headers have just been pointed at buffers, vectors and addresses that `self`
        // owns; nothing else refers to them until the call is over.
        let count = check(unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.frames.headers.as_mut_ptr(),
                room,
                flags as _,
                ptr::null_mut(),
            )
        })?;
        Ok(count as usize)
    }

    /// How many fit a batch.
    pub fn capacity(&self) -> usize {
        self.frames.headers.len()
    }

    /// The bytes of datagram `i` of the last batch; cut at the size of a buffer, see
    /// [`RecvBatch::is_cut`].
    #[inline]
    pub fn bytes(&self, i: usize) -> &[u8] {
        let len = (self.frames.headers[i].msg_len as usize).min(self.size);
        &self.buffers[i * self.size..i * self.size + len]
    }

    /// Whether the datagram was longer than its buffer.
    #[inline]
    pub fn is_cut(&self, i: usize) -> bool {
        self.frames.headers[i].msg_hdr.msg_flags & libc::MSG_TRUNC != 0
    }

    /// Who sent datagram `i`.
    #[inline]
    pub fn from(&self, i: usize) -> Option<SocketAddr> {
        self.frames.address(i)
    }
}

/// Gathers datagrams and sends them together.
pub struct SendBatch {
    frames: Frames,
    buffers: Box<[u8]>,
    size: usize,
    queued: usize,
}

impl SendBatch {
    /// Room for `count` datagrams of up to `size` bytes.
    pub fn new(count: usize, size: usize) -> SendBatch {
        let buffers = vec![0u8; count * size].into_boxed_slice();
        SendBatch { frames: Frames::new(count, size), buffers, size, queued: 0 }
    }

    /// Whether it must be flushed before the next datagram.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.queued == self.frames.headers.len()
    }

    /// Whether nothing is queued.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// The buffer of the next datagram, to be written and then queued. Call only while not full.
    #[inline]
    pub fn next_buffer(&mut self) -> &mut [u8] {
        &mut self.buffers[self.queued * self.size..(self.queued + 1) * self.size]
    }

    /// Queues the first `len` bytes of [`SendBatch::next_buffer`].
    #[inline]
    pub fn queue(&mut self, len: usize, to: SocketAddr) {
        self.frames.vectors[self.queued].iov_len = len.min(self.size);
        self.frames.set_address(self.queued, to);
        self.queued += 1;
    }

    /// One call for all from `at` on, which have been aimed; returns how many went.
    fn send_some(&mut self, at: usize, fd: i32) -> io::Result<usize> {
        let headers = &mut self.frames.headers[at..self.queued];
        // SAFETY: the headers have just been pointed at buffers, vectors and addresses that `self`
        // owns; the kernel only reads them.
        let sent = check(unsafe {
            libc::sendmmsg(fd, headers.as_mut_ptr(), headers.len() as u32, libc::MSG_DONTWAIT as _)
        })?;
        Ok(sent as usize)
    }

    /// Sends all that is queued; returns how many datagrams the kernel refused. Where the socket's
    /// buffer is full it waits for room, 5 ms at most, then gives up what is left.
    pub fn flush(&mut self, socket: impl AsFd) -> usize {
        let fd = socket.as_fd().as_raw_fd();
        let (mut at, mut refused, mut waited) = (0, 0, false);
        self.frames.aim(&mut self.buffers, self.size, 0..self.queued);
        while at < self.queued {
            match self.send_some(at, fd) {
                Ok(count) => at += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && !waited => {
                    waited = true;
                    wait_for_room(fd);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    refused += self.queued - at;
                    break;
                }
                // The error is the first datagram's: leave it out and go on with the next.
                Err(_) => {
                    refused += 1;
                    at += 1;
                }
            }
        }
        self.queued = 0;
        refused
    }
}

fn wait_for_room(fd: i32) {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointer leads to one pollfd, which outlives the call.
    unsafe { libc::poll(&mut poll, 1, 5) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::UdpSocket;

    fn round_trip(bind: &str) {
        let (a, b) = (UdpSocket::bind(bind).unwrap(), UdpSocket::bind(bind).unwrap());
        let (at_a, at_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let mut out = SendBatch::new(3, 16);
        for text in [&b"one"[..], b"two", b"a longer one"] {
            out.next_buffer()[..text.len()].copy_from_slice(text);
            out.queue(text.len(), at_b);
        }
        assert!(out.is_full());
        assert_eq!(out.flush(&a), 0);
        assert!(out.is_empty());
        let mut got = RecvBatch::new(8, 4);
        assert_eq!(got.receive(&b).unwrap(), 3);
        assert_eq!(
            (got.bytes(0), got.bytes(1), got.bytes(2)),
            (&b"one"[..], &b"two"[..], &b"a lo"[..])
        );
        assert_eq!((got.is_cut(1), got.is_cut(2)), (false, true));
        assert_eq!(got.from(2), Some(at_a));
        assert_eq!(got.receive(&b).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn datagrams_go_and_come() {
        round_trip("127.0.0.1:0");
        round_trip("[::1]:0");
    }

    #[test]
    fn waiting_takes_what_is_there_and_no_longer_than_the_socket_allows() {
        let (a, b) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        b.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
        let mut got = RecvBatch::new(8, 16);
        assert_eq!(got.wait(&b).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for text in [&b"one"[..], b"two"] {
            a.send_to(text, b.local_addr().unwrap()).unwrap();
        }
        assert_eq!(got.wait(&b).unwrap(), 2);
        assert_eq!(got.bytes(1), b"two");
    }

    #[test]
    fn one_that_cannot_go_does_not_stop_the_others() {
        let (a, b) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut out = SendBatch::new(2, 16);
        out.queue(1, "[::1]:9".parse().unwrap());
        out.queue(1, b.local_addr().unwrap());
        assert_eq!(out.flush(&a), 1);
        assert_eq!(RecvBatch::new(2, 4).receive(&b).unwrap(), 1);
    }
}
