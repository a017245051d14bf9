//! A pod: programs that run in its network, with the resolv.conf that the kubelet would write.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::lab::{Lab, NODE_V4};
use crate::netns::Netns;
use crate::process::checked;

/// The default of a pod in the namespace `default`.
fn resolv_conf(server: &str) -> String {
    format!(
        "search default.svc.cluster.local svc.cluster.local cluster.local\n\
         nameserver {server}\noptions ndots:5\n"
    )
}

/// Runs programs as a container of a pod would.
pub struct Pod {
    netns: Netns,
    resolv_conf: PathBuf,
}

impl Pod {
    /// The lab's pod.
    pub fn new(lab: &Lab) -> Self {
        let resolv_conf = lab.file("pod/resolv.conf", &resolv_conf(NODE_V4));
        Self { netns: lab.pod.clone(), resolv_conf }
    }

    /// A machine that is no pod and may not ask.
    pub fn stranger(lab: &Lab) -> Self {
        Self { netns: lab.stranger.clone(), ..Self::new(lab) }
    }

    /// The node itself.
    pub fn host(lab: &Lab) -> Self {
        Self { netns: lab.node.clone(), ..Self::new(lab) }
    }

    /// Runs a program to its end. Each of those used here gives up by itself within seconds.
    pub fn run(&self, program: &[&str]) -> Output {
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(&self.resolv_conf).args(program);
        self.netns.run(|| command.stdin(Stdio::null()).output()).unwrap()
    }

    /// `getent ahosts NAME` or the like: the addresses, without doubles; none where it found none.
    pub fn getent(&self, database: &str, name: &str) -> Vec<String> {
        let output = self.run(&["getent", database, name]);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)), "getent {database} {name}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut found: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(Into::into)
            .collect();
        found.dedup();
        found
    }

    /// busybox's nslookup; what it printed, and whether it found the name.
    pub fn nslookup(&self, name: &str) -> (bool, String) {
        let output = self.run(&["busybox", "nslookup", name]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// Asks with dig, once. `arguments` are as on its command line, `@SERVER` included.
    pub fn dig(&self, arguments: &str) -> Dig {
        let mut command = vec!["dig", "+tries=1", "+timeout=6"];
        command.extend(arguments.split_whitespace());
        let output = self.run(&command);
        Dig::parse(arguments, &String::from_utf8_lossy(&output.stdout))
    }
}

/// What dig printed.
#[derive(Debug, Clone)]
pub struct Dig {
    /// `NOERROR`, `NXDOMAIN` ...; empty without an answer.
    pub status: String,
    /// `qr rd ra` ...
    pub flags: Vec<String>,
    /// `NAME TTL CLASS TYPE DATA` of each answer record, single spaces.
    pub answer: Vec<String>,
    /// Codes of the extended errors.
    pub ede: Vec<u16>,
    /// All of it, for messages.
    pub text: String,
}

impl Dig {
    pub fn parse(arguments: &str, text: &str) -> Self {
        let after =
            |marker: &str| text.split_once(marker).map(|(_, rest)| rest).unwrap_or_default();
        let until = |text: &str, end: char| text.split(end).next().unwrap_or_default().to_owned();
        let answer = after(";; ANSWER SECTION:\n").lines().take_while(|line| !line.is_empty());
        let ede = text.lines().filter_map(|line| line.strip_prefix("; EDE: "));
        Self {
            status: until(after("status: "), ','),
            flags: until(after(";; flags: "), ';').split_whitespace().map(Into::into).collect(),
            answer: answer
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect(),
            ede: ede.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect(),
            text: format!("dig {arguments}\n{text}"),
        }
    }

    /// The data of the answer records of one type, sorted.
    pub fn data(&self, rtype: &str) -> Vec<String> {
        let fields = self.answer.iter().map(|line| line.splitn(5, ' ').collect::<Vec<_>>());
        let mut data: Vec<String> =
            fields.filter(|f| f[3] == rtype).map(|f| f[4].to_owned()).collect();
        data.sort();
        data
    }

    /// The TTLs of the answer records.
    pub fn ttls(&self) -> Vec<u32> {
        self.answer.iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
    }

    /// Panics unless the answer has this status and, for the type asked, this data.
    pub fn expect(self, status: &str, rtype: &str, data: &[&str]) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.data(rtype), data, "{}", self.text);
        self
    }
}

/// The addresses of a namespace's interfaces, as `ip` prints them, but for whether the kernel is still looking
/// for another host that has them: that ends by itself.
pub fn addresses(netns: &Netns) -> String {
    let text = checked(Command::new("ip").args(["-n", netns.name(), "-o", "addr", "show"]));
    text.replace(" tentative", "")
}
