//! `horizond node status` for people: a line for each finding, and one that sums up.

use std::fmt::Write;

use super::{counted, printable};
use crate::admin::node::{NodeReport, State};

/// What `horizond node status` prints.
pub fn render_node(report: &NodeReport) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let mark = match finding.state {
            State::Good => "ok",
            State::Note => "note",
            State::Unknown => "?",
            State::Wrong => "WRONG",
        };
        let todo = finding.todo.as_ref().map(|todo| format!(" -> {todo}")).unwrap_or_default();
        let text = format!("{}{todo}", finding.text).replace('\n', " ");
        // Writing to a String does not fail.
        let _ = writeln!(out, "{mark:<6} {:<10} {text}", finding.about);
    }
    let things = |state| counted(report.count(state) as u64, "thing is", "things are");
    let sum = match report.state {
        State::Good | State::Note => "all is as the configuration wants".to_owned(),
        State::Unknown => {
            let seen = counted(report.count(State::Unknown) as u64, "thing", "things");
            format!("what can be seen is as the configuration wants; {seen} cannot be seen")
        }
        State::Wrong => format!("{} not as the configuration wants", things(State::Wrong)),
    };
    let _ = writeln!(out, "{sum}");
    printable(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::node::Finding;

    fn shown(findings: Vec<Finding>) -> String {
        render_node(&NodeReport::new(findings))
    }

    #[test]
    fn a_line_each_and_the_sum() {
        let good = Finding::good("interface", "horizond0: bridge, up");
        let note = Finding::note("pods", "2 records");
        let unknown = Finding::unknown("rules", "cannot be seen", "try again as root");
        let wrong = Finding::wrong("address", "10.96.0.10 is\nmissing\u{1b}[31m", "start it");
        assert_eq!(
            shown(vec![good.clone(), note.clone()]),
            "ok     interface  horizond0: bridge, up\n\
             note   pods       2 records\n\
             all is as the configuration wants\n"
        );
        let text = shown(vec![good.clone(), unknown.clone()]);
        assert!(text.contains("?      rules      cannot be seen -> try again as root\n"), "{text}");
        assert!(text.ends_with("1 thing cannot be seen\n"), "{text}");
        let text = shown(vec![wrong, good, unknown, note]);
        let line = "WRONG  address    10.96.0.10 is missing\u{fffd}[31m -> start it\n";
        assert!(text.starts_with(line), "{text}");
        assert!(text.ends_with("1 thing is not as the configuration wants\n"), "{text}");
    }
}
