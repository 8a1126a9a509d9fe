//! Who may do what without asking: by effect and by caller, from the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::command::Effect;
use crate::config::Grace;
use crate::store::audit::Caller;
use crate::values::Span;

/// What stands between a plan and its sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Nothing.
    Allow,
    /// A person, who types the target's name: at the terminal, where `--yes` stands for it, or behind an
    /// MCP client that can ask them; an approval where it cannot.
    Confirm,
    /// A person's approval of exactly this plan, given with `medtainer approvals approve`.
    Approve,
    /// It is not done.
    Deny,
}

/// `[policy]` in the configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// A person at a terminal.
    #[serde(default)]
    pub terminal: Rules,
    /// A shell script or cron.
    #[serde(default)]
    pub script: Rules,
    /// A client of the MCP server.
    #[serde(default)]
    pub mcp: Rules,
    /// The daemon.
    #[serde(default)]
    pub schedule: Rules,
    /// Rules for single commands, such as `[policy.commands."do delete"]`, by caller.
    #[serde(default)]
    pub commands: BTreeMap<String, ByCaller>,
    /// How long a plan waits for approval, and an approval for its use; an hour when absent.
    pub approval_expires: Option<Grace>,
}

/// Rules by effect.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// For what can be undone.
    pub write: Option<Rule>,
    /// For what destroys, sends, or costs money.
    pub destroy: Option<Rule>,
}

/// Rules by caller.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByCaller {
    /// A person at a terminal.
    pub terminal: Option<Rule>,
    /// A shell script or cron.
    pub script: Option<Rule>,
    /// A client of the MCP server.
    pub mcp: Option<Rule>,
    /// The daemon.
    pub schedule: Option<Rule>,
}

/// The command that takes a write back, by its words.
const UNDO: &str = "undo";

impl Policy {
    /// The rule for a command of this effect when this caller runs it.
    ///
    /// Where the configuration says nothing: what can be undone is allowed, the rest a person confirms
    /// or, where a schedule asks, approves. Behind a schedule is nobody who could confirm.
    pub fn rule(&self, caller: Caller, command: &str, effect: Effect) -> Rule {
        let own = self.commands.get(command);
        let (own, rules, otherwise) = match caller {
            Caller::Terminal => (
                own.and_then(|own| own.terminal),
                self.terminal,
                Rule::Confirm,
            ),
            Caller::Script => (own.and_then(|own| own.script), self.script, Rule::Confirm),
            Caller::Mcp => (own.and_then(|own| own.mcp), self.mcp, Rule::Confirm),
            Caller::Schedule => (
                own.and_then(|own| own.schedule),
                self.schedule,
                Rule::Approve,
            ),
        };
        let rule = own.unwrap_or_else(|| match effect {
            Effect::Read | Effect::Local => Rule::Allow,
            Effect::Write => rules.write.unwrap_or(Rule::Allow),
            Effect::Destroy => rules.destroy.unwrap_or(otherwise),
        });
        let is_machine = matches!(caller, Caller::Mcp | Caller::Schedule);
        match rule {
            // Not even an undo: what a person did, no machine takes back unasked.
            Rule::Allow | Rule::Confirm if is_machine && command == UNDO => Rule::Approve,
            Rule::Confirm if caller == Caller::Schedule => Rule::Approve,
            rule => rule,
        }
    }

    /// How long a plan waits for approval, and an approval for its use.
    pub fn expiry(&self) -> Span {
        self.approval_expires
            .map_or(Span::minutes(60), |grace| grace.0)
    }
}

impl Rule {
    /// The word in the configuration and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::Allow => "allow",
            Rule::Confirm => "confirm",
            Rule::Approve => "approve",
            Rule::Deny => "deny",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_wait_for_a_person_and_people_confirm() {
        let policy = Policy::default();
        let rule = |caller, effect| policy.rule(caller, "do delete", effect);
        for caller in [
            Caller::Terminal,
            Caller::Script,
            Caller::Mcp,
            Caller::Schedule,
        ] {
            assert_eq!(rule(caller, Effect::Write), Rule::Allow);
        }
        assert_eq!(rule(Caller::Terminal, Effect::Destroy), Rule::Confirm);
        assert_eq!(rule(Caller::Script, Effect::Destroy), Rule::Confirm);
        assert_eq!(rule(Caller::Mcp, Effect::Destroy), Rule::Confirm);
        assert_eq!(rule(Caller::Schedule, Effect::Destroy), Rule::Approve);
        for effect in [Effect::Write, Effect::Destroy] {
            assert_eq!(policy.rule(Caller::Mcp, "undo", effect), Rule::Approve);
        }
        assert_eq!(
            policy.rule(Caller::Terminal, "undo", Effect::Write),
            Rule::Allow
        );
    }

    #[test]
    fn the_command_goes_before_the_effect_and_no_schedule_confirms() {
        let policy: Policy = toml::from_str(
            "[schedule]\nwrite = \"confirm\"\n[mcp]\nwrite = \"confirm\"\ndestroy = \"deny\"\n[commands.\"do create\"]\nmcp = \"allow\"\n",
        )
        .unwrap();
        let rule = |command, effect| policy.rule(Caller::Mcp, command, effect);
        assert_eq!(rule("do reboot", Effect::Write), Rule::Confirm);
        let scheduled = policy.rule(Caller::Schedule, "do reboot", Effect::Write);
        assert_eq!(scheduled, Rule::Approve);
        assert_eq!(rule("do delete", Effect::Destroy), Rule::Deny);
        assert_eq!(rule("do create", Effect::Destroy), Rule::Allow);
        assert!(toml::from_str::<Policy>("[mcp]\nwrit = \"allow\"\n").is_err());
        assert!(toml::from_str::<Policy>("[mcp]\nwrite = \"maybe\"\n").is_err());
    }
}
