//! Programs that may ask the owner for access.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::secrets;

/// How a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It registered itself.
    Registered,
    /// Its id is the address of a document that describes it.
    Document,
    /// The owner added it.
    Given,
}

impl Kind {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Registered => "registered",
            Kind::Document => "document",
            Kind::Given => "given",
        }
    }

    /// The kind of a word in the database.
    pub fn parse(text: &str) -> Kind {
        match text {
            "document" => Kind::Document,
            "given" => Kind::Given,
            _ => Kind::Registered,
        }
    }
}

/// A program that may ask for access.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it is known by; the address of its document, where it has one.
    pub id: String,
    /// How it is known.
    pub kind: Kind,
    /// What it calls itself.
    pub name: String,
    /// Where answers to it may go.
    pub redirect_uris: Vec<String>,
    /// How it proves who it is: `none`, or one of those with a secret.
    pub auth_method: String,
    /// SHA-256 of its secret.
    pub secret_hash: Option<Vec<u8>>,
}

impl Client {
    /// Whether it is the one that knows its secret, where it has one.
    pub fn is_proven_by(&self, secret: Option<&str>) -> bool {
        match (&self.secret_hash, secret) {
            (None, _) => true,
            (Some(hash), Some(secret)) => secrets::same(hash, &secrets::hash(secret)),
            (Some(_), None) => false,
        }
    }
}

/// A name that others chose, fit to be shown to a person: one line, nothing invisible, not long.
pub fn shown(name: &str) -> String {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    let visible: String = name
        .chars()
        .map(|c| if is_odd(c) { ' ' } else { c })
        .collect();
    let mut words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(60) {
        words.truncate(end);
        words.push('…');
    }
    if words.is_empty() {
        return "A program without a name".to_owned();
    }
    words
}

/// The id and the secret that a request to the token endpoint came with.
#[derive(Debug, Default)]
pub struct Presented {
    /// The id.
    pub id: Option<String>,
    /// The secret.
    pub secret: Option<String>,
    /// Whether they came in a header.
    pub basic: bool,
}

impl Presented {
    /// Reads them from the header, else from the form. An error says what is wrong.
    pub fn read(
        headers: &HeaderMap,
        id: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Presented, &'static str> {
        let Some(header) = headers.get(header::AUTHORIZATION) else {
            return Ok(Presented {
                id: id.map(str::to_owned),
                secret: secret.filter(|text| !text.is_empty()).map(str::to_owned),
                basic: false,
            });
        };
        let (known, secret) = header
            .to_str()
            .ok()
            .and_then(basic)
            .ok_or("the Authorization header is not one of the Basic scheme")?;
        if id.is_some_and(|id| id != known) {
            return Err("the header and the form name different clients");
        }
        Ok(Presented {
            id: Some(known),
            secret: Some(secret).filter(|text| !text.is_empty()),
            basic: true,
        })
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    // Both are encoded as forms are before they are joined.
    Some((decoded(id)?, decoded(secret)?))
}

fn decoded(text: &str) -> Option<String> {
    let pair = format!("={}", text.replace('&', "%26"));
    let (_, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    Some(value.into_owned()).filter(|value| !value.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_visible_line() {
        assert_eq!(shown("Claude\u{202e}\n  Code\u{200b}"), "Claude Code");
        assert_eq!(shown(" \u{feff} "), "A program without a name");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 61);
        assert_eq!(shown("<b>ü</b>"), "<b>ü</b>");
    }

    #[test]
    fn a_header_names_a_client_and_its_secret() {
        let headers = |value: &str| -> HeaderMap {
            [(header::AUTHORIZATION, value.parse().unwrap())]
                .into_iter()
                .collect()
        };
        let encoded = |text: &str| format!("basic {}", STANDARD.encode(text));
        let read = Presented::read(&headers(&encoded("a%3Ab:c%26+d")), None, None).unwrap();
        assert_eq!(read.id.as_deref(), Some("a:b"));
        assert_eq!(read.secret.as_deref(), Some("c& d"));
        assert!(Presented::read(&headers(&encoded("a:b")), Some("c"), None).is_err());
        assert!(Presented::read(&headers("Bearer x"), Some("c"), None).is_err());
        assert!(Presented::read(&headers("Basic ?"), None, None).is_err());
        assert!(Presented::read(&headers(&encoded("a%00:b")), None, None).is_err());
        let read = Presented::read(&HeaderMap::new(), Some("a"), Some("")).unwrap();
        assert_eq!((read.id.as_deref(), read.secret), (Some("a"), None));
    }
}
