//! Whose names are whose, as far as an answer has to be judged by it (horizon rule 5).
//!
//! The table of routes lies elsewhere: this module only says what is asked of it. It is asked about
//! targets of aliases, and about owners that are no part of the question's name: never for the usual
//! answer.

use crate::wire::edns::Ede;

/// What becomes of an alias that leads to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crossing {
    /// The name belongs to the route that was asked: what it says of the name is believed.
    Inside,
    /// The name belongs to another route, which is to be asked for it.
    Follow,
    /// Nobody may be asked for the name, and nothing is believed of it; this says why.
    Bar(Ede),
}

/// Knows which route owns which name.
pub trait Horizons: Send + Sync {
    /// Whether a folded name belongs to the route with this index.
    fn owns(&self, route: u16, name: &[u8]) -> bool;

    /// What becomes of an alias, in an answer of the route with this index, that leads to `target`,
    /// folded.
    fn crossing(&self, route: u16, target: &[u8]) -> Crossing;
}
