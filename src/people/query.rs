//! From what a person typed to what is looked for.

use super::fold::{digits, fold, words};

/// Longer texts are not the name of a person.
pub(super) const LONGEST: usize = 400;

/// More words than this are not needed to tell people apart.
const MOST: usize = 8;

/// One thing a hit should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    /// A word of a name, company, alias or e-mail address.
    Word(String),
    /// An e-mail address; either side may be empty (`ann@`, `@example.com`), not both.
    Email {
        /// Before the `@`.
        local: String,
        /// After it.
        domain: String,
    },
    /// Something with a dot: a domain or the local part of an address, before it is two words.
    Handle(String),
    /// The digits of a phone number or of its end.
    Phone(String),
}

impl Term {
    /// As shown in a reason.
    pub(super) fn shown(&self) -> String {
        match self {
            Term::Word(text) | Term::Handle(text) | Term::Phone(text) => text.clone(),
            Term::Email { local, domain } => format!("{local}@{domain}"),
        }
    }
}

/// The ways to read a text, the most literal first. Empty when it holds neither letter nor digit.
pub(super) fn readings(text: &str) -> Vec<Vec<Term>> {
    let folded = fold(text);
    let literal = terms(&folded);
    let mut readings = vec![literal.clone()];

    // `j.smith` and `jon.smith@example.com` as words, for when no address is written so.
    let spread: Vec<Term> = literal
        .iter()
        .flat_map(|term| match term {
            Term::Handle(text) => words(text).map(Term::Word).collect(),
            Term::Email { local, domain } if !local.is_empty() => {
                let mut parts: Vec<Term> = words(local).map(Term::Word).collect();
                if !domain.is_empty() {
                    parts.push(Term::Email {
                        local: String::new(),
                        domain: domain.clone(),
                    });
                }
                parts
            }
            other => vec![other.clone()],
        })
        .take(MOST)
        .collect();

    // `Mc Donald` is filed as one word, and so is `O Brien`.
    let joined = (1..spread.len()).filter_map(|i| match (&spread[i - 1], &spread[i]) {
        (Term::Word(one), Term::Word(two)) => {
            let mut terms = spread.clone();
            terms.splice(i - 1..=i, [Term::Word(format!("{one}{two}"))]);
            Some(terms)
        }
        _ => None,
    });
    let joined: Vec<_> = joined.take(3).collect();
    if spread != literal {
        readings.push(spread);
    }
    readings.extend(joined);
    readings.retain(|terms| !terms.is_empty());
    readings
}

fn terms(folded: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut number: Vec<&str> = Vec::new();
    for chunk in folded.split(|c: char| c.is_whitespace() || c.is_control() || c == ',' || c == ';')
    {
        if chunk.is_empty() {
            continue;
        }
        if chunk
            .chars()
            .all(|c| c.is_ascii_digit() || "()+-./#*".contains(c))
        {
            number.push(chunk);
            continue;
        }
        end_number(&mut number, &mut terms);
        end_chunk(chunk, &mut terms);
    }
    end_number(&mut number, &mut terms);
    terms.truncate(MOST);
    terms
}

/// Chunks of digits in a row are one phone number however it is grouped, if there are enough of them.
fn end_number(number: &mut Vec<&str>, terms: &mut Vec<Term>) {
    let all = digits(&number.concat());
    if all.len() >= 4 && all.len() <= 20 {
        terms.push(Term::Phone(all));
    } else {
        terms.extend(number.iter().flat_map(|chunk| words(chunk)).map(Term::Word));
    }
    number.clear();
}

fn end_chunk(chunk: &str, terms: &mut Vec<Term>) {
    let chunk = chunk.trim_matches(|c: char| !c.is_alphanumeric() && c != '@');
    if let Some((local, domain)) = chunk.rsplit_once('@') {
        let local = local.trim_matches('@');
        if local.is_empty() && domain.is_empty() {
            return;
        }
        terms.push(Term::Email {
            local: local.to_owned(),
            domain: domain.to_owned(),
        });
        return;
    }
    let dotted = chunk.chars().any(|c| ".-_+".contains(c))
        && chunk
            .chars()
            .all(|c| c.is_alphanumeric() || ".-_+".contains(c));
    // `J.R.` is initials and `Jean-Luc` two words; an address has more on one side.
    if dotted
        && chunk.contains(['.', '_', '+'])
        && words(chunk).any(|word| word.chars().count() > 1)
    {
        terms.push(Term::Handle(chunk.to_owned()));
        return;
    }
    terms.extend(words(chunk).map(Term::Word));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Term {
        Term::Word(text.to_owned())
    }

    #[test]
    fn tells_words_addresses_and_numbers_apart() {
        assert_eq!(readings("J. Smith")[0], [word("j"), word("smith")]);
        assert_eq!(
            readings("J.R. Ewing")[0],
            [word("j"), word("r"), word("ewing")]
        );
        assert_eq!(readings("Smith, John")[0], [word("smith"), word("john")]);
        assert_eq!(
            readings("+1 (415) 555-0199")[0],
            [Term::Phone("14155550199".to_owned())]
        );
        assert_eq!(
            readings("ann 0199")[0],
            [word("ann"), Term::Phone("0199".to_owned())]
        );
        assert_eq!(readings("Studio 54")[0], [word("studio"), word("54")]);
        assert_eq!(
            readings("Ann.Lee@Example.COM")[0],
            [Term::Email {
                local: "ann.lee".to_owned(),
                domain: "example.com".to_owned()
            }]
        );
        assert_eq!(
            readings("example.com")[0],
            [Term::Handle("example.com".to_owned())]
        );
        assert_eq!(readings("example.com")[1], [word("example"), word("com")]);
        assert_eq!(readings("Mc Donald")[1], [word("mcdonald")]);
    }

    #[test]
    fn finds_nothing_to_look_for_in_punctuation() {
        for text in ["", " ", "🚀", "%_\\", "@", "\u{0}", "'"] {
            assert_eq!(readings(text), Vec::<Vec<Term>>::new(), "{text:?}");
        }
    }
}
