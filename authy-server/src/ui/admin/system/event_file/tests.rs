use authy_core::{EventId, api::event::EventKind, time::from_unix_seconds};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn event(user_agent: &str) -> EventView {
    EventView {
        event_id: EventId::random(),
        kind: EventKind::SessionOpened,
        happened: from_unix_seconds(1_560_247_389),
        happened_micros: 1_560_247_389_123_456,
        actor: Some(UserId::random()),
        actor_kind: "user".to_owned(),
        subject: None,
        session_id: None,
        ip: Some("203.0.113.7".to_owned()),
        user_agent: Some(user_agent.to_owned()),
        request_id: None,
        detail: Map::from_iter([("level".to_owned(), json!(10))]),
    }
}

fn records(events: &[EventView], names: &HashMap<UserId, Username>) -> Vec<Vec<String>> {
    let text = csv_part(events, names, true).unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_slice());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_table_has_a_column_for_each_part_of_an_event() {
    let event = event("curl, \"8\"\nx");
    let names = HashMap::from([(event.actor.unwrap(), "ada".parse().unwrap())]);
    let written = records(std::slice::from_ref(&event), &names);
    assert_eq!(written[0], COLUMNS);
    let of = |column: &str| written[1][COLUMNS.iter().position(|name| *name == column).unwrap()].as_str();
    assert_eq!((of("event_id"), of("kind")), (event.event_id.to_string().as_str(), "session.opened"));
    assert_eq!((of("happened"), of("actor_name")), ("2019-06-11T10:03:09.123456Z", "ada"));
    assert_eq!((of("user_agent"), of("detail"), of("subject")), ("curl, \"8\"\nx", "{\"level\":10}", ""));
    assert_eq!(csv_part(&[], &names, false).unwrap(), b"");
    let text = String::from_utf8(csv_part(&[], &names, true).unwrap()).unwrap();
    assert!(text.ends_with("detail\r\n"), "{text:?}");
}

#[test]
fn a_line_of_json_is_an_event_of_the_api() {
    let events = [event("a\nb"), event("=1+1")];
    let text = String::from_utf8(json_part(&events).unwrap()).unwrap();
    let read: Vec<EventView> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Times have whole seconds on the wire.
    assert_eq!(read, events);
}

#[test]
fn what_a_spreadsheet_would_calculate_is_text() {
    for (formula, text) in [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "\t'=1"),
        ("\r=1", "\r'=1"),
        (" =1", " '=1"),
        ("\u{ff1d}1", "'\u{ff1d}1"),
        ("|cmd", "'|cmd"),
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
        ("x;=WEBSERVICE(\"http://x\")", "x;'=WEBSERVICE(\"http://x\")"),
        ("x\t =1;-2", "x\t '=1;'-2"),
        ("x\n\"=1", "x\n\"'=1"),
        (";=-1;", ";'=-1;"),
    ] {
        assert_eq!(cell(formula), text);
    }
    for text in
        ["", "ada", "Mozilla/5.0 (X11; Linux)", "{\"a\":1}", "2019-06-11T10:03:09Z", "a=b", "203.0.113.7", "::1"]
    {
        assert_eq!(cell(text), text);
    }
}

proptest! {
    #[test]
    fn whatever_a_stranger_sends_is_one_cell_and_no_formula(
        text in "\\PC*|[=+@\t\r\n \",;'-]{0,6}\\PC{0,10}|[=x;\t\r\n\" ,]{0,12}",
    ) {
        let event = event(&text);
        let written = records(std::slice::from_ref(&event), &HashMap::new());
        prop_assert_eq!((written.len(), written[1].len()), (2, COLUMNS.len()));
        // Nothing but apostrophes is added.
        prop_assert_eq!(written[1][10].replace('\'', ""), text.replace('\'', ""));
        // In whichever language the spreadsheet is.
        let file = csv_part(&[event], &HashMap::new(), true).unwrap();
        for separator in [b',', b';', b'\t'] {
            let mut reader =
                csv::ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(&file[..]);
            for record in reader.records() {
                for cell in &record.unwrap() {
                    prop_assert!(!cell.trim_start().starts_with(FORMULA), "{:?} of {:?}", cell, text);
                }
            }
        }
    }
}
