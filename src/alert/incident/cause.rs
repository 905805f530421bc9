//! Which alert of an incident the others follow from: ranked by onset, topology and lagged correlation, and said to be unsure
//! where the evidence is.
//!
//! Not here: which alerts are one incident (see `incident`).
//!
//! Invariants: without evidence nothing is sure; the ranking depends on the alerts and the evidence alone, not on the order
//! in which they were told.

use super::super::record::{Alert, Fingerprint, METRIC_LABEL};
use super::Pairs;
use super::related::About;
use super::topology::Topology;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What each kind of evidence counts for where it is there.
const ONSET: f64 = 0.5;
const TOPOLOGY: f64 = 0.35;
const CORRELATION: f64 = 0.3;
/// Services of such names are what others lean on, where no topology says more; the documents' list.
const SUPPORTING: [&str; 5] = ["database", "cache", "lb", "network", "storage"];
/// What such a name counts for, of a topology.
const BY_NAME: f64 = 0.4;
/// How far ahead of the next the first has to be, to be sure.
const CLEARLY: f64 = 0.15;
/// How much earlier it has to begin, in milliseconds.
const EARLIER_MS: i64 = 15_000;
/// Alerts that are ranked; the earliest.
const RANKED_MAX: usize = 100;

/// One alert as a cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The alert.
    pub alert: Fingerprint,
    /// How much speaks for it, 0 to 1.
    pub score: f64,
    /// What does.
    pub why: String,
}

/// The cause of an incident, as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// All candidates, the likeliest first.
    pub candidates: Vec<Candidate>,
    /// Whether the first is clearly ahead.
    pub is_sure: bool,
    /// Why it is not, where it is not.
    pub doubt: String,
}

struct Member<'a> {
    alert: &'a Alert,
    about: About<'a>,
    onset: f64,
    upstream: Option<f64>,
    leads: Option<f64>,
    why: Vec<String>,
}

/// Ranks the members of an incident; nothing of none.
pub(super) fn rank(alerts: &[&Alert], topology: &Topology, pairs: &Pairs) -> Option<Cause> {
    let mut sorted: Vec<&Alert> = alerts.to_vec();
    sorted.sort_by_key(|alert| (alert.starts_at_ms, alert.fingerprint));
    sorted.truncate(RANKED_MAX);
    let (first_ms, last_ms) = (sorted.first()?.starts_at_ms, sorted.last()?.starts_at_ms);
    let spread_ms = last_ms - first_ms;
    let mut members: Vec<Member<'_>> = sorted
        .iter()
        .map(|alert| {
            let late = (alert.starts_at_ms - first_ms) as f64 / spread_ms.max(1) as f64;
            let onset = if spread_ms < EARLIER_MS { 0.5 } else { 1.0 - late };
            Member { alert, about: About::of(alert), onset, upstream: None, leads: None, why: Vec::new() }
        })
        .collect();
    say_onset(&mut members, spread_ms);
    say_upstream(&mut members, topology);
    say_leads(&mut members, pairs);
    let is_known = spread_ms >= EARLIER_MS || members.iter().any(|one| one.upstream.is_some() || one.leads.is_some());
    let mut scored: Vec<(f64, &Member<'_>)> = members.iter().map(|one| (score(one), one)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.alert.starts_at_ms.cmp(&b.1.alert.starts_at_ms)));
    let doubt = doubt(&scored, is_known, first_ms);
    let candidate = |(score, one): &(f64, &Member<'_>)| Candidate {
        alert: one.alert.fingerprint,
        score: (score * 1000.0).round() / 1000.0,
        why: if one.why.is_empty() { "nothing speaks for it".to_owned() } else { one.why.join("; ") },
    };
    Some(Cause { candidates: scored.iter().map(candidate).collect(), is_sure: doubt.is_empty(), doubt })
}

fn score(one: &Member<'_>) -> f64 {
    let parts = [(ONSET, Some(one.onset)), (TOPOLOGY, one.upstream), (CORRELATION, one.leads)];
    let known = parts.into_iter().filter_map(|(weight, value)| Some((weight, value?)));
    let (sum, weight) = known.fold((0.0, 0.0), |(sum, all), (weight, value)| (sum + weight * value, all + weight));
    sum / weight
}

fn say_onset(members: &mut [Member<'_>], spread_ms: i64) {
    let [first, second, ..] = members else { return };
    let ahead_ms = second.alert.starts_at_ms - first.alert.starts_at_ms;
    if ahead_ms >= EARLIER_MS {
        first.why.push(format!("began first, {} s before the next", ahead_ms / 1000));
    } else if spread_ms >= EARLIER_MS {
        first.why.push("began among the first".to_owned());
    }
}

/// How large a part of the other services needs a member's.
fn say_upstream(members: &mut [Member<'_>], topology: &Topology) {
    let services: BTreeSet<String> = members.iter().filter_map(|one| one.about.service).map(str::to_owned).collect();
    if services.len() < 2 {
        return;
    }
    let knows = services.iter().any(|a| services.iter().any(|b| topology.steps(a, b).is_some()));
    for member in members {
        let Some(service) = member.about.service else { continue };
        let dependents = services.iter().filter(|other| topology.steps(other, service).is_some()).count();
        let by_name = SUPPORTING.iter().any(|word| service.to_ascii_lowercase().contains(word));
        let others = services.len() - 1;
        match (knows, by_name) {
            (true, _) => member.upstream = Some(dependents as f64 / others as f64),
            (false, true) => member.upstream = Some(BY_NAME),
            (false, false) if services.iter().any(|other| SUPPORTING.iter().any(|word| other.contains(word))) => {
                member.upstream = Some(0.0);
            }
            _ => {}
        }
        match (dependents, knows) {
            (1.., _) => member.why.push(format!("{dependents} of {others} other services depend on {service}")),
            (0, false) if by_name => member.why.push(format!("{service} is what others usually lean on")),
            _ => {}
        }
    }
}

/// Of the members that move like one, how many follow it.
fn say_leads(members: &mut [Member<'_>], pairs: &Pairs) {
    let prints: Vec<(Fingerprint, String)> = members
        .iter()
        .map(|one| (one.alert.fingerprint, one.alert.labels.get(METRIC_LABEL).unwrap_or(&one.alert.name).clone()))
        .collect();
    for member in members {
        let own = member.alert.fingerprint;
        let with = prints.iter().filter(|(other, _)| *other != own);
        let known: Vec<_> = with.filter_map(|(other, name)| Some((name, pairs.of(own, *other)?))).collect();
        let strong: Vec<_> = known.into_iter().filter(|(_, known)| known.r.abs() >= super::related::STRONG).collect();
        if strong.is_empty() {
            continue;
        }
        let ahead = strong.iter().filter(|(_, known)| known.lag_ms > 0).count();
        let behind = strong.iter().filter(|(_, known)| known.lag_ms < 0).count();
        if ahead + behind == 0 {
            continue;
        }
        member.leads = Some(ahead as f64 / (ahead + behind) as f64);
        if let Some((name, known)) = strong.iter().filter(|(_, known)| known.lag_ms > 0).max_by_key(|(_, k)| k.lag_ms) {
            let seconds = known.lag_ms / 1000;
            member.why.push(format!("{name} follows it {seconds} s later (r = {:.2})", known.r));
        }
    }
}

/// Why the first is no sure cause; empty if it is one.
fn doubt(scored: &[(f64, &Member<'_>)], is_known: bool, first_ms: i64) -> String {
    match scored {
        [_] => "it is the only alert".to_owned(),
        _ if !is_known => "all began at once, and nothing is known of how they depend on each other".to_owned(),
        [(best, first), (next, second), ..] if best - next < CLEARLY => {
            let name = |one: &Member<'_>| one.alert.labels.get(METRIC_LABEL).unwrap_or(&one.alert.name).clone();
            format!("{} and {} are about as likely", name(first), name(second))
        }
        [(_, first), ..]
            if first.alert.starts_at_ms - first_ms > EARLIER_MS && first.leads.is_none_or(|leads| leads < 0.5) =>
        {
            "others began before it".to_owned()
        }
        _ => String::new(),
    }
}
