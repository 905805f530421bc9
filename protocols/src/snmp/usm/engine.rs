//! What is known of an agent's engine: its identity and its clock (RFC 3414, sections 2.2 and 3.2).
//!
//! Not here: digests; a caller says whether a message's digest was right.
//!
//! Invariants: only an authenticated message moves the clock, but for the first guess a discovery gives, which any
//! authenticated message replaces; the clock of one start of the engine never goes back.

/// Seconds a message may be behind.
const WINDOW_S: u32 = 150;

/// Boots that stand still here mean that the engine refuses every message.
const LATCHED: u32 = i32::MAX as u32;

/// A message is not of this time: a replay, or the engine's clock was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is outside the time window of its engine")]
pub struct NotInTime;

/// An engine as one poller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    id: Vec<u8>,
    boots: u32,
    /// The engine's time at `at_ms`, and the newest time an authenticated message had.
    time: u32,
    at_ms: i64,
    is_provisional: bool,
}

impl Engine {
    /// From the Report that answers a discovery, which is not authenticated: a first guess.
    pub fn discovered(id: &[u8], boots: u32, time: u32, now_ms: i64) -> Self {
        Self { id: id.to_vec(), boots, time, at_ms: now_ms, is_provisional: true }
    }

    /// Its identity.
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Its boots and time now, for a request.
    pub fn clock(&self, now_ms: i64) -> (u32, u32) {
        let passed_s = (now_ms - self.at_ms).max(0) / 1000;
        (self.boots, self.time.saturating_add(u32::try_from(passed_s).unwrap_or(LATCHED)).min(LATCHED))
    }

    /// Takes note of the clock in a message whose digest was right.
    ///
    /// # Errors
    /// When the message is older than the window allows, or the engine's boots are latched.
    pub fn authenticated(&mut self, boots: u32, time: u32, now_ms: i64) -> Result<(), NotInTime> {
        if boots == LATCHED {
            return Err(NotInTime);
        }
        if self.is_provisional || boots > self.boots || (boots == self.boots && time > self.time) {
            (self.boots, self.time, self.at_ms, self.is_provisional) = (boots, time, now_ms, false);
            return Ok(());
        }
        let (known_boots, known_time) = self.clock(now_ms);
        let is_late = boots < known_boots || time.saturating_add(WINDOW_S) < known_time;
        if is_late { Err(NotInTime) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        let mut engine = Engine::discovered(&[1], 3, 1000, 0);
        engine.authenticated(3, 1001, 0).unwrap();
        engine
    }

    #[test]
    fn the_clock_goes_on_by_itself() {
        assert_eq!(engine().clock(10_999), (3, 1011));
        assert_eq!(engine().clock(-5), (3, 1001), "our own clock was set back");
    }

    #[test]
    fn a_newer_message_moves_the_clock_and_an_old_one_is_refused() {
        let mut engine = engine();
        assert_eq!(engine.authenticated(3, 1200, 1000), Ok(()));
        assert_eq!(engine.clock(1000), (3, 1200));
        assert_eq!(engine.authenticated(3, 1050, 1000), Ok(()), "at the edge of the window");
        assert_eq!(engine.clock(1000), (3, 1200));
        assert_eq!(engine.authenticated(3, 1049, 1000), Err(NotInTime));
        assert_eq!(engine.authenticated(2, 5000, 1000), Err(NotInTime));
        assert_eq!(engine.authenticated(4, 0, 2000), Ok(()), "it started again");
        assert_eq!(engine.clock(2000), (4, 0));
    }

    #[test]
    fn a_first_guess_is_replaced_even_by_less() {
        let mut engine = Engine::discovered(&[1], 900, 90_000, 0);
        assert_eq!(engine.authenticated(0, 5, 0), Ok(()), "old devices keep their boots at 0");
        assert_eq!(engine.clock(0), (0, 5));
    }

    #[test]
    fn latched_boots_are_refused() {
        assert_eq!(engine().authenticated(LATCHED, 5000, 0), Err(NotInTime));
    }
}
