//! Who asks the engine for something, and from where: what every event tells.

use std::net::{IpAddr, Ipv6Addr};

use super::{actor, hasher::Asker};
use crate::{Access, Error, ErrorKind, Identity, Level, Result, Secret, UserId, access::ADMIN};

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address of the client.
    pub ip: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The request's name in the logs.
    pub request_id: Option<String>,
    /// The device token that came with it, as an earlier login gave it out. One that is not good is none.
    pub device_token: Option<Secret>,
}

/// Maximum length of a stored user agent in bytes: longer than any browser sends. A longer one is an attempt to fill the
/// database.
const USER_AGENT_BYTES: usize = 256;

/// Returns a user agent cut to the length that is stored, 256 bytes, at a character boundary.
pub fn cut_user_agent(agent: &str) -> &str {
    agent.get(..agent.floor_char_boundary(USER_AGENT_BYTES)).unwrap_or_default()
}

impl Origin {
    /// What counts as one address: an IPv4 address, or the /64 that one IPv6 client has all of.
    pub(super) fn network(&self) -> Option<String> {
        self.ip.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string(),
        })
    }
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Who,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Who {
    Stranger,
    User(Identity),
    Operator,
}

impl Caller {
    /// Somebody without a token.
    pub fn nobody(origin: Origin) -> Self {
        Self { who: Who::Stranger, origin }
    }

    /// Makes the caller of the owner of a verified token. Every write proves the caller again: it fails when the account, its
    /// session or the token has ended meanwhile, or when password, address or roles have changed.
    pub fn user(identity: Identity, origin: Origin) -> Self {
        Self { who: Who::User(identity), origin }
    }

    /// Whoever runs the program: the command line, or the program that embeds the crate. Nothing is beyond its level.
    pub fn operator(origin: Origin) -> Self {
        Self { who: Who::Operator, origin }
    }

    /// Who the token belongs to, when there is one.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.who {
            Who::User(identity) => Some(identity),
            Who::Stranger | Who::Operator => None,
        }
    }

    /// Where the request came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn id(&self) -> Option<UserId> {
        self.identity().map(|identity| identity.public_id)
    }

    /// The caller in the queue of hashes: known when there is a token.
    pub(super) fn asker(&self) -> Asker {
        Asker::new(self.origin.ip, self.identity().is_some())
    }

    /// The same for a caller whose device logged in before.
    pub(super) fn asker_on_known_device(&self) -> Asker {
        Asker::new(self.origin.ip, true)
    }

    pub(super) fn is_operator(&self) -> bool {
        matches!(self.who, Who::Operator)
    }

    /// That the caller could act on an account of that level, by what the token says: a courtesy before work that costs
    /// something. The transaction asks the database.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`], [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`].
    pub(super) fn may_act_on(&self, level: Option<Level>) -> Result<()> {
        match &self.who {
            Who::Operator => Ok(()),
            Who::Stranger => Err(Error::new(ErrorKind::TokenRequired, "this needs a token")),
            Who::User(identity) => {
                Access::Level(ADMIN).permit(identity, None)?;
                actor::within(Some(identity.level), level)
            }
        }
    }
}
