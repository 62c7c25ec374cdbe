//! How many bytes a cached token takes, with what is made from it later.

use std::mem::size_of;

use super::CachedToken;
use crate::{RoleName, claims::Token};

/// Bytes per entry beside the token itself: the key, the links of the list, the slot of the table, and the counts of an `Arc`.
const SLOT: usize = 144;

/// Bytes that an allocation takes beside its content, and for alignment.
const ALLOCATION: usize = 16;

/// Bytes of an encoded response beside name and roles: its allocation, the ID twice, the level twice, and the names of the fields.
const ENCODED: usize = 240;

/// Returns the size of an entry in bytes. What is made from the token is counted as a response that
/// [`EncodedGrant`](crate::api::session::EncodedGrant) encodes, unless a `T` has no size.
pub(super) fn of_entry<T>(token: &Token) -> u64 {
    let identity = &token.identity;
    let (username, roles) = (identity.username.as_ref(), identity.roles.as_ref());
    let role_names = || roles.iter().flat_map(|roles| roles.iter()).map(RoleName::as_str);
    let mut size = SLOT + size_of::<CachedToken<T>>();
    size += username.map_or(0, |name| ALLOCATION + name.as_str().len());
    size += roles.map_or(0, |roles| ALLOCATION + roles.capacity() * size_of::<RoleName>());
    size += role_names().map(|name| ALLOCATION + name.len()).sum::<usize>();
    if size_of::<T>() > 0 {
        size += ENCODED + username.map_or(0, |name| encoded(name.as_str()));
        // With quotes and a comma in the body, and a comma in the header.
        size += role_names().map(|name| encoded(name) + 4).sum::<usize>();
    }
    size as u64
}

/// Returns the length of a name in JSON and in a header, where it is percent-encoded, together.
fn encoded(name: &str) -> usize {
    let length = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => 1 + 1,
        _ if byte.is_ascii_alphanumeric() => 1 + 1,
        b'"' | b'\\' => 2 + 3,
        0..=0x1f => 6 + 3,
        _ => 1 + 3,
    };
    name.bytes().map(length).sum()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Identity, Level, SessionId, UserId, Username,
        api::{
            forward_auth,
            session::{AccessGranted, EncodedGrant},
        },
        name::Stored as _,
        time,
    };

    proptest! {
        #[test]
        fn the_size_is_that_of_all_parts_and_not_much_more(
            username in "\\PC{1,50}|[a-z\"\\\\\n\u{1}]{1,50}",
            roles in prop::collection::vec("[a-z0-9 ü\"]{3,50}", 0..20),
            level in 0..100_000_u32,
        ) {
            let granted = AccessGranted {
                public_id: UserId::random(),
                username: Username::stored(username),
                level: Level::clamped(level),
                roles: roles.into_iter().map(RoleName::stored).collect(),
            };
            let (head, body) =
                EncodedGrant::new(&granted).unwrap().into_response(HeaderMap::new()).into_parts();
            let names = [forward_auth::PUBLIC_ID, forward_auth::USERNAME, forward_auth::LEVEL, forward_auth::ROLES];
            let headers: usize = names.iter().filter_map(|name| head.headers.get(name)).map(|value| value.len()).sum();
            let AccessGranted { public_id, username, level, roles } = granted;
            let texts = username.as_str().len() + roles.iter().map(|name| name.as_str().len()).sum::<usize>();
            let vector = roles.capacity() * size_of::<RoleName>();
            let identity = Identity {
                public_id,
                username: Some(username),
                level,
                roles: Some(roles),
                ver: 1,
                session_id: SessionId::random(),
                expires: time::from_unix_seconds(0),
            };
            let token = Token::new(identity, "key".into());
            let parts = size_of::<CachedToken<Option<EncodedGrant>>>() + texts + vector + headers + body.len();
            let size = of_entry::<Option<EncodedGrant>>(&token) as usize;
            // The roles are left out of the header when they are too long for it.
            prop_assert!(size >= parts && size <= parts * 2 + 600, "{size} for {parts}");
            prop_assert!(of_entry::<()>(&token) as usize >= size_of::<CachedToken>() + texts + vector);
        }
    }
}
