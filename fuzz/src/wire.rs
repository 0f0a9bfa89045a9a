//! Two peers may say anything in any order, and pieces change nothing of what is found in it: not where the conversation is
//! seen from its start to its end, that is. Where it is picked up again, a piece must look like messages.
//!
//! The first byte of an input says whether the conversation's start was seen, then come pieces: a byte whose lowest bit is
//! the side and whose next is whether something was lost before it, a byte for the length, and the piece's own bytes.

use std::collections::BTreeMap;

use pgrehearse::capture::wire::{Conversation, Found, Reason, Side};

pub fn fuzz(bytes: &[u8]) {
    let whole = found(bytes, usize::MAX);
    for piece_bytes in [1, 7] {
        let pieces = found(bytes, piece_bytes);
        let is_certain = whole.is_seen_whole && !whole.skipped.contains_key(&Reason::FramingLost);
        assert!(!is_certain || pieces == whole, "{pieces:?}\n{whole:?}");
    }
}

/// What is found in a conversation: in order, and what was skipped by its sum.
#[derive(Debug, Default, PartialEq)]
struct Conversed {
    is_seen_whole: bool,
    events: Vec<String>,
    skipped: BTreeMap<Reason, u64>,
}

/// What is found where every piece is cut into pieces of this many bytes.
fn found(bytes: &[u8], piece_bytes: usize) -> Conversed {
    let (mut events, mut skipped) = (Vec::new(), BTreeMap::new());
    let mut sink = |found: Found| {
        match found {
            Found::Skipped { reason, count, .. } => *skipped.entry(reason).or_default() += count,
            other => events.push(format!("{other:?}")),
        }
        Ok(())
    };
    let Some((first, mut rest)) = bytes.split_first() else { return Conversed::default() };
    let mut conversation = Conversation::new(first & 1 == 1);
    let mut is_seen_whole = first & 1 == 0;
    let mut time_us = 0;
    while let [kind, length, after @ ..] = rest {
        let (piece, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        time_us += 1_000;
        let side = if kind & 1 == 0 { Side::Client } else { Side::Server };
        let at = (0, time_us as u64);
        if kind & 2 == 2 {
            is_seen_whole = false;
            conversation.lost(side, 10, at, &mut sink).expect("the sink never fails");
        }
        for part in piece.chunks(piece_bytes) {
            conversation.take(side, part, time_us, at, &mut sink).expect("the sink never fails");
        }
    }
    conversation.closed((0, 0), &mut sink).expect("the sink never fails");
    Conversed { is_seen_whole, events, skipped }
}
