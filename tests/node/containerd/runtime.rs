//! containerd on the lab's node, with the real bridge, host-local and runc, and our plugin behind them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::cri::{Cri, DnsConfig, Executed, Linux, Metadata, PodSandboxConfig};
use crate::image::{self, find};
use crate::lab::{COREDNS, Lab, NODE_V4};
use crate::netns::Netns;
use crate::pod::Dig;
use crate::process::{PATIENCE, Service, checked, wait_for};

const IMAGE: &str = "horizond.test/pod:1";
/// Where Debian's containernetworking-plugins lie.
const PLUGINS: &str = "/usr/lib/cni";
/// Programs beside those of the lab, with the package of each.
const TOOLS: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/lib/cni/host-local", "containernetworking-plugins"),
    ("/usr/lib/cni/loopback", "containernetworking-plugins"),
    ("tar", "tar"),
    ("sha256sum", "coreutils"),
    ("ldd", "libc-bin"),
];
/// The cluster's search list for the namespace `shop`.
pub const SEARCHES: [&str; 3] = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"];
/// The network's name, and its bridge's.
const NETWORK: &str = "cbr0";

/// A running containerd. Dropping it takes its pods away first, after a panic too.
pub struct Containerd {
    // First, so that it ends before its directory goes.
    service: Service,
    directory: TempDir,
    cri: Cri,
    cgroup: String,
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
        // Short: a socket's path has 107 bytes.
        let directory = TempDir::with_prefix_in("hzc", "/tmp").unwrap();
        let cgroup = format!("/hz{}-{number}", std::process::id());
        let at = |name: &str| directory.path().join(name);
        for name in ["root", "state", "bin", "net.d", "pods", "ipam", "logs"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in ["bridge", "host-local", "loopback"] {
            symlink(Path::new(PLUGINS).join(name), at("bin").join(name)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_horizond-cni"), at("bin").join("horizond-cni")).unwrap();
        let config = at("config.toml");
        fs::write(&config, configuration(directory.path())).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(&config);
        let log = lab.path(&format!("containerd-{number}.log"));
        let service = Service::start(&lab.node, &mut command, &log);
        let cri = Cri::new(&at("c.sock"));
        let mut this = Self { service, directory, cri, cgroup };
        let cri = this.cri.clone();
        this.service.wait_ready(|| cri.plugins().is_ok());
        this.set_plugin(plugin);
        this.service.wait_ready(|| cri.is_ready());
        this.import();
        this
    }

    /// Writes the list of plugins anew; for pods that are made from here on.
    pub fn set_plugin(&self, plugin: Option<Value>) {
        static NEXT: AtomicUsize = AtomicUsize::new(1000);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut plugins = vec![json!({
            "type": "bridge", "bridge": NETWORK, "isGateway": true, "mark": number,
            "ipam": {
                "type": "host-local", "dataDir": self.path("ipam"),
                "ranges": [[{"subnet": "10.244.7.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
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
        Container { runtime: self, pod, container, address }
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

    /// Takes all pods away.
    fn clear(&self) {
        for pod in self.cri.pods().unwrap_or_default() {
            let _ = self.cri.stop_pod(&pod);
            let _ = self.cri.remove_pod(&pod);
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.clear();
        self.service.terminate();
        let end = std::time::Instant::now() + PATIENCE;
        while self.service.ended().is_none() && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        self.service.kill();
        // What a pod left behind that could not be taken away.
        let ours = self.directory.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in mounts.filter(|mount| mount.starts_with(&ours)) {
            let _ = Command::new("umount").args(["--lazy", mount]).stderr(Stdio::null()).status();
        }
        image::remove_cgroups(&self.cgroup);
    }
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

/// A pod's container.
pub struct Container<'a> {
    runtime: &'a Containerd,
    pub pod: String,
    container: String,
    pub address: String,
}

impl Container<'_> {
    /// Runs a program in it to its end.
    pub fn run(&self, command: &[&str]) -> Executed {
        let executed = self.runtime.cri.exec(&self.container, command);
        executed.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The addresses that glibc finds.
    pub fn getent(&self, name: &str) -> Vec<String> {
        let executed = self.run(&["/bin/getent", "ahosts", name]);
        assert!(matches!(executed.exit_code, 0 | 2), "getent {name}: {executed:?}");
        let text = String::from_utf8(executed.stdout).unwrap();
        let mut found: Vec<String> =
            text.lines().filter_map(|line| Some(line.split_whitespace().next()?.into())).collect();
        found.sort();
        found.dedup();
        found
    }

    /// What busybox's nslookup prints.
    pub fn nslookup(&self, name: &str) -> String {
        let executed = self.run(&["/bin/busybox", "nslookup", name]);
        String::from_utf8_lossy(&[executed.stdout, executed.stderr].concat()).into_owned()
    }

    pub fn dig(&self, arguments: &str) -> Dig {
        let mut command = vec!["/bin/dig", "+tries=1", "+timeout=6"];
        command.extend(arguments.split_whitespace());
        let executed = self.run(&command);
        Dig::parse(arguments, &String::from_utf8_lossy(&executed.stdout))
    }

    pub fn resolv_conf(&self) -> String {
        let executed = self.run(&["/bin/busybox", "cat", "/etc/resolv.conf"]);
        String::from_utf8(executed.stdout).unwrap()
    }

    /// Its network namespace.
    pub fn netns(&self) -> Netns {
        let record = self.record().expect("a record");
        let path = record["netns"].as_str().unwrap();
        Netns::named(path.rsplit('/').next().unwrap().to_owned())
    }

    /// Its record, as it lies there.
    pub fn record(&self) -> Option<Value> {
        let name = format!("{NETWORK}_{}_eth0.json", self.pod);
        let text = fs::read(self.runtime.path("pods").join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Whether it is led to us when it asks its nameserver: only we know `whoami.horizond`.
    pub fn is_ours(&self) -> bool {
        self.dig(&format!("@{COREDNS} CH TXT whoami.horizond")).status == "NOERROR"
    }

    /// Waits until that is so.
    pub fn becomes_ours(&self) {
        wait_for("the pod to be led to us", PATIENCE, || self.is_ours().then_some(()));
    }

    /// The rows of whoami.
    pub fn whoami(&self) -> Vec<String> {
        let dig = self.dig(&format!("@{NODE_V4} CH TXT whoami.horizond"));
        dig.data("TXT").iter().map(|row| row.trim_matches('"').to_owned()).collect()
    }

    /// Waits until the daemon knows it.
    pub fn becomes_known(&self) -> Vec<String> {
        wait_for("the daemon to know the pod", PATIENCE, || {
            let rows = self.whoami();
            (rows.len() > 1).then_some(rows)
        })
    }

    /// Stops and removes the pod.
    pub fn remove(self) {
        self.runtime.cri.stop_pod(&self.pod).unwrap();
        self.runtime.cri.remove_pod(&self.pod).unwrap();
    }
}
