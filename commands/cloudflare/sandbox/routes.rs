//! The provider's doors: which routes there are, and what a token needs for each of them.

use super::call::{Call, Reply};
use super::{record_routes as record, zone_routes as zone};

/// A group of permissions, as tokens have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Any token that is good.
    Any,
    ZoneRead,
    SettingsRead,
    DnsRead,
    DnsWrite,
}

/// A route.
pub(super) struct Route {
    method: &'static str,
    path: &'static str,
    pub(super) needs: Group,
    pub(super) run: fn(&mut Call<'_>) -> Reply,
}

const fn route(
    method: &'static str,
    path: &'static str,
    needs: Group,
    run: fn(&mut Call<'_>) -> Reply,
) -> Route {
    Route {
        method,
        path,
        needs,
        run,
    }
}

/// Every route, the fixed paths before those with variables.
#[rustfmt::skip]
const ROUTES: &[Route] = &[
    route("GET", "/user/tokens/verify", Group::Any, zone::verify_user_token),
    route("GET", "/accounts/{}/tokens/verify", Group::Any, zone::verify_account_token),
    // Without the permission the list is empty, which looks like an empty account.
    route("GET", "/zones", Group::Any, zone::list),
    route("GET", "/zones/{}", Group::ZoneRead, zone::get),
    route("GET", "/zones/{}/settings/{}", Group::SettingsRead, zone::setting),
    route("GET", "/zones/{}/dnssec", Group::DnsRead, zone::dnssec),
    route("GET", "/zones/{}/dns_records", Group::DnsRead, record::list),
    route("GET", "/zones/{}/dns_records/export", Group::DnsRead, record::export),
    route("GET", "/zones/{}/dns_records/usage", Group::DnsRead, record::usage),
    route("POST", "/zones/{}/dns_records/batch", Group::DnsWrite, record::batch),
    route("POST", "/zones/{}/dns_records", Group::DnsWrite, record::create),
    route("GET", "/zones/{}/dns_records/{}", Group::DnsRead, record::get),
    route("PUT", "/zones/{}/dns_records/{}", Group::DnsWrite, record::overwrite),
    route("PATCH", "/zones/{}/dns_records/{}", Group::DnsWrite, record::update),
    route("DELETE", "/zones/{}/dns_records/{}", Group::DnsWrite, record::delete),
];

/// The route of a request and the variable parts of its path.
pub(super) fn find<'p>(method: &str, path: &'p str) -> Option<(&'static Route, Vec<&'p str>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, captures(route.path, path)?)))
}

fn captures<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let (wanted, given): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut found = Vec::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted {
            "{}" if !given.is_empty() => found.push(given),
            fixed if fixed == given => {}
            _ => return None,
        }
    }
    Some(found)
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// `cf-sandbox`: everything.
    Whole,
    /// `cf-readonly`: reads everything.
    ReadOnly,
    /// `cf-nosettings`: reads all but settings.
    NoSettings,
    /// `cf-nozones`: DNS, but not which zones there are.
    NoZones,
    /// `cf-onezone`: reads the first zone alone.
    OneZone,
    /// `cf-account`: reads everything, and belongs to an account.
    Account,
    /// `cf-expired`: nothing any more.
    Expired,
}

impl Token {
    /// The token of an `Authorization` header.
    pub(super) fn of(header: &str) -> Option<Token> {
        match header {
            "cf-sandbox" => Some(Token::Whole),
            "cf-readonly" => Some(Token::ReadOnly),
            "cf-nosettings" => Some(Token::NoSettings),
            "cf-nozones" => Some(Token::NoZones),
            "cf-onezone" => Some(Token::OneZone),
            "cf-account" => Some(Token::Account),
            "cf-expired" => Some(Token::Expired),
            _ => None,
        }
    }

    pub(super) fn may(self, group: Group) -> bool {
        match self {
            Token::Whole => true,
            Token::Expired => false,
            Token::NoZones => matches!(group, Group::Any | Group::DnsRead),
            Token::NoSettings => !matches!(group, Group::SettingsRead | Group::DnsWrite),
            Token::ReadOnly | Token::OneZone | Token::Account => group != Group::DnsWrite,
        }
    }

    /// Whether the zone at this place is one of those the token is for.
    pub(super) fn sees(self, place: usize) -> bool {
        self != Token::OneZone || place == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_slashes_lead_nowhere() {
        assert!(find("GET", "/zones").is_some());
        assert!(find("GET", "/zones/").is_none());
        assert!(find("GET", "/zones//dns_records").is_none());
        let (route, captured) = find("POST", "/zones/z/dns_records/batch").unwrap();
        assert_eq!(
            (route.path, captured.as_slice()),
            ("/zones/{}/dns_records/batch", &["z"][..])
        );
        assert_eq!(find("GET", "/zones/z/dns_records/r").unwrap().1, ["z", "r"]);
    }
}
