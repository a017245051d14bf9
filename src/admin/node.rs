//! What `horizond node` says of the host: findings, each about one thing that the configuration wants there.

use serde::Serialize;

/// The host beside its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// The worst of all findings.
    pub state: State,
    /// In the order in which a person would look.
    pub findings: Vec<Finding>,
}

/// One thing and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it is as it should be.
    pub state: State,
    /// What it is about: `interface`, `address`, `rules` and the like.
    pub about: &'static str,
    /// How it is.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// Whether something is as the configuration wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Good,
    /// Not of the configuration's making, and worth knowing.
    Note,
    /// It cannot be seen.
    Unknown,
    /// It is not.
    Wrong,
}

impl Finding {
    /// As it should be.
    pub fn good(about: &'static str, text: impl Into<String>) -> Finding {
        Finding { state: State::Good, about, text: text.into(), todo: None }
    }

    /// Worth knowing.
    pub fn note(about: &'static str, text: impl Into<String>) -> Finding {
        Finding { state: State::Note, ..Finding::good(about, text) }
    }

    /// Cannot be seen, and what would help.
    pub fn unknown(about: &'static str, text: impl Into<String>, todo: &str) -> Finding {
        let todo = Some(todo.to_owned());
        Finding { state: State::Unknown, todo, ..Finding::good(about, text) }
    }

    /// Not as it should be, and what to do.
    pub fn wrong(about: &'static str, text: impl Into<String>, todo: &str) -> Finding {
        let todo = Some(todo.to_owned());
        Finding { state: State::Wrong, todo, ..Finding::good(about, text) }
    }
}

impl NodeReport {
    /// All that was found.
    pub fn new(findings: Vec<Finding>) -> NodeReport {
        let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Good);
        NodeReport { state, findings }
    }

    /// How many findings are in this state.
    pub fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }
}
