//! Groups of alerts and when each is told: the rhythm of `group_wait`, `group_interval` and `repeat_interval`, with the
//! meaning that Alertmanager gives them.
//!
//! Not here: who is told (see `routing`), whether anybody may be told (see `ledger`).
//!
//! Invariants: an alert that began is told once, even if it is over before its group's time has come; one that is over
//! is told as over only where it was told before; a group without alerts is forgotten.

use super::record::Fingerprint;
use super::routing::{GroupKey, Timing};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one group.
#[derive(Debug, Clone)]
struct Group {
    timing: Timing,
    /// When changes are told next.
    due_ms: Option<i64>,
    told_ms: Option<i64>,
    /// Began, or became worse, and not told yet.
    fresh: BTreeSet<Fingerprint>,
    /// Told, and over since.
    over: BTreeSet<Fingerprint>,
    /// Told, and going on.
    members: BTreeSet<Fingerprint>,
}

/// All groups.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups(BTreeMap<GroupKey, Group>);

/// A group whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) key: GroupKey,
    /// Alerts told for the first time, or for the first time so severe.
    pub(super) fresh: BTreeSet<Fingerprint>,
    /// Alerts told as over.
    pub(super) over: BTreeSet<Fingerprint>,
    /// Alerts that were told before and go on.
    pub(super) members: BTreeSet<Fingerprint>,
}

impl Groups {
    /// An alert began or became worse; whether it was not waiting in this group already.
    pub(super) fn join(&mut self, key: GroupKey, timing: Timing, alert: Fingerprint, now_ms: i64) -> bool {
        let (fresh, over, members) = Default::default();
        let empty = || Group { timing, due_ms: None, told_ms: None, fresh, over, members };
        let group = self.0.entry(key).or_insert_with(empty);
        // One that wants to be told again more often has its group told so.
        let again_ms = if group.is_empty() { i64::MAX } else { group.timing.repeat_interval_ms };
        group.timing = Timing { repeat_interval_ms: timing.repeat_interval_ms.min(again_ms), ..timing };
        let is_new = group.fresh.insert(alert);
        group.over.remove(&alert);
        group.be_due(now_ms);
        is_new
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An alert that goes on since before a start was told then.
    pub(super) fn take_back(&mut self, key: GroupKey, timing: Timing, alert: Fingerprint, told_ms: i64) {
        let (fresh, over, members) = Default::default();
        let empty = || Group { timing, due_ms: None, told_ms: None, fresh, over, members };
        let group = self.0.entry(key).or_insert_with(empty);
        group.members.insert(alert);
        group.told_ms = group.told_ms.max(Some(told_ms));
    }

    /// An alert belongs to another group from now on, in which it goes on as it was.
    pub(super) fn rename(&mut self, from: &GroupKey, to: GroupKey, alert: Fingerprint) {
        let Some(old) = self.0.get_mut(from) else { return };
        let was = [old.fresh.remove(&alert), old.over.remove(&alert), old.members.remove(&alert)];
        let (timing, due_ms, told_ms) = (old.timing, old.due_ms, old.told_ms);
        if old.is_empty() {
            self.0.remove(from);
        }
        if was == [false; 3] {
            return;
        }
        let (fresh, over, members) = Default::default();
        let new =
            self.0.entry(to).or_insert_with(|| Group { timing, due_ms: None, told_ms: None, fresh, over, members });
        for (is_in, set) in was.into_iter().zip([&mut new.fresh, &mut new.over, &mut new.members]) {
            if is_in {
                set.insert(alert);
            }
        }
        // What waited waits no longer than it would have; a group that told something of the incident has told it.
        if was[0] || was[1] {
            new.due_ms = new.due_ms.into_iter().chain(due_ms).min();
        }
        if was[2] {
            new.told_ms = new.told_ms.max(told_ms);
        }
    }

    /// An alert is over, or is to be kept quiet; whether it was still waiting to be told.
    pub(super) fn leave(&mut self, key: &GroupKey, alert: Fingerprint, is_over: bool, now_ms: i64) -> bool {
        let Some(group) = self.0.get_mut(key) else { return false };
        let was_member = group.members.remove(&alert);
        let was_fresh = if is_over { group.fresh.contains(&alert) } else { group.fresh.remove(&alert) };
        if is_over && was_member && !was_fresh {
            group.over.insert(alert);
            group.be_due(now_ms);
        }
        if group.is_empty() {
            self.0.remove(key);
        }
        was_fresh
    }

    /// Takes the groups whose time has come; `goes_on` tells which alerts stay in them.
    pub(super) fn take_due(&mut self, now_ms: i64, goes_on: impl Fn(Fingerprint) -> bool) -> Vec<Due> {
        let mut all_due = Vec::new();
        for (key, group) in &mut self.0 {
            let is_due = group.due_ms.is_some_and(|due_ms| due_ms <= now_ms);
            // A group is never told twice within its interval, so that a digest is one message at a time.
            let again_ms = group.timing.repeat_interval_ms.max(group.timing.group_interval_ms);
            let repeat_ms = group.told_ms.map(|told_ms| told_ms.saturating_add(again_ms));
            let is_again = !group.members.is_empty() && repeat_ms.is_some_and(|repeat_ms| repeat_ms <= now_ms);
            if !is_due && !is_again {
                continue;
            }
            let (fresh, over) = (std::mem::take(&mut group.fresh), std::mem::take(&mut group.over));
            let members: BTreeSet<_> = group.members.difference(&fresh).copied().collect();
            group.members.extend(fresh.iter().filter(|alert| goes_on(**alert)));
            (group.due_ms, group.told_ms) = (None, Some(now_ms));
            all_due.push(Due { key: key.clone(), fresh, over, members });
        }
        self.0.retain(|_, group| !group.is_empty());
        all_due
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.over.is_empty() && self.members.is_empty()
    }

    fn be_due(&mut self, now_ms: i64) {
        let due_ms = match self.told_ms {
            None => now_ms.saturating_add(self.timing.group_wait_ms),
            Some(told_ms) => now_ms.max(told_ms.saturating_add(self.timing.group_interval_ms)),
        };
        self.due_ms.get_or_insert(due_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { group_wait_ms: 30, group_interval_ms: 300, repeat_interval_ms: 1000 };

    fn key() -> GroupKey {
        GroupKey { route: 0, labels: Vec::new() }
    }

    fn alert(name: &str) -> Fingerprint {
        Fingerprint::of(name, b"")
    }

    /// Alerts that are fresh, over and members of what is due.
    fn due(groups: &mut Groups, now_ms: i64) -> Option<[usize; 3]> {
        groups.take_due(now_ms, |_| true).pop().map(|due| [due.fresh.len(), due.over.len(), due.members.len()])
    }

    #[test]
    fn a_new_group_waits_then_changes_wait_for_the_interval_then_it_is_repeated() {
        let mut groups = Groups::default();
        groups.join(key(), TIMING, alert("a"), 0);
        groups.join(key(), TIMING, alert("b"), 20);
        assert_eq!(due(&mut groups, 29), None);
        assert_eq!(due(&mut groups, 30), Some([2, 0, 0]));
        groups.join(key(), TIMING, alert("c"), 40);
        assert_eq!(due(&mut groups, 329), None);
        assert_eq!(due(&mut groups, 330), Some([1, 0, 2]));
        assert_eq!(due(&mut groups, 1329), None);
        assert_eq!(due(&mut groups, 1330), Some([0, 0, 3]));
    }

    #[test]
    fn what_is_over_is_told_once_and_an_empty_group_is_forgotten() {
        let mut groups = Groups::default();
        groups.join(key(), TIMING, alert("a"), 0);
        assert_eq!(due(&mut groups, 30), Some([1, 0, 0]));
        assert!(!groups.leave(&key(), alert("a"), true, 50));
        assert_eq!(due(&mut groups, 330), Some([0, 1, 0]));
        assert_eq!((due(&mut groups, 9999), groups.0.len()), (None, 0));
    }

    #[test]
    fn what_was_over_before_its_time_is_told_all_the_same() {
        let mut groups = Groups::default();
        groups.join(key(), TIMING, alert("a"), 0);
        assert!(groups.leave(&key(), alert("a"), true, 10));
        let due = groups.take_due(30, |_| false);
        assert_eq!((due.len(), due[0].fresh.len()), (1, 1));
        assert!(groups.0.is_empty());
    }

    #[test]
    fn what_is_kept_quiet_leaves_without_a_word() {
        let mut groups = Groups::default();
        groups.join(key(), TIMING, alert("a"), 0);
        assert!(groups.leave(&key(), alert("a"), false, 10));
        assert!(groups.0.is_empty());
    }
}
