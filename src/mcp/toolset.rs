//! Which tools: chosen when the server starts, narrowed by a key, narrowed again by a request.

use std::collections::BTreeSet;

use crate::command::Effect;
use crate::error::{Error, Result};
use crate::jobs;
use crate::tree::{self, Group, Leaf, Node};

/// A choice of tools, by the first word of their commands or one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolset {
    /// Every one there is.
    All,
    /// Those of these groups, and these.
    Only(BTreeSet<String>),
}

impl Toolset {
    /// Reads a choice such as `ghl,godaddy` or `all`. A word may be an ecosystem (or an alias of it), the
    /// first word of another group of commands, or the name of a tool.
    pub fn parse(text: &str, tree: &Group) -> Result<Toolset> {
        let mut chosen = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            if word == "all" {
                return Ok(Toolset::All);
            }
            chosen.insert(known(word, tree).ok_or_else(|| unknown(word, tree))?);
        }
        Ok(Toolset::Only(chosen))
    }

    /// Whether the command at `path` is among them. Jobs are in every choice: any call may become one, and
    /// its caller has to come back for it.
    pub fn has(&self, path: &[&str]) -> bool {
        match self {
            Toolset::All => true,
            Toolset::Only(_) if path.first() == Some(&jobs::GROUP) => true,
            Toolset::Only(names) => {
                path.first().is_some_and(|first| names.contains(*first))
                    || names.contains(&tree::tool_name(path))
            }
        }
    }
}

/// What a server offers to whoever may have it.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The tools; all of them, with the everyday ones listed, when absent.
    pub tools: Option<Toolset>,
    /// Only tools that read.
    pub read_only: bool,
}

impl Offer {
    /// Whether the command at `path` can be called.
    pub fn may_call(&self, path: &[&str], leaf: &Leaf) -> bool {
        let reads = leaf.effect == Effect::Read;
        (reads || !self.read_only) && self.tools.as_ref().is_none_or(|set| set.has(path))
    }

    /// Whether the command at `path` is in the list of tools: a seldom one only where it was asked for.
    pub fn lists(&self, path: &[&str], leaf: &Leaf) -> bool {
        self.may_call(path, leaf) && (self.tools.is_some() || !leaf.seldom)
    }
}

fn known(word: &str, tree: &Group) -> Option<String> {
    for node in tree.nodes() {
        match node {
            Node::Group(group) if group.name == word || group.aliases.contains(&word) => {
                let tools = group.leaves().into_iter().any(|(_, leaf)| leaf.is_tool());
                return tools.then(|| group.name.to_owned());
            }
            _ => {}
        }
    }
    tree.tool(word).map(|(path, _)| tree::tool_name(&path))
}

/// How near a word has to be to be what was meant; 1 is the same.
const NEAR: f64 = 0.85;

fn unknown(word: &str, tree: &Group) -> Error {
    let has_tools = |leaves: Vec<(Vec<&str>, &Leaf)>| leaves.iter().any(|(_, leaf)| leaf.is_tool());
    let groups: Vec<_> = tree
        .nodes()
        .iter()
        .filter_map(|node| match node {
            Node::Group(group) if has_tools(group.leaves()) => Some(group.name),
            _ => None,
        })
        .collect();
    let tools = tree.leaves().into_iter().filter(|(_, leaf)| leaf.is_tool());
    let tools: Vec<_> = tools.map(|(path, _)| tree::tool_name(&path)).collect();
    let names = groups
        .iter()
        .copied()
        .chain(tools.iter().map(String::as_str));
    let near = names
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(nearness, _)| *nearness > NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let meant = near
        .map(|(_, name)| format!("Did you mean `{name}`? "))
        .unwrap_or_default();
    Error::usage(format!("there are no tools `{word}`")).hint(format!(
        "{meant}Name groups or tools, separated by commas, or `all`. The groups are: {}; `medtainer mcp tools --cost` lists the tools.",
        groups.join(", ")
    ))
}
