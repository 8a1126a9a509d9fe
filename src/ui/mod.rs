//! What a person sees: tables, records, progress and questions.

pub mod csv;
pub mod person;
pub mod progress;
pub mod prompt;
pub mod table;

/// Without what would steer the terminal: names and refusals come from others. Lines stay lines.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}
