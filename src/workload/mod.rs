//! Floor 1: the workload file (`.jsonl`, `.jsonl.zst`): its lines, a streaming reader and a streaming writer.

pub mod record;
