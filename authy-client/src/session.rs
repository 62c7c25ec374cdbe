//! The session of one login: its tokens, which are refreshed before they expire.

use std::{fmt, path::PathBuf, sync::Arc};

use authy_core::{
    ErrorKind, Secret,
    api::session::{Credentials, Tokens},
};

use crate::{Client, Result};

mod device_file;
mod error;
mod refresh;

use device_file::DeviceFile;
pub use error::SessionError;
use refresh::{OnRefresh, SessionState, exchange, uninterrupted};

impl Client {
    /// Begins a session: one login, whose tokens are refreshed before they expire.
    pub fn session(&self) -> SessionBuilder {
        SessionBuilder { client: self.clone(), on_refresh: None, device_file: None }
    }
}

/// Configures and begins a [`Session`].
pub struct SessionBuilder {
    client: Client,
    on_refresh: Option<OnRefresh>,
    device_file: Option<PathBuf>,
}

impl SessionBuilder {
    /// Sets what is called with the new tokens after each refresh, to save them: the refresh token before them is
    /// spent, and a program that starts again with it loses the session. It should not take long, because the next
    /// refresh waits for it.
    #[must_use]
    pub fn on_refresh(mut self, save: impl Fn(&Tokens) + Send + Sync + 'static) -> Self {
        self.on_refresh = Some(Box::new(save));
        self
    }

    /// Sets the file that keeps the device token from one login to the next, for a program that logs in again and again: a
    /// scheduled one, or a service that is restarted. The token identifies the program as a known device. Without it, each
    /// login is from a new device, which the account gets a mail about, and wrong guesses of others slow it down.
    ///
    /// The first login creates the file with mode 0600, and each later one replaces it completely or not at all. Each account
    /// needs a file of its own. The token alone does not log in: the password is still needed.
    ///
    /// ```no_run
    /// use authy_client::{Client, Session, api::session::Credentials};
    ///
    /// async fn log_in(authy: &Client, account: Credentials) -> authy_client::Result<Session> {
    ///     authy.session().device_file("/var/lib/nightly-export/authy-device").login(account).await
    /// }
    /// ```
    #[must_use]
    pub fn device_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.device_file = Some(path.into());
        self
    }

    /// Logs in.
    ///
    /// # Errors
    /// As [`Client::login`]. Before the login, when the [`device_file`](Self::device_file) is in a folder that does not exist
    /// or in which other users can replace files, can be read by other users, cannot be replaced, or contains something else.
    pub async fn login(self, credentials: Credentials) -> Result<Session> {
        let (known, next) = match self.device_file {
            Some(path) => DeviceFile::new(path).open().await.map(|(known, next)| (known, Some(next)))?,
            None => (None, None),
        };
        let login = async |client: &Client| match known {
            Some(device) => client.with_device_token(&device).login(credentials).await,
            None => client.login(credentials).await,
        };
        let session = Session(Arc::new(SessionState::start(self.client, self.on_refresh, login).await?));
        if let (Some(next), Some(token)) = (next, session.tokens().and_then(|tokens| tokens.device_token)) {
            next.save(token).await;
        }
        Ok(session)
    }

    /// Continues a session by its last refresh token, which is exchanged at once.
    ///
    /// # Errors
    /// As [`Session::token`].
    pub async fn resume(self, refresh_token: Secret) -> Result<Session, SessionError> {
        let begin = async move {
            let exchange = async |client: &Client| exchange(client, &refresh_token).await;
            let state = SessionState::start(self.client, self.on_refresh, exchange).await?;
            state.last().iter().for_each(|current| state.report(&current.tokens));
            Ok(Session(Arc::new(state)))
        };
        uninterrupted(begin).await
    }
}

/// The session of one login. Cheap to clone; clones share the tokens.
///
/// The access token is refreshed in the background when three quarters of its lifetime have passed, once for all
/// callers. While the server cannot be asked, a token that is still valid goes on being used.
///
/// ```no_run
/// use authy_client::{Client, Secret, SessionError, api::session::Credentials};
///
/// # fn save(refresh_token: &Secret) {}
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let authy = Client::builder("https://auth.example.org").build()?;
/// let session = authy.session().on_refresh(|tokens| save(&tokens.refresh_token));
/// let session = session.login(Credentials::new("ada", Secret::new("difference-engine-no-2"))).await?;
///
/// match session.token().await {
///     Ok(token) => println!("authorization: Bearer {}", token.expose()),
///     Err(SessionError::Ended) => println!("log in again"),
///     Err(error) => println!("try again later: {error}"),
/// }
/// println!("{} sessions", session.client().await?.list_sessions().await?.sessions.len());
/// session.logout().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session(Arc<SessionState>);

impl Session {
    /// Returns an access token that is valid.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when the session is over; [`SessionError::Unavailable`] when the last access token has
    /// expired, and it cannot be refreshed now.
    pub async fn token(&self) -> Result<Secret, SessionError> {
        Ok(self.0.valid().await?.tokens.token.clone())
    }

    /// Returns a client with an access token that is valid. For a while: call it for each piece of work, or use
    /// [`call`](Self::call). For long lists, [`users`](Self::users) and [`events`](Self::events) call it for each page.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn client(&self) -> Result<Client, SessionError> {
        Ok(self.0.valid().await?.client.clone())
    }

    /// Makes a call, and makes it once more with another access token when the server answered that the first one is
    /// [invalid](ErrorKind::InvalidToken): a change of the user's roles had revoked it, for example.
    ///
    /// ```no_run
    /// use authy_client::{Session, SessionError, UserId};
    ///
    /// async fn is_deleted(session: &Session, user: UserId) -> Result<bool, SessionError> {
    ///     Ok(session.call(|client| async move { client.get_user(user).await }).await?.deleted)
    /// }
    /// ```
    ///
    /// The call may be made twice, so it clones what it takes, unless that is `Copy` as an ID is:
    ///
    /// ```no_run
    /// use authy_client::{Session, SessionError, UserId, Username};
    ///
    /// async fn id_of(session: &Session, username: Username) -> Result<UserId, SessionError> {
    ///     let found = session.call(|client| {
    ///         let username = username.clone();
    ///         async move { client.find_user(username).await }
    ///     });
    ///     Ok(found.await?.public_id)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`token`](Self::token), and [`SessionError::Call`] with the error of the call.
    pub async fn call<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, SessionError>
    where
        F: Future<Output = Result<T>>,
    {
        let first = self.0.valid().await?;
        match call(first.client.clone()).await {
            Err(error) if error.kind() == Some(ErrorKind::InvalidToken) => {
                let refused = first.tokens.token.clone();
                let second = uninterrupted(self.0.clone().other_than(refused)).await?;
                call(second.client.clone()).await.map_err(SessionError::Call)
            }
            answer => answer.map_err(SessionError::Call),
        }
    }

    /// Returns another access token instead of one that the server refused with 401. A change of the user's roles or
    /// password revokes access tokens, and the session goes on. Callers with the same token share one refresh.
    /// [`call`](Self::call) does it.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn token_other_than(&self, refused: &Secret) -> Result<Secret, SessionError> {
        let current = uninterrupted(self.0.clone().other_than(refused.clone())).await?;
        Ok(current.tokens.token.clone())
    }

    /// Returns the last tokens, to save them; `None` when the session is over. The access token may have expired.
    pub fn tokens(&self) -> Option<Tokens> {
        self.0.last().map(|last| last.tokens.clone())
    }

    /// Logs out: ends the session and its access tokens. A session that is over stays so.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`] when the server cannot be asked now. The session may not be over then.
    pub async fn logout(&self) -> Result<(), SessionError> {
        uninterrupted(self.0.clone().log_out()).await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.0.last().map(|last| last.tokens.public_id);
        f.debug_struct("Session").field("user", &user).field("is_ended", &user.is_none()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder").field("client", &self.client).finish_non_exhaustive()
    }
}
