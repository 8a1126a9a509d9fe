//! JSON text that Postgres can keep.

use std::borrow::Cow;

/// The JSON text with everything replaced that `jsonb` refuses: `\u0000` and halves of surrogate
/// pairs, which providers do send. Borrowed, and a single scan, when there is nothing to replace.
pub fn storable(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut clean: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|&b| b == b'\\') {
        at += found;
        if bytes.get(at + 1) != Some(&b'u') {
            at = (at + 2).min(bytes.len());
            continue;
        }
        let Some(unit) = unit(bytes, at) else {
            at += 2;
            continue;
        };
        let pair = (0xd800..0xdc00).contains(&unit)
            && self::unit(bytes, at + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        if pair {
            at += 12;
        } else if unit == 0 || (0xd800..0xe000).contains(&unit) {
            let text = clean.get_or_insert_with(|| String::with_capacity(json.len()));
            text.push_str(&json[copied..at]);
            text.push_str("\\ufffd");
            at += 6;
            copied = at;
        } else {
            at += 6;
        }
    }
    match clean {
        None => Cow::Borrowed(json),
        Some(mut text) => {
            text.push_str(&json[copied..]);
            Cow::Owned(text)
        }
    }
}

// The UTF-16 unit of the escape `\uXXXX` that begins here.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_only_what_jsonb_refuses() {
        for fine in [
            r#"{"a":"b"}"#,
            r#""\\u0000""#,
            r#""\ud83d\ude00""#,
            r#""é\n\u00e9""#,
        ] {
            assert!(matches!(storable(fine), Cow::Borrowed(_)), "{fine}");
        }
        assert_eq!(storable(r#""a\u0000b""#), r#""a\ufffdb""#);
        assert_eq!(storable(r#""\\\u0000""#), r#""\\\ufffd""#);
        assert_eq!(
            storable(r#""\ud83d!\ude00\ud83d""#),
            r#""\ufffd!\ufffd\ufffd""#
        );
        assert_eq!(
            storable(r#""\ud83d\ud83d\ude00""#),
            r#""\ufffd\ud83d\ude00""#
        );
    }
}
