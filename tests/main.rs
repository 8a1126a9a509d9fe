//! medtainer through its front door.

mod database;
mod store;
mod sync;
