//! The kubelet's side of the container runtime interface: the dozen messages that a pod's life takes, by
//! gRPC over the runtime's Unix socket (k8s.io/cri-api, runtime/v1).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::net::UnixStream;

/// The longest that a call may take; making a pod takes 0.2 s where nothing else goes on.
const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct DnsConfig {
    #[prost(string, repeated, tag = "1")]
    pub servers: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub searches: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub options: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Linux {
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxConfig {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<Metadata>,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(string, tag = "3")]
    pub log_directory: String,
    #[prost(message, optional, tag = "4")]
    pub dns_config: Option<DnsConfig>,
    #[prost(map = "string, string", tag = "7")]
    pub annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub linux: Option<Linux>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandbox {
    #[prost(message, optional, tag = "1")]
    config: Option<PodSandboxConfig>,
}

/// A request or an answer that is one id.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct StatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<SandboxStatus>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxStatus {
    #[prost(message, optional, tag = "5")]
    network: Option<SandboxNetwork>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxNetwork {
    #[prost(string, tag = "1")]
    ip: String,
}

#[derive(Clone, PartialEq, Message)]
struct Items {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Id>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<Image>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(string, tag = "11")]
    log_path: String,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    sandbox: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ExecSync {
    #[prost(string, tag = "1")]
    container: String,
    #[prost(string, repeated, tag = "2")]
    command: Vec<String>,
    #[prost(int64, tag = "3")]
    seconds: i64,
}

/// What a program in a container printed.
#[derive(Clone, PartialEq, Message)]
pub struct Executed {
    #[prost(bytes = "vec", tag = "1")]
    pub stdout: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub stderr: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub exit_code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeStatusQuestion {
    #[prost(bool, tag = "1")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeStatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<RuntimeStatus>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeStatus {
    #[prost(message, repeated, tag = "1")]
    conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, Message)]
struct Condition {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bool, tag = "2")]
    holds: bool,
}

/// What the runtime said, or why nothing came of asking it.
pub type Answer<T> = Result<T, String>;

/// A runtime's socket. A connection is made for each call, so that calls may be made side by side.
#[derive(Debug, Clone)]
pub struct Cri {
    socket: PathBuf,
}

impl Cri {
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Whether containers and networks can be made.
    pub fn is_ready(&self) -> bool {
        let conditions = self.status().ok().and_then(|answer| answer.status).map(|s| s.conditions);
        conditions.is_some_and(|all| {
            ["RuntimeReady", "NetworkReady"]
                .iter()
                .all(|kind| all.iter().any(|condition| condition.kind == *kind && condition.holds))
        })
    }

    /// The list of plugins that new pods get, as JSON.
    pub fn plugins(&self) -> Answer<String> {
        Ok(self.status()?.info.remove("cniconfig").unwrap_or_default())
    }

    fn status(&self) -> Answer<RuntimeStatusAnswer> {
        self.call("Status", &RuntimeStatusQuestion { verbose: true })
    }

    /// Makes a pod; its id.
    pub fn run_pod(&self, config: &PodSandboxConfig) -> Answer<String> {
        let request = RunPodSandbox { config: Some(config.clone()) };
        self.call("RunPodSandbox", &request).map(|answer: Id| answer.id)
    }

    /// Takes the pod's network away; may be called again.
    pub fn stop_pod(&self, id: &str) -> Answer<()> {
        self.call("StopPodSandbox", &Id { id: id.into() }).map(|Nothing {}| ())
    }

    pub fn remove_pod(&self, id: &str) -> Answer<()> {
        self.call("RemovePodSandbox", &Id { id: id.into() }).map(|Nothing {}| ())
    }

    /// Ids of all pods.
    pub fn pods(&self) -> Answer<Vec<String>> {
        let answer: Items = self.call("ListPodSandbox", &Nothing {})?;
        Ok(answer.items.into_iter().map(|item| item.id).collect())
    }

    /// The pod's address.
    pub fn address(&self, id: &str) -> Answer<String> {
        let answer: StatusAnswer = self.call("PodSandboxStatus", &Id { id: id.into() })?;
        let network = answer.status.and_then(|status| status.network);
        network.map(|network| network.ip).ok_or_else(|| "a pod without a network".to_owned())
    }

    /// Makes a container that sleeps, and starts it; its id.
    pub fn run_container(
        &self,
        pod: &str,
        config: &PodSandboxConfig,
        image: &str,
    ) -> Answer<String> {
        let container = ContainerConfig {
            metadata: Some(ContainerMetadata { name: "main".into() }),
            image: Some(Image { image: image.into() }),
            command: ["/bin/busybox", "sleep", "600"].map(Into::into).to_vec(),
            log_path: "main.log".into(),
        };
        let request = CreateContainer {
            sandbox: pod.into(),
            config: Some(container),
            sandbox_config: Some(config.clone()),
        };
        let Id { id } = self.call("CreateContainer", &request)?;
        self.call("StartContainer", &Id { id: id.clone() }).map(|Nothing {}| id)
    }

    /// Runs a program in a container to its end.
    pub fn exec(&self, container: &str, command: &[&str]) -> Answer<Executed> {
        let command = command.iter().map(|&word| word.into()).collect();
        let request = ExecSync { container: container.into(), command, seconds: 30 };
        self.call("ExecSync", &request)
    }

    fn call<Q: Message, A: Message + Default>(&self, method: &str, request: &Q) -> Answer<A> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let call = async {
            let call = tokio::time::timeout(DEADLINE, exchange(&self.socket, method, request));
            call.await.map_err(|_| format!("no answer within {DEADLINE:?}"))?
        };
        let bytes = runtime.map_err(|e| e.to_string())?.block_on(call);
        let bytes = bytes.map_err(|error| format!("{method}: {error}"))?;
        A::decode(bytes).map_err(|error| format!("{method}: {error}"))
    }
}

/// One unary call (gRPC over HTTP/2: a prefix of five bytes before each message, the status in the
/// trailers).
async fn exchange<Q: Message>(socket: &Path, method: &str, request: &Q) -> Answer<Bytes> {
    let text = |error: h2::Error| error.to_string();
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(text)?;
    let driver = tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(text)?;
    let head = http::Request::post(format!("http://localhost/runtime.v1.RuntimeService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let (response, mut body) = sender.send_request(head, false).map_err(text)?;
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(request.encoded_len() as u32);
    request.encode(&mut message).map_err(|error| error.to_string())?;
    body.send_data(message.freeze(), true).map_err(text)?;

    let (head, mut body) = response.await.map_err(text)?.into_parts();
    let mut received = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(text)?;
        let _ = body.flow_control().release_capacity(chunk.len());
        received.put(chunk);
    }
    let trailers = body.trailers().await.map_err(text)?.unwrap_or(head.headers);
    driver.abort();
    let header = |name: &str| {
        trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match header("grpc-status").as_deref() {
        Some("0") => {}
        code => return Err(format!("{code:?} {}", header("grpc-message").unwrap_or_default())),
    }
    let mut received = received.freeze();
    if received.remaining() < 5 || received.get_u8() != 0 {
        return Err("an answer without a message, or a compressed one".into());
    }
    let length = received.get_u32() as usize;
    (received.len() == length).then_some(received).ok_or_else(|| "an answer cut short".into())
}
