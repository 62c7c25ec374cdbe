//! The service itself: its endpoints, documents and status.

use std::{collections::HashSet, time::Duration};

use authy_core::{
    Error, ErrorKind, Result,
    api::{
        self, Endpoint, Info, Nothing,
        system::{AsyncApi, EndpointEntry, EndpointList, GetRateLimited, GetStatus, OpenApi, ServerMetadata, Status},
    },
};

use crate::{asyncapi, call::Call, openapi, table::methods};

pub(crate) fn endpoints() -> EndpointList {
    list(|_| true)
}

/// The list of what is not for administrators alone.
pub(crate) fn public_endpoints() -> EndpointList {
    list(|info| !info.access.is_administrative())
}

fn list(includes: fn(&Info) -> bool) -> EndpointList {
    let all = || api::all().filter(|info| includes(info));
    let mut seen = HashSet::new();
    let entries = all().filter(|first| seen.insert(first.path)).map(|first| EndpointEntry {
        url: first.path.replace('{', "<").replace('}', ">"),
        methods: methods(all().filter(|info| info.path == first.path)).into_iter().map(str::to_owned).collect(),
    });
    EndpointList { endpoints: entries.collect() }
}

pub(crate) async fn status(call: Call<'_, GetStatus>) -> Result<Status> {
    let (message, version) = ("authy is here".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Ok(Status { message, version, metadata: call.authy.metadata() })
}

/// Answers both paths of the document.
pub(crate) async fn metadata<E>(call: Call<'_, E>) -> Result<ServerMetadata>
where
    E: Endpoint<Path = (), Request = Nothing, Response = ServerMetadata>,
{
    Ok(call.authy.metadata())
}

pub(crate) async fn rate_limited(_: Call<'_, GetRateLimited>) -> Result<Nothing> {
    Err(Error::new(ErrorKind::RateLimited, "this endpoint always says so").with_retry_after(Duration::from_secs(1)))
}

pub(crate) fn openapi() -> OpenApi {
    OpenApi { document: openapi::document() }
}

/// The document of what is not for administrators alone.
pub(crate) fn public_openapi() -> OpenApi {
    OpenApi { document: openapi::public_document() }
}

pub(crate) fn asyncapi() -> AsyncApi {
    AsyncApi { document: asyncapi::document() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_one_entry_a_path_with_parameters_in_angle_brackets() {
        let list = endpoints().endpoints;
        let users = list.iter().find(|entry| entry.url == "/authy/role/<role_name>/users").unwrap();
        assert_eq!(users.methods, ["OPTIONS", "HEAD", "GET"]);
        let urls: HashSet<_> = list.iter().map(|entry| &entry.url).collect();
        assert_eq!(urls.len(), list.len());
        assert!(api::all().all(|info| urls.contains(&info.path.replace('{', "<").replace('}', ">"))));
    }
}
