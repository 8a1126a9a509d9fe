//! What logs in to a remote server: a key, or what an authorization server granted, renewed in time.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OnceCell};

use super::oauth::{self, Challenge, Grant, Preset, Refreshed};
use super::remote::Http;
use super::shelf::{Kept, Shelf};
use crate::error::{Error, Kind, Result};

/// How long a person may take in the browser.
const LOGIN_PATIENCE: Duration = Duration::from_secs(300);

/// How long a request waits for that person: clients give up after a minute.
const REQUEST_PATIENCE: Duration = Duration::from_secs(50);

/// How long a login that failed is not tried again, lest every request opens another page.
const PAUSE: Duration = Duration::from_secs(60);

/// How long another process may take to renew a token.
const TURN_PATIENCE: Duration = Duration::from_secs(40);

/// Says something to the person, if there is one.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

type Outcome = std::result::Result<(), Arc<Error>>;

/// What logs in to one server; cheap to clone.
#[derive(Clone)]
pub struct Login(Arc<Inner>);

struct Inner {
    url: Url,
    given: Option<SecretString>,
    shelf: Option<Shelf>,
    preset: Preset,
    asks: bool,
    say: Say,
    loaded: OnceCell<()>,
    kept: StdMutex<Option<Kept>>,
    // Whoever renews holds it; the shelf's turn is the same among processes.
    renewing: Mutex<()>,
    page: StdMutex<Option<Page>>,
}

/// A login in the browser that is under way, or has just failed.
#[derive(Clone)]
struct Page {
    done: Shared<BoxFuture<'static, Outcome>>,
    url: Arc<StdMutex<Option<String>>>,
    since: Instant,
}

impl Login {
    /// Nothing but this key, or nothing at all.
    pub fn given(url: Url, key: Option<SecretString>) -> Self {
        Login::new(url, key, None, Preset::default(), false, Arc::new(|_| {}))
    }

    /// What the shelf holds; where it holds nothing that will do and `asks` says so, the browser is opened.
    pub fn kept(url: Url, shelf: Shelf, preset: Preset, asks: bool, say: Say) -> Self {
        Login::new(url, None, Some(shelf), preset, asks, say)
    }

    fn new(
        url: Url,
        given: Option<SecretString>,
        shelf: Option<Shelf>,
        preset: Preset,
        asks: bool,
        say: Say,
    ) -> Self {
        Login(Arc::new(Inner {
            url,
            given,
            shelf,
            preset,
            asks,
            say,
            loaded: OnceCell::new(),
            kept: StdMutex::default(),
            renewing: Mutex::default(),
            page: StdMutex::default(),
        }))
    }

    /// The token or key that the next request shows, renewed if it is about to expire.
    pub async fn shown(&self, http: &Http) -> Result<Option<SecretString>> {
        if let Some(key) = &self.0.given {
            return Ok(Some(key.clone()));
        }
        self.load().await?;
        let Some(kept) = self.kept_now() else {
            return Ok(None);
        };
        let grant = match kept {
            Kept::Key(key) => return Ok(Some(key)),
            Kept::Grant(grant) => grant,
        };
        let Some(tokens) = grant.tokens else {
            return Ok(None);
        };
        if tokens.is_about_to_expire() && tokens.refresh.is_some() {
            match self.refresh(http, Some(&tokens.access)).await {
                Ok(_) => {}
                // It may still do, and a request tells.
                Err(error) if error.kind() == Kind::Unavailable && !tokens.is_expired() => {
                    tracing::debug!(%error, "the token could not be renewed in time");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.access())
    }

    /// What is kept, for whoever looks.
    pub async fn kept_of(&self) -> Result<Option<Kept>> {
        self.load().await?;
        Ok(self.kept_now())
    }

    /// Sees to it that the next request shows something else than `shown`, or says why it cannot.
    ///
    /// `wider` is the answer to a token that is good but may not do this.
    pub(super) async fn renew(
        &self,
        http: &Http,
        wider: bool,
        challenge: Challenge,
        shown: Option<SecretString>,
    ) -> Result<()> {
        let is_key = self.0.given.is_some() || matches!(self.kept_now(), Some(Kept::Key(_)));
        if is_key {
            let url = &self.0.url;
            return Err(if wider {
                Error::refused("the key may not do this")
                    .hint(format!("Ask whoever runs `{url}` for a key that may."))
            } else {
                Error::auth("the server does not accept the key")
                    .hint(format!("Is it revoked, or another server's? `medtainer mcp bridge {url} --login` stores another."))
            });
        }
        if !wider && self.refresh(http, shown.as_ref()).await? {
            return Ok(());
        }
        self.in_browser(wider, challenge, shown).await
    }

    /// Renews the token that was shown, once however many ask; says whether there is another one now.
    pub async fn refresh(&self, http: &Http, shown: Option<&SecretString>) -> Result<bool> {
        let _alone = self.0.renewing.lock().await;
        if self.has_changed(shown) {
            return Ok(true);
        }
        let Some(shelf) = &self.0.shelf else {
            return Ok(false);
        };
        let Some(Kept::Grant(_)) = self.kept_now() else {
            return Ok(false);
        };
        let turn = shelf.turn(TURN_PATIENCE).await?;
        // Another process may have renewed it, and what this one has is worth nothing then.
        let newest = shelf.load().await?;
        self.adopt(newest.clone());
        let done = match newest {
            Some(Kept::Grant(grant)) if !self.has_changed(shown) => {
                self.refreshed(http, shelf, *grant).await
            }
            _ => Ok(self.has_changed(shown)),
        };
        turn.end().await;
        done
    }

    async fn refreshed(&self, http: &Http, shelf: &Shelf, mut grant: Grant) -> Result<bool> {
        let kept = match oauth::refresh(http, &mut grant).await? {
            Refreshed::Anew => Some(Kept::Grant(Box::new(grant))),
            Refreshed::Dead => {
                grant.tokens = None;
                Some(Kept::Grant(Box::new(grant)))
            }
            Refreshed::Unknown => None,
            Refreshed::Never => return Ok(false),
        };
        match &kept {
            Some(kept) => shelf.store(kept).await?,
            None => {
                shelf.forget().await?;
            }
        }
        self.adopt(kept);
        Ok(self.access().is_some())
    }

    /// Logs in with a person, who may take longer than the request that needs it.
    async fn in_browser(
        &self,
        wider: bool,
        challenge: Challenge,
        shown: Option<SecretString>,
    ) -> Result<()> {
        let url = &self.0.url;
        if !self.0.asks || self.0.shelf.is_none() {
            return Err(Error::auth(format!("not logged in to `{url}`"))
                .hint(format!("Run `medtainer mcp bridge {url} --login`, or name a variable that holds a key with `--key-env`.")));
        }
        let page = self.page(wider, challenge, shown);
        match tokio::time::timeout(REQUEST_PATIENCE, page.done.clone()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(again(&error)),
            Err(_) => {
                let open = page
                    .url
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let hint = match open {
                    Some(open) => format!("Log in at {open} and try again."),
                    None => "Another process is logging in; try again after that.".to_owned(),
                };
                Err(Error::auth("waiting for somebody to log in in the browser").hint(hint))
            }
        }
    }

    /// The login that is under way, or a new one.
    fn page(&self, wider: bool, challenge: Challenge, shown: Option<SecretString>) -> Page {
        let mut page = self.0.page.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = &*page {
            let failed = matches!(there.done.peek(), Some(Err(_)));
            let running = there.done.peek().is_none();
            if running || failed && there.since.elapsed() < PAUSE {
                return there.clone();
            }
        }
        let (me, open) = (self.clone(), Arc::new(StdMutex::new(None)));
        let shows = open.clone();
        let work = async move {
            let done = me.log_in(wider, &challenge, shown.as_ref(), &shows).await;
            done.map_err(Arc::new)
        };
        let new = Page {
            done: work.boxed().shared(),
            url: open,
            since: Instant::now(),
        };
        // It goes on when the request that began it has given up.
        tokio::spawn(new.done.clone());
        *page = Some(new.clone());
        new
    }

    /// Logs in now, whatever is kept.
    pub async fn log_in_now(&self, challenge: &Challenge) -> Result<()> {
        self.load().await?;
        let shown = self.access();
        self.log_in(true, challenge, shown.as_ref(), &StdMutex::default())
            .await
    }

    async fn log_in(
        &self,
        wider: bool,
        challenge: &Challenge,
        shown: Option<&SecretString>,
        open: &StdMutex<Option<String>>,
    ) -> Result<()> {
        let Some(shelf) = &self.0.shelf else {
            return Err(Error::internal("there is no place for a login"));
        };
        let _alone = self.0.renewing.lock().await;
        let turn = shelf.turn(LOGIN_PATIENCE).await?;
        let newest = shelf.load().await?;
        self.adopt(newest.clone());
        let has_more = |scopes: &[String]| {
            let wanted = challenge.scope.as_deref().unwrap_or_default();
            wanted
                .split_whitespace()
                .all(|scope| scopes.iter().any(|have| have == scope))
        };
        let done = match newest {
            // Somebody else has just logged in.
            Some(Kept::Grant(grant))
                if self.has_changed(shown)
                    && grant
                        .tokens
                        .as_ref()
                        .is_some_and(|tokens| !wider || has_more(&tokens.scopes)) =>
            {
                Ok(())
            }
            kept => {
                let before = match kept {
                    Some(Kept::Grant(grant)) => Some(*grant),
                    _ => None,
                };
                let show = |url: &str| {
                    *open.lock().unwrap_or_else(PoisonError::into_inner) = Some(url.to_owned());
                    (self.0.say)(&format!(
                        "Log in in the browser. If it does not open by itself, open\n{url}"
                    ));
                };
                // A client of its own: the request that began this may be gone.
                let http = Http::default();
                let granting =
                    oauth::log_in(&http, &self.0.url, challenge, before, &self.0.preset, &show);
                let granted = match tokio::time::timeout(LOGIN_PATIENCE, granting).await {
                    Ok(granted) => granted,
                    Err(_) => Err(Error::auth("nobody logged in in time").hint(format!(
                        "Run `medtainer mcp bridge {} --login`.",
                        self.0.url
                    ))),
                };
                match granted {
                    Ok(grant) => {
                        let kept = Kept::Grant(Box::new(grant));
                        let stored = shelf.store(&kept).await;
                        self.adopt(Some(kept));
                        stored
                    }
                    Err(error) => Err(error),
                }
            }
        };
        turn.end().await;
        done
    }

    async fn load(&self) -> Result<()> {
        let Some(shelf) = &self.0.shelf else {
            return Ok(());
        };
        let load = || async {
            self.adopt(shelf.load().await?);
            Ok(())
        };
        self.0.loaded.get_or_try_init(load).await.copied()
    }

    fn kept_now(&self) -> Option<Kept> {
        self.0
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn adopt(&self, kept: Option<Kept>) {
        *self.0.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    fn access(&self) -> Option<SecretString> {
        match self.kept_now()? {
            Kept::Key(key) => Some(key),
            Kept::Grant(grant) => grant.tokens.map(|tokens| tokens.access),
        }
    }

    /// Whether there is a token, and another one than was shown.
    fn has_changed(&self, shown: Option<&SecretString>) -> bool {
        let now = self.access();
        now.as_ref()
            .map(ExposeSecret::expose_secret)
            .is_some_and(|now| shown.map(ExposeSecret::expose_secret) != Some(now))
    }
}

/// The same error once more, for another who waited.
fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}
