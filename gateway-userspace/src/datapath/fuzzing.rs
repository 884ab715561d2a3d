//! What fuzzers check of reading pins, which anybody with the right to may have written. Each
//! function takes whatever it is given, and panics when something does not hold.

use gateway_common::limits::POLICY_TEXT_BLOCK_BYTES;

use super::{
    meta::{Meta, UplinkRecord, Words},
    policy,
};

/// The value of `META`, of which missing words are zero, is refused with a reason or read; what was
/// read, written once more, is read as the same.
///
/// # Panics
/// When that does not hold.
pub fn check_meta(words: &[u64]) {
    let mut value: Words = [0; _];
    for (place, word) in value.iter_mut().zip(words) {
        *place = *word;
    }
    let Ok(meta) = Meta::decode(&value) else { return };
    // A byte that is no UTF-8 grows to three, of which there may be no room for all.
    let is_plain = |uplink: &UplinkRecord| uplink.name.is_ascii();
    if meta.uplinks.iter().all(is_plain) {
        assert_eq!(Meta::decode(&meta.encode()), Ok(meta));
    }
}

/// The text of a policy is refused with a reason or read; then whatever commands show of it is
/// there. Missing bytes of the last block are zero.
///
/// # Panics
/// When that does not hold.
pub fn check_policy_text(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(POLICY_TEXT_BLOCK_BYTES), 0);
    policy::fuzzing::check_text(bytes.as_chunks().0);
}

/// A text of a policy as it is pinned, for the fuzzer to begin with: its length and the text.
#[must_use]
pub fn policy_text(policy: &crate::settings::Policy) -> Vec<u8> {
    let text = policy::fuzzing::text(policy);
    let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    text[..end].to_vec()
}
