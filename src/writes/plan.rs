//! What an action would do, as data: shown, hashed, approved, sent, verified and undone by the core.

use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ecosystem::Ecosystem;
use crate::http::Request;

/// What would be done, to what, and how to tell that it was.
///
/// The same arguments and the same world give the same plan: it holds no time of its making and nothing
/// random, since an approval is bound to its hash. What has to differ from write to write is
/// [`RUN`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The ecosystem it writes to, by the first word of its commands.
    pub ecosystem: String,
    /// What will be done, in words a person understands: `Move “Kitchen, Smith” to Won`.
    pub title: String,
    /// What it is done to.
    pub target: Target,
    /// What will be different.
    pub changes: Vec<Change>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What is lost or orphaned, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// What a person should know before saying yes; not part of the hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The state of the world that the plan was made for; looked at again before anything is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Check>,
    /// What is sent, in this order.
    pub steps: Vec<Step>,
    /// What must be seen afterwards for the write to count as confirmed.
    pub after: Vec<Check>,
    /// What must be seen when no answer came, where `after` needs the answers: the natural key. Must
    /// not hold before the write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookup: Vec<Check>,
    /// Why it cannot be undone; where a step has no inverse and this is absent, a general reason is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irreversible: Option<String>,
    /// The whole of what the write is a part of, as it was: what a rollback goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// The write that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<i64>,
    /// Collections of the store that no longer are what the provider has, such as `ghl.opportunities`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<String>,
    /// What of the answers the caller gets to see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Pick>,
}

/// What a plan is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// What kind of thing: `droplet`, `opportunity`, `zone`.
    pub kind: String,
    /// Its id at the provider, or its natural key where it does not exist yet. Writes to one target
    /// happen one after the other.
    pub id: String,
    /// Its name; what a person types to confirm that it be destroyed.
    pub name: String,
}

/// A difference that the write makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// Of what: `stage`, `www A`.
    pub what: String,
    /// As it is; null where there is nothing.
    pub before: Value,
    /// As it will be; null where there will be nothing.
    pub after: Value,
}

/// What a write costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cost {
    /// How much.
    #[schemars(with = "String")]
    pub amount: Decimal,
    /// Of what, such as `USD`.
    pub currency: String,
    /// How often, such as `month`; once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
}

/// One request of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// What it does, in words: `replace the A records of www`.
    pub does: String,
    /// Exactly what is sent.
    pub request: Request,
    /// Whether the request holds tokens ([`answer`], [`seen`], [`RUN`]) to be filled in. Never where it
    /// holds text of a person.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fill: bool,
    /// What must be seen before the next step; here a plan waits for an asynchronous action. After an
    /// interruption it also tells that the step was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Check>,
    /// How to take it back.
    pub inverse: Inverse,
}

/// How a step is taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inverse {
    /// It cannot be.
    Impossible,
    /// It leaves nothing that would have to be.
    Unneeded,
    /// By this request, whose path may hold tokens.
    Request {
        /// What it does, in words.
        does: String,
        /// What is sent.
        request: Box<Request>,
        /// Whether the body holds tokens as well. Never where it holds text of a person.
        #[serde(default, skip_serializing_if = "is_false")]
        fill: bool,
    },
}

/// A look at the world and what it has to show.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    /// What holds when it passes, in words: `the opportunity is in stage Won`.
    pub says: String,
    /// Where to look.
    pub look: Look,
    /// Whether the look holds tokens to be filled in.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fill: bool,
    /// For how long it is looked at again while it does not hold: an index that lags, an action that
    /// takes time. In seconds; 0 looks once.
    #[serde(default)]
    pub within: u64,
}

/// Where a check looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Asks the provider. The request must be a read.
    Ask {
        /// What to ask.
        request: Box<Request>,
        /// What the answer has to be.
        expect: Expect,
        /// What the answer must not be: waiting longer would not help.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unless: Option<Expect>,
    },
    /// Connects over TCP.
    Reach {
        /// Name or address; may be a token.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What an answer has to be. Places in it are JSON pointers; `""` is the whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// These values at these places; a place that is not there counts as null.
    Fields(Map<String, Value>),
    /// So many elements of the list at this place hold all that `like` holds.
    Count {
        /// Where the list is.
        list: String,
        /// Fields an element must have with these values.
        like: Map<String, Value>,
        /// How many there have to be.
        count: u64,
    },
    /// The list at this place holds exactly these elements, in any order, compared by some fields; a
    /// field that is not there counts as null.
    Set {
        /// Where the list is.
        list: String,
        /// The fields that count.
        fields: Vec<String>,
        /// The elements.
        items: Vec<Map<String, Value>>,
    },
    /// There is an answer at all: the thing exists.
    Exists,
    /// The provider does not know the thing (any more).
    Gone,
}

/// The whole of something before a write to a part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// What kind of thing, such as `godaddy.zone`.
    pub collection: String,
    /// Which one, such as a domain.
    pub key: String,
    /// How it was.
    pub data: Value,
}

/// A value for the caller out of what was answered or seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pick {
    /// Its name in the report's `result`.
    pub name: String,
    /// Where it is: a token of [`answer`] or [`seen`], or [`RUN`].
    pub token: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Stands for a name unique to the write, the same in everything the write sends: 32 hexadecimal digits.
pub const RUN: &str = "~medtainer.run~";

/// Stands for the value at a JSON pointer in the answer to a step, counted from 0. A part `field=text` of
/// the pointer picks the first element of a list that has this text in this field.
pub fn answer(step: usize, pointer: &str) -> String {
    token("answer", step, pointer)
}

/// Stands for the value at a JSON pointer in what a check of [`Plan::after`] saw, counted from 0; for
/// checks after it, and for results.
pub fn seen(check: usize, pointer: &str) -> String {
    token("seen", check, pointer)
}

// Made of characters that mean nothing in a path, so that building a request leaves it as it is.
fn token(kind: &str, index: usize, pointer: &str) -> String {
    format!("~medtainer.{kind}.{index}{}~", pointer.replace('/', "."))
}

impl Plan {
    /// A plan that does nothing yet.
    pub fn new(ecosystem: &Ecosystem, title: impl Into<String>, target: Target) -> Self {
        Plan {
            ecosystem: ecosystem.service.name.to_owned(),
            title: title.into(),
            target,
            changes: Vec::new(),
            cost: None,
            lost: Vec::new(),
            warnings: Vec::new(),
            before: Vec::new(),
            steps: Vec::new(),
            after: Vec::new(),
            lookup: Vec::new(),
            irreversible: None,
            snapshot: None,
            undoes: None,
            touches: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Adds a difference; one that is none is left out.
    #[must_use]
    pub fn change(
        mut self,
        what: impl Into<String>,
        before: impl Into<Value>,
        after: impl Into<Value>,
    ) -> Self {
        let (before, after) = (before.into(), after.into());
        if before != after {
            self.changes.push(Change {
                what: what.into(),
                before,
                after,
            });
        }
        self
    }

    /// Adds a request.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds what must hold before.
    #[must_use]
    pub fn before(mut self, check: Check) -> Self {
        self.before.push(check);
        self
    }

    /// Adds what must hold afterwards.
    #[must_use]
    pub fn after(mut self, check: Check) -> Self {
        self.after.push(check);
        self
    }

    /// Adds what tells that it was done when no answer came.
    #[must_use]
    pub fn lookup(mut self, check: Check) -> Self {
        self.lookup.push(check);
        self
    }

    /// Adds a value for the caller.
    #[must_use]
    pub fn result(mut self, name: impl Into<String>, token: impl Into<String>) -> Self {
        self.results.push(Pick {
            name: name.into(),
            token: token.into(),
        });
        self
    }

    /// Adds a collection whose cached rows are out of date afterwards.
    #[must_use]
    pub fn touches(mut self, collection: impl Into<String>) -> Self {
        self.touches.push(collection.into());
        self
    }

    /// Whether every step can be taken back.
    pub fn is_reversible(&self) -> bool {
        let possible = |step: &Step| !matches!(step.inverse, Inverse::Impossible);
        self.steps.iter().all(possible)
            && self
                .steps
                .iter()
                .any(|step| matches!(step.inverse, Inverse::Request { .. }))
    }
}

impl Step {
    /// A request that cannot be taken back, until [`Step::undone_by`] says how.
    pub fn new(does: impl Into<String>, request: Request) -> Self {
        Step {
            does: does.into(),
            request,
            fill: false,
            then: Vec::new(),
            inverse: Inverse::Impossible,
        }
    }

    /// Says that the request holds tokens.
    #[must_use]
    pub fn filled(mut self) -> Self {
        self.fill = true;
        self
    }

    /// Says what must be seen before the next step.
    #[must_use]
    pub fn then(mut self, check: Check) -> Self {
        self.then.push(check);
        self
    }

    /// Says how it is taken back; the path of the request may hold tokens.
    #[must_use]
    pub fn undone_by(mut self, does: impl Into<String>, request: Request) -> Self {
        self.inverse = Inverse::Request {
            does: does.into(),
            request: Box::new(request),
            fill: false,
        };
        self
    }

    /// Says that the body of what takes it back holds tokens.
    #[must_use]
    pub fn back_filled(mut self) -> Self {
        if let Inverse::Request { fill, .. } = &mut self.inverse {
            *fill = true;
        }
        self
    }

    /// Says that it leaves nothing to be taken back.
    #[must_use]
    pub fn harmless(mut self) -> Self {
        self.inverse = Inverse::Unneeded;
        self
    }
}

impl Check {
    /// Asks once.
    pub fn ask(says: impl Into<String>, request: Request, expect: Expect) -> Self {
        Check {
            says: says.into(),
            look: Look::Ask {
                request: Box::new(request),
                expect,
                unless: None,
            },
            fill: false,
            within: 0,
        }
    }

    /// Connects to a port once.
    pub fn reach(says: impl Into<String>, host: impl Into<String>, port: u16) -> Self {
        Check {
            says: says.into(),
            look: Look::Reach {
                host: host.into(),
                port,
            },
            fill: false,
            within: 0,
        }
    }

    /// Looks again for so long while it does not hold.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time.as_secs();
        self
    }

    /// Stops looking when the answer is this: it went wrong.
    #[must_use]
    pub fn unless(mut self, failed: Expect) -> Self {
        if let Look::Ask { unless, .. } = &mut self.look {
            *unless = Some(failed);
        }
        self
    }

    /// Says that the look holds tokens.
    #[must_use]
    pub fn filled(mut self) -> Self {
        self.fill = true;
        self
    }
}

impl Expect {
    /// One value at one place.
    pub fn field(pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        Expect::Fields(Map::from_iter([(pointer.into(), value.into())]))
    }

    /// One more value at one place.
    #[must_use]
    pub fn and(mut self, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Expect::Fields(fields) = &mut self {
            fields.insert(pointer.into(), value.into());
        }
        self
    }
}
