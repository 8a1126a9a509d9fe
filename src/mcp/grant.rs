//! Who calls, and the most they may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::command::Effect;
use crate::error::{Error, Result};
use crate::privacy::Classes;
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
    /// The classes of personal data it does not get to see.
    pub masked: Classes,
}

/// What a client wants less of than it may have.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    /// This business.
    pub business: Option<Business>,
    /// These tools.
    pub tools: Option<Toolset>,
    /// Tools that read.
    pub read_only: bool,
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
            masked: Classes::default(),
        }
    }

    /// An owner who may do nothing, and see nothing.
    pub fn nothing(owner: &str) -> Grant {
        Grant {
            principal: None,
            owner: owner.to_owned(),
            scopes: Scopes::NONE,
            can_step_up: false,
            businesses: Some(BTreeSet::new()),
            business: None,
            tools: Vec::new(),
            masked: Classes::ALL,
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

    /// The same for less, on a server of the business `own`. What it had not, it has not afterwards; the
    /// business is settled, and is the only one from then on.
    pub fn narrowed(mut self, by: Narrowing, own: &Business) -> Result<Grant> {
        let business = match by.business {
            Some(wanted) => self.reached(&wanted, own)?,
            None => self.usual(own)?,
        };
        self.businesses = Some(BTreeSet::from([business.to_string()]));
        self.business = Some(business);
        self.tools.extend(by.tools);
        if by.read_only {
            self.scopes = self.scopes.and(Scopes::NONE.with(Scope::Read));
            self.can_step_up = false;
        }
        Ok(self)
    }

    /// Whether a business that some server plays is within its bounds.
    pub fn reaches(&self, business: &Business) -> bool {
        self.reach(business).contains(business)
    }

    /// The businesses within its bounds, as this server plays them.
    fn reach(&self, own: &Business) -> Vec<Business> {
        match &self.businesses {
            None => vec![own.clone()],
            Some(names) => {
                let known = names.iter().filter_map(|name| name.parse().ok());
                known.map(|business| played(&business, own)).collect()
            }
        }
    }

    fn reached(&self, wanted: &Business, own: &Business) -> Result<Business> {
        let wanted = played(wanted, own);
        if self.reach(own).contains(&wanted) {
            return Ok(wanted);
        }
        Err(
            Error::refused(format!("the business `{wanted}` cannot be reached from here")).hint(
                match self.principal {
                    Some(_) => "`medtainer mcp keys create NAME --businesses a,b` makes a key for several.",
                    None => "`medtainer mcp serve --business NAME` serves another; a key can be made for several.",
                },
            ),
        )
    }

    /// Where nothing is said: the server's own, or none. Whoever asks this server means its business, and
    /// its environment may hold that one's accounts.
    fn usual(&self, own: &Business) -> Result<Business> {
        let reach = self.reach(own);
        if reach.contains(own) {
            return Ok(own.clone());
        }
        match reach.as_slice() {
            [only] => Err(Error::refused(format!(
                "this key is for `{only}`, this server serves `{own}`"
            ))
            .hint(format!("`medtainer mcp keys create NAME --businesses {own}` makes a key for this one; the header `X-Medtainer-Business: {only}` says that the other is meant."))),
            _ => Err(Error::usage(
                "this key is for several businesses, and the server's own is none of them",
            )
            .hint("Send the header `X-Medtainer-Business: NAME` to choose one.")),
        }
    }
}

/// The business as a server of `own` plays it: one with sample data never touches real data.
fn played(business: &Business, own: &Business) -> Business {
    if own.is_sandbox() {
        business.sandboxed()
    } else {
        business.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::Command;
    use crate::context::Context;
    use crate::output::Text;
    use crate::tree::Group;

    #[derive(Debug, clap::Args)]
    struct Any<const E: u8> {}

    impl<const E: u8> Command for Any<E> {
        type Output = Text;
        const EFFECT: Effect =
            [Effect::Read, Effect::Local, Effect::Write, Effect::Destroy][E as usize];

        async fn run(&self, _: &Context) -> Result<Text> {
            Ok(Text::new(""))
        }
    }

    fn tree() -> Group {
        let crm = Group::new("crm", "")
            .command::<Any<0>>("list")
            .command::<Any<1>>("note");
        let crm = crm.command::<Any<2>>("move").command::<Any<3>>("drop");
        let dns = Group::new("dns", "")
            .command::<Any<0>>("list")
            .command::<Any<3>>("apply");
        Group::new("any", "").group(crm).group(dns)
    }

    const BUSINESSES: [&str; 5] = ["default", "acme", "globex", "sandbox", "acme_sandbox"];

    fn business() -> impl Strategy<Value = Business> {
        (0..BUSINESSES.len()).prop_map(|i| BUSINESSES[i].parse().unwrap())
    }

    fn tools() -> impl Strategy<Value = Toolset> {
        let words = ["crm", "dns", "crm_list", "crm_drop", "dns_list", "all"];
        prop::sample::subsequence(words.to_vec(), 1..=3)
            .prop_map(|words| Toolset::parse(&words.join(","), &tree()).unwrap())
    }

    fn grants() -> impl Strategy<Value = Grant> {
        let businesses = prop::sample::subsequence(BUSINESSES.to_vec(), 0..=3);
        let scopes = prop::sample::subsequence(Scope::ALL.to_vec(), 0..=3);
        let tools = prop::collection::vec(tools(), 0..=1);
        let named = prop::option::of(businesses);
        (named, scopes, tools, any::<bool>()).prop_map(|(names, scopes, tools, can_step_up)| {
            Grant {
                principal: Some("laptop".into()),
                businesses: names.map(|names| names.into_iter().map(str::to_owned).collect()),
                scopes: scopes.into_iter().collect(),
                tools,
                can_step_up,
                ..Grant::local()
            }
        })
    }

    fn narrowings() -> impl Strategy<Value = Narrowing> {
        let (business, tools) = (prop::option::of(business()), prop::option::of(tools()));
        (business, tools, any::<bool>()).prop_map(|(business, tools, read_only)| Narrowing {
            business,
            tools,
            read_only,
        })
    }

    proptest! {
        #[test]
        fn narrowing_never_widens(
            grant in grants(),
            own in business(),
            by in prop::collection::vec(narrowings(), 1..4),
        ) {
            let (tree, mut now) = (tree(), grant);
            for by in by {
                let before = now.clone();
                let Ok(after) = now.narrowed(by.clone(), &own) else { break };
                for (path, leaf) in tree.leaves() {
                    let may = after.permits(&path, leaf);
                    prop_assert!(!may || before.permits(&path, leaf));
                    prop_assert!(!after.covers(leaf) || before.covers(leaf));
                    prop_assert!(!may || by.tools.as_ref().is_none_or(|set| set.has(&path)));
                    prop_assert!(!may || !by.read_only || leaf.effect == Effect::Read);
                }
                let business = after.business.clone().unwrap();
                prop_assert!(before.reach(&own).contains(&business));
                prop_assert!(before.business.is_none_or(|settled| settled == business));
                prop_assert!(by.business.is_none_or(|wanted| played(&wanted, &own) == business));
                prop_assert!(!own.is_sandbox() || business.is_sandbox());
                prop_assert_eq!(after.reach(&own), vec![business]);
                prop_assert_eq!((&after.owner, &after.principal, after.masked), (&before.owner, &before.principal, before.masked));
                now = after;
            }
        }

        #[test]
        fn tools_and_reading_narrow_in_any_order(
            grant in grants(),
            a in narrowings(),
            b in narrowings(),
        ) {
            let own = Business::default();
            let (a, b) = (Narrowing { business: None, ..a }, Narrowing { business: None, ..b });
            let one = grant.clone().narrowed(a.clone(), &own).and_then(|g| g.narrowed(b.clone(), &own));
            let other = grant.narrowed(b, &own).and_then(|g| g.narrowed(a, &own));
            let tree = tree();
            match (one, other) {
                (Ok(one), Ok(other)) => for (path, leaf) in tree.leaves() {
                    prop_assert_eq!(one.permits(&path, leaf), other.permits(&path, leaf));
                },
                (one, other) => prop_assert!(one.is_err() && other.is_err()),
            }
        }
    }

    #[test]
    fn without_a_word_it_is_the_servers_own_business_or_none() {
        let own = Business::default();
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let grant = Grant {
                businesses: Some(names),
                ..Grant::local()
            };
            grant
                .narrowed(Narrowing::default(), &own)
                .map(|grant| grant.business.unwrap().to_string())
        };
        assert_eq!(of(&["acme", "default"]).unwrap(), "default");
        let other = of(&["acme"]).unwrap_err();
        assert_eq!(other.kind(), crate::error::Kind::Refused);
        assert_eq!(
            other.message(),
            "this key is for `acme`, this server serves `default`"
        );
        assert!(
            of(&["acme", "globex"])
                .unwrap_err()
                .hint_text()
                .unwrap()
                .contains("X-Medtainer-Business")
        );
        assert!(of(&[]).is_err());
    }
}
