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

/// What a word of the vocabulary is filed under, so that words spelled nearly so are found: its two
/// halves and, if it is long, its three thirds, each with its place and the length of the word.
///
/// One slip leaves one half whole, two leave one third whole. That is five keys a word; leaving out
/// each letter in turn would be more exact and cost a page of contacts three times as much.
pub(super) fn near_keys(word: &str) -> Vec<i32> {
    let letters: Vec<char> = word.chars().collect();
    let length = letters.len();
    let mut keys = Vec::with_capacity(5);
    if length >= SHORT {
        let (left, right) = letters.split_at(length / 2);
        keys.extend([part_key("l", length, left), part_key("r", length, right)]);
    }
    if length >= LONG {
        for (third, (start, size)) in THIRDS.into_iter().zip(thirds(length)) {
            keys.push(part_key(third, length, &letters[start..start + size]));
        }
    }
    keys
}

/// What to look under for words one slip away: a letter more, less, other, or swapped with its neighbour.
pub(super) fn one_slip(word: &str) -> Vec<i32> {
    let letters: Vec<char> = word.chars().collect();
    let own = letters.len();
    let mut keys = Vec::with_capacity(7);
    for length in own.saturating_sub(1).max(SHORT)..=own + 1 {
        let (left, right) = (length / 2, length - length / 2);
        if right <= own {
            keys.push(part_key("l", length, &letters[..left]));
            keys.push(part_key("r", length, &letters[own - right..]));
        }
    }
    // Swapped across the middle, both halves are spoiled.
    if own >= SHORT {
        let mut swapped = letters;
        swapped.swap(own / 2 - 1, own / 2);
        keys.push(part_key("l", own, &swapped[..own / 2]));
    }
    keys
}

/// What to look under for long words two slips away.
///
/// The first third cannot have moved, the last only by the difference in length, and the middle by one
/// from either end; what moved further is found through another third.
pub(super) fn two_slips(word: &str) -> Vec<i32> {
    let letters: Vec<char> = word.chars().collect();
    let own = letters.len() as isize;
    let mut keys = Vec::with_capacity(25);
    for length in (own - 2).max(LONG as isize)..=own + 2 {
        let moved = own - length;
        let parts = THIRDS.into_iter().zip(thirds(length as usize));
        for (third, (start, size)) in parts {
            let shifts = match third {
                "1" => 0..=0,
                "2" => (moved - 1).max(-1)..=(moved + 1).min(1),
                _ => moved..=moved,
            };
            for shift in shifts {
                let from = start as isize + shift;
                if from >= 0 && from as usize + size <= letters.len() {
                    let from = from as usize;
                    let letters = &letters[from..from + size];
                    keys.push(part_key(third, length as usize, letters));
                }
            }
        }
    }
    keys
}

/// From this many letters on, a word may be misspelled.
const SHORT: usize = 3;

/// From this many letters on, it may be so twice.
pub(super) const LONG: usize = 7;

const THIRDS: [&str; 3] = ["1", "2", "3"];

/// Where the thirds of a word of this length begin and how long they are.
fn thirds(length: usize) -> [(usize, usize); 3] {
    let size = length / 3;
    [(0, size), (size, size), (2 * size, length - 2 * size)]
}

fn part_key(part: &str, length: usize, letters: &[char]) -> i32 {
    let mut text = String::with_capacity(24);
    text.push(char::from_u32(length as u32).unwrap_or_default());
    text.extend(letters);
    key(&["~", part, &text])
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
    fn every_slip_shares_a_key_and_two_slips_of_a_long_word_do() {
        for asked in ["smth", "smiith", "smyth", "simth", "smitg", "mith"] {
            assert!(shares("smith", &one_slip(asked)), "{asked}");
        }
        assert!(!shares("smith", &one_slip("jones")));
        for asked in [
            "kkatherine",
            "ktherine",
            "kathreine",
            "katherixe",
            "katherie",
            "katherines",
        ] {
            assert!(shares("katherine", &one_slip(asked)), "{asked}");
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
            assert!(shares("katherine", &two_slips(asked)), "{asked}");
        }
        assert!(!shares("katherine", &two_slips("wolfgang")));
    }
}
