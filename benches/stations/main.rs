//! Micro benches of the stations that a query passes: `cargo bench`, or `cargo bench -- lookup`.
//!
//! Each bench has many inputs and takes one after the other, so that neither the branch predictor
//! nor the first cache line knows the next. What is not in a bench's name is done before it: the
//! inputs are made, the tables filled, and what it finds is checked once.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Bencher, Criterion};

mod emit;
mod key;
mod lookup;
#[path = "../tools/made.rs"]
mod made;
mod parse;
mod patch;
mod route;

/// Inputs of a bench that needs no more: a power of two.
const INPUTS: usize = 1024;

/// Does `work` with one input after the other, from the start again after the last. There must be a
/// power of two of them.
fn cycle<T>(bencher: &mut Bencher<'_>, inputs: &[T], mut work: impl FnMut(&T)) {
    assert!(inputs.len().is_power_of_two(), "{} inputs", inputs.len());
    let mut turn = 0;
    bencher.iter(|| {
        turn = (turn + 1) & (inputs.len() - 1);
        work(black_box(&inputs[turn]));
    });
}

/// Whether this is `cargo bench`; else each bench runs once, and its tables stay small.
fn measures() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    parse::bench(&mut criterion)?;
    key::bench(&mut criterion)?;
    lookup::bench(&mut criterion)?;
    patch::bench(&mut criterion)?;
    route::bench(&mut criterion)?;
    emit::bench(&mut criterion);
    criterion.final_summary();
    Ok(())
}
