//! horizond on the lab's node, with the three horizons' routes.

use std::path::PathBuf;
use std::process::Command;

use crate::http;
use crate::lab::{Lab, NODE_V4, NODE_V6};
use crate::process::Service;

/// Where `/metrics` and `/readyz` are, in the node's namespace.
pub const ADMIN: &str = "127.0.0.1:9253";

/// The node's resolv.conf, in the lab's directory.
pub const RESOLV_CONF: &str = "node/resolv.conf";

/// What differs between the tests' configurations.
pub struct Settings<'a> {
    /// The cluster route's upstreams, as in the file.
    pub coredns: &'a str,
    /// Further lines of `[node]`.
    pub node: &'a str,
    /// Further lines of `[listen]`.
    pub listen: &'a str,
    /// The node's resolv.conf, whose servers are the internet route's upstreams.
    pub resolv_conf: &'a str,
    /// Further lines of the cluster and tailnet routes.
    pub private: &'a str,
    /// Suffixes and upstreams of the tailnet route.
    pub tailnet: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        let resolv_conf = "nameserver 198.51.100.53\n";
        let tailnet = "suffixes = [\"c.binrc.com\"]\nupstreams = [\"10.2.0.1\"]";
        Self { coredns: "10.96.0.10", node: "", listen: "", resolv_conf, private: "", tailnet }
    }
}

impl Settings<'_> {
    /// Writes the file and gives its path.
    pub fn write(&self, lab: &Lab) -> PathBuf {
        let Self { coredns, node, listen, resolv_conf, private, tailnet } = self;
        let resolv_conf = lab.file(RESOLV_CONF, resolv_conf);
        let text = format!(
            r#"
[listen]
addresses = ["{NODE_V4}:53", "[{NODE_V6}]:53"]
{listen}
[node]
interface = "horizond0"
{node}
[[route]]
name = "cluster"
suffixes = ["cluster.local"]
reverse = ["10.96.0.0/12", "10.244.0.0/16"]
upstreams = ["{coredns}"]
{private}
[[route]]
name = "tailnet"
{tailnet}
{private}
[[route]]
name = "internet"
suffixes = ["."]
upstreams = ["{}"]

[admit]
allow = ["node", "10.244.0.0/16", "fd00:10:244::/48"]

[admin]
address = "{ADMIN}"
control = "{}"
"#,
            resolv_conf.display(),
            lab.path("control.sock").display(),
        );
        lab.file("horizond.toml", &text)
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start(&self, lab: &Lab) -> Service {
        let config = self.write(lab);
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(config);
        let mut service = Service::start(&lab.node, &mut command, &lab.path("horizond.log"));
        service.wait_ready(|| {
            http::get(&lab.node, ADMIN, "/readyz").is_ok_and(|(status, _)| status == 200)
        });
        service
    }
}

/// The binary under test.
pub fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_horizond").into()
}
