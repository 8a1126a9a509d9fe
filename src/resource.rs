//! What can be read by an address: the answer of a command, whose arguments are parts of the address.

use serde_json::{Map, Value};

use crate::error::Result;

/// Something to read, declared beside the commands.
#[derive(Debug, Clone, Copy)]
pub struct Resource {
    /// Its address after the scheme, as `ghl/contacts/{who}`: a part in braces is an argument.
    pub path: &'static str,
    /// What a person reads in a list of resources.
    pub title: &'static str,
    /// The words of the command that answers; it reads, and its help is the description.
    pub command: &'static str,
    /// What is read.
    pub form: Form,
}

/// What the text of a resource is.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// The whole answer, as JSON.
    Answer,
    /// Its data in a format of its own.
    File(File),
}

/// A format with a media type, in which lines can be comments.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// The media type.
    pub media: &'static str,
    /// What begins a comment; where the data is from, and what to heed, is said in some.
    pub comment: &'static str,
    /// Writes the data of an answer.
    pub write: fn(&Value) -> Result<String>,
}

/// A zone file (RFC 1035), of a command that lists records.
pub const ZONE_FILE: Form = Form::File(File {
    media: "text/dns",
    comment: "; ",
    write: crate::dns::zone_file,
});

impl Resource {
    /// The answer of a command, at an address.
    pub const fn answer(path: &'static str, title: &'static str, command: &'static str) -> Self {
        Resource {
            path,
            title,
            command,
            form: Form::Answer,
        }
    }

    /// The same in another form.
    #[must_use]
    pub const fn in_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// The arguments in its address.
    pub fn arguments(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(argument)
    }

    /// Whether it is one thing to read, and not a kind of things.
    pub fn is_concrete(&self) -> bool {
        self.arguments().next().is_none()
    }

    /// A word for programs: the fixed parts of the address.
    pub fn name(&self) -> String {
        let fixed = self.path.split('/').filter(|part| argument(part).is_none());
        fixed.collect::<Vec<_>>().join("-")
    }

    /// The whole address, a template where it has arguments.
    pub fn uri(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.path)
    }

    /// What an address gives to the command; none where it is the address of something else.
    pub fn given(&self, scheme: &str, uri: &str) -> Option<Map<String, Value>> {
        let path = uri.strip_prefix(scheme)?.strip_prefix("://")?;
        let mut parts = path.split('/');
        let mut given = Map::new();
        for own in self.path.split('/') {
            let part = parts.next()?;
            match argument(own) {
                Some(name) => given.insert(name.to_owned(), decoded(part)?.into()),
                None if own == part => None,
                None => return None,
            };
        }
        parts.next().is_none().then_some(given)
    }
}

fn argument(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// A part of an address as it was before it was encoded.
fn decoded(part: &str) -> Option<String> {
    // What follows these is no part of the path.
    if part.contains(['?', '#']) {
        return None;
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
    is_plain.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: Resource = Resource::answer("crm/people/{who}", "A person", "crm person");
    const TALK: Resource = Resource::answer("crm/people/{who}/talk", "Talk", "crm talk");

    #[test]
    fn an_address_gives_arguments() {
        let given = |uri| {
            PERSON
                .given("x", uri)
                .map(|given| Value::Object(given).to_string())
        };
        let who = |who: &str| Some(serde_json::json!({ "who": who }).to_string());
        assert_eq!(given("x://crm/people/42"), who("42"));
        assert_eq!(given("x://crm/people/Ada%20L%C3%B6we"), who("Ada Löwe"));
        assert_eq!(given("x://crm/people/a+b@c.example"), who("a+b@c.example"));
        assert_eq!(given("x://crm/people/a%2Fb"), who("a/b"));
        for other in [
            "x://crm/people/",
            "x://crm/people",
            "x://crm/people/42/talk",
            "x://crm/people/42/",
            "x://crm/people/42?fresh=1",
            "x://crm/people/42#top",
            "x://crm/people/%",
            "x://crm/people/%4",
            "x://crm/people/%zz",
            "x://crm/people/%ff",
            "x://crm/people/%00",
            "x://crm/people/%0A",
            "x://crm/persons/42",
            "y://crm/people/42",
            "x:crm/people/42",
            "42",
            "",
        ] {
            assert_eq!(given(other), None, "{other}");
        }
        assert!(TALK.given("x", "x://crm/people/42/talk").is_some());
    }

    #[test]
    fn an_address_has_names_for_people_and_programs() {
        assert_eq!(TALK.name(), "crm-people-talk");
        assert_eq!(TALK.uri("x"), "x://crm/people/{who}/talk");
        assert_eq!(TALK.arguments().collect::<Vec<_>>(), ["who"]);
        assert!(!TALK.is_concrete());
        assert!(Resource::answer("crm/state", "State", "crm state").is_concrete());
    }
}
