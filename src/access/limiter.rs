//! So many requests a second for each client: a bucket of tokens each, in a bounded table.
//!
//! Not here: who a client is (see `guard`).
//!
//! Invariant: at most [`CLIENTS_MAX`] buckets; when there are more, full ones go first, and all if that is not enough: a
//! flood of addresses may win its clients some more requests, and never our memory.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const CLIENTS_MAX: usize = 4096;

/// What is left for a client, and when that was so.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Buckets of clients.
#[derive(Debug)]
pub struct Limiter<K> {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Limiter<K> {
    /// So many a second, and so many at once.
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst: burst.max(1.0), buckets: Mutex::default() }
    }

    fn now(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed_s = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + passed_s * self.per_second).min(self.burst)
    }

    /// Takes one token of a client's; the error says when there will be one.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(&self, client: K, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock();
        let tokens = buckets.get(&client).map_or(self.burst, |bucket| self.now(bucket, now));
        if tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - tokens) / self.per_second.max(1e-6)));
        }
        if buckets.len() >= CLIENTS_MAX && !buckets.contains_key(&client) {
            buckets.retain(|_, bucket| self.now(bucket, now) < self.burst);
            if buckets.len() >= CLIENTS_MAX {
                buckets.clear();
            }
        }
        buckets.insert(client, Bucket { tokens: tokens - 1.0, at: now });
        Ok(())
    }

    /// Whether there is a token, without taking it.
    pub fn has_one(&self, client: &K, now: Instant) -> bool {
        let buckets = self.buckets.lock();
        buckets.get(client).is_none_or(|bucket| self.now(bucket, now) >= 1.0)
    }
}

/// The address that counts as one client: of IPv6 the network of 64 bits, of which a host may have every address.
pub fn place_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_burst_is_allowed_and_then_so_many_a_second() {
        let (limiter, now) = (Limiter::new(2.0, 3.0), clock::monotonic());
        assert!((0..3).all(|_| limiter.take("a", now).is_ok()));
        assert_eq!(limiter.take("a", now).unwrap_err(), Duration::from_millis(500));
        assert!(limiter.take("b", now).is_ok() && !limiter.has_one(&"a", now));
        let later = now + Duration::from_millis(500);
        assert!(limiter.take("a", later).is_ok() && limiter.take("a", later).is_err());
        let much_later = now + Duration::from_secs(100);
        assert!((0..3).all(|_| limiter.take("a", much_later).is_ok()) && limiter.take("a", much_later).is_err());
    }

    #[test]
    fn the_table_is_bounded() {
        let (limiter, now) = (Limiter::new(1.0, 1.0), clock::monotonic());
        for client in 0..3 * CLIENTS_MAX {
            assert!(limiter.take(client, now).is_ok());
        }
        assert!(limiter.buckets.lock().len() <= CLIENTS_MAX);
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let place = |text: &str| place_of(text.parse().unwrap());
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:2"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert_eq!(place("::ffff:10.0.0.1"), place("10.0.0.1"));
    }
}
