//! medtainer, the program.

fn main() {}
