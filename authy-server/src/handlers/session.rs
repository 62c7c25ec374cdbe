//! Sessions: login, refresh, logout, token checks, and what verifiers of tokens need.

use std::{fmt::Display, ops::Deref};

use authy_core::{
    Error, ErrorKind, Result,
    api::{
        Endpoint, Nothing,
        session::{
            AccessGranted, CheckAccess, EndOtherSessions, EndSession, EndUserSessions, GetRevocations, JwkSet,
            ListSessions, Login, Logout, Refresh, RevocationPage, SessionList, Tokens,
        },
    },
    engine::RevocationBatch,
    revocation::Cursor,
};
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    future::{Either, ready},
    stream,
};
use http::HeaderMap;

use crate::{
    call::Call,
    reply::{self, FullResponse},
    stream::event,
};

pub(crate) async fn log_in(call: Call<'_, Login>) -> Result<Tokens> {
    call.authy.sessions().login(call.caller, call.request).await
}

pub(crate) async fn refresh(call: Call<'_, Refresh>) -> Result<Tokens> {
    call.authy.sessions().refresh(call.caller, call.request).await
}

pub(crate) async fn log_out(call: Call<'_, Logout>) -> Result<Nothing> {
    call.authy.sessions().logout(call.caller).await?;
    Ok(Nothing {})
}

pub(crate) async fn list(call: Call<'_, ListSessions>) -> Result<SessionList> {
    Ok(SessionList { sessions: call.authy.sessions().list(call.identity()?).await? })
}

pub(crate) async fn end_others(call: Call<'_, EndOtherSessions>) -> Result<Nothing> {
    call.authy.sessions().end_others(call.caller).await?;
    Ok(Nothing {})
}

pub(crate) async fn end(call: Call<'_, EndSession>) -> Result<Nothing> {
    call.authy.sessions().end(call.caller, call.identity()?.public_id, call.path.0).await?;
    Ok(Nothing {})
}

pub(crate) async fn end_all_of(call: Call<'_, EndUserSessions>) -> Result<Nothing> {
    call.authy.sessions().end_all(call.caller, call.path.0).await?;
    Ok(Nothing {})
}

pub(crate) async fn check_access(call: Call<'_, CheckAccess>) -> Result<AccessGranted> {
    let (identity, (level,)) = (call.identity()?, call.path);
    match identity.level.at_least(level) {
        true => call.authy.sessions().access_granted(identity).await,
        false => Err(Error::new(ErrorKind::InsufficientLevel, "your level is not powerful enough for this")),
    }
}

/// Answers both paths of the key set.
pub(crate) async fn keys<E>(call: Call<'_, E>) -> Result<JwkSet>
where
    E: Endpoint<Path = (), Request = Nothing, Response = JwkSet>,
{
    Ok(JwkSet::clone(&call.authy.keys().published()))
}

pub(crate) fn revocations(call: Call<'_, GetRevocations>, headers: &HeaderMap) -> Result<FullResponse> {
    let snapshot = call.authy.revocations().snapshot(call.request.after.as_ref())?;
    Ok(reply::tagged(snapshot.body, &snapshot.etag, headers))
}

/// Maximum number of revocations per event. A follower reads events one at a time, so its memory is bounded.
const REVOCATIONS_PER_EVENT: usize = 1000;

pub(crate) async fn revocation_stream(
    call: Call<'_, GetRevocations>,
    last_event_id: Option<&str>,
) -> Result<impl Stream<Item = Bytes> + Send + use<>> {
    // The id of the last event is newer than the query of a client that reconnects. An id of another server is ignored.
    let resumed = last_event_id.and_then(|id| id.parse::<Cursor>().ok());
    let batches = call.authy.revocations().follow(resumed.or(call.request.after).as_ref()).await?;
    let texts = batches.enumerate().flat_map(|(number, batch)| match number {
        // The first batch is written for this follower alone and may be long: part by part, as it is read.
        0 => Either::Left(stream::iter(events(batch))),
        // Later batches are written once for all followers.
        _ => Either::Right(stream::once(ready(batch.encoded(concat)))),
    });
    Ok(texts)
}

fn concat(batch: &RevocationBatch) -> Bytes {
    events(batch).collect::<Vec<_>>().concat().into()
}

/// Returns the events of a batch. Only the last one has an id: a follower that loses the stream before it gets the
/// batch again.
fn events(batch: impl Deref<Target = RevocationBatch>) -> impl Iterator<Item = Bytes> {
    let parts = batch.revocations.len().div_ceil(REVOCATIONS_PER_EVENT).max(1);
    (1..=parts).map(move |number| {
        let (cursor, as_of_ms) = (batch.cursor, batch.as_of_ms);
        let revocations = batch
            .revocations
            .iter()
            .skip((number - 1) * REVOCATIONS_PER_EVENT)
            .take(REVOCATIONS_PER_EVENT)
            .cloned()
            .collect();
        let id = (number == parts).then_some(&cursor as &dyn Display);
        event(id, &RevocationPage { revocations, cursor, as_of_ms })
    })
}
