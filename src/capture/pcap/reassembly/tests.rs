//! Specifications of reassembly: two ends that speak in turns, and what a capture makes of their packets.

use proptest::prelude::*;

use super::*;

/// What one end says in a packet.
#[derive(Clone, Debug)]
struct Said {
    from_second: bool,
    sequence: u32,
    acknowledged: u32,
    bytes: Vec<u8>,
}

/// A conversation in turns: what each end says, in packets of `size` bytes, every answer acknowledging what it answers.
fn turns(texts: &[Vec<u8>], size: usize, begins: [u32; 2]) -> Vec<Said> {
    let mut next = begins;
    let mut all = Vec::new();
    for (turn, text) in texts.iter().enumerate() {
        let own = turn % 2;
        for bytes in text.chunks(size.max(1)) {
            all.push(Said {
                from_second: own == 1,
                sequence: next[own],
                acknowledged: next[1 - own],
                bytes: bytes.to_vec(),
            });
            next[own] = next[own].wrapping_add(bytes.len() as u32);
        }
    }
    all
}

/// A millisecond passes from packet to packet.
fn reassemble(begins: [u32; 2], captured: &[Said]) -> Vec<Delivered> {
    let mut reassembly = Reassembly::default();
    let mut out = Vec::new();
    reassembly.begin(false, begins[0]);
    reassembly.begin(true, begins[1]);
    for (n, said) in captured.iter().enumerate() {
        take(&mut reassembly, said, n as i64 * 1_000, &mut out);
    }
    reassembly.finish(&mut out);
    out
}

fn take(reassembly: &mut Reassembly, said: &Said, time_us: i64, out: &mut Vec<Delivered>) {
    let Said { from_second, sequence, acknowledged, ref bytes } = *said;
    let acknowledged = Some(acknowledged);
    let piece = Piece { from_second, sequence, acknowledged, bytes, is_end: false, time_us, packet: time_us as u64 };
    reassembly.take(&piece, out);
}

/// The turns as they were given: neighbours of the same end put together, losses as their number.
fn heard(delivered: &[Delivered]) -> Vec<(bool, Result<Vec<u8>, u64>)> {
    let mut heard: Vec<(bool, Result<Vec<u8>, u64>)> = Vec::new();
    for delivered in delivered {
        match (delivered, heard.last_mut()) {
            (Delivered::Bytes { from_second, bytes, .. }, Some((last, Ok(text)))) if last == from_second => {
                text.extend(bytes);
            }
            (Delivered::Bytes { from_second, bytes, .. }, _) => heard.push((*from_second, Ok(bytes.clone()))),
            (Delivered::Lost { from_second, count, .. }, _) => heard.push((*from_second, Err(*count))),
        }
    }
    heard
}

fn spoken(texts: &[Vec<u8>]) -> Vec<(bool, Result<Vec<u8>, u64>)> {
    texts.iter().enumerate().map(|(turn, text)| (turn % 2 == 1, Ok(text.clone()))).collect()
}

fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..12)
}

proptest! {
    #[test]
    fn packets_that_are_captured_in_another_order_change_nothing(
        texts in texts(), size in 1_usize..20, begins: [u32; 2],
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 0..20),
    ) {
        let mut captured = turns(&texts, size, begins);
        let last = captured.len() - 1;
        for (at, distance) in swaps {
            let at = at.index(captured.len());
            captured.swap(at, (at + distance).min(last));
        }
        prop_assert_eq!(heard(&reassemble(begins, &captured)), spoken(&texts));
    }

    #[test]
    fn retransmissions_with_any_borders_change_nothing(
        texts in texts(), size in 1_usize..20, again_size in 1_usize..30, begins: [u32; 2],
        again in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3), 0..20),
    ) {
        let mut captured = turns(&texts, size, begins);
        let others = turns(&texts, again_size, begins);
        for (which, later) in again {
            let other = &others[which.index(others.len())];
            // Not before its first byte was sent.
            let end = |said: &Said| said.sequence.wrapping_add(said.bytes.len() as u32);
            let is_sent = |said: &Said| said.from_second == other.from_second && end(said) == end(other);
            let Some(sent) = captured.iter().position(is_sent) else { continue };
            captured.insert((sent + 1 + later).min(captured.len()), other.clone());
        }
        prop_assert_eq!(heard(&reassemble(begins, &captured)), spoken(&texts));
    }

    #[test]
    fn what_is_lost_is_said_before_its_answer_comes(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 2..60), 3..12),
        lost in any::<prop::sample::Index>(), begins: [u32; 2],
    ) {
        let mut captured = turns(&texts, 1_000, begins);
        let lost = lost.index(texts.len() - 1);
        captured.remove(lost);
        let mut expected = spoken(&texts);
        expected[lost].1 = Err(texts[lost].len() as u64);
        prop_assert_eq!(heard(&reassemble(begins, &captured)), expected);
    }
}

#[test]
fn what_the_other_end_has_not_is_still_to_come() {
    let said = turns(&[b"abcdef".to_vec()], 2, [0, 0]);
    let mut reassembly = Reassembly::default();
    let mut out = Vec::new();
    take(&mut reassembly, &said[0], 0, &mut out);
    take(&mut reassembly, &said[2], 10, &mut out);
    // The other end says again and again that it waits for the third byte: it was lost before the capture's place.
    let waits = Said { from_second: true, sequence: 0, acknowledged: 2, bytes: Vec::new() };
    for second in 1..30 {
        take(&mut reassembly, &waits, second * 1_000_000, &mut out);
    }
    assert_eq!(heard(&out), [(false, Ok(b"ab".to_vec()))]);
    take(&mut reassembly, &said[1], 31_000_000, &mut out);
    assert_eq!(heard(&out), [(false, Ok(b"abcdef".to_vec()))]);
}

#[test]
fn where_only_one_end_is_captured_a_gap_is_lost_after_a_while() {
    let said = turns(&[b"abcdefgh".to_vec()], 2, [0, 0]);
    let mut reassembly = Reassembly::default();
    let mut out = Vec::new();
    for (said, time_us) in [(&said[0], 0), (&said[2], 10), (&said[3], 2_000_000)] {
        take(&mut reassembly, said, time_us, &mut out);
    }
    assert_eq!(heard(&out), [(false, Ok(b"ab".to_vec())), (false, Err(2)), (false, Ok(b"efgh".to_vec()))]);
}

#[test]
fn a_loss_at_the_end_is_said_and_the_end_itself_is_none() {
    let mut said = turns(&[b"question".to_vec(), b"answer".to_vec(), b"thanks".to_vec()], 100, [7, 9]);
    said.remove(1);
    said.pop();
    // The first end acknowledges the answer, which was not captured, with an empty packet.
    said.push(Said { from_second: false, sequence: 15, acknowledged: 15, bytes: Vec::new() });
    assert_eq!(heard(&reassemble([7, 9], &said)), [(false, Ok(b"question".to_vec())), (true, Err(6))]);
    said.pop();
    said.push(Said { from_second: false, sequence: 15, acknowledged: 10, bytes: Vec::new() });
    assert_eq!(heard(&reassemble([7, 9], &said)), [(false, Ok(b"question".to_vec()))]);
}
