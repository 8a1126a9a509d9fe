//! The tree of commands, and the tables they need.

/// What the database must look like, oldest first.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
