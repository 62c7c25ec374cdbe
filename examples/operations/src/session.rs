//! The session of the administrator.

use std::{env, path::PathBuf, time::Duration};

use authy_client::{Client, ErrorKind, Session, api::session::Credentials};
use tokio::time::sleep;

use crate::Result;

/// Logs in with the credentials of the environment.
pub(crate) async fn log_in() -> Result<Session> {
    let url = env::var("AUTHY").unwrap_or("http://127.0.0.1:8080".to_owned());
    let credentials = Credentials::new(variable("ADMIN_USERNAME")?, variable("ADMIN_PASSWORD")?);
    let session = Client::builder(&url).build()?.session().device_file(device_file()?);
    Ok(session.login(credentials).await?)
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

/// Calls the server with a token that is valid now. The client repeats a call that exceeds the rate limit when the wait
/// is short; this repeats it for as long as it takes.
pub(crate) async fn call<T>(
    session: &Session,
    request: impl AsyncFn(Client) -> authy_client::Result<T>,
) -> authy_client::Result<T> {
    loop {
        match request(session.client().await?).await {
            Err(error) if error.kind() == Some(ErrorKind::RateLimited) => {
                sleep(error.retry_after().unwrap_or(Duration::from_secs(1))).await;
            }
            answer => return answer,
        }
    }
}
