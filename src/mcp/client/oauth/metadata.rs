//! Who lets people in: the metadata of a protected resource (RFC 9728) and of its authorization server
//! (RFC 8414, or OpenID Connect's).

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::challenge::Challenge;
use crate::error::{Error, Kind, Result};
use crate::mcp::client::remote::{Draft, Http, is_near};

/// The metadata of a protected resource.
#[derive(Debug, Clone, Deserialize)]
pub struct Resource {
    /// Its name, which tokens are made for.
    pub resource: String,
    /// Who lets people in; the first counts.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    /// What can be asked for.
    pub scopes_supported: Option<Vec<String>>,
}

/// The metadata of an authorization server.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Its name.
    pub issuer: String,
    /// Where a person says yes.
    pub authorization_endpoint: String,
    /// Where a code becomes a token.
    pub token_endpoint: String,
    /// Where clients register.
    pub registration_endpoint: Option<String>,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// What can be asked for.
    pub scopes_supported: Option<Vec<String>>,
    /// How a code can be bound to who asked for it.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// How clients show who they are.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers say whose they are (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Server {
    /// Whether it lists a scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        let scopes = self.scopes_supported.as_deref().unwrap_or_default();
        scopes.iter().any(|there| there == scope)
    }
}

/// What a resource is called when nobody says: lower case, no default port, no fragment, no slash at the end.
pub fn canonical(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let text = url.to_string();
    if url.query().is_none() {
        text.trim_end_matches('/').to_owned()
    } else {
        text
    }
}

/// Where the metadata of a resource may be, the likeliest first.
pub fn resource_places(url: &Url, challenge: &Challenge) -> Result<Vec<Url>> {
    if let Some(named) = &challenge.resource_metadata {
        // A relative one is against the RFC, and other clients do not follow it.
        return Ok(vec![allowed(named, url, "resource_metadata")?]);
    }
    Ok(well_known(url, "oauth-protected-resource"))
}

/// Asks a server how people are let in; none where it says nothing of it.
pub async fn resource(http: &Http, url: &Url, challenge: &Challenge) -> Result<Option<Resource>> {
    for place in resource_places(url, challenge)? {
        let Some(found) = fetch::<Resource>(http, &place).await? else {
            continue;
        };
        if !covers(&found.resource, url) {
            return Err(Error::refused(format!(
                "`{place}` speaks for `{}`, not for `{}`",
                found.resource,
                canonical(url)
            ))
            .hint("Use the address that the server calls itself, or have its operator set its public URL right."));
        }
        return Ok(Some(found));
    }
    if challenge.resource_metadata.is_some() {
        return Err(
            Error::not_found("the server names metadata that is not there")
                .hint("Its operator has to serve what `resource_metadata` in its 401 names."),
        );
    }
    Ok(None)
}

/// Whether a resource of that name includes a URL: the same, or the same place with a shorter path.
fn covers(resource: &str, url: &Url) -> bool {
    let Ok(named) = Url::parse(resource) else {
        return false;
    };
    let (whole, part) = (
        url.path().trim_end_matches('/'),
        named.path().trim_end_matches('/'),
    );
    named.origin() == url.origin()
        && whole
            .strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where the metadata of an authorization server may be.
fn server_places(issuer: &Url) -> Vec<Url> {
    let mut places = well_known(issuer, "oauth-authorization-server");
    places.truncate(1);
    places.extend(
        well_known(issuer, "openid-configuration")
            .into_iter()
            .take(1),
    );
    let path = issuer.path().trim_end_matches('/');
    if !path.is_empty() {
        let mut appended = issuer.clone();
        appended.set_path(&format!("{path}/.well-known/openid-configuration"));
        places.push(appended);
    }
    places
}

/// Asks an authorization server about itself, and checks that it is fit.
pub async fn server(http: &Http, remote: &Url, issuer: &str) -> Result<Server> {
    let address = allowed(issuer, remote, "authorization server")?;
    for place in server_places(&address) {
        let Some(found) = fetch::<Server>(http, &place).await? else {
            continue;
        };
        // A bare origin is written with or without its slash.
        if found.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(Error::refused(format!(
                "`{place}` speaks for the issuer `{}`, not for `{issuer}`",
                found.issuer
            ))
            .hint("The operator of the authorization server has to set its issuer right."));
        }
        if !found
            .code_challenge_methods_supported
            .iter()
            .any(|method| method == "S256")
        {
            return Err(
                Error::refused(format!("`{issuer}` does not offer PKCE with S256"))
                    .hint("Without it a login can be stolen; its operator has to switch it on."),
            );
        }
        for (what, endpoint) in [
            (
                "authorization endpoint",
                Some(&found.authorization_endpoint),
            ),
            ("token endpoint", Some(&found.token_endpoint)),
            (
                "registration endpoint",
                found.registration_endpoint.as_ref(),
            ),
            ("revocation endpoint", found.revocation_endpoint.as_ref()),
        ] {
            if let Some(endpoint) = endpoint {
                allowed(endpoint, remote, what)?;
            }
        }
        return Ok(found);
    }
    Err(Error::not_found(format!(
        "`{issuer}` has no metadata of an authorization server"
    ))
    .hint("Its operator has to serve `/.well-known/oauth-authorization-server`."))
}

/// The URL, if login data may go there: over HTTPS, or inside this machine where the server is there too.
pub fn allowed(text: &str, remote: &Url, what: &str) -> Result<Url> {
    let bad = |why: &str| {
        Err(
            Error::refused(format!("the server's {what} `{text}` {why}"))
                .hint("Logging in there would not be safe; its operator has to mend the metadata."),
        )
    };
    let Ok(url) = Url::parse(text) else {
        return bad("is no absolute URL");
    };
    match url.scheme() {
        "https" => Ok(url),
        // Plain HTTP is as good as the way to the server itself is.
        "http" if is_near(&url) && is_near(remote) => Ok(url),
        "http" if url.origin() == remote.origin() => Ok(url),
        _ => bad("is not reached over HTTPS"),
    }
}

fn well_known(url: &Url, name: &str) -> Vec<Url> {
    let place = |path: String| {
        let mut place = url.clone();
        place.set_path(&path);
        place.set_query(None);
        place.set_fragment(None);
        place
    };
    let path = url.path().trim_end_matches('/');
    let root = place(format!("/.well-known/{name}"));
    if path.is_empty() {
        vec![root]
    } else {
        vec![place(format!("/.well-known/{name}{path}")), root]
    }
}

/// A JSON document; none where there is none.
async fn fetch<T: DeserializeOwned>(http: &Http, place: &Url) -> Result<Option<T>> {
    let draft = Draft::new(Method::GET, place).header(ACCEPT, "application/json");
    let reply = http.ask(draft).await?;
    if reply.status != StatusCode::OK {
        if reply.status.is_server_error() {
            return Err(
                Error::unavailable(format!("`{place}` answers {}", reply.status))
                    .hint("Try again later."),
            );
        }
        return Ok(None);
    }
    match serde_json::from_slice(&reply.body) {
        Ok(found) => Ok(Some(found)),
        // Some servers answer every path with a page.
        Err(_) if !reply.is_json => Ok(None),
        Err(error) => Err(Error::new(
            Kind::Refused,
            format!("`{place}` is not the metadata it should be"),
        )
        .hint("Its operator has to mend the document.")
        .because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn metadata_is_looked_for_where_the_rfcs_put_it() {
        let texts = |places: Vec<Url>| places.iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(
            texts(
                resource_places(&url("https://x.test/a/mcp?b=1"), &Challenge::default()).unwrap()
            ),
            [
                "https://x.test/.well-known/oauth-protected-resource/a/mcp",
                "https://x.test/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(
            texts(server_places(&url("https://x.test"))),
            [
                "https://x.test/.well-known/oauth-authorization-server",
                "https://x.test/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            texts(server_places(&url("https://x.test/t/"))),
            [
                "https://x.test/.well-known/oauth-authorization-server/t",
                "https://x.test/.well-known/openid-configuration/t",
                "https://x.test/t/.well-known/openid-configuration"
            ]
        );
    }

    #[test]
    fn a_resource_speaks_for_itself_and_for_what_is_below_it() {
        let mcp = url("https://X.test:443/mcp");
        assert_eq!(canonical(&mcp), "https://x.test/mcp");
        for right in [
            "https://x.test/mcp",
            "https://x.test/mcp/",
            "https://x.test",
            "https://x.test/",
        ] {
            assert!(covers(right, &mcp), "{right}");
        }
        for wrong in [
            "https://x.test/mc",
            "https://x.test/mcp/b",
            "http://x.test/mcp",
            "https://y.test/mcp",
            "mcp",
        ] {
            assert!(!covers(wrong, &mcp), "{wrong}");
        }
    }

    #[test]
    fn login_data_goes_over_https_or_stays_on_the_machine() {
        let (far, near) = (url("https://x.test/mcp"), url("http://127.0.0.1:9/mcp"));
        assert!(allowed("https://y.test/token", &far, "t").is_ok());
        assert!(allowed("http://localhost:1/token", &near, "t").is_ok());
        for wrong in [
            "http://127.0.0.1/token",
            "http://y.test/token",
            "file:///etc/passwd",
            "/token",
        ] {
            assert!(allowed(wrong, &far, "t").is_err(), "{wrong}");
        }
    }
}
