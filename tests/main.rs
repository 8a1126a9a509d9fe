//! medtainer through its front door.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

mod catalog;
mod clients_real;
mod cloudflare;
mod conformance;
mod contract;
mod daemon;
mod database;
mod digitalocean;
mod dns;
mod freshness;
mod front;
mod ghl_actions;
mod ghl_crm;
mod ghl_intel;
mod ghl_sandbox;
mod godaddy;
mod jobs;
mod killed;
mod laws;
mod load;
mod mcp;
mod oauth;
mod people;
mod postgres;
mod provider_path;
mod records;
mod registry;
mod store;
mod sync;
mod terminal;
mod trouble;
mod vault;
mod writes;
