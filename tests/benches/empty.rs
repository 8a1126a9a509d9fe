//! What every clap program costs: nothing but a parser. The figures hold `medtainer --version` against it.

use clap::Parser as _;

/// Does nothing
#[derive(clap::Parser)]
#[command(version)]
struct Empty {}

fn main() {
    Empty::parse();
}
