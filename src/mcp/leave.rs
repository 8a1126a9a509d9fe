//! What is done to every answer before a client gets to see it.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::grant::Grant;
use super::{Server, hygiene, mask};
use crate::answer::Answer;
use crate::command::Effect;
use crate::privacy::{Class, Privacy};
use crate::tree::{Group, Leaf, Node};

impl Server {
    /// The answer of the command at a path as whoever has this grant gets to see it: without what nobody
    /// sees, and without what is masked for them.
    pub(super) fn sealed(&self, grant: &Grant, path: &[&str], answer: Answer) -> Answer {
        // In this order: a name with something invisible in it is the same name.
        let answer = hygiene::cleaned(answer);
        if grant.masked.is_empty() {
            return answer;
        }
        let known = |first: &str| {
            let mut ecosystems = self.0.app.product.ecosystems.iter();
            let holds = privacy(&self.0.tree, first);
            match ecosystems.any(|ecosystem| (ecosystem.group)().name == first) {
                true => holds.unwrap_or(&Privacy::NONE),
                false => holds.unwrap_or(&Privacy::WRITES),
            }
        };
        mask::masked(answer, path, grant.masked, known)
    }
}

/// What the answers of a command hold, by its first word.
fn privacy(tree: &Group, first: &str) -> Option<&'static Privacy> {
    let mut groups = tree.nodes().iter().filter_map(Node::as_group);
    groups.find(|group| group.name == first)?.privacy
}

/// The fields of a command's answers with text that others wrote, lists seen through: `items.body`. A model
/// is told of them with every answer, since what they say is data whatever it says.
pub fn untrusted(tree: &Group, path: &[&str], leaf: &Leaf) -> Vec<String> {
    let mut found = Vec::new();
    let first = path.first().copied().unwrap_or_default();
    // A write's own text is its caller's.
    if leaf.effect <= Effect::Local
        && let Some(privacy) = privacy(tree, first)
    {
        let mut generator = SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator();
        let schema = (leaf.output)(&mut generator).to_value();
        let words: Vec<_> = path.iter().skip(1).map(|word| (*word).to_owned()).collect();
        let depth = words.len();
        let mut finder = Finder {
            privacy,
            depth,
            path: words,
            found: &mut found,
        };
        finder.find(&schema);
    }
    found
}

struct Finder<'a> {
    privacy: &'a Privacy,
    // How much of the path are words of the command.
    depth: usize,
    path: Vec<String>,
    found: &'a mut Vec<String>,
}

impl Finder<'_> {
    fn find(&mut self, schema: &Value) {
        let options = schema["anyOf"].as_array().into_iter().flatten();
        for part in options.chain(schema.get("items")) {
            self.find(part);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.path.push(name.clone());
            let passed_through = field["type"] == "object" && field.get("properties").is_none();
            match self.privacy.classes(&self.path) {
                Some(classes) if classes.contains(&Class::Notes) => self.note(),
                None if passed_through && self.privacy.closed => self.note(),
                _ => self.find(field),
            }
            self.path.pop();
        }
    }

    fn note(&mut self) {
        self.found.push(self.path[self.depth..].join("."));
    }
}
