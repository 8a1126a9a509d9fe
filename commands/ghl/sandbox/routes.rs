//! The provider's doors: which routes there are, and what each of them asks for.

use super::call::{Call, Refusal, Reply};
use super::{
    LOCATION_ID, activity_routes as activity, calendar_routes as calendar,
    contact_routes as contact, conversation_routes as conversation, location_routes as location,
    opportunity_routes as opportunity, tag_routes as tag,
};

/// Where a request names its location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a parameter of the query string.
    Query(&'static str),
    /// In the property `locationId` of the body.
    Body,
    /// In the first variable part of the path.
    Path,
    /// Nowhere, or the route looks itself.
    Elsewhere,
}

/// A route.
pub(super) struct Route {
    method: &'static str,
    path: &'static str,
    /// Separated by spaces; all are needed.
    scopes: &'static str,
    at: At,
    pub(super) run: fn(&mut Call<'_>) -> Reply,
}

const fn route(
    method: &'static str,
    path: &'static str,
    scopes: &'static str,
    at: At,
    run: fn(&mut Call<'_>) -> Reply,
) -> Route {
    Route {
        method,
        path,
        scopes,
        at,
        run,
    }
}

const READ: &str = "contacts.readonly";
const WRITE: &str = "contacts.write";
const DEALS: &str = "opportunities.readonly";
const DEALS_WRITE: &str = "opportunities.write";
const THREADS: &str = "conversations.readonly";
const THREADS_WRITE: &str = "conversations.write";
const MESSAGES: &str = "conversations.readonly conversations/message.readonly";
const MESSAGES_WRITE: &str = "conversations/message.write";
const IN_QUERY: At = At::Query("locationId");

/// Every route, the fixed paths before those with variables. The slash at the end counts.
#[rustfmt::skip]
const ROUTES: &[Route] = &[
    route("GET", "/contacts/", READ, IN_QUERY, contact::list),
    route("POST", "/contacts/", WRITE, At::Body, contact::create),
    // Its location is checked with its body: without one it answers 422, not 403.
    route("POST", "/contacts/search", READ, At::Elsewhere, contact::search),
    route("GET", "/contacts/search/duplicate", READ, IN_QUERY, contact::duplicate),
    route("POST", "/contacts/upsert", WRITE, At::Body, contact::upsert),
    route("POST", "/contacts/bulk/tags/update/{}", WRITE, At::Body, tag::bulk_tags),
    route("GET", "/contacts/{}", READ, At::Elsewhere, contact::get),
    route("PUT", "/contacts/{}", WRITE, At::Elsewhere, contact::update),
    route("DELETE", "/contacts/{}", WRITE, At::Elsewhere, contact::delete),
    route("POST", "/contacts/{}/tags", WRITE, At::Elsewhere, tag::add_tags),
    route("DELETE", "/contacts/{}/tags", WRITE, At::Elsewhere, tag::remove_tags),
    route("GET", "/contacts/{}/notes", READ, At::Elsewhere, activity::notes),
    route("POST", "/contacts/{}/notes", WRITE, At::Elsewhere, activity::create_note),
    route("GET", "/contacts/{}/notes/{}", READ, At::Elsewhere, activity::note),
    route("PUT", "/contacts/{}/notes/{}", WRITE, At::Elsewhere, activity::update_note),
    route("DELETE", "/contacts/{}/notes/{}", WRITE, At::Elsewhere, activity::delete_note),
    route("GET", "/contacts/{}/tasks", READ, At::Elsewhere, activity::tasks),
    route("POST", "/contacts/{}/tasks", WRITE, At::Elsewhere, activity::create_task),
    route("GET", "/contacts/{}/tasks/{}", READ, At::Elsewhere, activity::task),
    route("PUT", "/contacts/{}/tasks/{}", WRITE, At::Elsewhere, activity::update_task),
    route("DELETE", "/contacts/{}/tasks/{}", WRITE, At::Elsewhere, activity::delete_task),
    route("PUT", "/contacts/{}/tasks/{}/completed", WRITE, At::Elsewhere, activity::complete_task),
    route("GET", "/contacts/{}/appointments", READ, At::Elsewhere, activity::appointments),
    route("POST", "/contacts/{}/workflow/{}", WRITE, At::Elsewhere, activity::workflow),
    route("DELETE", "/contacts/{}/workflow/{}", WRITE, At::Elsewhere, activity::workflow),

    route("GET", "/opportunities/pipelines", DEALS, IN_QUERY, opportunity::pipelines),
    route("GET", "/opportunities/lost-reason", DEALS, IN_QUERY, opportunity::lost_reasons),
    route("GET", "/opportunities/search", DEALS, At::Query("location_id"), opportunity::search_get),
    route("POST", "/opportunities/search", DEALS, At::Body, opportunity::search_post),
    route("POST", "/opportunities/", DEALS_WRITE, At::Body, opportunity::create),
    route("GET", "/opportunities/{}", DEALS, At::Elsewhere, opportunity::get),
    route("PUT", "/opportunities/{}", DEALS_WRITE, At::Elsewhere, opportunity::update),
    route("DELETE", "/opportunities/{}", DEALS_WRITE, At::Elsewhere, opportunity::delete),
    route("PUT", "/opportunities/{}/status", DEALS_WRITE, At::Elsewhere, opportunity::update_status),

    route("GET", "/conversations/search", THREADS, IN_QUERY, conversation::search),
    route("POST", "/conversations/", THREADS_WRITE, At::Body, conversation::create),
    route("POST", "/conversations/messages", MESSAGES_WRITE, At::Elsewhere, conversation::send),
    route("GET", "/conversations/messages/export", MESSAGES, IN_QUERY, conversation::export),
    route("GET", "/conversations/messages/email/{}", MESSAGES, At::Elsewhere, conversation::email),
    route("DELETE", "/conversations/messages/email/{}/schedule", MESSAGES_WRITE, At::Elsewhere, conversation::cancel),
    route("GET", "/conversations/messages/{}", MESSAGES, At::Elsewhere, conversation::message),
    route("DELETE", "/conversations/messages/{}/schedule", MESSAGES_WRITE, At::Elsewhere, conversation::cancel),
    route("GET", "/conversations/{}", THREADS, At::Elsewhere, conversation::get),
    route("GET", "/conversations/{}/messages", MESSAGES, At::Elsewhere, conversation::messages),

    route("GET", "/calendars/", "calendars.readonly", IN_QUERY, calendar::calendars),
    route("GET", "/calendars/events", "calendars/events.readonly", IN_QUERY, calendar::events),

    route("GET", "/users/", "users.readonly", IN_QUERY, location::users),
    route("GET", "/users/search", "users.readonly", At::Elsewhere, location::search_users),
    route("GET", "/users/{}", "users.readonly", At::Elsewhere, location::user),

    route("GET", "/locations/{}", "locations.readonly", At::Path, location::location),
    route("GET", "/locations/{}/customFields", "locations/customFields.readonly", At::Path, location::custom_fields),
    route("GET", "/locations/{}/tags", "locations/tags.readonly", At::Path, location::tags),
    route("POST", "/locations/{}/tags", "locations/tags.write", At::Path, location::create_tag),
    route("POST", "/locations/{}/tasks/search", "locations/tasks.readonly", At::Path, activity::search_tasks),
    route("GET", "/workflows/", "workflows.readonly", IN_QUERY, location::workflows),
];

/// The route of a request and the variable parts of its path.
pub(super) fn find<'p>(method: &str, path: &'p str) -> Option<(&'static Route, Vec<&'p str>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, captures(route.path, path)?)))
}

fn captures<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut found = Vec::new();
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        let part = parts.next()?;
        match wanted {
            "{}" if !part.is_empty() => found.push(part),
            wanted if wanted == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(found)
}

/// The date a path wants in its `Version` header.
pub(super) fn version(path: &str) -> &'static str {
    if path.starts_with("/conversations") || path.starts_with("/calendars") {
        "2021-04-15"
    } else {
        "2021-07-28"
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// `pit-sandbox`: everything.
    Whole,
    /// `pit-readonly`: only scopes that read.
    ReadOnly,
    /// `pit-noscope`: everything but contacts.
    NoContacts,
    /// `pit-contacts`: nothing but contacts.
    OnlyContacts,
}

impl Token {
    /// The token of an `Authorization` header.
    pub(super) fn of(header: Option<&str>) -> Option<Token> {
        match header?.strip_prefix("Bearer ")? {
            "pit-sandbox" => Some(Token::Whole),
            "pit-readonly" => Some(Token::ReadOnly),
            "pit-noscope" => Some(Token::NoContacts),
            "pit-contacts" => Some(Token::OnlyContacts),
            _ => None,
        }
    }

    fn may(self, scope: &str) -> bool {
        match self {
            Token::Whole => true,
            Token::ReadOnly => scope.ends_with(".readonly"),
            Token::NoContacts => !scope.starts_with("contacts."),
            Token::OnlyContacts => scope.starts_with("contacts."),
        }
    }
}

impl Route {
    /// Refuses a token that lacks a scope.
    pub(super) fn check_scopes(&self, token: Token) -> Result<(), Refusal> {
        if self.scopes.split(' ').all(|scope| token.may(scope)) {
            return Ok(());
        }
        Err(Refusal::unauthorized(
            "The token is not authorized for this scope.",
        ))
    }

    /// Refuses a request for another location, or for none.
    pub(super) fn check_location(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let named = match self.at {
            At::Query(name) => call.query(name),
            At::Body => call.text("locationId"),
            At::Path => call.path.first().copied(),
            At::Elsewhere => return Ok(()),
        };
        if named == Some(LOCATION_ID) {
            return Ok(());
        }
        Err(Refusal::location())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_case_count() {
        assert!(find("GET", "/contacts/").is_some());
        assert!(find("GET", "/contacts").is_none());
        assert!(find("GET", "/contacts/abc/").is_none());
        assert!(find("GET", "/locations/L/customFields").is_some());
        assert!(find("GET", "/locations/L/customfields").is_none());
        assert!(find("PATCH", "/contacts/abc").is_none());
    }

    #[test]
    fn fixed_paths_win_over_variables() {
        let (route, captured) = find("GET", "/opportunities/pipelines").unwrap();
        assert_eq!(route.path, "/opportunities/pipelines");
        assert!(captured.is_empty());
        let (_, captured) = find("PUT", "/contacts/c/tasks/t/completed").unwrap();
        assert_eq!(captured, ["c", "t"]);
    }
}
