//! What a medtainer command is, and everything it leans on. Knows no vendor by name.

pub mod auth;
pub mod error;
pub mod http;
pub mod store;

pub use error::{Error, Kind, Result};
