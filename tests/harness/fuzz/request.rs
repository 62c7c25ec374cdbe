//! The path, the query and the body of a request, as every endpoint reads them.

use std::{any::type_name, collections::BTreeSet, sync::LazyLock};

use authy_core::api::{self, Endpoint, FromFields as _, Info, Method, PathParams as _, Visitor};
use authy_server::fuzz::{Routes, fields};
use http::{Request, header::CONTENT_TYPE, request::Parts};

use super::FuzzTarget;

/// Reads what was sent as every type of request, once each.
struct Readers<'a> {
    head: Parts,
    body: &'a [u8],
    in_query: bool,
    read: BTreeSet<&'static str>,
}

impl Visitor for Readers<'_> {
    fn visit<E: Endpoint>(&mut self) {
        let info: &'static Info = const { &E::INFO };
        let in_query = info.method == Method::GET || info.method == Method::DELETE;
        if in_query != self.in_query || !self.read.insert(type_name::<E::Request>()) {
            return;
        }
        let Some(fields) = fields(info, &self.head, self.body) else { return };
        match E::Request::from_fields(fields) {
            // What was accepted is written and read again as the same.
            Ok(request) if !self.in_query => {
                let written = serde_json::to_vec(&request).unwrap();
                let fields = api::Fields::from_json(&written).unwrap();
                let again = E::Request::from_fields(fields).unwrap();
                assert_eq!(serde_json::to_vec(&again).unwrap(), written, "{}", type_name::<E::Request>());
            }
            Ok(_) => {}
            Err(error) => {
                let written: usize = error.fields().iter().map(|wrong| wrong.field.len() + wrong.message.len()).sum();
                // What is said of a request is not longer than what was sent, but for the words of each field.
                assert!(written <= 1000 + 200 * error.fields().len(), "{written}");
            }
        }
    }
}

fn read(head: Parts, body: &[u8], in_query: bool) {
    api::visit(&mut Readers { head, body, in_query, read: BTreeSet::new() });
}

pub(super) const QUERY: FuzzTarget = FuzzTarget {
    name: "query",
    run: |input| {
        let uri = [b"/authy?".as_slice(), input].concat();
        // What is no URI is refused before anything of ours sees it.
        if let Ok(request) = Request::get(uri.as_slice()).body(()) {
            read(request.into_parts().0, b"", true);
        }
    },
    seeds: || {
        [
            "page=2&per_page=50&q=ad%C3%A4",
            "page=101",
            "per_page=7&after=AQAAAAAAAAAAAA",
            "after=AQMDAwMDAwMDAwMAAAAAAAAABwAAAAAAAAAAAAAAAAAAAAA&deleted=true",
            "erase=true",
            "role=shop%20keeper&deleted=true&validated=false&q=a",
            "after=7312345678901234567-3-4711",
            "after=7312345678901234567-4711",
            "kind=session.opened&limit=10&user=00000000-0000-4000-8000-000000000000",
            "order=asc&since=2019-06-11T12:03:09.123456%2B02:00",
            "a=1&a=2&b&=c&+%20=%",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "&",
        "=",
        "%",
        "+",
        "%00",
        "%C3%A4",
        "%ff",
        "page=",
        "per_page",
        "q=",
        "after=",
        "limit=",
        "user=",
        "kind=",
        "order=asc",
        "since=2019-06-11T10:03:09Z",
        "erase=true",
        "role=",
        "deleted=false",
        "1",
        "a=1",
        "a=1&",
        ";",
        "[]",
    ],
    dearest: |length| {
        vec![
            super::numbered(length, |n| format!("n{n}&")).into(),
            super::numbered(length, |n| format!("n{n}&n{n}&")).into(),
            super::numbered(length, |n| format!("n{n}=%C3%A4&n{n}=%00&")).into(),
            super::numbered(length, |n| format!("page=1&q=x&n{n}&")).into(),
        ]
    },
};

pub(super) const BODY: FuzzTarget = FuzzTarget {
    name: "body",
    run: |input| {
        let request = Request::post("/authy").header(CONTENT_TYPE, "application/json").body(()).unwrap();
        read(request.into_parts().0, input, false);
    },
    seeds: || {
        [
            r#"{"username":"ada","password":"tangerine-lighthouse-42"}"#,
            r#"{"username":"ada","email":"ada@example.org","password":"aaaaaaaa","confirm_password":"aaaaaaaa"}"#,
            r#"{"username":"ada","email":"ada@example.org","role":"shop keeper","validated":true}"#,
            r#"{"current_password":"a","password":"bbbbbbbb","confirm_password":"bbbbbbbb","email":null}"#,
            r#"{"name":"shop keeper","description":"Keeps a shop","level":42}"#,
            r#"{"refresh_token":"a.1.b"}"#,
            r#"{"code":"a","password":"bbbbbbbb","confirm_password":"bbbbbbbb"}"#,
            r#"{"email":"ada@b\u00fccher.example"}"#,
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\u0000",
        "\\ud800",
        "null",
        "true",
        "1e999",
        "-0",
        "\"username\":",
        "\"email\":\"a@b.example\"",
        "\"password\":",
        "\"level\":",
        "\"a\":1,",
        "{\"a\":",
        " ",
        "\u{301}",
    ],
    dearest: |length| {
        let long = |name: &str, part: &str| format!(r#"{{"{name}":"{}"}}"#, part.repeat(length / part.len()));
        vec![
            format!("{{{}\"z\":1}}", super::numbered(length, |n| format!("\"n{n}\":0,"))).into(),
            format!("{{\"a\":[{}1]}}", super::numbered(length, |n| format!("{{\"n{n}\":0}},"))).into(),
            long("password", "a").into(),
            // Combining marks in the wrong order are sorted when they are normalised.
            long("password", "\u{301}\u{316}").into(),
            long("username", "\u{301}\u{316}").into(),
            long("email", "a@").into(),
            long("email", "xn--a.").into(),
            long("description", "ﷺ").into(),
        ]
    },
};

static ROUTES: LazyLock<Routes> = LazyLock::new(Routes::default);

/// Reads the parameters of a path as its endpoints do.
struct PathReaders<'a> {
    template: &'a str,
    parameters: &'a [(&'a str, String)],
}

impl Visitor for PathReaders<'_> {
    fn visit<E: Endpoint>(&mut self) {
        if E::INFO.path != self.template {
            return;
        }
        let Ok(parameters) = E::Path::parse(self.parameters) else { return };
        // What was accepted leads to the same place again.
        let path = parameters.fill(self.template);
        let (template, again) = ROUTES.find(&path).unwrap_or_else(|| panic!("{path} leads nowhere"));
        assert_eq!(template, self.template, "{path}");
        assert_eq!(E::Path::parse(&again).unwrap().fill(template), path);
    }
}

pub(super) const PATH: FuzzTarget = FuzzTarget {
    name: "path",
    run: |input| {
        let Ok(uri) = http::Uri::try_from(input) else { return };
        if let Some((template, parameters)) = ROUTES.find(uri.path()) {
            assert!(parameters.len() <= 2, "{uri}");
            api::visit(&mut PathReaders { template, parameters: &parameters });
        }
    },
    seeds: || {
        [
            "/authy/role/shop-keeper/users/00000000-0000-4000-8000-000000000000",
            "/authy/fetch/%D0%9E%D0%BB%D1%8C%D0%B3%D0%B0",
            "/authy/checkaccess/99",
            "/authy/validate/AAAAAAAAAAAAAAAAAAAAAA",
            "/authy/.well-known/jwks.json",
            "/authy/user/session/00000000-0000-4000-8000-000000000000?a=b",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "/",
        "/authy",
        "/user",
        "/role/",
        "/users/",
        "/fetch/",
        "/checkaccess/",
        "%",
        "%2F",
        "%252F",
        "%C0%AF",
        "%00",
        "..",
        ".",
        "{",
        "*",
        "?",
        "00000000-0000-4000-8000-000000000000",
        "ada",
    ],
    dearest: |length| {
        ["a", "%61", "%CC%81%CC%96", "9", "/"]
            .into_iter()
            .flat_map(|part| {
                let text = part.repeat(length / part.len());
                ["fetch", "role", "checkaccess", "validate"].map(|place| format!("/authy/{place}/{text}").into_bytes())
            })
            .collect()
    },
};
