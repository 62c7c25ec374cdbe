//! Counts the users.

use std::collections::BTreeMap;

use authy_client::{RoleName, Session, api::user::UserQuery, futures_util::TryStreamExt as _};

use crate::{Result, output::print};

/// Prints how many users there are. A deleted user is counted as deleted only.
pub(crate) async fn report(session: &Session) -> Result {
    let (mut users, mut unconfirmed, mut deleted) = (0_u64, 0_u64, 0_u64);
    let mut roles = BTreeMap::<RoleName, u64>::new();
    let mut all = session.users(UserQuery::default());
    while let Some(user) = all.try_next().await? {
        if user.deleted {
            deleted += 1;
            continue;
        }
        users += 1;
        unconfirmed += u64::from(!user.validated);
        for role in user.roles {
            *roles.entry(role).or_default() += 1;
        }
    }
    print(format_args!("users: {users}"))?;
    for (role, count) in roles {
        print(format_args!("  with the role {role}: {count}"))?;
    }
    print(format_args!("  with an unconfirmed address: {unconfirmed}"))?;
    print(format_args!("deleted users: {deleted}"))
}
