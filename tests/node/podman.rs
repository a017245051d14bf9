//! podman with its CNI backend, which writes a plugin's DNS settings into the container's resolv.conf: the
//! one runtime here that does.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::Settings;
use crate::image::{self, find};
use crate::lab::{Lab, NODE_V4};
use crate::netns::Netns;
use crate::process::{PATIENCE, checked, wait_for};
use crate::servers;

/// Programs beside those of the lab, with the package of each.
const TOOLS: [(&str, &str); 5] = [
    ("podman", "podman"),
    ("conmon", "conmon"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/lib/cni/host-local", "containernetworking-plugins"),
];
const IMAGE: &str = "horizond.test/container:1";

/// podman on the lab's node, with nothing in common with the machine's own.
struct Podman {
    netns: Netns,
    directory: TempDir,
    cgroup: String,
}

impl Podman {
    fn new(lab: &Lab) -> Self {
        for (program, package) in TOOLS {
            assert!(find(program).is_some(), "{program} is missing (Debian package {package})");
        }
        let directory = TempDir::with_prefix_in("hzp", "/tmp").unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["nets", "bin"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in ["bridge", "host-local"] {
            std::os::unix::fs::symlink(Path::new("/usr/lib/cni").join(name), at("bin").join(name))
                .unwrap();
        }
        let ours = env!("CARGO_BIN_EXE_horizond-cni");
        std::os::unix::fs::symlink(ours, at("bin/horizond-cni")).unwrap();
        let here = directory.path().display();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{here}/root\"\nrunroot = \"{here}/run\"\n"
        );
        fs::write(at("storage.conf"), storage).unwrap();
        // The machine may not let limits be raised.
        let containers = format!(
            "[containers]\n\
             default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             log_driver = \"k8s-file\"\n\
             [engine]\n\
             runtime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n\
             lock_type = \"file\"\ntmp_dir = \"{here}/tmp\"\n\
             [network]\n\
             network_backend = \"cni\"\ncni_plugin_dirs = [\"{here}/bin\"]\n\
             network_config_dir = \"{here}/nets\"\n"
        );
        fs::write(at("containers.conf"), containers).unwrap();
        let list = json!({
            "cniVersion": "0.4.0", "name": "pods",
            "plugins": [
                {
                    "type": "bridge", "bridge": "pods0", "isGateway": true,
                    "ipam": {
                        "type": "host-local", "dataDir": at("ipam"),
                        "ranges": [[{"subnet": "10.244.8.0/24"}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {
                    "type": "horizond-cni", "nameservers": [NODE_V4], "podDir": at("pods"),
                    "search": ["default.svc.cluster.local", "c.binrc.com"], "redirect": "off",
                },
            ],
        });
        fs::write(at("nets/pods.conflist"), list.to_string()).unwrap();
        let cgroup = format!("/hzp{}", std::process::id());
        let this = Self { netns: lab.node.clone(), directory, cgroup };
        image::fill(&this.directory.path().join("rootfs"));
        let (root, tar) = (this.path("rootfs"), this.path("rootfs.tar"));
        checked(Command::new("tar").args(["-C", &root, "-cf", &tar, "."]));
        this.checked(&["import", "--quiet", &tar, IMAGE]);
        this
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("podman");
        command
            .args(arguments)
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"))
            .stdin(Stdio::null());
        self.netns.run(|| command.output()).unwrap()
    }

    fn checked(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "podman {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a program in the container printed.
    fn exec(&self, program: &[&str]) -> String {
        self.checked(&[&["exec", "box"], program].concat())
    }

    fn records(&self) -> Vec<Value> {
        let files = fs::read_dir(self.path("pods")).into_iter().flatten().flatten();
        files.map(|file| serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap()).collect()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.run(&["rm", "--all", "--force", "--time", "0"]);
        let _ = self.run(&["umount", "--all", "--force"]);
        image::remove_cgroups(&self.cgroup);
    }
}

#[test]
fn a_containers_resolv_conf_names_us_and_the_search_list() {
    let lab = Lab::new();
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = servers::Authority::Knot.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let podman = Podman::new(&lab);
    let pods = format!("[pods]\ndir = {:?}\n", podman.path("pods"));
    let _daemon = Settings { node: &pods, ..Settings::default() }.start(&lab);
    let cgroup = format!("--cgroup-parent={}", podman.cgroup);
    let id = podman.checked(&[
        "run",
        "--detach",
        "--name",
        "box",
        "--network",
        "pods",
        &cgroup,
        IMAGE,
        "/bin/busybox",
        "sleep",
        "600",
    ]);

    // podman puts the machine's own servers behind.
    let text = podman.exec(&["/bin/busybox", "cat", "/etc/resolv.conf"]);
    let servers: Vec<&str> = text.lines().filter(|line| line.starts_with("nameserver")).collect();
    assert_eq!(servers[0], "nameserver 169.254.20.10", "{text}");
    assert!(
        text.lines().any(|line| line == "search default.svc.cluster.local c.binrc.com"),
        "{text}"
    );

    for (name, addresses) in [
        ("web", ["10.96.0.20", "fd00:10:96::20"]),
        ("nas", ["100.64.0.7", "fd7a:115c:a1e0::7"]),
        ("www.example.com", ["198.51.100.80", "2001:db8:51::80"]),
    ] {
        let found = podman.exec(&["/bin/getent", "ahosts", name]);
        assert!(addresses.iter().all(|address| found.contains(address)), "{name}: {found}");
    }
    let found = podman.exec(&["/bin/busybox", "nslookup", "nas.c.binrc.com"]);
    assert!(found.contains("100.64.0.7"), "{found}");
    let whoami = ["/bin/dig", "+short", "@169.254.20.10", "CH", "TXT", "whoami.horizond"];
    let rows = wait_for("the daemon to know the container", PATIENCE, || {
        Some(podman.exec(&whoami)).filter(|rows| rows.lines().count() > 1)
    });
    assert!(rows.contains("\"pod box\"") && rows.contains("\"network pods\""), "{rows}");

    let [record] = &podman.records()[..] else { panic!("{:?}", podman.records()) };
    assert_eq!(record["container"], id.trim());
    podman.checked(&["rm", "--force", "--time", "0", "box"]);
    assert!(podman.records().is_empty());
}
