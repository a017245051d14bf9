//! Who has the machine: tests run side by side, but for those that measure or flood, which run alone.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

struct Turns {
    /// How many run side by side; `None` while one runs alone.
    running: Option<usize>,
}

static TURNS: Mutex<Turns> = Mutex::new(Turns { running: Some(0) });
static CHANGED: Condvar = Condvar::new();

/// The right to run, until dropped.
pub struct Turn {
    alone: bool,
}

impl Turn {
    /// Waits for its turn.
    pub fn take(alone: bool) -> Self {
        let mut turns = lock();
        loop {
            match turns.running {
                Some(0) if alone => turns.running = None,
                Some(count) if !alone => turns.running = Some(count + 1),
                _ => {
                    turns = CHANGED.wait(turns).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            }
            return Self { alone };
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = lock();
        turns.running = match turns.running {
            Some(count) if !self.alone => Some(count - 1),
            _ => Some(0),
        };
        drop(turns);
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}
