//! The text of an answer: whole JSON that Postgres will take, or a clear word about what came instead.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::store::storable;

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
    // One scan; the answer is copied only when there is something to replace.
    if let Cow::Owned(clean) = storable(&text) {
        text = clean;
        repaired = true;
    }
    (text, repaired)
}

/// Whether a text is one whole JSON value.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
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
    fn what_jsonb_refuses_is_repaired() {
        let (text, repaired) = repaired(r#"["a\u0000b", "\ud83dx"]"#);
        assert_eq!(text, r#"["a\ufffdb", "\ufffdx"]"#);
        assert!(repaired);
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
