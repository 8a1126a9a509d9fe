//! Putting what is known by now in the place of a plan's tokens.

use serde_json::Value;
use uuid::Uuid;

use super::{Check, Look, RUN};
use crate::error::{Error, Result};
use crate::http::Request;

const BEGINNING: &str = "~medtainer.";

/// What tokens stand for, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The write's own name.
    pub run: Uuid,
    /// Answers to the steps.
    pub answers: Vec<Value>,
    /// What the checks of `after` saw.
    pub seen: Vec<Value>,
}

impl Known {
    /// The value a token stands for; none when it is not known.
    pub fn value(&self, token: &str) -> Option<Value> {
        if token == RUN {
            return Some(self.run.simple().to_string().into());
        }
        let inner = token.strip_prefix(BEGINNING)?.strip_suffix('~')?;
        let mut parts = inner.split('.');
        let list = match parts.next()? {
            "answer" => &self.answers,
            "seen" => &self.seen,
            _ => return None,
        };
        let index: usize = parts.next()?.parse().ok()?;
        let mut value = list.get(index)?;
        for part in parts {
            value = match part.split_once('=') {
                Some((field, wanted)) => {
                    let is_it = |item: &&Value| item[field].as_str() == Some(wanted);
                    value.as_array()?.iter().find(is_it)?
                }
                None => value.pointer(&format!("/{part}"))?,
            };
        }
        (!value.is_null()).then(|| value.clone())
    }

    /// The request with its tokens filled in; none when one is not known.
    pub fn request(&self, request: &Request) -> Result<Option<Request>> {
        let mut filled = request.clone();
        let Some(path) = self.text(&request.path, encoded) else {
            return Ok(None);
        };
        filled.path = path;
        for (_, value) in &mut filled.query {
            match self.text(value, |text| text) {
                Some(text) => *value = text,
                None => return Ok(None),
            }
        }
        if let Some(body) = &request.body {
            let body: Value = serde_json::from_str(body.get())
                .map_err(|error| Error::internal("a request's body is not JSON").because(error))?;
            match self.body(body) {
                Some(body) => filled = filled.json(&body)?,
                None => return Ok(None),
            }
        }
        Ok(Some(filled))
    }

    /// The check with its tokens filled in; none when one is not known.
    pub fn check(&self, check: &Check) -> Result<Option<Check>> {
        let mut filled = check.clone();
        if !check.fill {
            return Ok(Some(filled));
        }
        match &mut filled.look {
            Look::Ask { request, .. } => match self.request(request)? {
                Some(known) => **request = known,
                None => return Ok(None),
            },
            Look::Reach { host, .. } => match self.text(host, |text| text) {
                Some(text) => *host = text,
                None => return Ok(None),
            },
        }
        Ok(Some(filled))
    }

    fn body(&self, value: Value) -> Option<Value> {
        Some(match value {
            // A value that is a token becomes what it stands for, a number included.
            Value::String(text) if is_token(&text) => self.value(&text)?,
            Value::String(text) => Value::String(self.text(&text, |text| text)?),
            Value::Array(values) => Value::Array(
                values
                    .into_iter()
                    .map(|value| self.body(value))
                    .collect::<Option<_>>()?,
            ),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| Some((name, self.body(value)?)))
                    .collect::<Option<_>>()?,
            ),
            plain => plain,
        })
    }

    fn text(&self, text: &str, dress: impl Fn(String) -> String) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(BEGINNING) {
            out.push_str(&rest[..start]);
            let token = &rest[start..];
            let end = token[1..].find('~')? + 2;
            let value = match self.value(&token[..end])? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            out.push_str(&dress(value));
            rest = &token[end..];
        }
        out.push_str(rest);
        Some(out)
    }
}

fn is_token(text: &str) -> bool {
    text.starts_with(BEGINNING) && text[1..].find('~') == Some(text.len() - 2)
}

fn encoded(text: String) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::Method;
    use crate::writes::plan::answer;

    #[test]
    fn answers_go_where_their_tokens_stand() {
        let known = Known {
            run: Uuid::nil(),
            answers: vec![json!({ "droplet": { "id": 7, "name": "a/b" }, "none": null })],
            seen: Vec::new(),
        };
        let request = Request::new(
            Method::Post,
            "/v2/droplets/{id}/x/{name}",
            &[&answer(0, "/droplet/id"), &answer(0, "/droplet/name")],
        )
        .unwrap()
        .query("tag", format!("run-{RUN}"))
        .json(&json!({ "id": answer(0, "/droplet/id"), "text": "~medtainer is fine" }))
        .unwrap();
        let filled = known.request(&request).unwrap().unwrap();
        assert_eq!(filled.path, "/v2/droplets/7/x/a%2Fb");
        assert_eq!(filled.query[0].1, "run-00000000000000000000000000000000");
        assert_eq!(
            filled.body.unwrap().get(),
            r#"{"id":7,"text":"~medtainer is fine"}"#
        );
        let networks = json!({ "v4": [{ "type": "private", "ip": "10.0.0.1" }, { "type": "public", "ip": "203.0.113.1" }] });
        let known_networks = Known {
            answers: vec![networks],
            ..known.clone()
        };
        let public = answer(0, "/v4/type=public/ip");
        assert_eq!(known_networks.value(&public), Some(json!("203.0.113.1")));
        assert_eq!(known_networks.value(&answer(0, "/v4/type=other/ip")), None);
        for missing in [answer(0, "/none"), answer(1, "/droplet/id")] {
            let request = Request::new(Method::Get, "/{id}", &[&missing]).unwrap();
            assert!(known.request(&request).unwrap().is_none());
        }
    }
}
