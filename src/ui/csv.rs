//! Rows as comma-separated values.

use serde_json::Value;

use super::table;
use crate::error::{Error, Result};

/// A line for each row, with the values at these paths; after the heading, where that is wanted.
pub fn lines<N: AsRef<str>>(names: &[N], heading: bool, rows: &[Value]) -> Result<String> {
    let failed =
        |e: csv::Error| Error::internal("the answer could not be written as CSV").because(e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    if heading {
        let names = names.iter().map(AsRef::as_ref);
        writer.write_record(names).map_err(failed)?;
    }
    for row in rows {
        let cells = names
            .iter()
            .map(|name| match table::at(row, name.as_ref()) {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                Value::Array(values) if !values.iter().any(Value::is_object) => values
                    .iter()
                    .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(";"),
                other => other.to_string(),
            });
        writer.write_record(cells).map_err(failed)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| Error::internal("the answer could not be written as CSV").because(e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
