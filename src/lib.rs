//! What a medtainer command is, and everything it leans on. Knows no vendor by name.

pub mod answer;
pub mod app;
pub mod auth;
pub mod cli;
pub mod command;
pub mod complete;
pub mod config;
pub mod context;
pub mod daemon;
pub mod dns;
pub mod ecosystem;
pub mod env;
pub mod error;
pub mod http;
pub mod jobs;
pub mod mcp;
pub mod output;
pub mod part;
pub mod paths;
pub mod people;
pub mod postgres;
pub mod privacy;
pub mod project;
pub mod prompt;
pub mod resource;
pub mod runner;
pub mod sandbox;
pub mod schema;
pub mod store;
pub mod sync;
pub mod tree;
pub mod ui;
pub mod values;
pub mod when;
pub mod writes;

pub use error::{Error, Kind, Result};
