//! The documents by which clients find their way: RFC 9728 and RFC 8414.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::site::{RESOURCES, Site};
use super::{OAuth, scope};
use crate::mcp::grant::Scope;

/// A document that every page may read: it says what everybody may know.
fn document(body: Value) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, Json(body)).into_response()
}

pub async fn of_resource(State(oauth): State<OAuth>, headers: HeaderMap) -> Response {
    let issuer = oauth.0.site.issuer(&headers);
    resource(&oauth, &issuer, &Site::resource(&issuer))
}

pub async fn of_resource_at(
    State(oauth): State<OAuth>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let issuer = oauth.0.site.issuer(&headers);
    let found = RESOURCES.into_iter().find(|known| known[1..] == path);
    match found {
        Some(path) => resource(&oauth, &issuer, &format!("{issuer}{path}")),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn resource(oauth: &OAuth, issuer: &str, resource: &str) -> Response {
    let product = oauth.0.app.product;
    document(json!({
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "bearer_methods_supported": ["header"],
        "resource_name": product.name,
        "resource_documentation": documentation(issuer),
    }))
}

pub async fn of_server(State(oauth): State<OAuth>, headers: HeaderMap) -> Response {
    let issuer = oauth.0.site.issuer(&headers);
    let at = |path: &str| format!("{issuer}{path}");
    let methods = super::register::METHODS;
    let mut scopes: Vec<_> = Scope::ALL.map(Scope::as_str).into();
    scopes.push(scope::OFFLINE);
    document(json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "registration_endpoint": at("/register"),
        "revocation_endpoint": at("/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "scopes_supported": scopes,
        "client_id_metadata_document_supported": true,
        "authorization_response_iss_parameter_supported": true,
        "service_documentation": documentation(&issuer),
    }))
}

/// Where a person who follows the documents learns more: the page that says how to connect.
fn documentation(issuer: &str) -> String {
    format!("{issuer}/authorize")
}
