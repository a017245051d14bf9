//! The few rtnetlink requests that this project makes, as plain values and `io::Error`s.
//!
//! One [`Netlink`] is one socket with its own task; dropping it ends both. It never decides
//! anything: what is ours, what to adopt and what to remove is [`super::link`]'s business. The socket
//! belongs to the network namespace of the thread that opened it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkBridge, LinkDummy, LinkMessageBuilder, LinkUnspec,
};
use tokio::task::AbortHandle;

/// The longest wait for the kernel's answer to one request. It answers in microseconds, except
/// while another process holds the RTNL lock.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The most addresses that are read of one host; what lies beyond is not seen. A node in kube-proxy's
/// IPVS mode carries one address per Service, which is thousands.
pub const MAX_ADDRESSES: usize = 65_536;

/// The most interfaces that are read of one host.
const MAX_INTERFACES: usize = 65_536;

/// A kind of interface that carries nothing but addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ip link add NAME type dummy`: made for this.
    Dummy,
    /// `ip link add NAME type bridge`, without ports: does the same where there is no dummy.
    Bridge,
}

/// An interface as far as it concerns us.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub index: u32,
    pub name: String,
    pub alias: Option<String>,
    /// `bridge`, `dummy` and the like; `None` for hardware and `lo`.
    pub kind: Option<String>,
    pub up: bool,
    pub loopback: bool,
    /// Index of the bridge or bond that this interface is a port of.
    pub master: Option<u32>,
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub index: u32,
    pub ip: IpAddr,
    pub prefix_len: u8,
    /// IFA_PROTO: who put it there. `None` for nobody in particular, and before Linux 5.18.
    pub protocol: Option<u8>,
}

/// A netlink socket and its task.
pub(super) struct Netlink {
    handle: Handle,
    task: AbortHandle,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Netlink {
    /// Opens a socket in the thread's network namespace. Must run inside a tokio runtime with I/O
    /// and time.
    pub fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Self { handle, task: tokio::spawn(connection).abort_handle() })
    }

    /// The interface of that name, if there is one.
    pub async fn interface(&self, name: &str) -> io::Result<Option<Interface>> {
        let request = self.handle.link().get().match_name(name).execute();
        let found = timed(async { pin!(request).try_next().await }).await;
        match found {
            Ok(message) => Ok(message.as_ref().map(Interface::from)),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All interfaces, at most 65,536.
    pub async fn interfaces(&self) -> io::Result<Vec<Interface>> {
        let request = self.handle.link().get().execute();
        timed(async {
            let mut stream = pin!(request);
            let mut interfaces = Vec::new();
            while let Some(message) = stream.try_next().await? {
                if interfaces.len() < MAX_INTERFACES {
                    interfaces.push(Interface::from(&message));
                }
            }
            Ok(interfaces)
        })
        .await
    }

    /// All addresses of all interfaces, at most [`MAX_ADDRESSES`].
    pub async fn addresses(&self) -> io::Result<Vec<Address>> {
        let request = self.handle.address().get().execute();
        timed(async {
            let mut stream = pin!(request);
            let mut addresses = Vec::new();
            while let Some(message) = stream.try_next().await? {
                if addresses.len() < MAX_ADDRESSES {
                    addresses.extend(address(&message));
                }
            }
            Ok(addresses)
        })
        .await
    }

    /// Makes an interface, down and without addresses. EOPNOTSUPP: the kernel lacks the kind;
    /// EEXIST: the name is taken.
    pub async fn add_interface(&self, name: &str, kind: Kind) -> io::Result<()> {
        let message = match kind {
            Kind::Dummy => LinkMessageBuilder::<LinkDummy>::new(name).build(),
            Kind::Bridge => LinkMessageBuilder::<LinkBridge>::new(name).build(),
        };
        timed(self.handle.link().add(message).execute()).await
    }

    /// Writes the alias, which `ip link` shows, and keeps it with the interface.
    pub async fn set_alias(&self, index: u32, alias: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::IfAlias(alias.to_owned()))
            .build();
        timed(self.handle.link().set(message).execute()).await
    }

    /// Sets the interface up.
    pub async fn set_up(&self, index: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).up().build();
        timed(self.handle.link().set(message).execute()).await
    }

    /// Removes an interface and whatever addresses it has.
    pub async fn remove_interface(&self, index: u32) -> io::Result<()> {
        timed(self.handle.link().del(index).execute()).await
    }

    /// Adds one address as /32 or /128, marked with `protocol`, usable at once.
    ///
    /// Scope `host` keeps the kernel from choosing it as the source of other programs' packets: on
    /// an interface without an IPv4 address (a pod's veth of some CNI plugins) it would otherwise
    /// take the first global address of the host, and `lo` is always the first interface. IPv6
    /// computes the scope itself; there NODAD skips duplicate address detection (RFC 4862, 5.4),
    /// which would leave the address unusable for a second, or for ever without a carrier.
    pub async fn add_address(&self, index: u32, ip: IpAddr, protocol: u8) -> io::Result<()> {
        let mut request = self.handle.address().add(index, ip, host_len(ip));
        let message = request.message_mut();
        match ip {
            IpAddr::V4(_) => message.header.scope = AddressScope::Host,
            IpAddr::V6(_) => message.header.flags |= AddressHeaderFlags::Nodad,
        }
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(protocol)));
        timed(request.execute()).await
    }

    /// Removes one /32 or /128. EADDRNOTAVAIL: it is not there.
    pub async fn remove_address(&self, index: u32, ip: IpAddr) -> io::Result<()> {
        let message = match ip {
            IpAddr::V4(ip) => {
                AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(ip, 32).build()
            }
            IpAddr::V6(ip) => {
                AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(ip, 128).build()
            }
        };
        timed(self.handle.address().del(message).execute()).await
    }
}

/// The prefix length of a single address.
pub(super) fn host_len(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl From<&LinkMessage> for Interface {
    fn from(message: &LinkMessage) -> Self {
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            alias: None,
            kind: None,
            up: message.header.flags.contains(LinkFlags::Up),
            loopback: message.header.flags.contains(LinkFlags::Loopback),
            master: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::IfAlias(alias) => interface.alias = Some(alias.clone()),
                LinkAttribute::LinkInfo(info) => {
                    interface.kind = info.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                LinkAttribute::Controller(index) => interface.master = Some(*index),
                _ => {}
            }
        }
        interface
    }
}

/// Reads an address message. On a point-to-point interface IFA_ADDRESS is the peer and IFA_LOCAL is
/// ours; IPv6 without a peer sends IFA_ADDRESS alone.
fn address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut any, mut protocol) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => any = Some(*ip),
            AddressAttribute::Protocol(p) => protocol = Some(u8::from(*p)),
            _ => {}
        }
    }
    Some(Address {
        index: message.header.index,
        ip: local.or(any)?,
        prefix_len: message.header.prefix_len,
        protocol: protocol.filter(|p| *p != 0),
    })
}

/// Waits for one request, no longer than [`REQUEST_TIMEOUT`].
async fn timed<T>(request: impl Future<Output = Result<T, rtnetlink::Error>>) -> io::Result<T> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(rtnetlink::Error::NetlinkError(message))) => Err(message.to_io()),
        Ok(Err(other)) => Err(io::Error::other(other)),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
