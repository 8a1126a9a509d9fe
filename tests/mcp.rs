//! The MCP face through its front door: the built binary, real Postgres, real HTTP, real clients.

mod admit;
mod answers;
mod asking;
mod bridge;
mod bundle;
mod complete;
mod doctor;
mod elsewhere;
mod ends;
pub mod house;
mod hygiene;
mod install;
mod keys;
mod limits;
mod login;
mod mask;
mod prompts;
mod ready;
mod resources;
mod run;
mod sessions;
mod sse;
pub mod stack;
pub mod stdio;
mod tools;
mod wire;
