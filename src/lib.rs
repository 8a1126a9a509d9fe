//! What a medtainer command is, and everything it leans on. Knows no vendor by name.

pub mod answer;
pub mod config;
pub mod env;
pub mod error;
pub mod output;
pub mod paths;
pub mod project;
pub mod sandbox;
pub mod schema;
pub mod store;
pub mod ui;
pub mod values;

pub use error::{Error, Kind, Result};
