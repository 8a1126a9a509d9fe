//! tree

pub mod ghl;
