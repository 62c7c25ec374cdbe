//! The log of the program: a line for each request where that is asked for, and no storm of the same message.

use super::{operator::write, *};

#[test]
fn each_request_is_a_line_and_a_storm_of_the_same_error_is_one_and_a_count() {
    let folder = folder();
    let log = folder.path().join("log");
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0", "--access-log", "true"]);
    let mut server = ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap());
    server.sign_up("ada");
    write(folder.path(), "ALTER TABLE authy.users RENAME TO elsewhere");
    for _ in 0..5 {
        assert!(server.log_in("ada", PASSWORD).contains("internal"));
    }
    server.signal(Signal::TERM);
    assert!(server.ends().success());
    let log = fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let accesses: Vec<_> = lines.iter().filter(|line| line["target"] == "authy_server::access_log").collect();
    let seen: Vec<_> = accesses.iter().map(|line| (line["route"].as_str().unwrap(), &line["status"])).collect();
    assert_eq!(seen.len(), 6, "{log}");
    assert!(seen[0] == ("/authy/user", &201.into()) && seen[5] == ("/authy/login", &500.into()), "{seen:?}");

    let errors: Vec<_> = lines.iter().filter(|line| line["message"] == "failed to answer a request").collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert_eq!(errors[0]["span"]["route"], "/authy/login");
    assert_eq!(errors[0]["span"]["request_id"], errors[0]["request_id"]);
    let said = |line: &&serde_json::Value| {
        line["message"].as_str().is_some_and(|message| message.starts_with("repeated: failed to answer a request"))
    };
    let repeated: Vec<_> = lines.iter().filter(said).collect();
    assert_eq!(repeated.len(), 1, "{log}");
    assert_eq!((&repeated[0]["count"], &repeated[0]["level"]), (&4.into(), &"ERROR".into()));
}
