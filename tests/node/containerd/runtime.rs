//! containerd on the lab's node, with the real bridge, host-local and runc, and our plugin behind them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::container::Container;
use super::cri::{Cri, DnsConfig, Linux, Metadata, PodSandboxConfig};
use super::leftovers::{self, Leftovers};
use crate::image::{self, find};
use crate::lab::{COREDNS, Lab, NODE_V4};
use crate::netns::Netns;
use crate::process::{PATIENCE, Service, checked, wait_for};

const IMAGE: &str = "horizond.test/pod:1";
/// Where Debian's containernetworking-plugins lie.
const PLUGINS: &str = "/usr/lib/cni";
/// Programs beside those of the lab, with the package of each.
const TOOLS: [(&str, &str); 10] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/lib/cni/host-local", "containernetworking-plugins"),
    ("/usr/lib/cni/loopback", "containernetworking-plugins"),
    ("tar", "tar"),
    ("sha256sum", "coreutils"),
    ("ldd", "libc-bin"),
    ("setpriv", "util-linux"),
];
/// The cluster's search list for the namespace `shop`.
pub const SEARCHES: [&str; 3] = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"];
/// The network's name, and its bridge's.
pub const NETWORK: &str = "cbr0";

/// The wrapper that keeps a protocol of how the plugin is called, and the one that may do less than the
/// plugin must; types of the list of plugins, like the plugin itself.
pub const NOTING: &str = "noting";
pub const CONFINED: &str = "confined";

/// A running containerd. Dropping it takes its pods away first, after a panic too.
pub struct Containerd {
    // First, so that it ends before its directory goes.
    service: Service,
    directory: TempDir,
    cri: Cri,
    cgroup: String,
    node: Netns,
}

/// What the kubelet tells of a pod's DNS: by default what it does for `ClusterFirst`.
pub fn dns(servers: &[&str], options: &[&str]) -> DnsConfig {
    let texts = |list: &[&str]| list.iter().map(|&text| text.into()).collect();
    DnsConfig { servers: texts(servers), searches: texts(&SEARCHES), options: texts(options) }
}

impl Containerd {
    /// Starts it on the node. With `plugin`, its entry is behind the bridge's; keys go beside those that
    /// every entry has here.
    pub fn start(lab: &Lab, plugin: Option<Value>) -> Self {
        for (program, package) in TOOLS {
            assert!(find(program).is_some(), "{program} is missing (Debian package {package})");
        }
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        static ONCE: Once = Once::new();
        ONCE.call_once(leftovers::sweep);
        // Short: a socket's path has 107 bytes.
        let directory = TempDir::with_prefix_in(leftovers::prefix(), "/tmp").unwrap();
        let cgroup = format!("/{}{number}", leftovers::prefix());
        let at = |name: &str| directory.path().join(name);
        for name in ["root", "state", "bin", "net.d", "pods", "ipam", "logs"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in ["bridge", "host-local", "loopback"] {
            symlink(Path::new(PLUGINS).join(name), at("bin").join(name)).unwrap();
        }
        let plugin_program = env!("CARGO_BIN_EXE_horizond-cni");
        symlink(plugin_program, at("bin").join("horizond-cni")).unwrap();
        let calls = at("calls").display().to_string();
        let note = format!("echo \"$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS\" >>{calls}");
        script(&at("bin").join(NOTING), &format!("{note}\nexec {plugin_program}"));
        let confined = "exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin";
        script(&at("bin").join(CONFINED), &format!("{confined} {plugin_program}"));
        let config = at("config.toml");
        fs::write(&config, configuration(directory.path())).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(&config);
        let log = lab.path(&format!("containerd-{number}.log"));
        let service = Service::start(&lab.node, &mut command, &log);
        let cri = Cri::new(&at("c.sock"));
        let mut this = Self { service, directory, cri, cgroup, node: lab.node.clone() };
        let cri = this.cri.clone();
        this.service.wait_ready(|| cri.plugins().is_ok());
        this.set_plugin(plugin);
        this.service.wait_ready(|| cri.is_ready());
        this.import();
        this
    }

    /// Writes the list of plugins anew; for pods that are made from here on.
    pub fn set_plugin(&self, plugin: Option<Value>) {
        self.set_network(false, plugin);
    }

    /// The same; with `ipv6` pods get an address of either family.
    pub fn set_network(&self, ipv6: bool, plugin: Option<Value>) {
        static NEXT: AtomicUsize = AtomicUsize::new(1000);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let families = if ipv6 { 2 } else { 1 };
        let ranges =
            [[json!({"subnet": "10.244.7.0/24"})], [json!({"subnet": "fd00:10:244:7::/64"})]];
        let routes = [json!({"dst": "0.0.0.0/0"}), json!({"dst": "::/0"})];
        let mut plugins = vec![json!({
            "type": "bridge", "bridge": NETWORK, "isGateway": true, "mark": number,
            "ipam": {
                "type": "host-local", "dataDir": self.path("ipam"),
                "ranges": &ranges[..families], "routes": &routes[..families],
            },
        })];
        if let Some(more) = plugin {
            let mut entry = json!({
                "type": "horizond-cni",
                "capabilities": {"dns": true, "io.kubernetes.cri.pod-annotations": true},
                "nameservers": [NODE_V4], "clusterDNS": [COREDNS], "redirect": "required",
                "podDir": self.path("pods"),
            });
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            plugins.push(entry);
        }
        let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": plugins});
        // In the same directory: containerd 1.6 passes over what is moved in from elsewhere.
        let unfinished = self.path("net.d/.unfinished");
        fs::write(&unfinished, list.to_string()).unwrap();
        fs::rename(unfinished, self.path("net.d/10-cbr0.conflist")).unwrap();
        let mark = format!(r#"\"mark\":{number}"#);
        let taken = || self.cri.plugins().is_ok_and(|list| list.contains(&mark)).then_some(());
        wait_for("containerd to take the list of plugins", PATIENCE, taken);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn cri(&self) -> &Cri {
        &self.cri
    }

    /// What containerd and its plugins said.
    pub fn log(&self) -> String {
        self.service.log()
    }

    /// A pod as the kubelet describes it.
    pub fn config(
        &self,
        name: &str,
        dns: DnsConfig,
        annotations: &[(&str, &str)],
    ) -> PodSandboxConfig {
        let annotations = annotations.iter().map(|&(key, value)| (key.into(), value.into()));
        PodSandboxConfig {
            metadata: Some(Metadata {
                name: name.into(),
                uid: format!("uid-{name}"),
                namespace: "shop".into(),
            }),
            hostname: name.into(),
            log_directory: self.path("logs").display().to_string(),
            dns_config: Some(dns),
            annotations: annotations.collect::<HashMap<_, _>>(),
            linux: Some(Linux { cgroup_parent: self.cgroup.clone() }),
        }
    }

    /// Makes a pod and a container in it.
    pub fn pod(&self, name: &str, dns: DnsConfig, annotations: &[(&str, &str)]) -> Container<'_> {
        let config = self.config(name, dns, annotations);
        let pod = self.cri.run_pod(&config).unwrap_or_else(|e| panic!("{e}\n{}", self.log()));
        let container = self.cri.run_container(&pod, &config, IMAGE);
        let container = container.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        let address = self.cri.address(&pod).unwrap();
        Container::new(self, pod, container, address)
    }

    /// Files of the pods' records, sorted.
    pub fn records(&self) -> Vec<String> {
        names(&self.path("pods"))
    }

    /// Addresses that host-local has given away, sorted.
    pub fn leases(&self) -> Vec<String> {
        let mut names = names(&self.path("ipam").join(NETWORK));
        names.retain(|name| name.parse::<std::net::IpAddr>().is_ok());
        names
    }

    /// How the plugin was called for a pod since [`NOTING`] stands in the list: the verb, and whether it was
    /// told a network namespace.
    pub fn calls(&self, pod: &str) -> Vec<(String, bool)> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        lines
            .filter(|words| words[1] == pod)
            .map(|words| (words[0].to_owned(), !words[2].is_empty()))
            .collect()
    }

    /// What there is of pods: what they are to the runtime and to its plugins, and what they are to the
    /// machine.
    pub fn traces(&self) -> Vec<String> {
        let mut traces = self.leftovers().list();
        traces.extend(self.records());
        traces.extend(self.leases());
        traces.extend(self.cri.pods().unwrap());
        let links = ["-n", self.node.name(), "-o", "link", "show", "master", NETWORK];
        let links = checked(Command::new("ip").args(links));
        traces.extend(links.lines().map(str::to_owned));
        traces
    }

    /// Waits until there are none.
    #[track_caller]
    pub fn is_left_as_it_was(&self) {
        // A shim ends after it has answered.
        let end = Instant::now() + PATIENCE;
        while !self.traces().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.traces(), Vec::<String>::new());
    }

    fn leftovers(&self) -> Leftovers<'_> {
        Leftovers::new(self.directory.path(), &self.cgroup[1..])
    }

    /// Hands it the image of all pods.
    fn import(&self) {
        let root = self.path("image/rootfs");
        image::fill(&root);
        let archive = self.path("image.tar");
        let image = self.path("image");
        let tar = |to: &Path, from: &Path, names: &[&str]| {
            checked(Command::new("tar").arg("-cf").arg(to).arg("-C").arg(from).args(names));
        };
        tar(&image.join("layer.tar"), &root, &["."]);
        let digest = checked(Command::new("sha256sum").arg(image.join("layer.tar")));
        let digest = digest.split(' ').next().unwrap();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Cmd": ["/bin/busybox", "sleep", "86400"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        fs::write(image.join("config.json"), config.to_string()).unwrap();
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
        fs::write(image.join("manifest.json"), manifest.to_string()).unwrap();
        tar(&archive, &image, &["manifest.json", "config.json", "layer.tar"]);
        checked(
            Command::new("ctr")
                .arg("--address")
                .arg(self.path("c.sock"))
                .args(["--namespace", "k8s.io", "images", "import", "--snapshotter", "native"])
                .arg(&archive),
        );
    }

    /// Takes all pods away; gives up on the first that takes too long, since then it is containerd.
    fn clear(&self) {
        let end = Instant::now() + PATIENCE * 4;
        for pod in self.cri.pods().unwrap_or_default() {
            if Instant::now() > end {
                break;
            }
            let _ = self.cri.stop_pod(&pod).and_then(|()| self.cri.remove_pod(&pod));
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if self.service.ended().is_none() {
            self.clear();
            self.service.terminate();
        }
        let end = Instant::now() + PATIENCE;
        while self.service.ended().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.service.kill();
        self.leftovers().remove();
    }
}

/// Writes a program. Not by this process: a child that another test starts meanwhile would inherit the file
/// open for writing, and a program that is open for writing cannot be run (ETXTBSY).
fn script(path: &Path, text: &str) {
    let write = "printf '#!/bin/sh\n%s\n' \"$1\" >\"$0\" && chmod 755 \"$0\"";
    checked(Command::new("sh").args(["-c", write]).arg(path).arg(text));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn configuration(directory: &Path) -> String {
    let at = directory.display();
    format!(
        r#"version = 2
root = "{at}/root"
state = "{at}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.overlayfs", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.opt",
]
[grpc]
address = "{at}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_tcp_service = true
stream_server_address = "127.0.0.1"
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{at}/bin"
conf_dir = "{at}/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#
    )
}
