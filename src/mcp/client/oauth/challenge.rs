//! What a server asks for when it lets nobody in: RFC 9110's challenges, of which `Bearer` is ours.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A `Bearer` challenge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the metadata of the protected resource is.
    pub resource_metadata: Option<String>,
    /// The scopes that are wanted.
    pub scope: Option<String>,
    /// What was wrong with the token that was shown.
    pub error: Option<String>,
}

impl Challenge {
    /// The first `Bearer` challenge of a response.
    pub fn of(headers: &HeaderMap) -> Option<Challenge> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter();
        lines.filter_map(|line| line.to_str().ok()).find_map(parse)
    }
}

fn parse(line: &str) -> Option<Challenge> {
    let mut found: Option<Challenge> = None;
    for part in parts(line) {
        // `Bearer realm="x"` begins a challenge, `error="y"` goes on with it.
        let (before, value) = match part.split_once('=') {
            Some((before, value)) => (before.trim(), value.trim()),
            None => (part.trim(), ""),
        };
        let (scheme, name) = match before.rsplit_once(' ') {
            Some((scheme, name)) => (Some(scheme.trim()), name),
            None if value.is_empty() => (Some(before), ""),
            None => (None, before),
        };
        if let Some(scheme) = scheme {
            if found.is_some() {
                break;
            }
            if scheme.eq_ignore_ascii_case("bearer") {
                found = Some(Challenge::default());
            }
        }
        let Some(challenge) = &mut found else {
            continue;
        };
        let value = Some(unquoted(value)).filter(|value| !value.is_empty());
        match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => challenge.resource_metadata = value,
            "scope" => challenge.scope = value,
            "error" => challenge.error = value,
            _ => {}
        }
    }
    found
}

/// The parts between commas that are not in quotes.
fn parts(line: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(line[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(line[begin..].trim());
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' {
            letters.next().unwrap_or('\\')
        } else {
            letter
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_however_they_are_written() {
        let found = |line| parse(line).unwrap_or_else(|| panic!("{line}"));
        let whole = found(
            r#"Bearer resource_metadata="https://x.test/.well-known/oauth-protected-resource/mcp", scope="read write", error="invalid_token""#,
        );
        assert_eq!(
            whole.resource_metadata.as_deref(),
            Some("https://x.test/.well-known/oauth-protected-resource/mcp")
        );
        assert_eq!(whole.scope.as_deref(), Some("read write"));
        assert_eq!(whole.error.as_deref(), Some("invalid_token"));
        assert_eq!(found("Bearer"), Challenge::default());
        assert_eq!(found("bearer scope=read").scope.as_deref(), Some("read"));
        let second = found(
            r#"Basic realm="a, Bearer scope=no", Bearer realm="b \"c\"", SCOPE="read", Digest scope="no""#,
        );
        assert_eq!(second.scope.as_deref(), Some("read"));
        assert_eq!(parse(r#"Basic realm="x""#), None);
    }
}
