//! Credentials.

pub use secrecy::SecretString;
