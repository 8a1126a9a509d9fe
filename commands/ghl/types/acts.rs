//! What an action looks at before it changes something: as far as it decides, and no further.

use serde::Deserialize;
use serde_json::Value;

use super::text;

/// A deal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deal {
    /// Opaque.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    #[serde(deserialize_with = "text")]
    #[expect(missing_docs, reason = "says it all")]
    pub name: Option<String>,
    #[serde(deserialize_with = "text")]
    #[expect(missing_docs, reason = "says it all")]
    pub pipeline_id: Option<String>,
    /// Where it is; the name is in the pipeline alone.
    #[serde(deserialize_with = "text")]
    pub pipeline_stage_id: Option<String>,
    /// `open`, `won`, `lost` or `abandoned`.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
}

/// A contact as somebody to write to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Contact {
    #[serde(flatten)]
    #[expect(missing_docs, reason = "says it all")]
    pub contact: super::Contact,
    /// Do not disturb, on any channel. Absent is no.
    pub dnd: Value,
    /// Do not disturb, by channel: `{"Email": {"status": "active"}}`.
    pub dnd_settings: Value,
    /// Whether the provider found that the address takes mail; null is not known.
    pub valid_email: Value,
}

impl Contact {
    /// Reads a stored contact.
    pub fn read(json: &str) -> Contact {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Whether they want no e-mail, or not to be disturbed at all.
    pub fn mail_is_unwanted(&self) -> bool {
        self.dnd == Value::Bool(true) || self.dnd_settings["Email"]["status"] == "active"
    }
}

/// A message, as a list has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// When, in the provider's spelling.
    #[serde(deserialize_with = "text")]
    pub date_added: Option<String>,
}
