//! One session's requests as they are read back, each with the COPY data that its client sent.
//!
//! Takes a chain; gives requests in order, and the data of the one that it stands at, piece by piece. Holds one block and
//! one entry. Must not know when anything is sent.

use std::time::Duration;

use super::bytes::Take;
use super::chain::{ChainReader, Place};
use super::entries::{Entry, Mark};
use super::request::{RequestFacts, SpoolRequest};
use super::store::SpoolError;
use crate::workload::record::CopyEnd;

/// Reads one session's chain.
#[derive(Debug)]
pub struct SessionRequests {
    chain: ChainReader,
    mark: Mark,
    /// The facts of the request that was read last, and the length of what stands behind them; none once its data was read.
    current: Option<(RequestFacts, usize)>,
    /// Data of the request was not read yet.
    has_data: bool,
}

/// Where a request stands among those of its session.
#[derive(Clone, Copy, Debug)]
pub struct RequestPlace(Place);

/// A part of the data that a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPart<'a> {
    Data(&'a [u8]),
    /// A COPY is at its end; the next part is of another one.
    Ended(CopyEnd),
}

impl SessionRequests {
    pub(super) fn new(chain: ChainReader) -> Self {
        Self { chain, mark: Mark::default(), current: None, has_data: false }
    }

    /// Goes to the session's next request and gives its facts, or none at its end. Data that was not read is passed over.
    ///
    /// # Errors
    /// The spool is damaged or its disk cannot be read.
    pub fn advance(&mut self) -> Result<Option<RequestFacts>, SpoolError> {
        (self.current, self.has_data) = (None, false);
        while self.chain.advance().map_err(|_| SpoolError::Damaged)? {
            match Entry::decode(self.chain.record()) {
                Some(Entry::Request { mark, record }) => {
                    let mut take = Take(record);
                    let facts = RequestFacts::take(&mut take).ok_or(SpoolError::Damaged)?;
                    SpoolRequest::with_facts(facts, take.0).ok_or(SpoolError::Damaged)?;
                    (self.current, self.mark, self.has_data) = (Some((facts, take.0.len())), mark, mark.brings_data);
                    return Ok(Some(facts));
                }
                Some(_) => {}
                None => return Err(SpoolError::Damaged),
            }
        }
        Ok(None)
    }

    /// Passes over so many parts of the request's data at most; true when none is left.
    ///
    /// # Errors
    /// The spool is damaged or its disk cannot be read.
    pub fn pass_over_data(&mut self, parts_max: usize) -> Result<bool, SpoolError> {
        for _ in 0..parts_max {
            if self.next_copy_part()?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the request stands that [`Self::advance`] went to, before its data is read.
    pub fn place(&self) -> RequestPlace {
        RequestPlace(self.chain.place())
    }

    /// Goes back to the request that stands there, and gives its facts.
    ///
    /// # Errors
    /// The spool is damaged or its disk cannot be read.
    pub fn go_back(&mut self, place: RequestPlace) -> Result<Option<RequestFacts>, SpoolError> {
        self.chain.go_back(place.0).map_err(|_| SpoolError::Damaged)?;
        self.advance()
    }

    /// The request that [`Self::advance`] went to, with its texts; none once its data was read.
    pub fn current(&self) -> Option<SpoolRequest<'_>> {
        let (facts, length) = self.current?;
        let entry = self.chain.record();
        SpoolRequest::with_facts(facts, entry.get(entry.len().checked_sub(length)?..)?)
    }

    /// Whether the request has COPY data.
    pub fn brings_data(&self) -> bool {
        self.mark.brings_data
    }

    /// How long after the request's start its client asked for its cancellation.
    pub fn cancelled_after(&self) -> Option<Duration> {
        self.mark.cancelled_after_us.map(Duration::from_micros)
    }

    /// The next part of the data that the request brings; none at its end.
    ///
    /// # Errors
    /// The spool is damaged or its disk cannot be read.
    pub fn next_copy_part(&mut self) -> Result<Option<CopyPart<'_>>, SpoolError> {
        if !self.has_data {
            return Ok(None);
        }
        (self.current, self.has_data) = (None, false);
        if !self.chain.advance().map_err(|_| SpoolError::Damaged)? {
            return Err(SpoolError::Damaged);
        }
        let part = match Entry::decode(self.chain.record()) {
            Some(Entry::CopyData(bytes)) => CopyPart::Data(bytes),
            Some(Entry::CopyEnded(ended)) => CopyPart::Ended(ended),
            Some(Entry::NoMoreData) => return Ok(None),
            Some(Entry::Request { .. }) | None => return Err(SpoolError::Damaged),
        };
        self.has_data = true;
        Ok(Some(part))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{DatabaseNames, Spool};
    use super::*;

    macro_rules! lines {
        ($($line:tt),* $(,)?) => { [$(serde_json::json!($line)),*] };
    }

    /// One session: a COPY with data, one that was cut off, a cancelled query, a COPY whose data is missing.
    fn spool() -> Spool {
        let spool = Spool::from_lines(
            &lines![
                {"kind": "sql", "id": 0, "text": "COPY t FROM STDIN", "fingerprint": "0000000000000001", "class": "copy"},
                {"kind": "sql", "id": 1, "text": "SELECT 1", "fingerprint": "0000000000000002", "class": "read"},
                {"kind": "open", "t_us": 0, "session": 7, "database": "app", "user": "u"},
                {"kind": "request", "t_us": 10, "session": 7, "sequence": 0, "simple": {"sql": 0}},
                {"kind": "sql", "id": 0, "text": "COPY u FROM STDIN", "fingerprint": "0000000000000003", "class": "copy"},
                {"kind": "copy", "t_us": 11, "session": 7, "sequence": 0, "from_client": true, "base64": "MQo="},
                {"kind": "copy", "t_us": 12, "session": 7, "sequence": 0, "from_client": true, "base64": "",
                 "ended": "done"},
                {"kind": "request", "t_us": 20, "session": 7, "sequence": 1, "simple": {"sql": 0}},
                {"kind": "copy", "t_us": 21, "session": 7, "sequence": 1, "from_client": true, "base64": "Mgo="},
                {"kind": "request", "t_us": 30, "session": 7, "sequence": 2, "simple": {"sql": 1},
                 "results": [{"total_us": 9, "sqlstate": "57014"}]},
                {"kind": "cancel", "t_us": 38, "session": 7},
                {"kind": "request", "t_us": 40, "session": 7, "sequence": 3, "simple": {"sql": 1},
                 "results": [{"total_us": 2}]},
                {"kind": "cancel", "t_us": 45, "session": 7},
                {"kind": "request", "t_us": 50, "session": 7, "sequence": 4, "simple": {"sql": 0}},
                {"kind": "end", "sessions": 1, "requests": 5, "tenants": 0, "span_us": 60},
            ],
            DatabaseNames::new(),
        );
        assert_eq!(spool.totals().not_replayed.values().sum::<u64>(), 1);
        spool
    }

    #[test]
    fn data_follows_its_request() {
        let spool = spool();
        let mut requests = spool.requests(&spool.sessions()[0]);
        assert_eq!(requests.advance().unwrap().unwrap().t_us, 10);
        assert_eq!(requests.current().unwrap().body.session_sql(), b"COPY t FROM STDIN");
        assert!(requests.brings_data());
        assert_eq!(requests.next_copy_part().unwrap(), Some(CopyPart::Data(b"1\n")));
        assert!(requests.current().is_none());
        assert_eq!(requests.next_copy_part().unwrap(), Some(CopyPart::Ended(CopyEnd::Done)));
        assert_eq!(requests.next_copy_part().unwrap(), None);
        assert_eq!(requests.next_copy_part().unwrap(), None);
        assert_eq!(requests.advance().unwrap().unwrap().t_us, 20);
        assert_eq!(requests.next_copy_part().unwrap(), Some(CopyPart::Data(b"2\n")));
        assert_eq!(requests.next_copy_part().unwrap(), Some(CopyPart::Ended(CopyEnd::Failed)));
        assert_eq!(requests.next_copy_part().unwrap(), None);
        assert_eq!(requests.advance().unwrap().unwrap().t_us, 30);
        assert!(!requests.brings_data());
    }

    #[test]
    fn data_that_nobody_reads_is_passed_over() {
        let spool = spool();
        let mut requests = spool.requests(&spool.sessions()[0]);
        let times: Vec<_> = std::iter::from_fn(|| requests.advance().unwrap()).map(|facts| facts.t_us).collect();
        assert_eq!(times, [10, 20, 30, 40]);
    }

    #[test]
    fn a_request_is_come_back_to_with_its_data() {
        let spool = spool();
        let mut requests = spool.requests(&spool.sessions()[0]);
        requests.advance().unwrap();
        let place = requests.place();
        while requests.advance().unwrap().is_some() {}
        assert_eq!(requests.go_back(place).unwrap().unwrap().t_us, 10);
        assert_eq!(requests.current().unwrap().body.session_sql(), b"COPY t FROM STDIN");
        assert_eq!(requests.next_copy_part().unwrap(), Some(CopyPart::Data(b"1\n")));
        assert_eq!(requests.advance().unwrap().unwrap().t_us, 20);
    }

    #[test]
    fn data_can_be_passed_over_by_and_by() {
        let spool = spool();
        let mut requests = spool.requests(&spool.sessions()[0]);
        requests.advance().unwrap();
        assert!(!requests.pass_over_data(2).unwrap(), "the data and its end");
        assert!(requests.pass_over_data(1).unwrap());
        assert_eq!(requests.advance().unwrap().unwrap().t_us, 20);
    }

    #[test]
    fn a_cancel_request_belongs_to_what_was_unanswered() {
        let spool = spool();
        let mut requests = spool.requests(&spool.sessions()[0]);
        let mut next =
            || requests.advance().unwrap().map(|_| requests.cancelled_after().map(|after| after.as_micros()));
        let cancelled: Vec<_> = std::iter::from_fn(&mut next).collect();
        assert_eq!(cancelled, [None, None, Some(8), None]);
    }
}
