//! Parameters as browsers and clients send them.

use axum::body::{Body, to_bytes};

/// The longest query or form that is read.
pub const LONGEST: usize = 16 * 1_024;

/// Parameters, each at most once but for the resource.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query or a form; what cannot be decoded is read as far as it can.
    pub fn parse(text: &[u8]) -> Params {
        let pairs = form_urlencoded::parse(text);
        Params(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// Reads a body; none when it is too long or broke off.
    pub async fn read(body: Body) -> Option<Params> {
        let bytes = to_bytes(body, LONGEST).await.ok()?;
        Some(Params::parse(&bytes))
    }

    /// A parameter that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// A parameter that is there once, and not empty.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter().filter(|(known, _)| known == name);
        let first = all.next().map(|(_, value)| value.as_str());
        first.filter(|value| !value.is_empty() && all.next().is_none())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every value of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that is there several times and may not be.
    pub fn repeated(&self) -> Option<&str> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| name != "resource")
            .find(|(i, (name, _))| self.0[..*i].iter().any(|(earlier, _)| earlier == name))
            .map(|(_, (name, _))| name.as_str())
    }

    /// Whether none of the values is one that a program has no business to send.
    pub fn is_plain(&self) -> bool {
        !self
            .0
            .iter()
            .any(|(name, value)| name.contains('\0') || value.contains('\0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_repetitions_noticed() {
        let params = Params::parse(b"a=1&b=&resource=x&resource=y&%zz=%ff");
        assert_eq!(params.get("a"), Some("1"));
        assert_eq!(params.get("b"), None);
        assert_eq!(params.all("resource").count(), 2);
        assert_eq!(params.repeated(), None);
        assert_eq!(Params::parse(b"a=1&b=2&a=1").repeated(), Some("a"));
        assert!(params.is_plain() && !Params::parse(b"a=%00").is_plain());
    }
}
