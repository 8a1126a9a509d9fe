//! GoHighLevel: the CRM.

pub mod store;
pub mod types;
