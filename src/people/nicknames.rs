//! What people are called for short, and what they are then called in full.

/// Lines `formal: short short` and `one = other`, see the head of the file.
const NICKNAMES: &str = include_str!("nicknames.txt");

/// Another given name under which the same person may be filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    /// Folded.
    pub name: String,
    /// Two short names of one formal name (Bob, Rob) are further apart than either is from it.
    pub distant: bool,
}

/// The names that lead to or from a (folded) given name; never itself, no name twice, near ones first.
///
/// The file is read through for every asked word: forty kilobytes cost less than keeping tables.
pub(super) fn others(name: &str) -> Vec<Other> {
    let mut found = Vec::new();
    let spellings = spellings(name);
    for spelling in &spellings {
        push(&mut found, name, spelling, false);
    }
    for spelling in [name].into_iter().chain(spellings) {
        for (_, short) in groups(spelling).filter(|(formal, _)| *formal == spelling) {
            short
                .iter()
                .for_each(|short| push(&mut found, name, short, false));
        }
    }
    let mut siblings = Vec::new();
    let mut formals = 0;
    for (formal, short) in groups(name).filter(|(_, short)| short.contains(&name)) {
        formals += 1;
        push(&mut found, name, formal, false);
        self::spellings(formal)
            .iter()
            .for_each(|formal| push(&mut found, name, formal, false));
        siblings.extend(short);
    }
    // `Al` is short for so many names that its siblings say nothing.
    if formals == 1 {
        siblings
            .iter()
            .for_each(|sibling| push(&mut found, name, sibling, true));
    }
    found
}

fn push(found: &mut Vec<Other>, asked: &str, name: &str, distant: bool) {
    if name != asked && !found.iter().any(|other| other.name == name) {
        found.push(Other {
            name: name.to_owned(),
            distant,
        });
    }
}

/// The lines that have these letters somewhere, which is quick to tell of each.
fn lines(with: &str) -> impl Iterator<Item = &'static str> {
    NICKNAMES
        .lines()
        .filter(move |line| line.contains(with) && !line.starts_with('#'))
}

fn groups(name: &str) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    lines(name).filter_map(|line| {
        let (formal, short) = line.split_once(':')?;
        Some((formal, short.split_whitespace().collect()))
    })
}

fn spellings(name: &str) -> Vec<&'static str> {
    lines(name)
        .filter(|line| line.contains(" = "))
        .filter(|line| line.split(" = ").any(|spelling| spelling == name))
        .flat_map(|line| line.split(" = "))
        .filter(|spelling| *spelling != name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::fold::fold;

    fn names(name: &str) -> Vec<String> {
        others(name).into_iter().map(|other| other.name).collect()
    }

    #[test]
    fn lead_both_ways_but_not_through_one_another() {
        assert!(names("bob").contains(&"robert".to_owned()));
        assert!(names("robert").contains(&"bob".to_owned()));
        assert!(names("peggy").contains(&"margaret".to_owned()));
        assert!(names("bill").contains(&"william".to_owned()));
        assert!(
            names("cathy").contains(&"katherine".to_owned()),
            "through the spelling catherine"
        );
        assert!(names("bert").contains(&"albert".to_owned()));
        assert!(names("bert").contains(&"robert".to_owned()));
        assert!(!names("albert").contains(&"robert".to_owned()));
        assert!(!names("robert").contains(&"albert".to_owned()));
        assert!(!names("bob").contains(&"al".to_owned()));
        assert_eq!(names("zaphod"), Vec::<String>::new());
    }

    #[test]
    fn every_line_of_the_file_is_a_group_of_folded_names() {
        for line in lines("").filter(|line| !line.is_empty()) {
            assert!(line.contains(": ") ^ line.contains(" = "), "{line}");
            for name in line.split([' ', ':', '=']).filter(|name| !name.is_empty()) {
                assert_eq!(fold(name), name, "{line}");
            }
        }
    }
}
