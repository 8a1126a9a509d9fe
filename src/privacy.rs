//! Which fields of answers hold personal data, and of which class.
//!
//! Each group of commands says so for its own answers, by the names of fields: for what it writes itself
//! and for what a provider's JSON is passed through with. Nothing is ever looked for in the text.

use std::fmt;
use std::str::FromStr;

/// A class of personal data, chosen by what an owner may want to keep from an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// How a person is reached: e-mail, phone, postal address, day of birth, web site.
    Contact,
    /// What a person, or their company, is called.
    Name,
    /// What was written: notes, messages, e-mails, titles, fields of one's own.
    Notes,
}

impl Class {
    /// All there are.
    pub const ALL: [Class; 3] = [Class::Contact, Class::Name, Class::Notes];

    /// The word on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Contact => "contact",
            Class::Name => "name",
            Class::Notes => "notes",
        }
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Class::ALL.into_iter();
        all.find(|class| class.as_str() == text.trim())
            .ok_or_else(|| {
                format!("there is no class `{text}`: they are `contact`, `name` and `notes`")
            })
    }
}

/// A set of classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Classes(u8);

impl Classes {
    /// Every one.
    pub const ALL: Classes = Classes(0b111);

    /// Whether this one is among them.
    pub const fn has(self, class: Class) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.has(*class))
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        let bits = classes.into_iter().map(|class| 1 << class as u8);
        Classes(bits.fold(0, |all, bit| all | bit))
    }
}

impl FromStr for Classes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::parse).collect()
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Class::as_str).collect();
        f.write_str(&words.join(","))
    }
}

/// What the fields of a group's answers hold.
#[derive(Debug)]
pub struct Privacy {
    /// Fields by name, or by as many names above as it takes: `target.name`; the first of those above is
    /// the command's. The longest that fits counts. A field of no class is nobody's.
    pub fields: &'static [(&'static str, &'static [Class])],
    /// Whether text in any other field is personal, as where a provider's records of people pass through.
    pub closed: bool,
}

/// Of every class: text that may quote anything.
pub const ANY: &[Class] = &Class::ALL;
/// How a person is reached.
pub const CONTACT: &[Class] = &[Class::Contact];
/// What a person is called.
pub const NAME: &[Class] = &[Class::Name];
/// What was written.
pub const NOTES: &[Class] = &[Class::Notes];
/// Of no class.
pub const NOBODYS: &[Class] = &[];

impl Privacy {
    /// Of answers that hold nobody's data.
    pub const NONE: Privacy = Privacy {
        fields: &[],
        closed: false,
    };

    /// Of answers about writes of any group: the plan, what it is done to, and what a person is shown.
    pub const WRITES: Privacy = Privacy {
        fields: &[
            ("title", ANY),
            ("text", ANY),
            ("shown", ANY),
            ("target", ANY),
            ("changes", ANY),
            ("lost", ANY),
            ("plan", ANY),
            ("note", NOTES),
            ("result", ANY),
            ("error", ANY),
            ("error_message", ANY),
            ("details", ANY),
        ],
        closed: false,
    };

    /// The classes of the field at a path, where that is known.
    pub fn classes<S: AsRef<str>>(&self, path: &[S]) -> Option<&'static [Class]> {
        let fits = |name: &str| {
            let mut above = path.iter().rev();
            name.rsplit('.')
                .all(|part| above.next().is_some_and(|own| own.as_ref() == part))
        };
        let fitting = self.fields.iter().filter(|(name, _)| fits(name));
        let longest = fitting.max_by_key(|(name, _)| name.bytes().filter(|b| *b == b'.').count());
        longest.map(|(_, classes)| *classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_that_fits_counts() {
        let privacy = Privacy {
            fields: &[
                ("name", NAME),
                ("stage.name", NOBODYS),
                ("list.items.name", CONTACT),
            ],
            closed: false,
        };
        for (path, classes) in [
            (&["name"][..], Some(NAME)),
            (&["show", "stage", "name"], Some(NOBODYS)),
            (&["list", "items", "name"], Some(CONTACT)),
            (&["items", "name"], Some(NAME)),
            (&["name", "first"], None),
        ] {
            assert_eq!(privacy.classes(path), classes, "{path:?}");
        }
    }

    #[test]
    fn classes_read_as_written() {
        assert_eq!(
            "notes,contact".parse::<Classes>().unwrap().to_string(),
            "contact,notes"
        );
        assert!("".parse::<Classes>().is_err() && "contact,all".parse::<Classes>().is_err());
    }
}
