//! The authorization server through its front door: a browser that fills in the form, clients that
//! exchange what they get, and all who should get nothing.

mod bounds;
pub mod browser;
mod documents;
mod login;
mod owner;
mod quiet;
mod refusals;
mod registration;
mod rows;
mod tokens;
mod trail;
