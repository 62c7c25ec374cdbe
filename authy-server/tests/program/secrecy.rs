//! The log of the program at its finest level: no secret is in it that was made or sent.

use super::*;

#[test]
fn no_secret_is_in_the_log_of_the_program_at_trace() {
    let folder = folder();
    let log = folder.path().join("log");
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0", "--log", "trace", "--log-events", "true"]);
    command.env("AUTHY_AMQP_URL", "amqp://authy:hunter2-amqp@127.0.0.1:1");
    command.env("AUTHY_WEBHOOK_URL", "http://127.0.0.1:1/").env("AUTHY_WEBHOOK_SECRET", webhook_secret());
    let mut server = ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap());
    let url = |path: &str| format!("{}{path}", server.url());
    const JSON: &str = "content-type: application/json";
    let post = |path: &str, body: serde_json::Value| {
        let said = server.curl(&[&url(path), "-H", JSON, "-d", &body.to_string()]);
        serde_json::from_str::<serde_json::Value>(&said).unwrap_or_default()
    };
    server.sign_up("ada");
    let mails = folder.path().join(".authy/mail");
    let code_in = |kind: &str| {
        let mail = until("the mail is there", || {
            let mut mails = fs::read_dir(&mails).ok()?.map(|entry| entry.unwrap().path());
            mails.find(|path| path.to_string_lossy().ends_with(&format!(".{kind}.eml")))
        });
        let text = fs::read_to_string(mail).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
        words.max_by_key(|word| word.len()).filter(|word| word.len() >= 40).expect("a code").to_owned()
    };
    let code = code_in("validate");
    // Where it belongs, and where it does not.
    for path in [format!("/authy/validate/{code}"), format!("/authy/validate/{code}/"), format!("/{code}?code={code}")]
    {
        server.curl(&[&url(&path)]);
    }
    server.curl(&["-X", "POST", &url(&format!("/authy/validate/{code}"))]);
    let first: serde_json::Value = serde_json::from_str(&server.log_in("ada", PASSWORD)).unwrap();
    let secret = |answer: &serde_json::Value, name: &str| answer[name].as_str().unwrap().to_owned();
    let (token, refresh, device) =
        (secret(&first, "token"), secret(&first, "refresh_token"), secret(&first, "device_token"));
    server.curl(&[&url("/authy/checkaccess/10"), "-H", &format!("x-access-token: {token}")]);
    server.curl(&[&url(&format!("/authy/user?token={token}")), "-H", &format!("authorization: Bearer {token}")]);
    let second = post("/authy/token", serde_json::json!({ "refresh_token": refresh }));
    post("/authy/token", serde_json::json!({ "refresh_token": device, "hunter2-field": "x" }));
    post("/authy/password/forgot", serde_json::json!({ "email": "ada@example.org" }));
    let reset = code_in("reset");
    let new = "carousel-marmalade-58";
    post("/authy/password/reset", serde_json::json!({ "code": reset, "password": new, "confirm_password": new }));
    assert!(server.log_in("ada", new).contains("\"token\""));
    assert!(server.log_in("ada", "hunter2-wrong").contains("invalid_credentials"));
    let logged = || fs::read_to_string(&log).unwrap();
    until("the sinks were tried", || {
        let log = logged();
        (log.contains("RabbitMQ cannot be reached") && log.contains("the webhook cannot be reached")).then_some(())
    });
    let administrator = server.password().unwrap().to_owned();
    server.signal(Signal::TERM);
    assert!(server.ends().success());
    let (key, log) = (fs::read_to_string(folder.path().join(".authy/master.key")).unwrap(), logged());
    for part in ["\"level\":\"TRACE\"", "\"level\":\"DEBUG\"", "user.registered"] {
        assert!(log.contains(part), "{part} is missing from the log");
    }
    let (token2, refresh2) = (secret(&second, "token"), secret(&second, "refresh_token"));
    let made = [code, reset, token, refresh, device, token2, refresh2, administrator, key.trim().to_owned()];
    let sent = [PASSWORD, new, "hunter2", webhook_secret(), "$argon2", ".eyJ"].map(str::to_owned);
    for secret in made.iter().chain(&sent) {
        let found = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(found, None, "{secret} is in the log");
    }
}

fn webhook_secret() -> &'static str {
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
}
