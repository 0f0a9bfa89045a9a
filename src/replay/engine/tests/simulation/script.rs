//! What the played servers do: how they greet, what they make of a request, when they are away.
//!
//! Takes who asks and when; gives the same answer each time. Must not know what the engine is to do about it.

use super::dice::{Dice, Matter, Odds};

/// The played servers' part.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub odds: Odds,
    /// How long requests take, microseconds; and the slow ones.
    pub service_us: (u64, u64),
    pub slow_us: (u64, u64),
    pub slow: f64,
    pub errors: f64,
    /// The server ends the session instead of answering, in the middle of the answer or before it.
    pub ends: f64,
    pub hangs: f64,
    pub refuses: f64,
    /// Dials that are taken only after a while, at most so much later.
    pub taken_late_us: u64,
    pub rejects: f64,
    /// Logins that nobody answers.
    pub mutes: f64,
    /// Sessions that are ended after a while, and how long that is at most.
    pub short_lived: f64,
    pub life_us: u64,
    pub heeds_cancels: f64,
    pub outages: Vec<Outage>,
}

/// A time in which a server is away.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    /// 0 is the old server, 1 the new one.
    pub server: usize,
    pub starts_us: u64,
    pub ends_us: u64,
    pub kind: Absence,
}

/// How a server is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It ends all sessions and refuses new ones.
    Down,
    /// It stands still: answers come at its end, dials hang.
    Frozen,
    /// It takes everything and answers nothing, also later.
    Mute,
}

/// What becomes of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Refuse,
    Hang,
    /// Taken after so many microseconds.
    Take(u64),
}

/// What becomes of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Welcome,
    Reject,
    Mute,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Answer,
    Error(&'static str),
    /// The server says that it goes, and does.
    End,
    /// The connection breaks in the middle of the answer.
    Cut,
    Hang,
}

/// Errors that servers come with. The last ones are often met in captures, too.
const ERRORS: [&str; 6] = ["40001", "40P01", "42P01", "53300", "55P03", "23505"];

impl Script {
    /// Servers that are as good or as bad as the seed wants them; `span_us` is about when the traffic ends.
    pub fn new(dice: &mut Dice, span_us: u64) -> Self {
        // Most runs have one or two troubles that show clearly, and some have all of them.
        let mood = dice.one_of(&[0.0, 0.0, 1.0, 1.0, 3.0]);
        let mut trouble = |usual: f64| if dice.happens(0.4) { usual * mood } else { 0.0 };
        let [slow, errors, ends, hangs] = [0.1, 0.1, 0.04, 0.03].map(&mut trouble);
        let [refuses, rejects, mutes, short_lived] = [0.1, 0.1, 0.05, 0.3].map(&mut trouble);
        let outages = (0..dice.one_of(&[0, 0, 0, 1, 1, 2])).map(|_| {
            let starts_us = dice.between(0, span_us);
            Outage {
                server: dice.one_of(&[0, 0, 1]),
                starts_us,
                ends_us: starts_us + dice.between(1_000, 6_000_000),
                kind: dice.one_of(&[Absence::Down, Absence::Frozen, Absence::Mute]),
            }
        });
        Self {
            outages: outages.collect(),
            odds: Odds(dice.between(0, 1 << 50)),
            service_us: dice.one_of(&[(1_000, 1_001), (1_000, 20_000), (1_000, 200_000)]),
            slow_us: (100_000, 8_000_000),
            slow,
            errors,
            ends,
            hangs,
            refuses,
            taken_late_us: dice.one_of(&[0, 0, 5_000, 500_000]),
            rejects,
            mutes,
            short_lived,
            life_us: dice.one_of(&[100_000, 1_000_000, 10_000_000]),
            heeds_cancels: dice.one_of(&[0.0, 0.5, 1.0, 1.0]),
        }
    }

    pub fn greeting(&self, server: usize, dial: usize, now_us: u64) -> Greeting {
        match self.absence(server, now_us) {
            Some((Absence::Down, _)) => Greeting::Refuse,
            Some((Absence::Frozen, _)) => Greeting::Hang,
            _ if self.odds.of(Matter::Dial, dial, 0) < self.refuses => Greeting::Refuse,
            _ => Greeting::Take(self.odds.skewed(Matter::DialDelay, dial, 0, (0, self.taken_late_us))),
        }
    }

    pub fn login(&self, server: usize, dial: usize, now_us: u64) -> (Login, u64) {
        let takes_us = self.odds.skewed(Matter::LoginTime, dial, 0, self.service_us);
        let login = match self.odds.of(Matter::Login, dial, 0) {
            _ if self.is(Absence::Mute, server, now_us) => Login::Mute,
            odds if odds < self.mutes => Login::Mute,
            odds if odds < self.mutes + self.rejects => Login::Reject,
            _ => Login::Welcome,
        };
        (login, takes_us)
    }

    /// When a session that began now is ended whatever it does.
    pub fn ends_us(&self, server: usize, dial: usize, now_us: u64) -> Option<u64> {
        let is_short = self.odds.of(Matter::Life, dial, 0) < self.short_lived;
        let of_itself = is_short.then(|| now_us + (self.life_us as f64 * self.odds.of(Matter::Life, dial, 1)) as u64);
        let outages = self.outages.iter().filter(|outage| outage.server == server && outage.kind == Absence::Down);
        outages.map(|outage| outage.starts_us).filter(|at_us| *at_us >= now_us).chain(of_itself).min()
    }

    /// What becomes of a connection's request with this number, and how long that takes.
    pub fn deed(&self, server: usize, dial: usize, request: usize, now_us: u64) -> (Deed, u64) {
        let mut odds = self.odds.of(Matter::Deed, dial, request);
        let mut is = |probability: f64| {
            odds -= probability;
            (-probability..0.0).contains(&odds)
        };
        let error = ERRORS[(self.odds.of(Matter::WhichError, dial, request) * ERRORS.len() as f64) as usize];
        let deed = match () {
            () if self.is(Absence::Mute, server, now_us) => Deed::Hang,
            () if is(self.errors) => Deed::Error(error),
            () if is(self.ends) => Deed::End,
            () if is(self.ends) => Deed::Cut,
            () if is(self.hangs) => Deed::Hang,
            () => Deed::Answer,
        };
        let range_us = if is(self.slow) { self.slow_us } else { self.service_us };
        (deed, self.odds.skewed(Matter::ServiceTime, dial, request, range_us))
    }

    /// Whether an error comes at Parse already, so that nothing is prepared.
    pub fn parse_fails(&self, dial: usize, request: usize) -> bool {
        self.odds.of(Matter::ParseFails, dial, request) < 0.5
    }

    pub fn heeds_cancel(&self, dial: usize) -> bool {
        self.odds.of(Matter::Cancel, dial, 0) < self.heeds_cancels
    }

    /// Until when a frozen server stands still.
    pub fn thaws_us(&self, server: usize, now_us: u64) -> Option<u64> {
        self.absence(server, now_us).filter(|(kind, _)| *kind == Absence::Frozen).map(|(_, ends_us)| ends_us)
    }

    fn is(&self, kind: Absence, server: usize, now_us: u64) -> bool {
        self.absence(server, now_us).is_some_and(|(now, _)| now == kind)
    }

    fn absence(&self, server: usize, now_us: u64) -> Option<(Absence, u64)> {
        let is_now = |outage: &&Outage| outage.server == server && (outage.starts_us..outage.ends_us).contains(&now_us);
        self.outages.iter().find(is_now).map(|outage| (outage.kind, outage.ends_us))
    }
}
