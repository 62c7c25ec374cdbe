//! The session of the administrator.

use std::{env, path::PathBuf, time::Duration};

use authy_client::{BuildError, Client, ErrorKind, Session, SessionError, api::session::Credentials};
use tokio::time::sleep;

use crate::Result;

/// Logs in with the credentials of the environment.
pub(crate) async fn log_in() -> Result<Session> {
    let url = env::var("AUTHY").unwrap_or("http://127.0.0.1:8080".to_owned());
    let credentials = Credentials::new(variable("ADMIN_USERNAME")?, variable("ADMIN_PASSWORD")?);
    let client = Client::builder(&url).build().map_err(|error| match error {
        // The message of the client names a method, and the operator sets a variable.
        BuildError::PlainHttp { host } => {
            format!("AUTHY: would send passwords and tokens to {host} without encryption: use https://").into()
        }
        error => Box::<dyn std::error::Error>::from(error),
    })?;
    Ok(client.session().device_file(device_file()?).login(credentials).await?)
}

/// Returns the file that makes the next run one of a known device. Without it, the account would get a mail about a login
/// from a new device for the run of each day.
fn device_file() -> Result<PathBuf> {
    let configured = env::var_os("ADMIN_DEVICE_FILE").map(PathBuf::from);
    let default = || Some(env::home_dir()?.join(".authy-operations-device"));
    configured.or_else(default).ok_or_else(|| "set ADMIN_DEVICE_FILE: there is no home folder".into())
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|_| format!("set {name}: the tool logs in as an administrator").into())
}

/// Makes a call in the session. The client repeats a call that exceeds the rate limit when the wait is short; this repeats
/// it for as long as it takes.
pub(crate) async fn call<T, F>(session: &Session, request: impl Fn(Client) -> F) -> authy_client::Result<T>
where
    F: Future<Output = authy_client::Result<T>>,
{
    loop {
        match session.call(&request).await {
            Err(SessionError::Call(error)) if error.kind() == Some(ErrorKind::RateLimited) => {
                sleep(error.retry_after().unwrap_or(Duration::from_secs(1))).await;
            }
            answer => return Ok(answer?),
        }
    }
}
