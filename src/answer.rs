//! The envelope: the same object from `--json`, from MCP and in a schedule's record.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Result};
use crate::output::Data;
use crate::part;

/// Where an answer's data came from, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Asked for now.
    Live,
    /// From the store, younger than was asked for.
    Cached,
    /// From the store, older than was asked for, because the provider could not be reached.
    Stale,
    /// From the sandbox.
    Sample,
}

impl Source {
    /// The word in JSON and in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Live => "live",
            Source::Cached => "cached",
            Source::Stale => "stale",
            Source::Sample => "sample",
        }
    }
}

/// What is known about an answer besides its data.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Where the data came from; absent where a command keeps no data of a provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// When the data was last known to agree with the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<DateTime<Utc>>,
    /// Milliseconds from the call to the answer.
    pub latency_ms: u64,
    /// Rows in the answer, for a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Rows there are in all, where that is known and these are only some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether this is all there is.
    pub complete: bool,
    /// What `--after` takes to go on.
    pub next: Option<String>,
    /// Whose data it is; absent where the call did not come that far.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub business: String,
    /// The account at the provider, such as a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Requests sent to providers for this answer.
    pub calls: u64,
    /// The row in the audit trail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<i64>,
    /// Fields of the data with text that others wrote, for a model: it is data, whatever it says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untrusted: Vec<String>,
    /// What the reader should know before trusting the data.
    pub warnings: Vec<String>,
}

/// What a call ends with.
#[derive(Debug)]
pub struct Answer {
    /// The data, or why there is none.
    pub outcome: Result<Data>,
    /// What is known about it.
    pub metadata: Metadata,
}

#[derive(Serialize)]
struct Wire<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem<'a>>,
    metadata: &'a Metadata,
}

#[derive(Serialize)]
struct Problem<'a> {
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
}

#[derive(Deserialize)]
struct Kept {
    data: Option<Box<RawValue>>,
    error: Option<KeptProblem>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct KeptProblem {
    kind: String,
    message: String,
    hint: Option<String>,
    details: Option<Value>,
}

impl Answer {
    /// The envelope as JSON text.
    pub fn json(&self) -> String {
        // Maps have string keys and raw values are JSON already, so this cannot fail.
        serde_json::to_string(&self.wire()).unwrap_or_default()
    }

    /// The envelope as a value, with details of an error no longer than this.
    pub fn value(&self, longest: usize) -> Value {
        let mut value = serde_json::to_value(self.wire()).unwrap_or_default();
        if let Some(details) = value.pointer_mut("/error/details") {
            part::fit(details, longest);
        }
        value
    }

    fn wire(&self) -> Wire<'_> {
        match &self.outcome {
            Ok(data) => Wire {
                status: "success",
                data: Some(&data.json),
                error: None,
                metadata: &self.metadata,
            },
            Err(error) => Wire {
                status: match error.kind() {
                    Kind::PendingApproval => "pending_approval",
                    _ => "error",
                },
                data: error.answer().map(|data| &*data.json),
                error: Some(Problem {
                    kind: error.kind().as_str(),
                    message: error.message(),
                    hint: error.hint_text(),
                    details: error.details_value(),
                }),
                metadata: &self.metadata,
            },
        }
    }

    /// The answer of which this is the envelope, as it was kept.
    pub fn from_json(json: &str) -> Result<Answer> {
        let kept: Kept = serde_json::from_str(json)
            .map_err(|e| Error::internal("a kept answer does not parse").because(e))?;
        let metadata = kept.metadata;
        let data = kept.data.map(|json| Data {
            json,
            count: metadata.count,
            complete: metadata.complete,
            next: metadata.next.clone(),
            total: metadata.total,
            cursors: Vec::new(),
        });
        let outcome = match (kept.error, data) {
            (None, Some(data)) => Ok(data),
            (None, None) => return Err(Error::internal("a kept answer is empty")),
            (Some(problem), data) => {
                let mut error = Error::new(Kind::of(&problem.kind), problem.message);
                if let Some(hint) = problem.hint {
                    error = error.hint(hint);
                }
                if let Some(details) = problem.details {
                    error = error.details(details);
                }
                if let Some(data) = data {
                    error = error.about(data);
                }
                Err(error)
            }
        };
        Ok(Answer { outcome, metadata })
    }

    /// The exit code of a process that ends with this answer.
    pub fn exit_code(&self) -> u8 {
        self.outcome
            .as_ref()
            .err()
            .map_or(0, |error| error.kind().exit_code())
    }
}

/// The envelope of a call that goes on, around what is known of it so far.
pub fn running(data: &RawValue, metadata: &Metadata) -> String {
    let wire = Wire {
        status: "running",
        data: Some(data),
        error: None,
        metadata,
    };
    serde_json::to_string(&wire).unwrap_or_default()
}

/// The JSON Schema of the envelope around the schema of `data`. The rest of it is the same in every answer.
pub fn schema(data: Value) -> Value {
    serde_json::json!({ "type": "object", "properties": { "data": data } })
}
