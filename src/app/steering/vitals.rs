//! Whether we count as alive, from what each beat found. Owns no clock and asks nobody.
//!
//! ```text
//!          2 answers in a row
//!   aside ────────────────────► alive ──┐ answered, or merely busy: say so for another lifetime
//!     ▲                           │ ▲   │
//!     └─────── 2nd miss ──────────┘ └───┘   the 1st miss: say nothing, what was said still holds
//! ```

/// So many answers in a row are wanted before we count as alive again.
const RECOVERED: u32 = 2;
/// So many misses in a row, and we step aside: one may be a question lost. With a beat every 250 ms that
/// may take 150 ms, two are over 650 ms after the last answer at the latest.
const MISSED: u32 = 2;

/// What a beat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Every question to ourselves was answered.
    Answer,
    /// We serve, but have more to do than we can: questions are lost on the way in.
    Busy,
    /// We do not serve.
    Miss,
}

/// What the node's rules are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// We are alive.
    Alive,
    /// The same, after we were not.
    Back,
    /// Nothing.
    Nothing,
    /// We are not, from now on.
    Aside,
}

/// The state between beats.
#[derive(Debug)]
pub(super) struct Vitals {
    alive: bool,
    answers: u32,
    misses: u32,
}

impl Vitals {
    /// Those of a daemon that has just said that it serves: its first answer is enough.
    pub fn new() -> Vitals {
        Vitals { alive: true, answers: 0, misses: 0 }
    }

    /// Takes in a beat.
    pub fn hear(&mut self, found: Found) -> Say {
        match found {
            Found::Answer => {
                self.misses = 0;
                self.answers = self.answers.saturating_add(1);
            }
            // Those who were sent away are not called back to where they would be lost.
            Found::Busy => (self.misses, self.answers) = (0, 0),
            Found::Miss => {
                self.answers = 0;
                self.misses = self.misses.saturating_add(1);
            }
        }
        match self.alive {
            true if self.misses == 0 => Say::Alive,
            true if self.misses < MISSED => Say::Nothing,
            true => {
                self.alive = false;
                Say::Aside
            }
            false if self.answers < RECOVERED => Say::Nothing,
            false => {
                self.alive = true;
                Say::Back
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Found::{Answer, Busy, Miss};
    use super::Say::{Alive, Aside, Back, Nothing};
    use super::*;

    fn says(found: &[Found]) -> Vec<Say> {
        let mut vitals = Vitals::new();
        found.iter().map(|found| vitals.hear(*found)).collect()
    }

    #[test]
    fn one_miss_is_passed_over_and_two_are_not() {
        assert_eq!(says(&[Answer, Miss, Answer, Miss]), [Alive, Nothing, Alive, Nothing]);
        assert_eq!(says(&[Answer, Miss, Miss, Miss]), [Alive, Nothing, Aside, Nothing]);
        assert_eq!(says(&[Miss, Miss]), [Nothing, Aside]);
    }

    #[test]
    fn who_has_stepped_aside_comes_back_after_two_answers_in_a_row() {
        let found = [Miss, Miss, Answer, Miss, Answer, Answer, Answer, Miss];
        let said = [Nothing, Aside, Nothing, Nothing, Nothing, Back, Alive, Nothing];
        assert_eq!(says(&found), said);
    }

    #[test]
    fn overload_neither_sends_away_nor_calls_back() {
        assert_eq!(says(&[Answer, Busy, Busy, Miss, Busy]), [Alive, Alive, Alive, Nothing, Alive]);
        let found = [Miss, Miss, Busy, Answer, Busy, Answer, Answer];
        assert_eq!(says(&found), [Nothing, Aside, Nothing, Nothing, Nothing, Nothing, Back]);
    }
}
