//! A simulation of schedule and sessions: many seeds, each a workload, clients, servers with their troubles and a clock of its own.
//!
//! ```text
//! dice          what is left to chance
//! plan          all that a seed decides; workload and script are the larger parts of it
//! server        a server that is played; conversation is one of its connections, log what it saw
//! trial         a plan that was played
//! findings      what does not hold in it
//! booking       check: each request once, at its time
//! timing        check: when requests are sent and given up, and the end of the run
//! blocks        check: the rest of a broken transaction
//! heard         check: what the servers saw is what the samples say
//! links         check: connections and cancel requests
//! tally         what happened, over all seeds
//! ```
//!
//! `PGREHEARSE_SIM_SEEDS=N` plays so many seeds, `PGREHEARSE_SIM_SEED=N` that one alone.

mod blocks;
mod booking;
mod conversation;
mod dice;
mod findings;
mod heard;
mod links;
mod log;
mod plan;
mod script;
mod server;
mod tally;
mod timing;
mod trial;
mod workload;

use std::env;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};

use findings::{Findings, Played};
use plan::Plan;
use tally::Tally;
use trial::Trial;

/// Seeds that every run of the tests plays.
const SEEDS: u64 = 200;

/// Of so many seeds each is played twice, to see that nothing but the seed decides.
const PLAYED_TWICE: u64 = 5;

/// So many findings of a seed are shown.
const SHOWN_MAX: usize = 5;

/// Plays a seed and gives all that does not hold.
fn play(seed: u64, tally: &mut Tally) -> Vec<String> {
    let plan = Plan::new(seed);
    let trial = Trial::new(&plan);
    let mut findings = Findings::default();
    let played = Played::new(&plan, &trial, &mut findings);
    for check in [booking::check, timing::check, blocks::check, heard::check, links::check] {
        check(&played, &mut findings);
    }
    if seed.is_multiple_of(PLAYED_TWICE) {
        findings.ensure(Trial::new(&plan) == trial, || "played again, it went otherwise".to_owned());
    }
    tally.add(&played);
    findings.0
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_each_request_is_sent_and_booked_as_it_should_be() {
    let seeds: Range<u64> = match number("PGREHEARSE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PGREHEARSE_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for seed in seeds.clone() {
        let played = panic::catch_unwind(AssertUnwindSafe(|| play(seed, &mut tally)));
        let findings = played.unwrap_or_else(|_| vec!["it panicked, as is said above".to_owned()]);
        if !findings.is_empty() {
            let shown: Vec<&str> = findings.iter().take(SHOWN_MAX).map(String::as_str).collect();
            failed.push(format!(
                "seed {seed}: {} findings (PGREHEARSE_SIM_SEED={seed} cargo test --lib simulation)\n  {}",
                findings.len(),
                shown.join("\n  ")
            ));
        }
    }
    assert!(failed.is_empty(), "{} of {} seeds\n{}", failed.len(), seeds.end - seeds.start, failed.join("\n"));
    let never: Vec<&str> = tally.0.iter().filter(|(_, times)| **times == 0).map(|(what, _)| *what).collect();
    assert!(never.is_empty() || seeds.end - seeds.start < SEEDS, "never happened: {never:?}");
}
