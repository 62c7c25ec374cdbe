//! The response to a token check, encoded once and sent many times.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use super::AccessGranted;
use crate::{
    Result,
    api::{Reply as _, forward_auth, success},
};

/// The response to a token check that succeeded. It depends on the token alone: which level was asked for decides whether there is
/// one. A copy shares the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedGrant {
    // About the caller, in the order of `forward_auth::NAMES`. The other headers are the same for everybody.
    caller: [HeaderValue; 4],
    body: Bytes,
}

impl EncodedGrant {
    /// Encodes a response.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) when it cannot be written as JSON.
    pub fn new(granted: &AccessGranted) -> Result<Self> {
        let (head, body) = success::response(granted)?.into_parts();
        // One allocation that holds everything: a cache has many of these.
        let caller = forward_auth::NAMES.map(|name| head.headers.get(name).cloned());
        let length = caller.iter().flatten().map(HeaderValue::len).sum::<usize>() + body.len();
        let mut text = Vec::with_capacity(length);
        text.extend_from_slice(&body);
        caller.iter().flatten().for_each(|value| text.extend_from_slice(value.as_bytes()));
        let mut text = Bytes::from(text);
        let body = text.split_to(body.len());
        let caller = caller.map(|value| {
            let value = text.split_to(value.map_or(0, |value| value.len()));
            // These are the bytes of a header value, or none.
            HeaderValue::from_maybe_shared(value).unwrap_or(HeaderValue::from_static(""))
        });
        Ok(Self { caller, body })
    }

    /// Returns the response that [`success::response`] returns, with its headers in a map that is cleared first: that of the request,
    /// which is no longer needed, saves the memory of another one.
    pub fn into_response(self, mut headers: HeaderMap) -> Response<Bytes> {
        headers.clear();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(AccessGranted::CACHE));
        for (name, value) in forward_auth::NAMES.into_iter().zip(self.caller) {
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = Response::new(self.body);
        *response.headers_mut() = headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Level, RoleName, UserId, Username, name::Stored as _};

    proptest! {
        #[test]
        fn the_response_is_that_of_the_reply(
            username in "[\\PC]{1,50}",
            roles in prop::collection::vec("[a-z0-9 ü]{3,50}", 0..60),
            level in 0..100_000_u32,
        ) {
            let granted = AccessGranted {
                public_id: UserId::random(),
                username: Username::stored(username),
                level: Level::clamped(level),
                roles: roles.into_iter().map(RoleName::stored).collect(),
            };
            let (expected, expected_body) = success::response(&granted).unwrap().into_parts();
            let mut used = HeaderMap::new();
            used.append("cache-control", HeaderValue::from_static("max-age=0"));
            used.append("x-access-token", HeaderValue::from_static("secret"));
            let encoded = EncodedGrant::new(&granted).unwrap();
            let (head, body) = encoded.clone().into_response(used).into_parts();
            prop_assert_eq!(head.status, expected.status);
            // In the same order, too.
            let lines = |headers: &HeaderMap| headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
            prop_assert_eq!(lines(&head.headers), lines(&expected.headers));
            prop_assert_eq!(body, expected_body);
        }
    }
}
