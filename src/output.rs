//! What a command answers with, and how a person sees it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// A column of a table, or a line of a record.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading a person reads.
    pub title: &'static str,
    /// Where the value is in an item: names joined by dots.
    pub path: &'static str,
    /// How the value is shown.
    pub format: Format,
}

/// How a value is shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As it is, cut where there is no room.
    Text,
    /// Sentences, wrapped where there is no room.
    Prose,
    /// Never cut, because people copy it.
    Id,
    /// A moment, as an age such as `3 h ago`.
    Age,
    /// A number, aligned to the right.
    Number,
    /// A number of bytes, as `70.6 MB`.
    Bytes,
    /// A list, joined by commas.
    List,
    /// Sentences that only some callers ask for: no column where no row has any.
    Asked,
}

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Text,
        }
    }

    /// A column of sentences.
    pub const fn prose(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Prose,
        }
    }

    /// A column of sentences that is there only when some row has them.
    pub const fn asked(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Asked,
        }
    }

    /// A column of ids.
    pub const fn id(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Id,
        }
    }

    /// A column of moments.
    pub const fn age(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Age,
        }
    }

    /// A column of numbers.
    pub const fn number(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Number,
        }
    }

    /// A column of sizes.
    pub const fn bytes(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::Bytes,
        }
    }

    /// A column of lists.
    pub const fn list(title: &'static str, path: &'static str) -> Self {
        Column {
            title,
            path,
            format: Format::List,
        }
    }
}

/// How a person sees an answer.
#[derive(Debug, Clone, Copy)]
pub enum View {
    /// `data.items`, a row each.
    Table(&'static [Column]),
    /// `data`, a line for each field.
    Record(&'static [Column]),
    /// `data.text`, as it is.
    Text,
    /// Not at all: the command has written it already, piece by piece.
    Written,
}

/// The answer's data as JSON text, with what the envelope says about it.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// An object.
    pub json: Box<RawValue>,
    /// Rows in the answer, for a list.
    pub count: Option<u64>,
    /// Rows there are in all, where that is known and the answer has only some.
    pub total: Option<u64>,
    /// Whether this is all there is.
    pub complete: bool,
    /// What `--after` takes to go on.
    pub next: Option<String>,
    /// What `--after` takes to go on after each of the rows, of a page so long that it may have to be cut.
    pub cursors: Vec<String>,
}

/// What is shorter than this is never cut.
const SHORT: usize = 16 * 1024;

/// Something a command may answer with.
pub trait Output: Serialize + JsonSchema + Send + 'static {
    /// How a person sees it.
    fn view() -> View;

    /// The data for the envelope.
    fn into_data(self) -> Result<Data>
    where
        Self: Sized,
    {
        Ok(Data {
            json: to_raw(&self)?,
            complete: true,
            ..Data::default()
        })
    }
}

fn to_raw(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
        .map_err(|e| Error::internal("the answer could not be written as JSON").because(e))
}

/// A thing with columns.
pub trait Row: Serialize + JsonSchema + Send + 'static {
    /// What a person needs to act; JSON holds everything.
    const COLUMNS: &'static [Column];
}

/// A list: rows with an id each, and where the next page begins.
#[derive(Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What `--after` takes to go on, when there is more.
    #[serde(skip)]
    pub next: Option<String>,
    /// Whether `items` and the pages before it are all there is.
    #[serde(skip)]
    pub complete: bool,
    #[serde(skip)]
    cursor: Option<Cursor<T>>,
}

/// What `--after` takes to go on after a row.
type Cursor<T> = Box<dyn Fn(&T) -> String + Send>;

impl<T> Page<T> {
    /// A list that is all there is.
    pub fn whole(items: Vec<T>) -> Self {
        Page {
            items,
            next: None,
            complete: true,
            cursor: None,
        }
    }

    /// A page of a list: of rows of which there may be more than the `limit`, so many, and the cursor of
    /// the last of them where there are more.
    pub fn upto(
        mut items: Vec<T>,
        limit: u32,
        cursor: impl Fn(&T) -> String + Send + 'static,
    ) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(&cursor);
        Page {
            complete: next.is_none(),
            items,
            next,
            cursor: Some(Box::new(cursor)),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Page<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}_page", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "properties": { "items": { "type": "array", "items": items } } })
    }
}

impl<T: Row> Output for Page<T> {
    fn view() -> View {
        View::Table(T::COLUMNS)
    }

    fn into_data(self) -> Result<Data> {
        let json = to_raw(&self)?;
        let cursors = match &self.cursor {
            Some(cursor) if json.get().len() > SHORT => self.items.iter().map(cursor).collect(),
            _ => Vec::new(),
        };
        Ok(Data {
            json,
            count: Some(self.items.len() as u64),
            total: None,
            complete: self.complete,
            next: self.next,
            cursors,
        })
    }
}

/// One thing, its fields in the answer's `data`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct One<T>(pub T);

impl<T: JsonSchema> JsonSchema for One<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Row> Output for One<T> {
    fn view() -> View {
        View::Record(T::COLUMNS)
    }
}

/// Text for a person or a shell, such as a script or a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Text {
    /// The text.
    pub text: String,
}

impl Text {
    /// Text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Text { text: text.into() }
    }
}

impl Output for Text {
    fn view() -> View {
        View::Text
    }
}

/// An answer that is on stdout already, because it is too long to be held.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {}

impl Output for Written {
    fn view() -> View {
        View::Written
    }
}

/// Stored JSON that passes through as it is.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Raw(pub Box<RawValue>);

impl Raw {
    /// Text that is known to be JSON because Postgres or serde made it.
    pub fn from_text(text: String) -> Result<Self> {
        RawValue::from_string(text)
            .map(Raw)
            .map_err(|e| Error::internal("stored JSON does not parse").because(e))
    }
}

impl JsonSchema for Raw {
    fn schema_name() -> Cow<'static, str> {
        "json".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object" })
    }
}
