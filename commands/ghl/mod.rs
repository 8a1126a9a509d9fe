//! GoHighLevel.

pub mod sandbox;
