//! The host as `horizond node` sees it: compared with a configuration, or cleaned of what is ours.
//!
//! Nothing here needs a running daemon: the host itself is read. A daemon is asked only whether it is there.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::admin::control::{self, ControlError};
use crate::admin::status::Status;
use crate::config::{Admin, Config, Listen, Pods};
use crate::node::holder;

mod clean;
mod status;

pub use clean::{CleanError, Cleaned, Extent, clean};
pub use status::status;

/// What has to be known to tell whether a daemon is there, and which pods depend on it.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Its control socket.
    pub control: Option<PathBuf>,
    /// The directory of the pods' records.
    pub records: PathBuf,
}

impl Default for Host {
    /// As without a configuration file.
    fn default() -> Host {
        let listen = Listen::default().addresses;
        Host { listen, control: Admin::default().control, records: Pods::default().records() }
    }
}

impl From<&Config> for Host {
    fn from(config: &Config) -> Host {
        let (listen, control) = (config.listen.addresses.clone(), config.admin.control.clone());
        Host { listen, control, records: config.pods.records() }
    }
}

/// Whether a daemon is there.
enum Daemon {
    /// It says so.
    Running(Box<Status>),
    /// Something is there that does not say so.
    Silent(String),
    /// Nothing that could be seen.
    None,
    /// Its control socket is there, and another user's.
    Hidden(PathBuf),
}

impl Host {
    /// Asks the control socket, and looks who serves on the addresses. Blocks for at most 5 s.
    fn daemon(&self) -> Daemon {
        let asked = self.control.as_deref().map(|path| control::get(path, "/status"));
        match asked {
            Some(Ok(body)) => match serde_json::from_slice(&body) {
                Ok(status) => return Daemon::Running(Box::new(status)),
                Err(error) => {
                    return Daemon::Silent(format!("its status is not understood: {error}"));
                }
            },
            Some(Err(error @ (ControlError::Timeout(_) | ControlError::Malformed(_)))) => {
                return Daemon::Silent(error.to_string());
            }
            Some(Err(ControlError::Denied(path))) => return Daemon::Hidden(path),
            // Not there, not listened on, or none is configured.
            _ => {}
        }
        let ours = |server: &holder::Server| {
            server.holder.as_ref().is_some_and(|holder| holder.command == "horizond")
        };
        match self.listen.iter().filter_map(|&addr| holder::server_at(addr)).find(ours) {
            Some(server) => Daemon::Silent(format!("{server}, without a control socket")),
            None => Daemon::None,
        }
    }

    /// The addresses, each once.
    fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.listen.iter().map(SocketAddr::ip).collect();
        let mut seen = std::collections::HashSet::new();
        all.retain(|ip| seen.insert(*ip));
        all
    }
}
