//! What the runtime says in environment variables: which verb, for which container, and CNI_ARGS
//! (CNI specification, section 2, "Parameters").

use std::path::PathBuf;

use super::error::CniError;
use super::json::{MAX_TEXT, shown};
use super::names::{BadName, ContainerId, InterfaceName};

/// One call of the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// ADD: a pod is made.
    Add(Attach),
    /// CHECK: is everything still as ADD left it?
    Check(Attach),
    /// DEL: a pod goes; called again and again.
    Del(Detach),
    /// GC: what belongs to no attachment is to go.
    Gc,
    /// STATUS: could ADD work?
    Status,
    /// VERSION: which versions of the specification are spoken?
    Version,
}

/// What ADD and CHECK are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// CNI_CONTAINERID.
    pub container: ContainerId,
    /// CNI_NETNS: the path of the pod's network namespace.
    pub netns: PathBuf,
    /// CNI_IFNAME.
    pub interface: InterfaceName,
    /// CNI_PATH: directories with plugins.
    pub path: Vec<PathBuf>,
    /// CNI_ARGS.
    pub args: Args,
}

/// What DEL is about. Only what it cannot do without is judged: nothing else may keep a pod from
/// going away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// CNI_CONTAINERID.
    pub container: ContainerId,
    /// CNI_NETNS; not there any more when a runtime asks a second time.
    pub netns: Option<PathBuf>,
    /// CNI_IFNAME.
    pub interface: InterfaceName,
}

/// The keys of CNI_ARGS that Kubernetes' runtimes set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Args {
    /// K8S_POD_NAMESPACE.
    pub namespace: Option<String>,
    /// K8S_POD_NAME.
    pub pod: Option<String>,
    /// K8S_POD_UID.
    pub uid: Option<String>,
    /// K8S_POD_INFRA_CONTAINER_ID.
    pub infra_container: Option<String>,
}

impl Call {
    /// Reads the variables. `get` gives the value of one; an empty one counts as not there.
    ///
    /// # Errors
    /// [`CniError::Environment`] names every variable that is missing, or what is wrong with one.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Call, CniError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        match get("CNI_COMMAND").as_deref() {
            Some("ADD") => attach(get).map(Call::Add),
            Some("CHECK") => attach(get).map(Call::Check),
            Some("DEL") => detach(get).map(Call::Del),
            Some("GC") => Ok(Call::Gc),
            Some("STATUS") => Ok(Call::Status),
            Some("VERSION") => Ok(Call::Version),
            Some(other) => Err(CniError::Environment(format!(
                "CNI_COMMAND: {} is none of ADD, DEL, CHECK, GC, STATUS, VERSION",
                shown(other)
            ))),
            None => Err(CniError::Environment("CNI_COMMAND is not set".into())),
        }
    }
}

fn attach(get: impl Fn(&str) -> Option<String>) -> Result<Attach, CniError> {
    let names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"];
    let [container, netns, interface, path] = required(names, &get)?;
    Ok(Attach {
        container: ContainerId::new(&container).map_err(bad("CNI_CONTAINERID"))?,
        netns: netns_path(netns)?,
        interface: InterfaceName::new(&interface).map_err(bad("CNI_IFNAME"))?,
        path: path.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect(),
        args: Args::parse(&get("CNI_ARGS").unwrap_or_default())?,
    })
}

fn detach(get: impl Fn(&str) -> Option<String>) -> Result<Detach, CniError> {
    let [container, interface] = required(["CNI_CONTAINERID", "CNI_IFNAME"], &get)?;
    Ok(Detach {
        container: ContainerId::new(&container).map_err(bad("CNI_CONTAINERID"))?,
        netns: get("CNI_NETNS").map(netns_path).transpose()?,
        interface: InterfaceName::new(&interface).map_err(bad("CNI_IFNAME"))?,
    })
}

/// The values of variables that must be set, or the names of all that are not.
fn required<const N: usize>(
    names: [&str; N],
    get: impl Fn(&str) -> Option<String>,
) -> Result<[String; N], CniError> {
    let values = names.map(&get);
    let missing: Vec<&str> =
        names.iter().zip(&values).filter(|(_, v)| v.is_none()).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(values.map(Option::unwrap_or_default));
    }
    Err(CniError::Environment(format!("not set: {}", missing.join(", "))))
}

fn bad(variable: &str) -> impl Fn(BadName) -> CniError {
    move |error| CniError::Environment(format!("{variable}: {error}"))
}

fn netns_path(text: String) -> Result<PathBuf, CniError> {
    if text.len() > MAX_TEXT || text.contains('\0') {
        return Err(CniError::Environment(format!("CNI_NETNS: {} is not a path", shown(&text))));
    }
    Ok(text.into())
}

impl Args {
    /// Reads `KEY=VALUE;KEY=VALUE`. Keys that are not ours are left to whom they belong to; of one
    /// that is given twice the last counts.
    ///
    /// # Errors
    /// [`CniError::Environment`] where a part is no pair, or a value no text of a sane length.
    pub fn parse(text: &str) -> Result<Args, CniError> {
        let mut args = Args::default();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let wrong =
                |what: &str| CniError::Environment(format!("CNI_ARGS: {} {what}", shown(pair)));
            let (key, value) = pair.split_once('=').ok_or_else(|| wrong("is not KEY=VALUE"))?;
            let field = match key {
                "K8S_POD_NAMESPACE" => &mut args.namespace,
                "K8S_POD_NAME" => &mut args.pod,
                "K8S_POD_UID" => &mut args.uid,
                "K8S_POD_INFRA_CONTAINER_ID" => &mut args.infra_container,
                _ => continue,
            };
            // 253: the longest name of anything in Kubernetes.
            if value.len() > 253 || value.chars().any(char::is_control) {
                return Err(wrong("has a value that is no name"));
            }
            *field = (!value.is_empty()).then(|| value.to_owned());
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests;
