//! What a person sees: tables, records, progress and questions.

pub mod progress;
pub mod table;
