//! Resources: commands that read, by address. They go the way of a tool call, under the same grant.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    Annotations, CacheScope, ErrorData, ListResourceTemplatesResult, ListResourcesResult,
    PaginatedRequestParams, ReadResourceResult, ResourceContents, ResourceTemplate, Role,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::grant::Grant;
use super::{LIST_TTL, Server, millis, one_page, result};
use crate::answer::{Metadata, Source};
use crate::error::{Error, Kind};
use crate::resource::{File, Form, Resource};
use crate::tree::Leaf;
use crate::ui::progress::Nobody;

/// How long a client may keep what it read; what is stale already it may not.
const READ_TTL: Duration = Duration::from_secs(60);

impl Server {
    /// The resources that whoever has this grant may read, each with its command.
    pub(super) fn readable<'a>(
        &'a self,
        grant: &'a Grant,
    ) -> impl Iterator<Item = (&'static Resource, &'a Leaf)> {
        let all = self.0.app.product.all_resources();
        all.filter_map(|resource| Some((resource, self.reading(grant, resource.command)?)))
    }

    /// The command of these words, where whoever has this grant may call it now.
    pub(super) fn reading(&self, grant: &Grant, words: &str) -> Option<&Leaf> {
        let path: Vec<_> = words.split(' ').collect();
        self.permitted(grant, &path)
            .filter(|leaf| grant.covers(leaf))
    }

    /// What can be read as it is.
    pub(super) fn resources(
        &self,
        page: Option<PaginatedRequestParams>,
        grant: &Grant,
    ) -> Result<ListResourcesResult, ErrorData> {
        one_page(page)?;
        let all = self.readable(grant);
        let listed = all
            .filter(|(resource, _)| resource.is_concrete())
            .map(|(resource, leaf)| {
                rmcp::model::Resource::new(self.uri(resource), resource.name())
                    .with_title(resource.title)
                    .with_description(about(leaf))
                    .with_mime_type(media(resource))
                    .with_annotations(for_both())
            });
        let list = ListResourcesResult::with_all_items(listed.collect());
        Ok(list
            .with_ttl_ms(millis(LIST_TTL))
            .with_cache_scope(CacheScope::Private))
    }

    /// What can be read once its arguments are filled in.
    pub(super) fn templates(
        &self,
        page: Option<PaginatedRequestParams>,
        grant: &Grant,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        one_page(page)?;
        let all = self.readable(grant);
        let listed = all
            .filter(|(resource, _)| !resource.is_concrete())
            .map(|(resource, leaf)| {
                ResourceTemplate::new(self.uri(resource), resource.name())
                    .with_title(resource.title)
                    .with_description(about(leaf))
                    .with_mime_type(media(resource))
                    .with_annotations(for_both())
            });
        let list = ListResourceTemplatesResult::with_all_items(listed.collect());
        Ok(list
            .with_ttl_ms(millis(LIST_TTL))
            .with_cache_scope(CacheScope::Private))
    }

    /// Reads what is at an address: calls its command.
    pub(super) async fn read(
        &self,
        uri: &str,
        grant: &Grant,
        gone: &CancellationToken,
    ) -> Result<ReadResourceResult, ErrorData> {
        let Some((resource, given)) = self.at(uri) else {
            return Err(nothing_at(uri));
        };
        let path: Vec<_> = resource.command.split(' ').collect();
        let mut call = self.invocation(grant, Arc::new(Nobody));
        if let Form::Answer = resource.form {
            // A file is whole or is none; an answer says where it goes on.
            call.part.room = Some(result::Form::Text.room());
        }
        let leaf = match self.granted(grant, &path, &given, &call).await {
            Ok(leaf) => leaf,
            // What may not be read is as if it were not there.
            Err(None) => return Err(nothing_at(uri)),
            Err(Some(told)) => {
                let told = told.outcome.as_ref().err();
                return Err(told.map_or_else(|| nothing_at(uri), |error| refused(uri, error)));
            }
        };
        let cancel = call.cancel.clone();
        let leave = self.leave(grant, &path);
        let work = self.run(&path, leaf, given, call);
        let through = self.through(&leave, leaf.effect, work, cancel, gone);
        let answer = through.await.unwrap_or_else(|told| *told);
        let answer = self.sealed(grant, &path, answer);
        let data = answer.outcome.as_ref().map_err(|e| refused(uri, e))?;
        let text = match resource.form {
            Form::Answer => answer.json(),
            Form::File(file) => {
                written(&file, &data.json, &answer.metadata).map_err(|e| refused(uri, &e))?
            }
        };
        let contents = ResourceContents::text(text, uri).with_mime_type(media(resource));
        let ttl = match answer.metadata.source {
            Some(Source::Stale) => Duration::ZERO,
            _ => READ_TTL,
        };
        Ok(ReadResourceResult::new(vec![contents])
            .with_ttl_ms(millis(ttl))
            .with_cache_scope(CacheScope::Private))
    }

    fn at(&self, uri: &str) -> Option<(&'static Resource, Map<String, Value>)> {
        let scheme = self.0.app.product.name;
        let mut all = self.0.app.product.all_resources();
        all.find_map(|resource| Some((resource, resource.given(scheme, uri)?)))
    }

    fn uri(&self, resource: &Resource) -> String {
        resource.uri(self.0.app.product.name)
    }
}

fn about(leaf: &Leaf) -> String {
    let about = leaf.clap().get_about().map(ToString::to_string);
    about.unwrap_or_default()
}

fn media(resource: &Resource) -> &'static str {
    match resource.form {
        Form::Answer => "application/json",
        Form::File(file) => file.media,
    }
}

fn for_both() -> Annotations {
    Annotations::default().with_audience(vec![Role::User, Role::Assistant])
}

/// The data in its format, below what the reader should know of it.
fn written(file: &File, data: &RawValue, metadata: &Metadata) -> Result<String, Error> {
    let data: Value = serde_json::from_str(data.get())
        .map_err(|e| Error::internal("an answer does not parse").because(e))?;
    let from = metadata.source.map(|source| match metadata.as_of {
        Some(at) => format!("{}, as of {}", source.as_str(), at.to_rfc3339()),
        None => source.as_str().to_owned(),
    });
    let warnings = metadata.warnings.iter();
    let notes = from
        .into_iter()
        .chain(warnings.map(|warning| format!("warning: {warning}")));
    let mut text = String::new();
    for note in notes {
        // A note has one line, whatever a provider put into it.
        let note = note.replace(char::is_control, " ");
        text.push_str(&format!("{}{note}\n", file.comment));
    }
    text.push_str(&(file.write)(&data)?);
    Ok(text)
}

fn nothing_at(uri: &str) -> ErrorData {
    ErrorData::resource_not_found(
        format!("there is no resource `{uri}`"),
        Some(json!({ "uri": uri })),
    )
}

/// Why the command did not answer, for a client that has no result to put it into.
fn refused(uri: &str, error: &Error) -> ErrorData {
    let message = error.message().to_owned();
    let data = Some(json!({
        "uri": uri,
        "kind": error.kind().as_str(),
        "hint": error.hint_text(),
        "details": error.details_value(),
    }));
    match error.kind() {
        Kind::NotFound => ErrorData::resource_not_found(message, data),
        Kind::Usage | Kind::Conflict => ErrorData::invalid_params(message, data),
        _ => ErrorData::internal_error(message, data),
    }
}
