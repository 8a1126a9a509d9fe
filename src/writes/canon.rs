//! The hash of a plan: the same for the same plan, whatever the order of its keys.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Plan;
use crate::error::{Error, Result};

/// The hash an approval is bound to, as 64 hexadecimal digits: of the command, the account and the whole
/// plan, warnings aside.
pub fn hash(command: &str, account: Option<&str>, plan: &Plan) -> Result<String> {
    let mut plan = serde_json::to_value(plan)
        .map_err(|error| Error::internal("a plan is not JSON").because(error))?;
    if let Some(fields) = plan.as_object_mut() {
        fields.remove("warnings");
    }
    let whole = serde_json::json!({ "command": command, "account": account, "plan": plan });
    Ok(digest(&whole))
}

/// The hash of a value, whatever the order of its keys, as 64 hexadecimal digits.
pub fn digest(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON with the keys of every object in order and no space.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.cmp(b.0));
            text.push('{');
            for (i, (name, value)) in fields.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        write(&serde_json::from_str(text).unwrap(), &mut out);
        out
    }

    #[test]
    fn order_of_keys_does_not_count_at_any_depth() {
        let one = r#"{"b":[{"y":1,"x":{"q":"\"","p":null}}],"a":2.50}"#;
        let two = r#"{ "a": 2.50, "b": [ {"x": {"p": null, "q": "\""}, "y": 1} ] }"#;
        assert_eq!(written(one), written(two));
        assert_ne!(written(one), written(&one.replace("null", "0")));
        assert_ne!(written("[1,2]"), written("[2,1]"));
    }
}
