//! Where the browser comes back to: one address of this machine, for one answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use reqwest::Url;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::metadata::Server;
use super::shown;
use crate::error::{Error, Result};

const PATH: &str = "/callback";

/// A listener that waits for the browser.
pub struct Listener {
    listener: TcpListener,
    /// What an authorization server is told.
    pub redirect: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

struct Desk {
    state: String,
    answers: mpsc::Sender<Answer>,
}

impl Listener {
    /// Listens at the address that was registered, or at any.
    pub async fn bind(registered: Option<&str>) -> Result<Self> {
        let port = registered
            .and_then(|redirect| Url::parse(redirect).ok()?.port())
            .unwrap_or(0);
        let failed = |error: std::io::Error| {
            Error::unavailable("no port is free for the browser to come back to").because(error)
        };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .await
            .map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Listener {
            listener,
            redirect: format!("http://127.0.0.1:{port}{PATH}"),
        })
    }

    /// Waits for the code that belongs to `state` and checks whose it is.
    pub async fn code(self, state: &str, server: &Server) -> Result<String> {
        let (sender, mut answers) = mpsc::channel(1);
        let desk = Arc::new(Desk {
            state: state.to_owned(),
            answers: sender,
        });
        let router = axum::Router::new()
            .route(PATH, get(receive))
            .with_state(desk);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(async move {
            stopped.await.ok();
        });
        let serving = tokio::spawn(serving.into_future());
        let answer = answers.recv().await;
        // The page that says so is on its way to the browser.
        stop.send(()).ok();
        tokio::time::timeout(std::time::Duration::from_secs(1), serving)
            .await
            .ok();
        let answer = answer.ok_or_else(|| Error::internal("the browser's answer was lost"))?;
        match &answer.iss {
            Some(iss) if iss != &server.issuer => {
                return Err(Error::refused(format!(
                    "the login was answered by `{}`, not by `{}`",
                    shown(iss),
                    server.issuer
                ))
                .hint("Somebody may have tried to mix up two servers; nothing was kept."));
            }
            None if server.authorization_response_iss_parameter_supported => {
                return Err(
                    Error::refused("the login's answer does not say whose it is")
                        .hint("Somebody may have tried to mix up two servers; nothing was kept."),
                );
            }
            _ => {}
        }
        if let Some(error) = answer.error {
            let mut why = shown(&error);
            if let Some(text) = answer.error_description {
                why.push_str(&format!(": {}", shown(&text)));
            }
            return Err(Error::auth(format!("the login was refused: {why}"))
                .hint("Log in once more and say yes, or ask whoever runs the server."));
        }
        answer
            .code
            .ok_or_else(|| Error::refused("the login's answer holds no code"))
    }
}

async fn receive(State(desk): State<Arc<Desk>>, Query(answer): Query<Answer>) -> Response {
    // Any page can send a browser here; only the one that was asked knows this.
    if answer.state.as_deref() != Some(desk.state.as_str()) {
        return page(
            StatusCode::BAD_REQUEST,
            "This is not the login that was asked for.",
        );
    }
    let refused = answer.error.is_some();
    // A second answer is one too many.
    if desk.answers.try_send(answer).is_err() {
        return page(StatusCode::BAD_REQUEST, "This login is over.");
    }
    if refused {
        page(
            StatusCode::OK,
            "The login was refused. You can close this window.",
        )
    } else {
        page(
            StatusCode::OK,
            "You can close this window and go back to where you came from.",
        )
    }
}

fn page(status: StatusCode, text: &str) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>medtainer</title><body style=\"font-family:sans-serif;margin:3em auto;max-width:30em\"><p>{text}</p>"
    );
    (status, headers, Html(html)).into_response()
}
