//! What falls due of a spool: how often its sessions are replayed, and how many requests come by a moment.
//!
//! Takes the pace; reads the moments of all requests, some bytes each. Must not know the clock.

use std::collections::BTreeMap;

use super::index::Session;
use super::store::{Spool, SpoolError};
use crate::replay::copies::{Copies, Owner};
use crate::replay::pace::Pace;
use crate::words::shard::Shard;

impl Spool {
    /// How often each session is replayed, by its number: as often as any tenant in it.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn copies_of_sessions(&self, copies: &Copies) -> Result<Vec<u16>, SpoolError> {
        if !copies.differ() {
            return Ok(vec![copies.most(); self.sessions().len()]);
        }
        let mut known: Vec<Option<u16>> = vec![None; self.sessions().len()];
        let mut times = self.times();
        while let Some(moment) = times.advance()? {
            let Owner::Tenant(tenant) = moment.owner else { continue };
            let of_session = known.get_mut(moment.number as usize).ok_or(SpoolError::Damaged)?;
            *of_session = (*of_session).max(Some(copies.times(moment.number, tenant)));
        }
        // A session in which nobody has anything is as any other.
        let of_nobody = |(number, times): (u32, Option<u16>)| times.unwrap_or_else(|| copies.times(number, None));
        Ok((0..).zip(known).map(of_nobody).collect())
    }

    /// How often each session is replayed by the pace's shard, by its number: the sessions of others not at all.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn copies_of_shard(&self, pace: &Pace) -> Result<Vec<u16>, SpoolError> {
        let copies = self.copies_of_sessions(&pace.copies)?;
        let owned = self.owned(pace.shard);
        Ok(copies.into_iter().zip(owned).map(|(copies, owned)| if owned { copies } else { 0 }).collect())
    }

    /// Whose each session is, by its number.
    fn owned(&self, shard: Shard) -> Vec<bool> {
        let mut owned = vec![false; self.sessions().len()];
        for session in self.sessions() {
            if let Some(owned) = owned.get_mut(session.number as usize) {
                *owned = shard.owns(session.session);
            }
        }
        owned
    }

    /// How many requests of the pace's shard, over all copies, fall due less than `until_us` after the replay's start; none in a closed loop.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn requests_due(&self, pace: &Pace, until_us: u64) -> Result<Option<u64>, SpoolError> {
        if pace.is_closed_loop() {
            return Ok(None);
        }
        let of_sessions = self.copies_of_shard(pace)?;
        let owned = self.owned(pace.shard);
        let mut times = self.times();
        let mut count = 0;
        while let Some(moment) = times.advance()? {
            let is_owned = owned.get(moment.number as usize).is_some_and(|owned| *owned);
            if !is_owned || pace.read_only && moment.writes {
                continue;
            }
            let copies = match moment.owner {
                Owner::Session => *of_sessions.get(moment.number as usize).ok_or(SpoolError::Damaged)?,
                Owner::Tenant(tenant) => pace.copies.times(moment.number, tenant),
            };
            count += pace.times_due(moment.t_us, moment.number, copies, until_us);
        }
        Ok(Some(count))
    }

    /// The most connections that the replay of this many copies has at one moment of the capture; `copies` by the numbers
    /// of the sessions.
    pub fn connections_at_once(&self, copies: &[u16]) -> usize {
        let of = |number: u32| copies.get(number as usize).copied().unwrap_or_default();
        Session::most_at_once(self.sessions().iter().map(|session| (session, of(session.number))))
    }

    /// The same for each captured database and user.
    pub fn connections_by_login(&self, copies: &[u16]) -> BTreeMap<(String, String), usize> {
        self.by_login(copies).into_iter().map(|(login, sessions)| (login, Session::most_at_once(sessions))).collect()
    }

    /// The sessions of each captured database and user, over the whole replay.
    pub fn sessions_by_login(&self, copies: &[u16]) -> BTreeMap<(String, String), usize> {
        let count = |sessions: Vec<(&Session, u16)>| sessions.into_iter().map(|(_, copies)| usize::from(copies)).sum();
        self.by_login(copies).into_iter().map(|(login, sessions)| (login, count(sessions))).collect()
    }

    fn by_login(&self, copies: &[u16]) -> BTreeMap<(String, String), Vec<(&Session, u16)>> {
        let mut sessions: BTreeMap<(String, String), Vec<(&Session, u16)>> = BTreeMap::new();
        for session in self.sessions() {
            let copies = copies.get(session.number as usize).copied().unwrap_or_default();
            sessions.entry((session.database.clone(), session.user.clone())).or_default().push((session, copies));
        }
        sessions
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::super::DatabaseNames;
    use super::*;
    use crate::scenario::resolved::Speed;

    /// Session 1 is shared by acme (tenant 0) and bolt (tenant 1), session 2 is bolt's, in session 3 nobody has anything.
    fn spool() -> Spool {
        let tenant = |id: u32, name: &str| json!({"kind": "tenant", "id": id, "name": name});
        let open =
            |session: u32| json!({"kind": "open", "t_us": 0, "session": session, "database": "app", "user": "u"});
        let mut sequence = 0;
        let mut request = |t_us: u64, session: u32, tenant: Option<u32>, sql: &str| {
            sequence += 1;
            let sql =
                json!({"text": sql, "fingerprint": crate::sql::fingerprint(sql), "class": crate::sql::classify(sql)});
            json!({"kind": "request", "t_us": t_us, "session": session, "sequence": sequence, "tenant": tenant,
                "simple": {"sql": sql}})
        };
        let lines = [
            tenant(0, "acme"),
            tenant(1, "bolt"),
            open(1),
            open(2),
            open(3),
            request(10, 1, Some(1), "SET search_path = bolt"),
            request(20, 1, Some(1), "SELECT 1"),
            request(30, 1, Some(0), "BEGIN"),
            request(40, 1, Some(1), "SET LOCAL work_mem = '1MB'"),
            request(50, 1, None, "COMMIT"),
            request(60, 2, Some(1), "SELECT 2"),
            json!({"kind": "close", "t_us": 65, "session": 1}),
            request(70, 2, None, "SELECT 3"),
            json!({"kind": "end", "sessions": 3, "requests": 7, "tenants": 2, "span_us": 80}),
        ];
        Spool::from_lines(&lines, DatabaseNames::new())
    }

    #[test]
    fn what_closes_makes_room_for_what_opens_then_but_not_for_what_did_not_open_before() {
        let open = |t_us: u64, session: u32| json!({"kind": "open", "t_us": t_us, "session": session, "database": "app", "user": "u"});
        let close = |t_us: u64, session: u32| json!({"kind": "close", "t_us": t_us, "session": session});
        let end =
            |sessions: u32| json!({"kind": "end", "sessions": sessions, "requests": 0, "tenants": 0, "span_us": 9});
        let at_once = |lines: &[serde_json::Value], times: u16| {
            Spool::from_lines(lines, DatabaseNames::new()).connections_at_once(&[times; 3])
        };
        let handed_on = [open(0, 1), close(5, 1), open(5, 2), close(7, 2), open(8, 3), end(3)];
        assert_eq!((at_once(&handed_on, 1), at_once(&handed_on, 4)), (1, 4));
        let in_all = Spool::from_lines(&handed_on, DatabaseNames::new()).sessions_by_login(&[2; 3]);
        assert_eq!(in_all.into_values().collect::<Vec<_>>(), [6], "a pool may keep what each of them opened");
        let momentary = [open(5, 1), close(5, 1), open(5, 2), close(5, 2), open(5, 3), close(6, 3), end(3)];
        assert_eq!(at_once(&momentary, 1), 3, "nobody knows which came first");
    }

    #[test]
    fn a_session_has_as_many_copies_as_the_tenant_with_the_most() {
        let spool = spool();
        let copies = |times: [f64; 2]| spool.copies_of_sessions(&Copies::new(1).with_tenants(times.into())).unwrap();
        assert_eq!(copies([3.0, 1.0]), [3, 1, 1]);
        assert_eq!(copies([0.0, 2.0]), [2, 2, 1]);
        assert_eq!(copies([0.0, 0.0]), [0, 1, 1], "what has no tenant is sent once");
        assert_eq!(spool.copies_of_sessions(&Copies::new(4)).unwrap(), [4, 4, 4]);
        assert_eq!(spool.connections_at_once(&[3, 1, 1]), 5);
        assert_eq!(spool.connections_at_once(&[0, 2, 0]), 2);
        assert_eq!(spool.connections_by_login(&[3, 1, 1]), [(("app".to_owned(), "u".to_owned()), 5)].into());
    }

    #[test]
    fn transactions_are_counted_for_the_tenant_that_began_them_and_settings_for_all() {
        let spool = spool();
        let due = |times: [f64; 2]| {
            let copies = Copies::new(1).with_tenants(times.into());
            let pace = Pace { copies, ..Pace::new(Speed::Factor(1.0), 1) };
            let in_shard = |shard| {
                let pace = Pace { shard, ..pace.clone() };
                spool.requests_due(&pace, u64::MAX).unwrap().unwrap()
            };
            let whole = in_shard(Shard::WHOLE);
            let shards = (0..2).map(|index| in_shard(Shard::new(index, 2).unwrap()));
            assert_eq!(shards.sum::<u64>(), whole, "each is one shard's");
            whole
        };
        assert_eq!(due([1.0, 1.0]), 7);
        assert_eq!(due([3.0, 1.0]), 7 + 2 * (3 + 1), "acme's transaction and the SET before it");
        assert_eq!(due([1.0, 2.0]), 7 + 2 + 1);
        assert_eq!(due([0.0, 0.0]), 1);
    }
}
