//! The verifications under way: of a crowd that logs in to one account with the same right password, one is verified.
//!
//! An attempt whose password is identical to one that is being verified now, for the same target and the same stored
//! hash, waits for that result, and takes it when the password is right. Otherwise it has its own turn, so that each
//! wrong password is verified and counted as ever. Only attempts that may be verified at once themselves are compared,
//! so a comparison tells an attacker nothing that costs no guess. A name without an account is treated in the same way.
//!
//! What is compared is an HMAC-SHA256 of the password and the hash, under a key that exists in this process only, in
//! constant time. It is overwritten when the verification ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand::SystemRandom};
use tokio::{sync::watch, time::timeout};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result, Secret, engine::domain::throttle::MAX_ATTEMPT_WAIT};

// On the heap, where it is written and overwritten: a move would leave a copy.
type Tag = Arc<Zeroizing<[u8; 32]>>;

pub(super) struct VerificationsUnderWay {
    key: hmac::Key,
    /// By the key of the target.
    targets: Mutex<HashMap<String, Vec<UnderWay>>>,
}

struct UnderWay {
    tag: Tag,
    /// `true` once the password is right; closed when the verification has ended in any other way.
    is_right: watch::Receiver<bool>,
}

/// What an attempt does.
pub(super) enum Turn {
    /// It verifies the password. Whether it was compared with a different one that is being verified: then it has to
    /// count, even if it is not verified in the end.
    Leads(Leader, IsCompared),
    /// It waits for an identical one.
    Follows(Follower),
}

/// Whether a password was compared with another one.
pub(super) type IsCompared = bool;

/// A verification under way, until it is dropped.
pub(super) struct Leader {
    under_way: Arc<VerificationsUnderWay>,
    target: String,
    tag: Tag,
    result: watch::Sender<bool>,
}

pub(super) struct Follower(watch::Receiver<bool>);

impl VerificationsUnderWay {
    pub(super) fn new() -> Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Error::new(ErrorKind::Internal, "the system's random number generator failed"))?;
        Ok(Self { key, targets: Mutex::default() })
    }

    /// Joins an identical verification, or begins one.
    pub(super) fn join(self: &Arc<Self>, target: &str, stored: Option<&str>, forms: &[&Secret]) -> Turn {
        let tag = self.tag(stored, forms);
        let mut targets = self.lock();
        let of_target = targets.entry(target.to_owned()).or_default();
        // All of them are compared.
        let same = of_target.iter().fold(None, |same, one| if is_equal(&one.tag, &tag) { Some(one) } else { same });
        if let Some(same) = same {
            return Turn::Follows(Follower(same.is_right.clone()));
        }
        let is_compared = !of_target.is_empty();
        let (result, is_right) = watch::channel(false);
        of_target.push(UnderWay { tag: tag.clone(), is_right });
        Turn::Leads(Leader { under_way: self.clone(), target: target.to_owned(), tag, result }, is_compared)
    }

    fn tag(&self, stored: Option<&str>, forms: &[&Secret]) -> Tag {
        let mut mac = hmac::Context::with_key(&self.key);
        // Each part has its length before it, so that no other parts have the same text.
        let parts = stored.into_iter().chain(forms.iter().map(|form| form.expose()));
        mac.update(&[u8::from(stored.is_some())]);
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        let mut tag = Arc::new(Zeroizing::new([0; 32]));
        // Always: there is one reference.
        if let Some(bytes) = Arc::get_mut(&mut tag) {
            bytes.iter_mut().zip(mac.sign().as_ref()).for_each(|(byte, signed)| *byte = *signed);
        }
        tag
    }

    // The code under the lock cannot panic in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<UnderWay>>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_equal(one: &Tag, other: &Tag) -> bool {
    verify_slices_are_equal(&***one, &***other).is_ok()
}

impl Leader {
    /// Tells those who wait that the password is right.
    pub(super) fn succeed(self) {
        self.result.send_replace(true);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut targets = self.under_way.lock();
        if let Some(of_target) = targets.get_mut(&self.target) {
            of_target.retain(|one| !is_equal(&one.tag, &self.tag));
            if of_target.is_empty() {
                targets.remove(&self.target);
            }
        }
    }
}

impl Follower {
    /// Waits, and returns whether the password is right. Otherwise nothing is known about it.
    pub(super) async fn succeeds(mut self) -> bool {
        let right = timeout(MAX_ATTEMPT_WAIT, self.0.wait_for(|is_right| *is_right)).await;
        right.is_ok_and(|right| right.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(turn: Turn) -> Leader {
        match turn {
            Turn::Leads(leader, _) => leader,
            Turn::Follows(_) => panic!("it follows"),
        }
    }

    fn follows(turn: Turn) -> Follower {
        match turn {
            Turn::Follows(follower) => follower,
            Turn::Leads(..) => panic!("it leads"),
        }
    }

    #[tokio::test]
    async fn an_identical_password_takes_a_right_result_and_never_another() {
        let under_way = Arc::new(VerificationsUnderWay::new().unwrap());
        let password = Secret::new("difference-engine-no-2");
        let join = || under_way.join("ada", Some("hash"), &[&password]);
        let leader = leads(join());
        let (first, second) = (follows(join()), follows(join()));
        leader.succeed();
        assert!(first.succeeds().await && second.succeeds().await);
        // A wrong one, one that is not verified, and one whose caller has gone all end like this.
        let leader = leads(join());
        let follower = follows(join());
        drop(leader);
        assert!(!follower.succeeds().await);
        assert!(under_way.lock().is_empty(), "nothing is kept");
    }

    #[test]
    fn who_leads_beside_a_different_password_was_compared_with_it() {
        let under_way = Arc::new(VerificationsUnderWay::new().unwrap());
        let [right, wrong] = ["right", "wrong"].map(Secret::new);
        let join = |target, password| match under_way.join(target, Some("hash"), &[password]) {
            Turn::Leads(leader, is_compared) => (leader, is_compared),
            Turn::Follows(_) => panic!("it follows"),
        };
        let (owner, first) = join("ada", &right);
        let (_elsewhere, elsewhere) = join("eve", &wrong);
        let (guess, compared) = join("ada", &wrong);
        assert_eq!((first, elsewhere, compared), (false, false, true));
        drop((owner, guess));
        assert!(!join("ada", &wrong).1);
    }

    #[test]
    fn nothing_else_is_identical() {
        let under_way = Arc::new(VerificationsUnderWay::new().unwrap());
        let [one, other, joined] = ["one", "other", "oneother"].map(Secret::new);
        let mut leaders = Vec::new();
        for target in ["ada", "eve"] {
            for stored in [None, Some(""), Some("hash"), Some("one")] {
                for forms in [vec![&one], vec![&other], vec![&joined], vec![&one, &other], vec![&other, &one]] {
                    leaders.push(leads(under_way.join(target, stored, &forms)));
                    follows(under_way.join(target, stored, &forms));
                }
            }
        }
        drop(leaders);
        assert!(under_way.lock().is_empty());
    }
}
