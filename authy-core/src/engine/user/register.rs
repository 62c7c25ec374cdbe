//! Signing up.

use super::*;
use crate::engine::{
    code::{self, Purpose},
    hasher::Asker,
};

/// Somebody who may sign up: the name is not reserved and looks like no administrator's, the password is strong and hashed.
///
/// Hashing takes its time, so it is done before a transaction is opened.
#[derive(Debug)]
pub struct Registration {
    username: Username,
    email: Email,
    phc: String,
    // What the name looks like; nothing is compared where an operator chose it.
    skeletons: Vec<String>,
    // Whoever makes an account for somebody else vouches for the address.
    is_vouched_for: bool,
}

impl Authy {
    /// Signs somebody up, with the role `user`.
    ///
    /// An address is taken once an account has confirmed it. Until then others may sign up with it, and lose it to the first
    /// account that confirms it: nobody can keep an address from its owner.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyRegistered`] when the name or the address is taken, by a deleted user too, or the name is
    /// reserved, or looks like a reserved one or an administrator's; [`ErrorKind::WeakPassword`]; [`ErrorKind::Overloaded`] when
    /// too many passwords wait to be hashed.
    pub async fn register(&self, caller: &Caller, user: NewUser) -> Result<UserId> {
        self.register_with(caller, user, None).await
    }

    /// Signs somebody up with a role, for administrators and the operator.
    ///
    /// # Errors
    /// As [`register`](Self::register), and [`ErrorKind::NotFound`] when there is no such role,
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`] for a role more powerful than the caller.
    pub async fn create_user(&self, caller: &Caller, user: NewUser, role: &RoleName) -> Result<UserId> {
        self.register_with(caller, user, Some(role)).await
    }

    async fn register_with(&self, caller: &Caller, user: NewUser, role: Option<&RoleName>) -> Result<UserId> {
        let registration = self.prepare_registration(caller, user).await?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let (user, event) = insert(write.tx(), caller, &registration, role).await?;
        self.commit(write, event).await?;
        Ok(user)
    }

    /// Checks and hashes, outside of a transaction; [`register_in`](Self::register_in) does the rest inside.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn prepare_registration(&self, caller: &Caller, user: NewUser) -> Result<Registration> {
        let NewUser { username, email, password, .. } = user;
        let key = username.key();
        let taken_as: Params<'_> = &[&self.keys_of(&key), &self.keys_of(&email.key())];
        // Sent together: the name costs a sign-up no round trip.
        let (skeletons, found) =
            tokio::join!(self.require_distinct(caller, &username), self.db().read_opt(&sql::IS_TAKEN, taken_as));
        // First: a name that is taken is answered as any other, so that nobody learns which ones are administrators'.
        if found?.is_some() {
            return Err(taken());
        }
        let skeletons = skeletons?;
        let inputs = UserInputs { username: username.as_str().to_owned(), email: email.as_str().to_owned() };
        let phc = self.passwords().admit(caller.asker(), password.as_secret().normalized(), inputs).await?;
        Ok(Registration { username, email, phc, skeletons, is_vouched_for: caller.is_operator() })
    }

    /// Signs up in a transaction of the caller's: both happen, or neither does.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn register_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        registration: &Registration,
    ) -> Result<Uncommitted<UserId>> {
        join_with(tx, insert(tx, caller, registration, None)).await
    }

    /// [`create_user`](Self::create_user) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn create_user_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        registration: &Registration,
        role: &RoleName,
    ) -> Result<Uncommitted<UserId>> {
        join_with(tx, insert(tx, caller, registration, Some(role))).await
    }

    /// Makes the first administrator of a database without users: a name, and a password that is told this once.
    /// `None` when there are users, or another instance has just made it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn create_first_administrator(&self) -> Result<Option<(Username, Secret)>> {
        if self.db().read_opt(&sql::ANY, &[]).await?.is_some() {
            return Ok(None);
        }
        let password = Secret::new(session::random_text::<15>()?);
        let username: Username = checked("admin".to_owned())?;
        let registration = Registration {
            username: username.clone(),
            // A domain that never exists (RFC 2606), so that no mail goes to a stranger.
            email: checked("admin@authy.invalid".to_owned())?,
            phc: self.passwords().hash(Asker::default(), password.normalized()).await?,
            skeletons: Vec::new(),
            is_vouched_for: true,
        };
        let caller = Caller::operator(super::super::Origin::default());
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        sql::LOCK_FIRST.rows(write.tx(), &[]).await?;
        if sql::ANY.row(write.tx(), &[]).await?.is_some() {
            return Ok(None);
        }
        let superadmin = checked("superadmin".to_owned())?;
        let (_, event) = insert(write.tx(), &caller, &registration, Some(&superadmin)).await?;
        self.commit(write, event).await?;
        Ok(Some((username, password)))
    }
}

async fn insert<'a>(
    tx: &Transaction<'_>,
    caller: &'a Caller,
    registration: &Registration,
    role: Option<&RoleName>,
) -> Result<(UserId, Event<'a>)> {
    let actor = Actor::prove(tx, caller).await?;
    let Registration { username, email, phc, skeletons, is_vouched_for } = registration;
    let user = UserId::random();
    let (username_key, email_key) = (username.key(), email.key());
    if *is_vouched_for {
        claim::lock(tx, user, email).await?;
    }
    let params: Params<'_> = &[
        user.as_uuid(),
        &username.as_str(),
        &username_key,
        &email.as_str(),
        &email_key,
        is_vouched_for,
        skeletons,
        &lookalike::ADMINISTRATOR,
    ];
    let created = sql::CREATE.execute(tx, params).await.map_err(|cause| match cause.code() {
        // Two signed up at once, and this one came second.
        Some(&SqlState::UNIQUE_VIOLATION) => taken(),
        _ => db_error(cause),
    })?;
    if created == 0 {
        // Somebody whom the name looks like became an administrator while the password was hashed.
        return Err(lookalike::refused());
    }
    sql::CREATE_PASSWORD.execute(tx, &[user.as_uuid(), &phc.as_str()]).await.map_err(db_error)?;
    let is_given = role.is_some();
    let role = role.map_or_else(|| checked("user".to_owned()), |role| Ok(role.clone()))?;
    let row = role::sql::SHARE.row(tx, &[&role.key()]).await?;
    let row = row.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such role"))?;
    // Anybody may become a `user`; to give somebody a role takes power over it.
    if is_given {
        actor.require_power_over(Some(role::level(&row)))?;
    }
    role::sql::GRANT.execute(tx, &[user.as_uuid(), &row.get::<_, i32>("role_id")]).await.map_err(db_error)?;
    lookalike::protect(tx, user, role::level(&row)).await?;
    let event = Event::new(EventKind::UserRegistered, &actor).about(user);
    let event = match is_vouched_for {
        true => event.detail(json!({ "role": role })).voiding_all(claim::release(tx, user, email).await?),
        false => {
            let code = code::create(tx, user, Purpose::Validate, Some(email)).await?;
            event.detail(json!({ "role": role, "code_id": code }))
        }
    };
    Ok((user, event))
}

fn taken() -> Error {
    Error::new(ErrorKind::AlreadyRegistered, "this username or email is taken")
}
