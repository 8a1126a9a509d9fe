//! Server-sent events, read as they come.

use std::time::Duration;

use reqwest::Response;

use crate::error::{Error, Result};

/// What one event may hold: more is not an answer but a leak.
pub(super) const LIMIT: usize = 256 * 1024 * 1024;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub name: String,
    pub data: String,
    pub id: Option<String>,
}

/// The events of a response.
pub(super) struct Events {
    response: Response,
    parser: Parser,
}

impl Events {
    pub fn of(response: Response) -> Self {
        Events {
            response,
            parser: Parser::default(),
        }
    }

    /// The next event; none at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let piece = self.response.chunk().await.map_err(|error| {
                Error::unavailable("the connection broke while the answer came").because(error)
            })?;
            match piece {
                Some(piece) => self.parser.push(&piece)?,
                None => return Ok(None),
            }
        }
    }

    /// How long the server wants its clients to wait before they ask again.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }
}

#[derive(Default)]
struct Parser {
    buffer: Vec<u8>,
    // Where in the buffer no line break has been found yet.
    scanned: usize,
    event: Event,
    has_data: bool,
    begun: bool,
    retry: Option<Duration>,
}

impl Parser {
    fn push(&mut self, piece: &[u8]) -> Result<()> {
        if self.buffer.len() + self.event.data.len() + piece.len() > LIMIT {
            return Err(Error::refused("the server's answer is too big"));
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        let mut begin = 0;
        let mut done = None;
        while let Some((end, next)) = self.line_end(begin) {
            let line = String::from_utf8_lossy(&self.buffer[begin..end]).into_owned();
            begin = next;
            self.scanned = next;
            if let Some(event) = self.line(&line) {
                done = Some(event);
                break;
            }
        }
        self.buffer.drain(..begin);
        self.scanned -= begin;
        done
    }

    /// Where the line ends and the next one begins: after `\n`, `\r\n` or `\r`.
    fn line_end(&mut self, begin: usize) -> Option<(usize, usize)> {
        let from = self.scanned.max(begin);
        let Some(found) = self.buffer[from..]
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
        else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = from + found;
        if self.buffer[end] == b'\n' {
            return Some((end, end + 1));
        }
        match self.buffer.get(end + 1) {
            Some(b'\n') => Some((end, end + 2)),
            Some(_) => Some((end, end + 1)),
            // Its other half may be on the way.
            None => {
                self.scanned = end;
                None
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        let line = if self.begun {
            line
        } else {
            line.trim_start_matches('\u{feff}')
        };
        self.begun = true;
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            // An event without data says where the stream is, and nothing else.
            return (std::mem::take(&mut self.has_data) || event.id.is_some()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok().map(Duration::from_millis),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&str]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece.as_bytes()).unwrap();
            while let Some(event) = parser.next() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let stream = "\u{feff}: hello\r\nid: 7\nretry: 50\ndata:\n\nevent: message\ndata: {\"a\":\ndata: 1}\r\r\n\ndata: ü\n\ndata: half";
        let whole = all(&[stream]);
        assert_eq!(whole.len(), 3, "{whole:?}");
        assert_eq!(
            whole[0],
            Event {
                id: Some("7".into()),
                ..Event::default()
            }
        );
        assert_eq!(whole[1].data, "{\"a\":\n1}");
        assert_eq!(whole[1].name, "message");
        assert_eq!(whole[2].data, "ü");
        let letters: Vec<String> = stream.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(all(&letters), whole);
    }
}
