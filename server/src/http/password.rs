//! The password: who knows it may use everything. Without one, only this machine can ask.
//!
//! It is never written anywhere, so that there is no stored hash to be stolen: it is compared in constant time, by digest.
//! A browser gets a session instead, a signed cookie that ends with the process or after a month.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};
use subtle::ConstantTimeEq;

/// The environment variable that may hold the password.
pub const VARIABLE: &str = "STILLROOM_PASSWORD";
/// The session's cookie.
pub const COOKIE: &str = "stillroom-session";
/// How long a session lasts, in seconds.
pub const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// Wrong passwords from one address within [`WINDOW`] before further wrong ones are told to wait. A right one is let in all the same:
/// behind a proxy everyone has one address, and nobody must be able to lock out the others by a few guesses.
const WRONG_MAX: usize = 10;
/// Wrong passwords from one address within [`WINDOW`] from which on none is looked at: that is a machine that guesses.
const FLOOD: usize = 200;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once; beyond that the oldest are forgotten.
const ADDRESSES_MAX: usize = 1024;

/// A password in force.
pub struct Password {
    digest: blake3::Hash,
    /// Signs sessions; new in each process.
    session_key: [u8; 32],
    wrong: Mutex<BTreeMap<IpAddr, Vec<Instant>>>,
}

/// What came of a password that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    Right,
    Wrong,
    /// Wrong, or not even looked at, after too many wrong ones.
    TooMany,
}

impl Password {
    pub fn new(password: &str, session_key: [u8; 32]) -> Password {
        Password { digest: blake3::hash(password.as_bytes()), session_key, wrong: Mutex::default() }
    }

    /// Looks at a password given by `address` at `now`.
    pub fn check(&self, given: &str, address: IpAddr, now: Instant) -> Given {
        // A panic while holding this lock is not possible in a way that would leave the map half changed.
        let mut wrong = self.wrong.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        wrong.retain(|_, times| {
            times.retain(|time| now.duration_since(*time) < WINDOW);
            !times.is_empty()
        });
        let before = wrong.get(&address).map_or(0, Vec::len);
        if before >= FLOOD {
            return Given::TooMany;
        }
        if bool::from(blake3::hash(given.as_bytes()).as_bytes().ct_eq(self.digest.as_bytes())) {
            return Given::Right;
        }
        if wrong.len() >= ADDRESSES_MAX && !wrong.contains_key(&address) {
            let oldest = wrong.iter().min_by_key(|(_, times)| times.last().copied()).map(|(address, _)| *address);
            oldest.map(|oldest| wrong.remove(&oldest));
        }
        wrong.entry(address).or_default().push(now);
        if before < WRONG_MAX { Given::Wrong } else { Given::TooMany }
    }

    /// A session that lasts until `now` and [`SESSION_SECONDS`], as the cookie holds it.
    pub fn session(&self, now: i64) -> String {
        let until = now + SESSION_SECONDS;
        format!("{until}.{}", self.sign(until).to_hex())
    }

    /// Whether a cookie holds a session that this process began and that has not ended.
    pub fn knows(&self, session: &str, now: i64) -> bool {
        let Some((until, signature)) = session.split_once('.') else { return false };
        let (Ok(until), Ok(signature)) = (until.parse::<i64>(), blake3::Hash::from_hex(signature)) else {
            return false;
        };
        bool::from(signature.as_bytes().ct_eq(self.sign(until).as_bytes())) && now < until
    }

    fn sign(&self, until: i64) -> blake3::Hash {
        blake3::keyed_hash(&self.session_key, &until.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn guessing_is_slow_for_the_one_who_guesses_and_for_nobody_else() {
        let password = Password::new("copper still", [7; 32]);
        let start = Instant::now();
        for _ in 0..WRONG_MAX {
            assert_eq!(password.check("copper", HERE, start), Given::Wrong);
        }
        assert_eq!(password.check("copper", HERE, start), Given::TooMany);
        assert_eq!(password.check("copper", THERE, start), Given::Wrong);
        assert_eq!(password.check("copper", HERE, start + WINDOW), Given::Wrong);
    }

    #[test]
    fn the_right_password_is_let_in_from_where_others_guess_unless_a_machine_does() {
        let password = Password::new("copper still", [7; 32]);
        let start = Instant::now();
        for _ in 1..FLOOD {
            password.check("copper", HERE, start);
        }
        assert_eq!(password.check("copper still", HERE, start), Given::Right);
        assert_eq!(password.check("copper", HERE, start), Given::TooMany);
        assert_eq!(password.check("copper still", HERE, start), Given::TooMany);
        assert_eq!(password.check("copper still", THERE, start), Given::Right);
        assert_eq!(password.check("copper still", HERE, start + WINDOW), Given::Right);
    }

    #[test]
    fn what_is_remembered_of_guesses_is_bounded() {
        let password = Password::new("copper still", [7; 32]);
        let start = Instant::now();
        for address in 0..4 * ADDRESSES_MAX as u32 {
            password.check("guess", IpAddr::V4(address.into()), start);
        }
        assert!(password.wrong.lock().expect("no thread panicked").len() <= ADDRESSES_MAX);
    }

    #[test]
    fn a_session_is_this_processs_own_and_ends() {
        let password = Password::new("copper still", [7; 32]);
        let session = password.session(1_000);
        assert!(password.knows(&session, 1_001));
        assert!(!password.knows(&session, 1_000 + SESSION_SECONDS));
        assert!(!Password::new("copper still", [8; 32]).knows(&session, 1_001));
        let (until, signature) = session.split_once('.').expect("two parts");
        let longer = format!("{}.{signature}", until.parse::<i64>().expect("a time") + 1);
        for wrong in [longer.as_str(), "", ".", until, &format!("{until}."), &format!("{until}.{}", "0".repeat(64))] {
            assert!(!password.knows(wrong, 1_001), "{wrong}");
        }
    }
}
