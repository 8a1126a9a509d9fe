//! Who calls, and the most they may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::command::Effect;
use crate::error::{Error, Result};
use crate::store::Business;
use crate::tree::Leaf;

use super::toolset::Toolset;

/// What a token or a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To read.
    Read,
    /// To write what can be undone, and to change our own store.
    Write,
    /// To do what destroys, sends, or costs money.
    Admin,
}

impl Scope {
    /// All there are, the least first.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }

    /// The scope that a command of this effect needs.
    pub const fn of(effect: Effect) -> Scope {
        match effect {
            Effect::Read => Scope::Read,
            Effect::Local | Effect::Write => Scope::Write,
            Effect::Destroy => Scope::Admin,
        }
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| {
                Error::usage(format!("there is no scope `{text}`"))
                    .hint("The scopes are `read`, `write` and `admin`.")
            })
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// None.
    pub const NONE: Scopes = Scopes(0);
    /// Every one.
    pub const ALL: Scopes = Scopes(0b111);

    /// The same and this one.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Scopes {
        Scopes(self.0 | 1 << scope as u8)
    }

    /// Whether this one is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Scopes) -> Scopes {
        Scopes(self.0 & other.0)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in it, the least first.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Scopes::NONE, Scopes::with)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// Who calls, and the most they may do: a bound that can be narrowed and never widened.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who it is, for the audit trail; nobody on loopback without a credential.
    pub principal: Option<String>,
    /// What handles such as sessions, jobs and request states are bound to.
    pub owner: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether a scope that is missing can be asked for.
    pub can_step_up: bool,
    /// The businesses it may work for; the server's own alone when absent.
    pub businesses: Option<BTreeSet<String>>,
    /// The business it works for; the server's own when absent.
    pub business: Option<Business>,
    /// Bounds on its tools, each of which holds.
    pub tools: Vec<Toolset>,
}

impl Grant {
    /// Whoever may start a process on this machine: bounded by nothing but policy.
    pub fn local() -> Grant {
        Grant {
            principal: None,
            owner: "local".to_owned(),
            scopes: Scopes::ALL,
            can_step_up: false,
            businesses: None,
            business: None,
            tools: Vec::new(),
        }
    }

    /// Whether the command at `path` is within its bounds, a missing scope aside that can be asked for.
    pub fn permits(&self, path: &[&str], leaf: &Leaf) -> bool {
        let scope = Scope::of(leaf.effect);
        (self.scopes.has(scope) || self.can_step_up) && self.tools.iter().all(|set| set.has(path))
    }

    /// Whether it has the scope that the command needs.
    pub fn covers(&self, leaf: &Leaf) -> bool {
        self.scopes.has(Scope::of(leaf.effect))
    }
}
