//! The bids, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use authy_client::{UserId, Username};
use serde::{Deserialize, Serialize};

/// A bid as its bidder sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBid {
    /// What the bid is for.
    pub lot: String,
    /// The amount in cents.
    pub cents: u64,
}

/// A bid.
#[derive(Clone, Debug, Serialize)]
pub struct Bid {
    /// Its number.
    pub id: u64,
    /// What it is for.
    pub lot: String,
    /// The amount in cents.
    pub cents: u64,
    /// The user who made it.
    pub bidder: UserId,
    /// The name of that user; `None` until the background job has found it.
    pub bidder_name: Option<Username>,
}

/// All bids. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Bids(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    last: u64,
    bids: BTreeMap<u64, Bid>,
}

impl Bids {
    /// Adds a bid.
    pub fn add(&self, bidder: UserId, bid: NewBid) -> Bid {
        self.with(|book| {
            book.last += 1;
            let NewBid { lot, cents } = bid;
            let bid = Bid { id: book.last, lot, cents, bidder, bidder_name: None };
            book.bids.insert(bid.id, bid.clone());
            bid
        })
    }

    /// Returns all bids, the oldest first.
    pub fn list(&self) -> Vec<Bid> {
        self.with(|book| book.bids.values().cloned().collect())
    }

    /// Removes a bid. Returns it, or `None` when there is none with this number.
    pub fn remove(&self, id: u64) -> Option<Bid> {
        self.with(|book| book.bids.remove(&id))
    }

    /// Returns all users with a bid.
    pub fn bidders(&self) -> BTreeSet<UserId> {
        self.with(|book| book.bids.values().map(|bid| bid.bidder).collect())
    }

    /// Sets the name of a bidder.
    pub fn set_name(&self, bidder: UserId, name: &Username) {
        self.with(|book| {
            let bids = book.bids.values_mut().filter(|bid| bid.bidder == bidder);
            bids.for_each(|bid| bid.bidder_name = Some(name.clone()));
        });
    }

    /// Removes all bids of a bidder.
    pub fn withdraw(&self, bidder: UserId) {
        self.with(|book| book.bids.retain(|_, bid| bid.bidder != bidder));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
