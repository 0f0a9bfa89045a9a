//! What `pg_controldata` says about a cluster.
//!
//! Takes its output (in English); gives the fields that an upgrade must know. Must not know who runs the program.

/// The facts of a cluster's control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlData {
    /// As printed: `in production`, `shut down`, ...
    pub state: String,
    /// 0 where pages carry no checksums.
    pub checksum_version: u32,
    /// Bytes of a WAL segment, which initdb of the target must be told when it is not the default.
    pub wal_segment_bytes: u64,
    pub system_identifier: String,
    /// Where the last checkpoint lies in the WAL: it moves whenever a server has run on the cluster.
    pub checkpoint: String,
}

impl ControlData {
    /// Reads the output of `pg_controldata`; `None` when a field is missing.
    pub fn parse(output: &str) -> Option<Self> {
        let field = |name: &str| {
            output.lines().find_map(|line| {
                let (label, value) = line.split_once(':')?;
                (label.trim() == name).then(|| value.trim())
            })
        };
        Some(Self {
            state: field("Database cluster state")?.to_owned(),
            checksum_version: field("Data page checksum version")?.parse().ok()?,
            wal_segment_bytes: field("Bytes per WAL segment")?.parse().ok()?,
            system_identifier: field("Database system identifier")?.to_owned(),
            checkpoint: field("Latest checkpoint location")?.to_owned(),
        })
    }

    /// Whether pages carry checksums.
    pub fn checksums(&self) -> bool {
        self.checksum_version != 0
    }

    /// Whether the server was shut down in order; only then may `pg_upgrade` take the cluster.
    pub fn shut_down(&self) -> bool {
        self.state == "shut down" || self.state == "shut down in recovery"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_label() {
        let output = "pg_control version number:            1300\n\
                      Database system identifier:           7312345678901234567\n\
                      Database cluster state:               shut down\n\
                      pg_control last modified:             Mon 01 Jun 2026 10:00:00 AM UTC\n\
                      Latest checkpoint location:           0/15A2B98\n\
                      Bytes per WAL segment:                16777216\n\
                      Data page checksum version:           1\n";
        let data = ControlData::parse(output).unwrap();
        assert!(data.checksums() && data.shut_down());
        assert_eq!(data.checkpoint, "0/15A2B98");
        assert_eq!((data.wal_segment_bytes, data.system_identifier.as_str()), (16 << 20, "7312345678901234567"));
        assert_eq!(ControlData::parse("pg_controldata: error"), None);
    }
}
