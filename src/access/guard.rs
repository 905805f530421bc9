//! Decides whether a request may go on: whose it is, whether that is proven, and whether its sender has tried too often.
//!
//! A proven secret is remembered by a keyed hash of it, so that the slow one is computed once for each user and start.
//!
//! Not here: what a path needs (see `rules`), answers (see `api::guard`).
//!
//! Invariants: one slow hash is computed at a time, so that strangers cannot take all cores; an address that failed
//! [`FAILURES_AT_ONCE`] times waits; a user who is unknown costs a stranger as much time as a wrong secret.

use super::credentials::Credentials;
use super::limiter::{Limiter, place_of};
use super::secret::{SecretHash, chance, equal};
use super::users::{Role, Roles, Users};
use crate::clock;
use hmac::{Hmac, Mac};
use parking_lot::{Mutex, RwLock};
use sha2::Sha256;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Wrong secrets that an address may send before it waits, and how long it waits for another try.
const FAILURES_AT_ONCE: f64 = 10.0;
const FAILURES_PER_SECOND: f64 = 0.1;
/// Proven secrets that are remembered.
const PROVEN_MAX: usize = 4096;

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name; none where no access is configured.
    pub name: Option<Arc<str>>,
    /// What the user may do.
    pub roles: Roles,
}

/// Why a request may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It does not say whose it is.
    Missing,
    /// What it says is not true.
    Wrong,
    /// Its user may not do this.
    Forbidden(Role),
    /// The peer is not on this machine, and no access is configured.
    NotLocal,
    /// Its sender has failed or asked too often, and may try again after this.
    TooOften(Duration),
}

/// How often requests were denied.
#[derive(Debug, Default)]
pub struct AccessCounters {
    /// They did not say whose they are.
    pub missing: AtomicU64,
    /// What they said was wrong.
    pub wrong: AtomicU64,
    /// Their user may not do that, or they came from another machine.
    pub forbidden: AtomicU64,
    /// They came too often.
    pub limited: AtomicU64,
}

/// Users and what was proven of them.
#[derive(Debug)]
pub struct Guard {
    /// None where no access is configured.
    users: RwLock<Option<Arc<Users>>>,
    /// Keyed hashes of proven secrets by name.
    proven: Mutex<HashMap<String, [u8; 32]>>,
    key: [u8; 32],
    /// The slow hash that a stranger's guess is compared with.
    nobody: SecretHash,
    slow: Mutex<()>,
    failures: Limiter<IpAddr>,
    /// Requests a second of each client, where that is limited.
    requests: RwLock<Option<Arc<Limiter<Client>>>>,
    /// What was denied.
    pub counters: AccessCounters,
}

/// Who is counted: a user, or an address where no user is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    User(Arc<str>),
    Place(IpAddr),
}

impl Guard {
    /// With these users, or without any access configured; a limit of 0 requests a second is none.
    ///
    /// # Errors
    /// When the system has no chance to give.
    pub fn new(users: Option<Users>, requests_per_second: f64) -> io::Result<Self> {
        Ok(Self {
            users: RwLock::new(users.map(Arc::new)),
            proven: Mutex::default(),
            key: chance()?,
            nobody: SecretHash::of_nothing()?,
            slow: Mutex::default(),
            failures: Limiter::new(FAILURES_PER_SECOND, FAILURES_AT_ONCE),
            requests: RwLock::new(limiter(requests_per_second)),
            counters: AccessCounters::default(),
        })
    }

    /// Whether there are users.
    pub fn is_configured(&self) -> bool {
        self.users.read().is_some()
    }

    /// Replaces the users; whoever is no longer among them, or has another secret, is out at once.
    pub fn replace(&self, users: Users) {
        *self.users.write() = Some(Arc::new(users));
        self.proven.lock().clear();
    }

    /// Limits requests a second of each client from now on; 0 is no limit.
    pub fn limit(&self, requests_per_second: f64) {
        *self.requests.write() = limiter(requests_per_second);
    }

    /// What is known of a request without computing for long; `None` says that [`Self::prove`] must be asked.
    pub fn glance(&self, credentials: Option<&Credentials>) -> Option<Result<Identity, Denied>> {
        let users = self.users.read().clone();
        let Some(users) = users else {
            let roles = Roles::of(&[Role::Admin]);
            return Some(Ok(Identity { name: None, roles }));
        };
        let Some(Credentials { name, secret }) = credentials else { return Some(Err(Denied::Missing)) };
        let user = users.get(name)?;
        let known = self.proven.lock().get(name).copied()?;
        let is_proven = equal(&known, &self.keyed(name, secret));
        is_proven.then(|| Ok(Identity { name: Some(name.as_str().into()), roles: user.roles }))
    }

    /// Finds out whether a secret is a user's. Slow: for a thread that may wait.
    ///
    /// # Errors
    /// When it is not, or when the address has failed too often.
    pub fn prove(&self, credentials: &Credentials, peer: IpAddr) -> Result<Identity, Denied> {
        let place = place_of(peer);
        let one_at_a_time = self.slow.lock();
        if !self.failures.has_one(&place, clock::monotonic()) {
            return Err(Denied::TooOften(Duration::from_secs_f64(1.0 / FAILURES_PER_SECOND)));
        }
        // While this one waited, another with the same secret may have proven it.
        if let Some(known) = self.glance(Some(credentials)) {
            return known;
        }
        let Credentials { name, secret } = credentials;
        let users = self.users.read().clone().unwrap_or_default();
        let user = users.get(name);
        let is_right = user.map_or(&self.nobody, |user| &user.secret).is_of(secret);
        let proven = user.filter(|_| is_right);
        let Some(user) = proven else {
            // The token is there: it was looked for above, and nobody else takes any.
            let _ = self.failures.take(place, clock::monotonic());
            return Err(Denied::Wrong);
        };
        let mut known = self.proven.lock();
        if known.len() >= PROVEN_MAX {
            known.clear();
        }
        // Users may have been replaced meanwhile; what was proven of the old ones is not remembered then.
        if self.users.read().as_ref().is_some_and(|now| Arc::ptr_eq(now, &users)) {
            known.insert(name.clone(), self.keyed(name, secret));
        }
        drop(one_at_a_time);
        Ok(Identity { name: Some(name.as_str().into()), roles: user.roles })
    }

    /// Counts a request of a client.
    ///
    /// # Errors
    /// When there were too many.
    pub fn admit(&self, identity: &Identity, peer: IpAddr) -> Result<(), Denied> {
        let Some(limiter) = self.requests.read().clone() else { return Ok(()) };
        let client = identity.name.clone().map_or_else(|| Client::Place(place_of(peer)), Client::User);
        limiter.take(client, clock::monotonic()).map_err(Denied::TooOften)
    }

    /// Counts what was denied.
    pub fn count(&self, denied: &Denied) {
        let counter = match denied {
            Denied::Missing => &self.counters.missing,
            Denied::Wrong => &self.counters.wrong,
            Denied::Forbidden(_) | Denied::NotLocal => &self.counters.forbidden,
            Denied::TooOften(_) => &self.counters.limited,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn keyed(&self, name: &str, secret: &str) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(name.as_bytes());
        mac.update(b"\0");
        mac.update(secret.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn limiter(per_second: f64) -> Option<Arc<Limiter<Client>>> {
    (per_second > 0.0).then(|| Arc::new(Limiter::new(per_second, 2.0 * per_second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn users(secret: &str) -> Users {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let hash = SecretHash::with_rounds(secret, 10_000).unwrap();
        std::fs::write(&path, format!("[[user]]\nname = \"a\"\nroles = [\"read\"]\nsecret = \"{hash}\"\n")).unwrap();
        Users::read(&path).unwrap()
    }

    fn says(name: &str, secret: &str) -> Credentials {
        Credentials { name: name.to_owned(), secret: secret.to_owned() }
    }

    #[test]
    fn a_secret_is_proven_once_and_known_from_then_on() {
        let guard = Guard::new(Some(users("right")), 0.0).unwrap();
        assert_eq!(guard.glance(None), Some(Err(Denied::Missing)));
        let right = says("a", "right");
        assert_eq!(guard.glance(Some(&right)), None);
        let identity = guard.prove(&right, PEER).unwrap();
        assert!(identity.roles.allow(Role::Read) && !identity.roles.allow(Role::Write));
        assert_eq!(guard.glance(Some(&right)), Some(Ok(identity)));
        assert_eq!(guard.prove(&says("a", "wrong"), PEER), Err(Denied::Wrong));
        assert_eq!(guard.prove(&says("b", "right"), PEER), Err(Denied::Wrong));
        guard.replace(users("other"));
        assert_eq!(guard.glance(Some(&right)), None);
        assert_eq!(guard.prove(&right, PEER), Err(Denied::Wrong));
    }

    #[test]
    fn without_users_everybody_may_do_everything() {
        let guard = Guard::new(None, 0.0).unwrap();
        let identity = guard.glance(None).unwrap().unwrap();
        assert!(identity.name.is_none() && identity.roles.allow(Role::Admin) && !guard.is_configured());
    }

    #[test]
    fn an_address_that_failed_too_often_waits_and_others_do_not() {
        let guard = Guard::new(Some(users("right")), 0.0).unwrap();
        for _ in 0..10 {
            let _ = guard.failures.take(PEER, clock::monotonic());
        }
        assert!(matches!(guard.prove(&says("a", "right"), PEER), Err(Denied::TooOften(_))));
        assert!(guard.prove(&says("a", "right"), IpAddr::from([10, 0, 0, 2])).is_ok());
    }

    #[test]
    fn requests_are_limited_by_client() {
        let guard = Guard::new(None, 1.0).unwrap();
        let identity = guard.glance(None).unwrap().unwrap();
        let admitted = (0..5).filter(|_| guard.admit(&identity, PEER).is_ok()).count();
        assert_eq!(admitted, 2);
        assert!(guard.admit(&identity, IpAddr::from([10, 0, 0, 2])).is_ok());
    }
}
