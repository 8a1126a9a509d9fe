//! The command tree: groups and leaves, registered by hand, walked by every face.
//!
//! A leaf is a command with its types erased to a few function pointers, so that a hundred
//! commands cost a hundred small functions and nothing at start-up.

use std::fmt::Debug;
use std::sync::OnceLock;

use clap::ArgMatches;
use futures::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::cli::Host;
use crate::command::{Chore, Command, Effect, Pace};
use crate::context::Context;
use crate::error::Result;
use crate::output::{Data, Output, View};
use crate::privacy::Privacy;
use crate::schema::Parser;
use crate::writes::report::Report;
use crate::writes::{self, Action};

/// A folder of commands.
#[derive(Debug)]
pub struct Group {
    /// Its word on the command line.
    pub name: &'static str,
    /// What it holds, for the help.
    pub about: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// What the fields of its commands' answers hold, where that was said.
    pub privacy: Option<&'static Privacy>,
    nodes: Vec<Node>,
}

/// What a group holds.
#[derive(Debug)]
pub enum Node {
    /// A folder below.
    Group(Group),
    /// A command.
    Leaf(Leaf),
}

/// A command with its types erased.
#[derive(Debug)]
pub struct Leaf {
    /// Its word on the command line.
    pub name: &'static str,
    /// What it can change.
    pub effect: Effect,
    /// How long it can take.
    pub pace: Pace,
    /// Its name in the system being replaced.
    pub catalog: Option<&'static str>,
    /// Whether the audit trail keeps its calls.
    pub audited: bool,
    /// Whether it runs until it is told to end, for many callers at once.
    pub serves: bool,
    /// Whether it is left out where only the everyday tools are listed.
    pub seldom: bool,
    /// How a person sees its answer.
    pub view: fn() -> View,
    /// The schema of its `data`.
    pub output: fn(&mut SchemaGenerator) -> Schema,
    augment: fn(clap::Command) -> clap::Command,
    body: Body,
    parser: Box<OnceLock<Parser>>,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Command(fn(&mut ArgMatches) -> Result<Box<dyn Runnable>, clap::Error>),
    Chore(fn(&mut ArgMatches) -> Result<Box<dyn Doable>, clap::Error>),
}

/// A parsed command, ready to run.
#[derive(Debug)]
pub enum Parsed {
    /// One that every face can run.
    Command(Box<dyn Runnable>),
    /// One of the house.
    Chore(Box<dyn Doable>),
}

/// A parsed [`Command`], erased.
pub trait Runnable: Debug + Send + Sync {
    /// Runs it.
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<Data>>;
}

/// A parsed [`Chore`], erased.
pub trait Doable: Debug + Send + Sync {
    /// Runs it.
    fn run<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Data>>;
}

#[derive(Debug)]
struct AsCommand<C>(C);

impl<C: Command> Runnable for AsCommand<C> {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<Data>> {
        Box::pin(async move { self.0.run(cx).await?.into_data() })
    }
}

#[derive(Debug)]
struct AsAction<A>(A);

impl<A: Action> Runnable for AsAction<A> {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Result<Data>> {
        Box::pin(async move {
            let plan = self.0.plan(cx).await?;
            writes::perform(cx, A::EFFECT, plan).await?.into_data()
        })
    }
}

#[derive(Debug)]
struct AsChore<C>(C);

impl<C: Chore> Doable for AsChore<C> {
    fn run<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Data>> {
        Box::pin(async move { self.0.run(host).await?.into_data() })
    }
}

impl Node {
    /// The folder below, if it is one.
    pub fn as_group(&self) -> Option<&Group> {
        match self {
            Node::Group(group) => Some(group),
            Node::Leaf(_) => None,
        }
    }
}

impl Group {
    /// An empty group.
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Group {
            name,
            about,
            aliases: &[],
            privacy: None,
            nodes: Vec::new(),
        }
    }

    /// Other words for the group.
    #[must_use]
    pub fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Says what the fields of its commands' answers hold.
    #[must_use]
    pub fn privacy(mut self, privacy: &'static Privacy) -> Self {
        self.privacy = Some(privacy);
        self
    }

    /// Adds a command.
    #[must_use]
    pub fn command<C: Command>(mut self, name: &'static str) -> Self {
        self.nodes.push(Node::Leaf(Leaf {
            name,
            effect: C::EFFECT,
            pace: C::PACE,
            catalog: C::CATALOG,
            audited: true,
            serves: false,
            seldom: false,
            view: C::Output::view,
            output: <C::Output as schemars::JsonSchema>::json_schema,
            augment: C::augment_args,
            body: Body::Command(|matches| {
                Ok(Box::new(AsCommand(C::from_arg_matches_mut(matches)?)))
            }),
            parser: Box::default(),
        }));
        self
    }

    /// Adds a command that changes something at a provider.
    #[must_use]
    pub fn action<A: Action>(mut self, name: &'static str) -> Self {
        self.nodes.push(Node::Leaf(Leaf {
            name,
            effect: A::EFFECT,
            pace: A::PACE,
            catalog: A::CATALOG,
            audited: true,
            serves: false,
            seldom: false,
            view: Report::view,
            output: <Report as schemars::JsonSchema>::json_schema,
            augment: A::augment_args,
            body: Body::Command(|matches| {
                Ok(Box::new(AsAction(A::from_arg_matches_mut(matches)?)))
            }),
            parser: Box::default(),
        }));
        self
    }

    /// Adds a command of the house.
    #[must_use]
    pub fn chore<C: Chore>(mut self, name: &'static str) -> Self {
        self.nodes.push(Node::Leaf(Leaf {
            name,
            effect: C::EFFECT,
            pace: Pace::AsTold,
            catalog: None,
            audited: C::AUDITED,
            serves: C::SERVES,
            seldom: false,
            view: C::Output::view,
            output: <C::Output as schemars::JsonSchema>::json_schema,
            augment: C::augment_args,
            body: Body::Chore(|matches| Ok(Box::new(AsChore(C::from_arg_matches_mut(matches)?)))),
            parser: Box::default(),
        }));
        self
    }

    /// Keeps the command that was added last out of the everyday list of tools: a model reads the whole
    /// list before it does anything.
    #[must_use]
    pub fn seldom(mut self) -> Self {
        if let Some(Node::Leaf(leaf)) = self.nodes.last_mut() {
            leaf.seldom = true;
        }
        self
    }

    /// Adds a group below.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.nodes.push(Node::Group(group));
        self
    }

    /// What the group holds, in the order it was registered.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every leaf below with its path, in the order of registration.
    pub fn leaves(&self) -> Vec<(Vec<&'static str>, &Leaf)> {
        let mut leaves = Vec::new();
        self.collect(&mut Vec::new(), &mut leaves);
        leaves
    }

    fn collect<'a>(
        &'a self,
        path: &mut Vec<&'static str>,
        leaves: &mut Vec<(Vec<&'static str>, &'a Leaf)>,
    ) {
        for node in &self.nodes {
            match node {
                Node::Group(group) => {
                    path.push(group.name);
                    group.collect(path, leaves);
                    path.pop();
                }
                Node::Leaf(leaf) => {
                    let mut path = path.clone();
                    path.push(leaf.name);
                    leaves.push((path, leaf));
                }
            }
        }
    }

    /// The leaf a tool call names, by any of its names.
    pub fn tool(&self, name: &str) -> Option<(Vec<&'static str>, &Leaf)> {
        self.leaves()
            .into_iter()
            .filter(|(_, leaf)| leaf.is_tool())
            .find(|(path, leaf)| tool_names(path, leaf).any(|known| known == name))
    }

    /// The leaf at a path.
    pub fn leaf(&self, path: &[&str]) -> Option<&Leaf> {
        let (first, rest) = path.split_first()?;
        self.nodes.iter().find_map(|node| match node {
            Node::Group(group) if group.name == *first => group.leaf(rest),
            Node::Leaf(leaf) if leaf.name == *first && rest.is_empty() => Some(leaf),
            _ => None,
        })
    }

    /// The clap command of this group and all below.
    pub fn clap(&self) -> clap::Command {
        self.clap_of(&|_| true)
    }

    /// The same with those groups and commands alone whose names are `wanted`.
    pub fn clap_of(&self, wanted: &dyn Fn(&str) -> bool) -> clap::Command {
        let mut command = clap::Command::new(self.name)
            .about(self.about)
            .visible_aliases(self.aliases.iter().copied())
            .subcommand_required(true)
            .arg_required_else_help(true);
        for node in &self.nodes {
            let below = match node {
                Node::Group(group)
                    if wanted(group.name) || group.aliases.iter().any(|alias| wanted(alias)) =>
                {
                    group.clap_of(wanted)
                }
                Node::Leaf(leaf) if wanted(leaf.name) => leaf.clap(),
                _ => continue,
            };
            command = command.subcommand(below);
        }
        command
    }

    /// Follows parsed subcommands down to the leaf they name and its own matches.
    pub fn resolve(&self, matches: ArgMatches) -> Option<(Vec<&'static str>, &Leaf, ArgMatches)> {
        let mut group = self;
        let mut matches = matches;
        let mut path = Vec::new();
        loop {
            let (name, below) = matches.remove_subcommand()?;
            matches = below;
            let node = group.nodes.iter().find(|node| match node {
                Node::Group(group) => group.name == name,
                Node::Leaf(leaf) => leaf.name == name,
            })?;
            match node {
                Node::Group(next) => {
                    path.push(next.name);
                    group = next;
                }
                Node::Leaf(leaf) => {
                    path.push(leaf.name);
                    return Some((path, leaf, matches));
                }
            }
        }
    }
}

impl Leaf {
    /// Its clap command, with its arguments and help.
    pub fn clap(&self) -> clap::Command {
        (self.augment)(clap::Command::new(self.name))
    }

    /// JSON arguments as matches of its own parser, which is built at the first call.
    pub fn matches(&self, given: &Map<String, Value>) -> Result<ArgMatches> {
        self.parser
            .get_or_init(|| Parser::new(self.clap()))
            .parse(given)
    }

    /// Whether other faces than the terminal may run it.
    pub fn is_tool(&self) -> bool {
        matches!(self.body, Body::Command(_))
    }

    /// The command with the values that were parsed.
    pub fn parse(&self, matches: &mut ArgMatches) -> Result<Parsed, clap::Error> {
        match self.body {
            Body::Command(parse) => parse(matches).map(Parsed::Command),
            Body::Chore(parse) => parse(matches).map(Parsed::Chore),
        }
    }
}

/// The MCP name of the command at `path`.
pub fn tool_name(path: &[&str]) -> String {
    path.join("_").replace('-', "_")
}

/// The names a tool answers to: its own, and its catalog name as it is or with `_` for `.`.
pub fn tool_names(path: &[&str], leaf: &Leaf) -> impl Iterator<Item = String> + use<> {
    let catalog = leaf.catalog;
    [
        Some(tool_name(path)),
        catalog.map(str::to_owned),
        catalog.map(|name| name.replace('.', "_")),
    ]
    .into_iter()
    .flatten()
}

/// The name the audit trail keeps: the catalog name where there is one, else the path with dots.
pub fn audit_name(path: &[&str], leaf: &Leaf) -> String {
    leaf.catalog.map_or_else(|| path.join("."), str::to_owned)
}
