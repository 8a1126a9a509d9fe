//! One folding for index and query: what makes two spellings of a name the same word.
//!
//! NFKD without marks, lower case, and the letters that Unicode does not decompose written out.
//! It happens here and never in SQL, so that both sides cannot disagree.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Longest word kept; what follows cannot help to tell people apart.
const WORD: usize = 60;

/// Text without accents and case; punctuation and spaces stay.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for letter in text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        match letter {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            'ŋ' => folded.push('n'),
            'ŧ' => folded.push('t'),
            'ς' => folded.push('σ'),
            'ʼ' | '’' | '‘' | '`' | '´' => folded.push('\''),
            // `İ` lower-cases to `i` and a dot above.
            mark if is_combining_mark(mark) => {}
            other => folded.push(other),
        }
    }
    folded
}

/// The words of folded text: runs of letters and digits. An apostrophe joins (`O'Brien` is
/// `obrien`), everything else separates (`Jean-Luc` is two words).
pub(super) fn words(folded: &str) -> impl Iterator<Item = String> + '_ {
    folded
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|run| {
            run.chars()
                .filter(|c| *c != '\'')
                .take(WORD)
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
}

/// The digits of folded text (NFKD has made them all ASCII or left them out).
pub(super) fn digits(folded: &str) -> String {
    folded.chars().filter(char::is_ascii_digit).collect()
}

/// The key of a word in the index: 32 stable bits. Two words that share a key only cost a
/// candidate that the ranking throws out, since it compares the words themselves.
pub(super) fn key(parts: &[&str]) -> i32 {
    // FNV-1a in 64 bits, then halved: never changes, needs no seed and no dependency.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash as u32 as i32
}

/// The key of a whole name, whatever the order of its words.
pub(super) fn name_key<'a>(words: impl IntoIterator<Item = &'a str>) -> i32 {
    let mut words: Vec<&str> = words.into_iter().collect();
    words.sort_unstable();
    key(&["=", &words.join(" ")])
}

/// What a word of the vocabulary is filed under, so that words spelled nearly so are found: its first
/// letters with each of them left out, and for a long word its three parts.
///
/// Words that share a spelling are at most two edits apart, and after a single edit (a letter more,
/// less, other, or swapped with its neighbour) they always share one. Of two edits in a long word
/// at least one part stays whole.
pub(super) fn near_keys(word: &str) -> Vec<i32> {
    let letters: Vec<char> = word.chars().collect();
    let mut keys = shortened(&letters);
    if letters.len() >= LONG {
        for (part, (start, length)) in parts(letters.len()).into_iter().enumerate() {
            keys.push(part_key(
                part,
                letters.len(),
                &letters[start..start + length],
            ));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What to look under for words one edit away from this one (and some that are two).
pub(super) fn one_edit(word: &str) -> Vec<i32> {
    shortened(&word.chars().collect::<Vec<_>>())
}

/// What to look under for long words two edits away from this one.
///
/// The first part cannot have moved, the last can only have moved by the difference in length, and
/// the middle by one from either end; other places would be found through another part.
pub(super) fn two_edits(word: &str) -> Vec<i32> {
    let letters: Vec<char> = word.chars().collect();
    let n = letters.len() as isize;
    let mut keys = Vec::new();
    for length in (n - 2).max(LONG as isize)..=n + 2 {
        let moved = n - length;
        for (part, (start, size)) in parts(length as usize).into_iter().enumerate() {
            let shifts = match part {
                0 => 0..=0,
                1 => (moved - 1).max(-1)..=(moved + 1).min(1),
                _ => moved..=moved,
            };
            for shift in shifts {
                let from = start as isize + shift;
                if from >= 0 && from as usize + size <= letters.len() {
                    let from = from as usize;
                    keys.push(part_key(part, length as usize, &letters[from..from + size]));
                }
            }
        }
    }
    keys
}

/// From this many letters on, a word may be two edits away from what was meant.
pub(super) const LONG: usize = 6;

/// Letters of which one is left out; a slip behind them leaves them alone.
const HEAD: usize = 7;

/// The head of a word itself and, from three letters on, without each of its letters.
fn shortened(letters: &[char]) -> Vec<i32> {
    let head = &letters[..letters.len().min(HEAD)];
    let mut spelling: String = head.iter().collect();
    let mut keys = vec![key(&["~", &spelling])];
    if head.len() >= 3 {
        for left_out in 0..head.len() {
            spelling.clear();
            spelling.extend(&head[..left_out]);
            spelling.extend(&head[left_out + 1..]);
            keys.push(key(&["~", &spelling]));
        }
    }
    keys
}

/// Where the three parts of a word of this length begin and how long they are.
fn parts(length: usize) -> [(usize, usize); 3] {
    let size = length / 3;
    [(0, size), (size, size), (2 * size, length - 2 * size)]
}

fn part_key(part: usize, length: usize, letters: &[char]) -> i32 {
    let letters: String = letters.iter().collect();
    key(&["%", &format!("{part}.{length}."), &letters])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded_words(text: &str) -> Vec<String> {
        words(&fold(text)).collect()
    }

    #[test]
    fn folds_accents_case_and_letters_without_decomposition() {
        assert_eq!(
            folded_words("José ŁUKASZ Strauß Bjørn"),
            ["jose", "lukasz", "strauss", "bjorn"]
        );
        assert_eq!(folded_words("O’Brien O'Brien"), ["obrien", "obrien"]);
        assert_eq!(folded_words("Jean-Luc"), ["jean", "luc"]);
        assert_eq!(folded_words("Ａｌｉｃｅ ﬁsher"), ["alice", "fisher"]);
        assert_eq!(folded_words("İstanbul ΣΊΣΥΦΟΣ"), ["istanbul", "σισυφοσ"]);
        assert_eq!(folded_words("王小明 Ёлкин"), ["王小明", "елкин"]);
        assert!(folded_words("🚀 -- % \u{0}").len() <= 1);
    }

    #[test]
    fn keys_never_change() {
        // Written into databases: another value here needs a migration that indexes anew.
        assert_eq!(key(&["john"]), key(&["jo", "hn"]));
        assert_eq!((key(&["john"]), key(&[""])), (1_757_039_490, 1_339_080_641));
        assert_eq!(name_key(["smith", "john"]), name_key(["john", "smith"]));
    }

    fn shares(stored: &str, asked: &[i32]) -> bool {
        near_keys(stored).iter().any(|key| asked.contains(key))
    }

    #[test]
    fn every_single_edit_shares_a_key_and_two_edits_of_a_long_word_do() {
        for asked in ["smth", "smiith", "smyth", "simth", "smitg", "mith"] {
            assert!(shares("smith", &one_edit(asked)), "{asked}");
        }
        assert!(!shares("smith", &one_edit("jones")));
        for asked in [
            "kkatherine",
            "ktherine",
            "kathreine",
            "katherixe",
            "katherie",
            "katherines",
        ] {
            assert!(shares("katherine", &one_edit(asked)), "{asked}");
        }
        for asked in [
            "katherina",
            "catheryna",
            "kathrin",
            "kthrine",
            "kaathherine",
            "xyatherine",
            "katherixy",
            "kathxyine",
        ] {
            assert!(shares("katherine", &two_edits(asked)), "{asked}");
        }
        assert!(!shares("katherine", &two_edits("wolfgang")));
    }
}
