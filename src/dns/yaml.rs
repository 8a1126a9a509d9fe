//! YAML as a tree whose nodes know their line; scalars stay the text they were written as.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::{Error, Result};

/// A node and the line it begins on.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Text; a plain `~` or nothing at all is [`Value::Null`].
    Text(String),
    Null,
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key; later ones win nothing, because [`parse`] refuses them.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries
            .iter()
            .find(|(known, _)| known.text() == Some(key))
            .map(|(_, value)| value)
    }
}

/// A problem and its line.
pub(super) type Problem = (usize, Error);

/// Reads one document; nothing at all is [`Value::Null`].
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        left: MOST_NODES,
    };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => {
                return Err(problem(
                    span.start.line(),
                    "a second document",
                    "A file holds one zone.",
                ));
            }
            event => document = Some(reader.node(event, span, 0)?),
        }
    }
    Ok(document.unwrap_or(Node {
        line: 1,
        value: Value::Null,
    }))
}

/// What aliases unfold to is counted too, so that a small file cannot become a large tree.
const MOST_NODES: usize = 1_000_000;
const DEEPEST: usize = 32;

struct Reader<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    left: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err((
                error.marker().line(),
                Error::usage(format!("not YAML: {}", error.info()))
                    .hint("Check the indentation and the quotes around the line."),
            )),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn take(&mut self, nodes: usize, line: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(nodes).ok_or_else(|| {
            problem(
                line,
                "the file unfolds into more than a million values",
                "Write fewer aliases.",
            )
        })?;
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let line = span.start.line();
        if depth > DEEPEST {
            return Err(problem(
                line,
                "values within values, too deep",
                "Records are two or three levels deep.",
            ));
        }
        let before = self.left;
        self.take(1, line)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let null = style == ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd | Event::StreamEnd, _) => break,
                        (event, span) => list.push(self.node(event, span, depth + 1)?),
                    }
                }
                (Value::List(list), anchor)
            }
            Event::MappingStart(anchor, _) => {
                let mut map: Vec<(Node, Node)> = Vec::new();
                let mut keys = HashMap::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd | Event::StreamEnd, _) => break,
                        (event, span) => self.node(event, span, depth + 1)?,
                    };
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, depth + 1)?;
                    let name = key.text().unwrap_or_default().to_owned();
                    if let Some(first) = keys.insert(name.clone(), key.line) {
                        return Err(problem(
                            key.line,
                            &format!("`{name}` is on line {first} already"),
                            "Several records of one name are a list below it.",
                        ));
                    }
                    map.push((key, value));
                }
                (Value::Map(map), anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(problem(
                        line,
                        "an alias of nothing",
                        "Give the value its anchor first.",
                    ));
                };
                self.take(size, line)?;
                (node.value, 0)
            }
            _ => {
                return Err(problem(
                    line,
                    "a value is missing",
                    "Check the indentation around the line.",
                ));
            }
        };
        let node = Node { line, value };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), before - self.left));
        }
        Ok(node)
    }
}

fn problem(line: usize, message: &str, hint: &str) -> Problem {
    (line, Error::usage(message).hint(hint))
}

/// A scalar as YAML reads it back as that text.
pub(super) fn scalar(text: &str) -> String {
    let word = |extra: &[u8]| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    // What older readers take for truth values or nothing, octoDNS's among them.
    let taken = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "true" | "false" | "on" | "off" | "null"
    );
    let name =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && word(b"._/-") && !taken;
    let address = text.parse::<std::net::Ipv4Addr>().is_ok();
    if name || address {
        return text.to_owned();
    }
    if text
        .chars()
        .all(|c| !c.is_control() && c != '\'' && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        return format!("'{text}'");
    }
    // A JSON string is a YAML one.
    serde_json::Value::from(text).to_string()
}
