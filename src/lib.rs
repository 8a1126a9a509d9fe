//! What a medtainer command is, and everything it leans on. Knows no vendor by name.

pub mod error;
pub mod people;
pub mod store;

pub use error::{Error, Kind, Result};
