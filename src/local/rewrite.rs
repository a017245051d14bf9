//! Rewritings: the name that is asked for in place of the client's, and the way back for the names
//! in the answer.
//!
//! Pure: whoever uses it asks for the new name, puts [`Back`] to the owner names and the names in
//! the data of what came, and does so once for a query: a name that came out of a rewriting is not
//! rewritten again.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::config::{Rewrite, RewriteKind};
use crate::wire::name::{Labels, MAX_NAME, Name, is_within};

/// All rewritings; built once, read by all.
#[derive(Debug, Default)]
pub struct Rewrites {
    exact: ByName,
    suffixes: ByName,
    /// Bit n: there is a suffix of n labels.
    depths: u128,
}

type ByName = HashMap<Name, Arc<Rewrite>, foldhash::fast::RandomState>;

/// What becomes of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The name to ask for, folded.
    pub name: Name,
    /// The way back.
    pub back: Back,
}

/// Leads names of an answer back to those that the client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back(Arc<Rewrite>);

impl Rewrites {
    /// From validated rewritings: no two of one kind have the same `from`.
    pub fn new(rewrites: &[Rewrite]) -> Rewrites {
        let mut table = Rewrites::default();
        for rewrite in rewrites {
            let by_name = match rewrite.kind {
                RewriteKind::Exact => &mut table.exact,
                RewriteKind::Suffix => {
                    table.depths |= 1 << rewrite.from.labels().min(127);
                    &mut table.suffixes
                }
            };
            by_name.insert(rewrite.from.clone(), Arc::new(rewrite.clone()));
        }
        table
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty()
    }

    /// What a folded name is to be asked for as. A rewriting of the very name wins over those of
    /// suffixes, and of these the longest at a label boundary.
    ///
    /// `None`: as it is. That holds also where the new name would have more than 255 bytes: nobody
    /// can have it, so the name is asked for as the client wrote it. Allocates only for what it
    /// finds.
    pub fn find(&self, folded_name: &[u8]) -> Option<Rewritten> {
        if self.is_empty() {
            return None;
        }
        let rule = self.exact.get(folded_name).or_else(|| self.longest_suffix(folded_name))?;
        let name = match rule.kind {
            RewriteKind::Exact => rule.to.clone(),
            RewriteKind::Suffix => exchange(folded_name, &rule.from, &rule.to)?,
        };
        Some(Rewritten { name, back: Back(Arc::clone(rule)) })
    }

    fn longest_suffix(&self, name: &[u8]) -> Option<&Arc<Rewrite>> {
        if self.depths == 0 {
            return None;
        }
        let mut left = Labels(name).count();
        let mut rest = name;
        while left > 0 {
            if self.depths >> left.min(127) & 1 == 1
                && let Some(rule) = self.suffixes.get(rest)
            {
                return Some(rule);
            }
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
            left -= 1;
        }
        None
    }
}

impl Back {
    /// The name that the client knows a folded name of the answer by; `None`: by the same. A
    /// rewriting of one name leads back that name alone, one of a suffix all names under the new
    /// suffix (but those that would have more than 255 bytes).
    pub fn apply(&self, folded_name: &[u8]) -> Option<Name> {
        let rule = &self.0;
        match rule.kind {
            RewriteKind::Exact => (rule.to.as_wire() == folded_name).then(|| rule.from.clone()),
            RewriteKind::Suffix => exchange(folded_name, &rule.to, &rule.from),
        }
    }
}

/// `name` with the suffix `new` in place of `old`; `None` if it has not got that suffix or becomes
/// too long.
fn exchange(name: &[u8], old: &Name, new: &Name) -> Option<Name> {
    let (old, new) = (old.as_wire(), new.as_wire());
    if !is_within(name, old) {
        return None;
    }
    let front = &name[..name.len() - old.len()];
    if front.len() + new.len() > MAX_NAME {
        return None;
    }
    Name::from_wire(&[front, new].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn rewrites(rules: &[(RewriteKind, &str, &str)]) -> Rewrites {
        let rule = |&(kind, from, to): &(RewriteKind, &str, &str)| Rewrite {
            kind,
            from: name(from),
            to: name(to),
        };
        Rewrites::new(&rules.iter().map(rule).collect::<Vec<_>>())
    }

    const EXACT: RewriteKind = RewriteKind::Exact;
    const SUFFIX: RewriteKind = RewriteKind::Suffix;

    #[test]
    fn exact_before_the_longest_suffix() {
        let table = rewrites(&[
            (EXACT, "www.Corp.example", "front.cluster.local"),
            (SUFFIX, "corp.example", "svc.cluster.local"),
            (SUFFIX, "lab.corp.example", "lab.test"),
            (EXACT, "one", "two.example"),
        ]);
        for (asked, expected) in [
            ("www.corp.example", Some("front.cluster.local.")),
            ("x.www.corp.example", Some("x.www.svc.cluster.local.")),
            ("corp.example", Some("svc.cluster.local.")),
            ("a.b.corp.example", Some("a.b.svc.cluster.local.")),
            ("lab.corp.example", Some("lab.test.")),
            ("a.lab.corp.example", Some("a.lab.test.")),
            ("alab.corp.example", Some("alab.svc.cluster.local.")),
            ("xcorp.example", None),
            ("example", None),
            ("one", Some("two.example.")),
            ("x.one", None),
            (".", None),
        ] {
            let found = table.find(name(asked).as_wire()).map(|found| found.name.to_string());
            assert_eq!(found.as_deref(), expected, "{asked}");
        }
        assert!(rewrites(&[]).is_empty() && !table.is_empty());
        assert_eq!(rewrites(&[]).find(name("a").as_wire()), None);
    }

    #[test]
    fn back_leads_where_the_client_came_from() {
        let table = rewrites(&[
            (EXACT, "www.corp.example", "front.cluster.local"),
            (SUFFIX, "corp.example", "cluster.local"),
        ]);
        let back = |asked: &str| table.find(name(asked).as_wire()).unwrap().back;
        for (asked, answered, expected) in [
            ("www.corp.example", "front.cluster.local", Some("www.corp.example.")),
            ("www.corp.example", "x.front.cluster.local", None),
            ("www.corp.example", "other.cluster.local", None),
            ("a.corp.example", "a.cluster.local", Some("a.corp.example.")),
            ("a.corp.example", "b.c.cluster.local", Some("b.c.corp.example.")),
            ("a.corp.example", "cluster.local", Some("corp.example.")),
            ("a.corp.example", "xcluster.local", None),
            ("a.corp.example", "a.corp.example", None),
        ] {
            let found = back(asked).apply(name(answered).as_wire()).map(|name| name.to_string());
            assert_eq!(found.as_deref(), expected, "{answered} for {asked}");
        }
    }

    #[test]
    fn names_that_would_be_too_long_stay() {
        let table = rewrites(&[(SUFFIX, "a", "longer.example"), (SUFFIX, "longer.test", "b")]);
        let long = |suffix: &str, len: usize| {
            let rest = len - name(suffix).as_wire().len();
            let (full, last) = (rest / 64, rest % 64);
            let front = format!("{}.", "x".repeat(63)).repeat(full) + &"y".repeat(last - 1);
            name(&format!("{front}.{suffix}"))
        };
        let grown = name("longer.example").as_wire().len() - name("a").as_wire().len();
        let fits = table.find(long("a", 255 - grown).as_wire()).unwrap();
        assert_eq!(fits.name.as_wire().len(), 255);
        assert_eq!(fits.back.apply(fits.name.as_wire()), Some(long("a", 255 - grown)));
        assert_eq!(table.find(long("a", 256 - grown).as_wire()), None);
        // The way back may be too long, too: such a name stays as it came.
        let back = table.find(name("q.longer.test").as_wire()).unwrap().back;
        assert_eq!(back.apply(long("b", 255).as_wire()), None);
    }

    #[test]
    fn a_label_that_ends_in_suffix_bytes_is_not_the_suffix() {
        let table = rewrites(&[(SUFFIX, "test", "example")]);
        assert_eq!(table.find(b"\x07ab\x04test\0"), None);
        let back = table.find(b"\x01a\x04test\0").unwrap().back;
        assert_eq!(back.apply(b"\x0aab\x07example\0"), None);
    }
}
