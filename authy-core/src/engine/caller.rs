//! Who asks the engine for something, and from where: what every event tells.

use std::net::{IpAddr, Ipv6Addr};

use crate::{Error, ErrorKind, Identity, Level, Result, Secret, UserId};

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

    /// Somebody whose token is good.
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

    pub(super) fn is_operator(&self) -> bool {
        matches!(self.who, Who::Operator)
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.who {
            Who::Stranger => "stranger",
            Who::User(_) => "user",
            Who::Operator => "operator",
        }
    }

    /// Fails when something of that level is beyond the caller's. What has no level is beyond nobody's.
    pub(super) fn reach(&self, level: Option<Level>) -> Result<()> {
        let reaches = match &self.who {
            Who::Operator => true,
            Who::User(identity) => level.is_none_or(|level| identity.level.reaches(level)),
            Who::Stranger => false,
        };
        match reaches {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::BeyondYourLevel, "it is more powerful than you are")),
        }
    }
}
