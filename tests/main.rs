//! medtainer through its front door.

mod database;
mod people;
mod store;
