//! Text of others, before a model reads it: without what nobody sees.
//!
//! Control characters and escape sequences, marks that turn the direction of writing, characters of no
//! width, tags: they hide words from the person and not from the model. Names, notes, e-mails and DNS
//! records come from strangers, so all of an answer goes through here; JSON that only passes through is
//! looked over as text, and changed where there is something.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::error::Error;
use crate::output::Data;
use crate::store::storable;

/// The answer without invisible characters.
pub fn cleaned(mut answer: Answer) -> Answer {
    answer.outcome = match answer.outcome {
        Ok(data) => data_cleaned(data),
        Err(error) if is_clean_error(&error) => Err(error),
        Err(error) => Err(error_cleaned(&error)),
    };
    for warning in &mut answer.metadata.warnings {
        if let Cow::Owned(clean) = text(warning) {
            *warning = clean;
        }
    }
    answer
}

fn data_cleaned(data: Data) -> Result<Data, Error> {
    let Cow::Owned(clean) = json(data.json.get()) else {
        return Ok(data);
    };
    let json = RawValue::from_string(clean)
        .map_err(|e| Error::internal("the answer could not be cleaned").because(e))?;
    Ok(Data { json, ..data })
}

fn is_clean_error(error: &Error) -> bool {
    let words = [Some(error.message()), error.hint_text()];
    let mut words = words.into_iter().flatten();
    let details = error.details_value().map(Value::to_string);
    let data = error.answer().map(|data| data.json.get());
    words.all(|words| !may_hide(words.as_bytes()))
        && details.iter().all(|json| !may_hide(json.as_bytes()))
        && data.is_none_or(|json| !may_hide(json.as_bytes()))
}

fn error_cleaned(error: &Error) -> Error {
    let mut clean = Error::new(error.kind(), text(error.message()));
    if let Some(hint) = error.hint_text() {
        clean = clean.hint(text(hint));
    }
    if let Some(details) = error.details_value() {
        let details = details.to_string();
        clean = clean.details(serde_json::from_str(&json(&details)).unwrap_or_default());
    }
    if let Some(data) = error.answer() {
        match data_cleaned(data.clone()) {
            Ok(data) => clean = clean.about(data),
            Err(error) => return error,
        }
    }
    clean
}

/// JSON text with every string in it cleaned, and all else as it was. Borrowed where nothing had to be
/// changed, which a scan of some bytes a nanosecond finds out.
pub fn json(json: &str) -> Cow<'_, str> {
    if !may_hide(json.as_bytes()) {
        return Cow::Borrowed(json);
    }
    // Halves of surrogate pairs cannot be read.
    let json = storable(json);
    let bytes = json.as_bytes();
    let mut clean = String::with_capacity(json.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(begin) = bytes[at..].iter().position(|b| *b == b'"').map(|i| at + i) {
        let mut end = begin + 1;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        at = (end + 1).min(bytes.len());
        let token = &json[begin..at];
        if !may_hide(token.as_bytes()) {
            continue;
        }
        let Ok(string) = serde_json::from_str::<String>(token) else {
            continue;
        };
        if let Cow::Owned(string) = text(&string) {
            clean.push_str(&json[copied..begin]);
            clean.push_str(&Value::String(string).to_string());
            copied = at;
        }
    }
    match (copied, json) {
        (0, json) => json,
        (_, json) => {
            clean.push_str(&json[copied..]);
            Cow::Owned(clean)
        }
    }
}

/// Text without what nobody sees; what breaks lines in other ways breaks them in one.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) || is_break(c)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = clean.chars().next_back();
        rest = &rest[c.len_utf8()..];
        match c {
            '\u{1b}' => rest = after_escape(rest),
            '\u{9b}' => rest = after_control(rest),
            '\r' if rest.starts_with('\n') => {}
            _ if is_break(c) => clean.push('\n'),
            // Joiners belong to the spelling of some languages, and hold emoji together.
            '\u{200c}' | '\u{200d}' => {
                let joins = |c: Option<char>| {
                    c.is_some_and(|c| !c.is_ascii() && (!is_hidden(c) || is_style(c)))
                };
                if joins(before)
                    && rest
                        .chars()
                        .next()
                        .is_some_and(|c| !c.is_ascii() && !is_hidden(c))
                {
                    clean.push(c);
                }
            }
            _ if is_style(c) => {
                let base =
                    |c: char| matches!(c, '0'..='9' | '#' | '*') || !c.is_ascii() && !is_hidden(c);
                if before.is_some_and(base) {
                    clean.push(c);
                }
            }
            _ if is_hidden(c) => {}
            _ => clean.push(c),
        }
    }
    if clean == text {
        return Cow::Borrowed(text);
    }
    Cow::Owned(clean)
}

/// What comes after an escape sequence whose escape is read.
fn after_escape(rest: &str) -> &str {
    let mut chars = rest.chars();
    match chars.next() {
        Some('[') => after_control(chars.as_str()),
        // Up to its end, where it has one: a title, a link.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            let ends = [("\u{7}", 1), ("\u{1b}\\", 2), ("\u{9c}", 2)];
            let ends = ends
                .iter()
                .filter_map(|(end, length)| Some(rest.find(end)? + length));
            ends.min().map_or(rest, |end| &rest[end..])
        }
        _ => rest,
    }
}

fn after_control(rest: &str) -> &str {
    let after = rest.trim_start_matches(|c| matches!(c, ' '..='?'));
    match after.chars().next() {
        Some('@'..='~') => &after[1..],
        _ => rest,
    }
}

/// Whether a character breaks a line in a way of its own.
fn is_break(c: char) -> bool {
    matches!(
        c,
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Whether a character says how the one before it is drawn.
fn is_style(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

/// Whether nobody sees the character.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{ad}' | '\u{34f}'
        | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether there may be something to take out of JSON or plain text: what says no is sure.
fn may_hide(bytes: &[u8]) -> bool {
    const STEP: usize = 64;
    let mut from = 0;
    for chunk in bytes.chunks(STEP) {
        let odd = chunk.iter().fold(false, |odd, b| {
            odd | (*b < 0x20) | (*b >= 0x7f) | (*b == b'\\')
        });
        if odd && (from..from + chunk.len()).any(|at| may_begin(bytes, at)) {
            return true;
        }
        from += STEP;
    }
    false
}

/// Whether something to take out may begin here.
fn may_begin(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b'\n' | b'\t' => false,
        b'\\' => match bytes.get(at + 1) {
            Some(b'u') => escaped(bytes, at + 2).is_none_or(|unit| {
                let c = char::from_u32(unit);
                c.is_none_or(|c| is_hidden(c) || is_break(c))
            }),
            Some(b'b' | b'f' | b'r') => true,
            _ => false,
        },
        0x00..=0x1f | 0x7f => true,
        // The first bytes of all characters that are taken out.
        0xc2 | 0xcd | 0xd8 | 0xe1 | 0xe2 | 0xe3 | 0xef | 0xf0 | 0xf3 => {
            let end = (at + 4).min(bytes.len());
            let part = &bytes[at..end];
            let valid = match std::str::from_utf8(part) {
                Ok(valid) => valid,
                Err(e) => std::str::from_utf8(&part[..e.valid_up_to()]).unwrap_or_default(),
            };
            valid
                .chars()
                .next()
                .is_none_or(|c| is_hidden(c) || is_break(c))
        }
        _ => false,
    }
}

fn escaped(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nobody_sees_is_taken_out() {
        for (given, clean) in [
            ("a\u{1b}[31mred\u{1b}[0m b", "ared b"),
            ("\u{9b}1;2Hx\u{7f}\u{0}y", "xy"),
            (
                "\u{1b}]8;;http://evil.test\u{7}link\u{1b}]8;;\u{1b}\\ here",
                "link here",
            ),
            ("\u{1b}] no end", "] no end"),
            ("user\u{202e}gpj.exe\u{2069}", "usergpj.exe"),
            ("in\u{200b}vi\u{2060}si\u{feff}ble\u{ad}", "invisible"),
            ("hi\u{e0001}\u{e0049}\u{e0067}\u{e006e}\u{e007f}", "hi"),
            ("x\u{fe00}\u{fe0f}\u{e0100}", "x"),
            ("a\u{200d}b \u{200c}c", "ab c"),
            (
                "one\r\ntwo\rthree\u{2028}four\u{c}five",
                "one\ntwo\nthree\nfour\nfive",
            ),
            ("\u{1f44b}\u{fe0f}\u{fe0f}", "\u{1f44b}\u{fe0f}"),
        ] {
            assert_eq!(text(given), clean, "{given:?}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        for fine in [
            "plain",
            "Zoë — “quoted” … €5 °C «x»",
            "日本語の名前",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
            "می\u{200c}خواهم",
            "line\n\ttab",
            "क्\u{200d}ष",
        ] {
            assert!(matches!(text(fine), Cow::Borrowed(_)), "{fine}");
            let as_json = Value::String(fine.to_owned()).to_string();
            assert!(matches!(json(&as_json), Cow::Borrowed(_)), "{fine}");
        }
    }

    #[test]
    fn json_keeps_everything_else() {
        assert_eq!(
            json(
                r#"{"a":"x\u200by\u001b[1mz", "n": 1.10, "big":12345678901234567890, "k\ufeff":["\\u200b", "\u00e9", "\udb40\udc41q", "\ud800"]}"#
            ),
            r#"{"a":"xyz", "n": 1.10, "big":12345678901234567890, "k":["\\u200b", "\u00e9", "q", "\ufffd"]}"#
        );
        assert_eq!(
            json("{\"a\":\"x\u{200b}\\\"y\\n\u{202e}\"}"),
            r#"{"a":"x\"y\n"}"#
        );
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_nothing_else_is_lost(given in any::<String>()) {
            let clean = text(&given).into_owned();
            let left = |c: &char| is_hidden(*c) && !is_style(*c) && !matches!(*c, '\u{200c}' | '\u{200d}');
            prop_assert!(!clean.chars().any(|c| left(&c) || is_break(c)));
            prop_assert_eq!(text(&clean).into_owned(), clean.clone());
            let written = Value::String(given).to_string();
            let read: String = serde_json::from_str(&json(&written)).unwrap();
            prop_assert_eq!(read, clean);
        }
    }
}
