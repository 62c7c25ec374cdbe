use proptest::prelude::*;
use serde_json::json;

use super::*;

fn har(entries: serde_json::Value) -> Vec<u8> {
    json!({ "log": { "version": "1.2", "creator": { "name": "x" }, "entries": entries } }).to_string().into_bytes()
}

#[test]
fn a_har_file_yields_the_requests_to_authy() {
    let bytes = har(json!([
        { "request": { "method": "POST", "url": "https://shop.example/api/authy/login?x=1#top", "httpVersion": "h2",
              "headers": [
                  { "name": ":authority", "value": "shop.example" },
                  { "name": "Cookie", "value": "session=1" },
                  { "name": "Content-Type", "value": "application/json" },
                  { "name": "X-Access-Token", "value": "a.b.c" },
              ],
              "postData": { "mimeType": "application/json", "text": "{\"username\":\"ada\"}" } },
          "response": { "status": 200, "content": { "encoding": "base64", "text": "eyJ0b2tlbiI6ImQuZS5mIn0=" } } },
        { "request": { "method": "GET", "url": "https://shop.example/logo.png" }, "response": {} },
        { "request": { "method": "GET", "url": "data:image/png;base64,/authy/" } },
        { "request": { "method": "get", "url": "https://shop.example/.well-known/jwks.json" },
          "response": { "content": { "text": "{\"token\":1}" } } },
    ]));
    let recording = Recording::parse(&bytes).unwrap();
    assert_eq!((recording.requests.len(), recording.elsewhere), (2, 2));
    let [login, keys] = &recording.requests[..] else { panic!() };
    assert_eq!(
        (login.place, &login.method, login.target.as_str()),
        (Place::Entry(1), &Method::POST, "/authy/login?x=1")
    );
    assert_eq!((login.headers.len(), login.headers["x-access-token"].as_bytes()), (2, &b"a.b.c"[..]));
    assert_eq!(&*login.body, b"{\"username\":\"ada\"}");
    assert_eq!(login.answered_token.as_ref().map(Secret::expose), Some("d.e.f"));
    assert_eq!((keys.target.as_str(), keys.answered_token.is_none()), ("/.well-known/jwks.json", true));
    assert!(!format!("{recording:?}").contains("a.b.c"), "headers with a token are not shown");
}

#[test]
fn lines_yield_requests_with_json_or_text_as_their_body() {
    let lines = r#"
        {"path":"/authy/user","token_of":"ada"}
        {"method":"POST","path":"/authy/login","body":{"username":"ada","password":"x"}}

        {"method":"PUT","path":"https://a.example/authy/user/1","body":"text","headers":{"content-type":"text/plain"}}
        {"path":"/authyx"}"#;
    let recording = Recording::parse(lines.as_bytes()).unwrap();
    assert_eq!((recording.requests.len(), recording.elsewhere), (3, 1));
    let [user, login, change] = &recording.requests[..] else { panic!() };
    assert_eq!((user.place, &user.method, user.token_of.as_deref()), (Place::Line(2), &Method::GET, Some("ada")));
    assert_eq!(login.headers["content-type"], "application/json");
    assert_eq!(&*login.body, br#"{"password":"x","username":"ada"}"#);
    assert_eq!(
        (change.place, &**change.body, change.headers["content-type"].as_bytes()),
        (Place::Line(5), &b"text"[..], &b"text/plain"[..])
    );
}

#[test]
fn what_cannot_be_read_is_named_by_its_place_and_quotes_nothing() {
    let long = format!(r#"{{"path":"/authy","body":"{}"}}"#, "x".repeat(MAX_LINE_BYTES));
    let good = r#"{"path":"/authy/user"}"#;
    for (line, part) in [
        ("{nonsense", "line 2: is no JSON"),
        (r#"{"method":"GET"}"#, "line 2: has no field path"),
        (r#"{"path":"/authy","hunter2":1}"#, "line 2: has a field that is unknown"),
        (r#"{"path":"/authy","headers":"hunter2"}"#, "line 2: has a field that is unknown"),
        (r#"{"path":"/authy","method":"hunter 2"}"#, "line 2: has a method"),
        (r#"{"path":"/authy/hunter2 "}"#, "line 2: has a path"),
        (r#"{"path":"/authy","headers":{"x-access-token":"hunter2\u0000"}}"#, "line 2: has a header x-access-token"),
        (&long, "line 2: is longer"),
    ] {
        let refused = Recording::parse(format!("{good}\n{line}\n").as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with(part) && !refused.contains("hunter2"), "{refused}");
    }
    for (bytes, part) in [
        (har(json!([{ "request": { "method": "GET" } }])), "is no HAR file: has no field url"),
        (har(json!("hunter2")), "is no HAR file: has a field"),
        (
            har(json!([{ "request": { "method": "G T", "url": "https://a/authy/hunter2" } }, 1])),
            "entry 1: has a method",
        ),
        (b"{\"log\":{}}".to_vec(), "is no HAR file: has no field entries"),
        (har(json!([])), "contains no requests"),
        (b" \n".to_vec(), "contains no requests"),
    ] {
        let refused = Recording::parse(&bytes).unwrap_err().to_string();
        assert!(refused.starts_with(part) && !refused.contains("hunter2"), "{refused}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_requests_to_authy_or_refused_without_a_quotation(
        text in "\\PC*|(\\{\"(path|method|body|log|headers)\":(\"[/a-z?]{0,12}hunter2\"|\\{|\\[)[,:}\\]\"]{0,4}\\n?){0,4}"
    ) {
        match Recording::parse(text.as_bytes()) {
            Ok(recording) => {
                for request in &recording.requests {
                    let path = request.target.path();
                    prop_assert!(path.starts_with("/authy") || path.starts_with("/.well-known/"));
                }
            }
            Err(refused) => prop_assert!(!refused.to_string().contains("hunter2")),
        }
    }

    #[test]
    fn the_path_of_any_url_begins_with_authy(before in "(/[a-z.]{0,6}){0,3}", behind in "(/[a-z.]{0,6}){0,3}(\\?[a-z=/]{0,8})?") {
        let expected = format!("/authy{behind}");
        for url in [format!("{before}/authy{behind}"), format!("https://shop.example:8443{before}/authy{behind}#x")] {
            let found = target(&url).unwrap().unwrap();
            prop_assert!(found.as_str().ends_with(&expected), "{url}: {found}");
        }
    }
}
