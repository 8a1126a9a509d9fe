//! What every sandbox needs and no vendor owns: serving over real sockets, and trouble on demand.
//!
//! A sandbox is an axum router that imitates a provider. It calls [`Troubles::roll`] once per
//! request and gets the [`Hit`]s of that request; those that spoil the transport (slow, drop, half
//! an answer, wrong bytes) are played here by [`Hits::before`] and [`Hits::after`], those that speak
//! the provider's language (429, 401, a done write answered with an error) are played by the sandbox.

mod serve;
mod trouble;

pub use serve::{Peer, Running, serve};
pub use trouble::{BadTrouble, Hit, Hits, Request, Trouble, TroubleKind, Troubles, scramble};
