//! Where an event stands: its moment and its session, whatever its kind.
//!
//! Takes a record and gives, or changes, what all events have. Must not know what the events mean.

use super::record::Record;

impl Record {
    /// The moment of an event and the session that it belongs to; none for the header, definitions and the end.
    pub fn place(&self) -> Option<(u64, u32)> {
        match self {
            Self::Open(open) => Some((open.t_us, open.session)),
            Self::Request(request) => Some((request.t_us, request.session)),
            Self::Copy(copy) => Some((copy.t_us, copy.session)),
            Self::Cancel(cancel) => Some((cancel.t_us, cancel.session)),
            Self::Close(close) => Some((close.t_us, close.session)),
            Self::Header(_) | Self::Tenant(_) | Self::Sql(_) | Self::End(_) => None,
        }
    }

    /// The moment and the session of an event, to be changed.
    pub fn place_mut(&mut self) -> Option<(&mut u64, &mut u32)> {
        match self {
            Self::Open(open) => Some((&mut open.t_us, &mut open.session)),
            Self::Request(request) => Some((&mut request.t_us, &mut request.session)),
            Self::Copy(copy) => Some((&mut copy.t_us, &mut copy.session)),
            Self::Cancel(cancel) => Some((&mut cancel.t_us, &mut cancel.session)),
            Self::Close(close) => Some((&mut close.t_us, &mut close.session)),
            Self::Header(_) | Self::Tenant(_) | Self::Sql(_) | Self::End(_) => None,
        }
    }
}
