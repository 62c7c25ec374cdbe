//! The tokens of replayed logins, in place of the recorded ones. A recorded token is one of the old system.

use std::collections::HashMap;

use authy_core::Secret;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Sides,
    answer::Answer,
    recording::{ACCESS_TOKEN, RecordedRequest},
};

/// The tokens that both servers returned for the same login. One without a token refused it.
type TokenPair = Sides<Option<Secret>>;

/// The tokens of all replayed logins.
#[derive(Default)]
pub(super) struct Tokens {
    /// With the token in the recorded answer.
    recorded: Vec<(Secret, TokenPair)>,
    by_user: HashMap<String, TokenPair>,
}

/// What a request is sent with.
pub(super) enum Presented<'a> {
    /// What was recorded: no token, or one without a replayed login.
    AsRecorded { is_with_token: bool },
    /// The token of a replayed login.
    Replaced(Sides<&'a Secret>),
    /// The login of the user was not replayed, or one of both servers refused it.
    Unknown,
}

#[derive(Deserialize)]
struct LoginBody {
    username: String,
}

impl Tokens {
    /// Returns what a request is sent with.
    pub(super) fn of(&self, request: &RecordedRequest) -> Presented<'_> {
        let recorded = recorded_token(&request.headers);
        let pair = match (&request.token_of, recorded) {
            (Some(username), _) => self.by_user.get(username),
            (None, Some(token)) => match self.recorded.iter().rev().find(|(recorded, _)| recorded.expose() == token) {
                Some((_, pair)) => Some(pair),
                None => return Presented::AsRecorded { is_with_token: true },
            },
            (None, None) => return Presented::AsRecorded { is_with_token: false },
        };
        match pair {
            Some(Sides { old: Some(old), new: Some(new) }) => Presented::Replaced(Sides { old, new }),
            _ => Presented::Unknown,
        }
    }

    /// Takes the tokens in the answers to a request.
    pub(super) fn take(&mut self, request: &RecordedRequest, answers: &Sides<Answer>) {
        let token = |answer: &Answer| answer.token().map(Secret::new);
        let pair = Sides { old: token(&answers.old), new: token(&answers.new) };
        if let Some(recorded) = &request.answered_token {
            self.recorded.push((recorded.clone(), pair.clone()));
        }
        if pair == Sides::default() {
            return;
        }
        if let Ok(LoginBody { username }) = serde_json::from_slice(&request.body) {
            self.by_user.insert(username, pair);
        }
    }
}

/// Returns the token in the headers of a request.
pub(super) fn recorded_token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get(ACCESS_TOKEN) {
        return token.to_str().ok();
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim_start())
}

/// Puts a token into the headers of a request, in the way of the recorded one.
pub(super) fn replace(headers: &mut HeaderMap, token: &Secret) {
    let is_bearer = headers.contains_key(AUTHORIZATION) && !headers.contains_key(ACCESS_TOKEN);
    let text = match is_bearer {
        true => Zeroizing::new(format!("Bearer {}", token.expose())),
        false => Zeroizing::new(token.expose().to_owned()),
    };
    // A token that no header can have came from a server that is none of ours: without it, the answers say so.
    let Ok(mut value) = HeaderValue::from_str(&text) else { return };
    value.set_sensitive(true);
    headers.remove(AUTHORIZATION);
    headers.insert(if is_bearer { AUTHORIZATION } else { ACCESS_TOKEN }, value);
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::{super::answer::Body, super::recording::Recording, *};

    fn request(line: &serde_json::Value) -> RecordedRequest {
        Recording::parse(line.to_string().as_bytes()).unwrap().requests.remove(0)
    }

    fn answer(status: StatusCode, token: &str) -> Answer {
        Answer::Received { status, body: Body::Json(json!({ "token": token })) }
    }

    #[test]
    fn the_token_of_a_replayed_login_replaces_the_recorded_one_on_each_side() {
        let mut login = request(&json!({ "path": "/authy/login", "body": { "username": "ada", "password": "x" } }));
        login.answered_token = Some(Secret::new("recorded"));
        let mut tokens = Tokens::default();
        let (ok, refused) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
        let by_header = request(&json!({ "path": "/authy/user", "headers": { "X-Access-Token": "recorded" } }));
        let by_bearer = request(&json!({ "path": "/authy/user", "headers": { "authorization": "bearer recorded" } }));
        let by_name = request(&json!({ "path": "/authy/user", "token_of": "ada" }));
        assert!(matches!(tokens.of(&by_header), Presented::AsRecorded { is_with_token: true }));
        assert!(matches!(tokens.of(&by_name), Presented::Unknown));

        tokens.take(&login, &Sides { old: answer(ok, "of old"), new: answer(ok, "of new") });
        for request in [&by_header, &by_bearer, &by_name] {
            let Presented::Replaced(Sides { old, new }) = tokens.of(request) else { panic!() };
            let mut headers = request.headers.clone();
            replace(&mut headers, old);
            assert_eq!((recorded_token(&headers), headers.len(), new.expose()), (Some("of old"), 1, "of new"));
        }
        assert!(matches!(
            tokens.of(&request(&json!({ "path": "/authy/user" }))),
            Presented::AsRecorded { is_with_token: false }
        ));

        // Refused by one server, what needs the token cannot be compared.
        tokens.take(&login, &Sides { old: answer(ok, "of old"), new: answer(refused, "none") });
        for request in [&by_header, &by_bearer, &by_name] {
            assert!(matches!(tokens.of(request), Presented::Unknown));
        }
    }
}
