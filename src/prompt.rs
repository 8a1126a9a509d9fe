//! What a person can start with one choice: which commands a model should call, and what to look for.
//!
//! A prompt is words of ours and of the person who chose it, never of anybody else: what a provider says
//! comes with the results of the commands. What an ecosystem has to say to a prompt stands in its folder.

use serde_json::{Map, Value};

/// Something to start.
#[derive(Debug, Clone, Copy)]
pub struct Prompt {
    /// Its name.
    pub name: &'static str,
    /// What a person reads in a list of prompts.
    pub title: &'static str,
    /// What it is for, in one line.
    pub about: &'static str,
    /// What it asks before it begins.
    pub arguments: &'static [Argument],
    /// What is wanted. `{domain}` is the argument of that name.
    pub opening: &'static str,
    /// What to call, in this order; before what ecosystems add.
    pub steps: &'static [Step],
    /// How to answer, and what not to do.
    pub closing: &'static str,
}

/// Something a prompt asks for.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What it is where nobody says; without one it has to be said.
    pub usual: Option<&'static str>,
}

/// A command to call.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Only where an argument is this.
    pub when: Option<(&'static str, &'static str)>,
    /// The words of the command.
    pub command: &'static str,
    /// What is given to it.
    pub given: &'static [(&'static str, Given)],
    /// What to look for in its answer.
    pub text: &'static str,
}

/// What an argument of a command is given.
#[derive(Debug, Clone, Copy)]
pub enum Given {
    /// What an argument of the prompt says.
    Argument(&'static str),
    /// These words.
    Text(&'static str),
    /// This number.
    Number(u32),
    /// Yes.
    Yes,
}

impl Step {
    /// A call, and what to look for in its answer.
    pub const fn call(
        command: &'static str,
        given: &'static [(&'static str, Given)],
        text: &'static str,
    ) -> Self {
        Step {
            when: None,
            command,
            given,
            text,
        }
    }

    /// The same, only where an argument of the prompt is `value`.
    #[must_use]
    pub const fn when(mut self, argument: &'static str, value: &'static str) -> Self {
        self.when = Some((argument, value));
        self
    }

    /// Whether it is to be taken with these arguments; one that was not said rules nothing out.
    pub fn fits(&self, said: &Map<String, Value>) -> bool {
        self.when.is_none_or(|(argument, value)| {
            let said = said.get(argument);
            said.is_none_or(|said| said == value)
        })
    }

    /// The arguments of its call.
    pub fn arguments(&self, said: &Map<String, Value>) -> Map<String, Value> {
        let given = self.given.iter().filter_map(|(name, given)| {
            let value = match given {
                Given::Argument(argument) => said.get(*argument)?.clone(),
                Given::Text(text) => (*text).into(),
                Given::Number(number) => (*number).into(),
                Given::Yes => true.into(),
            };
            Some(((*name).to_owned(), value))
        });
        given.collect()
    }

    /// The argument of its command that an argument of the prompt is given to.
    pub fn takes(&self, argument: &str) -> Option<&'static str> {
        let mut given = self.given.iter();
        given.find_map(|(name, given)| match given {
            Given::Argument(from) if *from == argument => Some(*name),
            _ => None,
        })
    }
}
