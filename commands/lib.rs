//! The tree of commands, and the tables they need.

pub mod ghl;

/// What the database must look like, oldest first.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
