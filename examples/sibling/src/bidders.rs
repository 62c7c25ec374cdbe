//! The background job: names the bidders, and withdraws the bids of deleted users.

use std::{path::PathBuf, time::Duration};

use authy_client::{Client, Session, SessionError, UserId, api::session::Credentials};
use tokio::time::{MissedTickBehavior, interval};

use crate::{bids::Bids, settings::chain};

/// The service's own account.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name and the password.
    pub credentials: Credentials,
    /// The file that keeps the device token, so that a start is not a login from a new device.
    pub device_file: Option<PathBuf>,
}

impl Account {
    async fn log_in(&self, authy: &Client) -> authy_client::Result<Session> {
        let session = match &self.device_file {
            Some(path) => authy.session().device_file(path),
            None => authy.session(),
        };
        session.login(self.credentials.clone()).await
    }
}

/// Looks up the accounts of the bidders, in a session of the service's own account.
#[derive(Debug)]
pub struct Bidders {
    authy: Client,
    account: Account,
    session: Session,
    bids: Bids,
}

impl Bidders {
    /// Logs in.
    ///
    /// # Errors
    /// As [`Client::login`].
    pub async fn log_in(authy: Client, account: Account, bids: Bids) -> authy_client::Result<Self> {
        let session = account.log_in(&authy).await?;
        Ok(Self { authy, account, session, bids })
    }

    /// Looks up all bidders again and again, until `stop` completes, and logs out.
    pub async fn run(mut self, period: Duration, stop: impl Future<Output = ()>) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.look_up_all().await {
                    tracing::warn!(error = chain(&error), "the bidders cannot be looked up");
                }
            }
        };
        tokio::select! {
            () = rounds => {}
            () = stop => {}
        }
        if let Err(error) = self.session.logout().await {
            tracing::warn!(error = chain(&error), "the session of the service goes on until it is not used any more");
        }
    }

    async fn look_up_all(&mut self) -> Result<(), SessionError> {
        for bidder in self.bids.bidders() {
            match self.look_up(bidder).await {
                // An administrator has ended it, or the password has changed: the next round goes on with a new one.
                Err(error) if error.is_ended() => {
                    self.session = self.account.log_in(&self.authy).await.map_err(SessionError::Call)?;
                    return Ok(());
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn look_up(&self, bidder: UserId) -> Result<(), SessionError> {
        let user = self.session.call(|client| async move { client.get_user(bidder).await }).await?;
        match user.deleted {
            true => self.bids.withdraw(bidder),
            false => self.bids.set_name(bidder, &user.username),
        }
        Ok(())
    }
}
