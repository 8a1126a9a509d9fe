//! The figures medtainer promises, each against something measured in the same run.
//!
//!     cargo bench --bench figures -- [cached] [sync] [mcp] [intelligence] [--runs 30] [--contacts 100000] [--rounds 3]
//!         [--calls 6400]
//!
//! Everything runs through the release binary, on a private Postgres made for the run, with `fsync` on.
//! Machines are shared: what is compared takes turns, and medians count.

#![allow(clippy::print_stdout, missing_docs)]

// As in the binary: what is compared differs in nothing else.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[path = "figures/cached.rs"]
mod cached;
#[path = "figures/intelligence.rs"]
mod intelligence;
#[path = "figures/mcp.rs"]
mod mcp;
#[path = "figures/scene.rs"]
mod scene;
#[path = "figures/sync.rs"]
mod sync;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [word, form, home] = wanted.as_slice()
        && word == mcp::SERVE
    {
        return mcp::be(form, home);
    }
    let all = !["cached", "sync", "mcp", "intelligence"]
        .iter()
        .any(|name| wanted.iter().any(|word| word == name));
    let wants = |name: &str| all || wanted.iter().any(|word| word == name);
    let number = |name: &str, otherwise: usize| {
        let place = wanted.iter().position(|word| word == name);
        let value = place.and_then(|place| wanted.get(place + 1));
        value.map_or(otherwise, |value| value.parse().expect("a number"))
    };
    if wants("cached") {
        cached::run(number("--runs", 30));
    }
    if wants("sync") {
        sync::run(number("--contacts", 100_000), number("--rounds", 3));
    }
    if wants("intelligence") {
        intelligence::run(number("--runs", 30));
    }
    if wants("mcp") {
        mcp::run(number("--calls", 6_400));
    }
}

/// Says a figure and whether it is within its bound.
pub fn figure(name: &str, value: f64, unit: &str, bound: Bound) {
    let (held, wanted) = match bound {
        Bound::AtMost(most) => (value <= most, format!("at most {most}{unit}")),
        Bound::AtLeast(least) => (value >= least, format!("at least {least}{unit}")),
    };
    let verdict = if held { "held  " } else { "MISSED" };
    println!("{verdict}  {name}: {value:.2}{unit} ({wanted})");
}

/// What a figure has to be.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
