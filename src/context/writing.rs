//! What a write needs to know of its call.

use super::Context;
use crate::ecosystem::Ecosystem;
use crate::error::Result;
use crate::store::audit::{self, Caller};
use crate::ui::person::Person;
use crate::writes::ledger::{self, Intent};
use crate::writes::policy::Policy;

impl Context {
    /// Who is asking.
    pub fn caller(&self) -> Caller {
        self.invocation.caller
    }

    /// The name of the key or the schedule behind the call, if there is one.
    pub(crate) fn principal(&self) -> Option<&str> {
        self.invocation.principal.as_deref()
    }

    /// The words that name the command.
    pub(crate) fn command(&self) -> &str {
        self.call.as_ref().map_or("", |call| call.command())
    }

    /// Who may do what.
    pub(crate) fn policy(&self) -> &Policy {
        &self.app.config.policy
    }

    /// Whether nothing may be sent but reads.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.invocation.write.dry_run
    }

    /// Whether the caller has confirmed beforehand.
    pub(crate) fn has_said_yes(&self) -> bool {
        self.invocation.yes
    }

    /// Whoever can be asked.
    pub(crate) fn person(&self) -> Option<&dyn Person> {
        self.invocation.person.as_deref()
    }

    /// Lets others have the connection while this call waits for something else.
    pub(crate) fn rest(&self) {
        self.give_back();
    }

    /// The account of an ecosystem that this call works with.
    pub async fn account(&self, ecosystem: &Ecosystem) -> Result<Option<String>> {
        let credential = self.credential(ecosystem).await?;
        let account = (ecosystem.account)(&credential);
        Ok((!account.is_empty()).then_some(account))
    }

    /// Commits what is about to be done, with the row of the call; false where the same waits already.
    pub(crate) async fn begin(&self, intent: &Intent<'_>) -> Result<bool> {
        let call = self.call.clone().map(|call| {
            let call = call.id(Some(intent.id)).state("planned");
            match intent.account {
                Some(account) => call.account(account),
                None => call,
            }
        });
        let mut conn = self.db().await?;
        let begun = ledger::open(&mut conn, call.as_ref(), intent).await?;
        self.notes().begun |= begun && call.is_some();
        Ok(begun)
    }

    /// Whether something may have been sent: then the call must not be run once more.
    pub(crate) fn has_begun(&self) -> bool {
        self.notes().begun
    }

    /// The write of which a request left and the ledger does not say yet what became of it.
    pub(crate) fn in_flight(&self) -> Option<i64> {
        self.notes().in_flight
    }

    /// Says that a request of a write is leaving, or that its end is written down.
    pub(crate) fn set_in_flight(&self, write: Option<i64>) {
        self.notes().in_flight = write;
    }

    /// Commits the row of a call that is about to use an approval.
    pub(crate) async fn begin_call(&self) -> Result<()> {
        let Some(call) = self.call.clone() else {
            return Ok(());
        };
        let call = call.id(Some(self.execution_id().await?)).state("approved");
        let mut conn = self.db().await?;
        audit::begin(&mut conn, &call).await?;
        self.notes().begun = true;
        Ok(())
    }
}
