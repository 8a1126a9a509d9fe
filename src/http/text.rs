//! The text of an answer: whole JSON that Postgres will take, or a clear word about what came instead.

use serde::de::IgnoredAny;

/// Turns a body into text that is valid UTF-8 and that `jsonb` accepts.
///
/// The second value tells whether anything was repaired: bytes that are no UTF-8, and escapes that JSON
/// allows but `jsonb` refuses (NUL, half a surrogate pair). Text without those is passed on untouched.
pub(super) fn repair(body: Vec<u8>) -> (String, bool) {
    let (mut text, mut repaired) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
    };
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if ["\\u0000", "\\ud", "\\uD"]
        .iter()
        .any(|escape| text.contains(escape))
        && let Some(clean) = clean_escapes(&text)
    {
        text = clean;
        repaired = true;
    }
    (text, repaired)
}

/// Whether a text is one whole JSON value.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Removes NUL escapes and replaces lone surrogates; `None` when there were none.
fn clean_escapes(text: &str) -> Option<String> {
    let mut clean = String::new();
    let mut kept = 0;
    let mut at = 0;
    let mut found = false;
    while let Some(step) = text[at..].find('\\') {
        at += step;
        let Some(unit) = escaped_unit(text, at) else {
            // Another escape: two bytes, or the start of a character; both are skipped whole.
            at += 1;
            at += text[at..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let end = at + 6;
        let replacement = match unit {
            0 => "",
            0xD800..=0xDBFF if matches!(escaped_unit(text, end), Some(0xDC00..=0xDFFF)) => {
                at = end + 6;
                continue;
            }
            0xD800..=0xDFFF => "\\ufffd",
            _ => {
                at = end;
                continue;
            }
        };
        found = true;
        clean.push_str(&text[kept..at]);
        clean.push_str(replacement);
        kept = end;
        at = end;
    }
    clean.push_str(&text[kept..]);
    found.then_some(clean)
}

/// The number of the escape `\uXXXX` that begins at `at`, if one does.
fn escaped_unit(text: &str, at: usize) -> Option<u16> {
    let escape = text.as_bytes().get(at..at + 6)?;
    if &escape[..2] != b"\\u" || !escape[2..].iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(&escape[2..]).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> (String, bool) {
        repair(text.as_bytes().to_vec())
    }

    #[test]
    fn good_text_is_not_touched() {
        for good in [
            r#"{"a":"é\n\u00e9 \ud83d\ude00 \\u0000 \\\\ud800"}"#,
            r#"["\\\\u0000"]"#,
            "",
        ] {
            assert_eq!(repaired(good), (good.to_owned(), false));
        }
    }

    #[test]
    fn nul_and_half_pairs_are_repaired() {
        for (bad, good) in [
            (r#""a\u0000b""#, r#""ab""#),
            (r#""\\\u0000""#, r#""\\""#),
            (r#""\ud83dx""#, r#""\ufffdx""#),
            (r#""\uDE00\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ud83d\u0000""#, r#""\ufffd""#),
        ] {
            assert_eq!(repaired(bad), (good.to_owned(), true), "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_marks() {
        assert_eq!(
            repair(b"\"a\xff\"".to_vec()),
            ("\"a\u{fffd}\"".to_owned(), true)
        );
        assert_eq!(repair(b"\xef\xbb\xbf[]".to_vec()), ("[]".to_owned(), false));
    }

    #[test]
    fn half_a_value_is_not_json() {
        assert!(is_json(r#"{"a":[1,"\ud800"]}"#));
        for half in ["", r#"{"a":[1"#, "[] []", "<html>", "\"a\u{0}\""] {
            assert!(!is_json(half), "{half}");
        }
    }
}
