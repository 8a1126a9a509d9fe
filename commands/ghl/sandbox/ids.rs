//! Ids that can be undone, so that a million records need no table of ids.
//!
//! An id looks like the provider's (20 letters and digits). It is a number run through a
//! permutation that depends on the kind, so ids are neither in order nor close to each other.

use medtainer_core::sandbox::scramble;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What an id names; the same number gives different ids for different kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Contact = 1,
    Opportunity,
    Note,
    Task,
    Appointment,
    Conversation,
    Message,
    EmailMessage,
    Thread,
    Tag,
}

/// The id of the `number`th thing of a kind.
pub(super) fn encode(kind: Kind, number: u64) -> String {
    let bytes = encode_bytes(kind, number);
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The same, without allocating.
pub(super) fn encode_bytes(kind: Kind, number: u64) -> [u8; 20] {
    let mixed = permute(number ^ ((kind as u64) << 56));
    // The second half says nothing; it makes the id as long as a real one and guessing it useless.
    let check = scramble(mixed);
    let mut out = [0; 20];
    digits(mixed, &mut out[..11]);
    digits(check, &mut out[11..]);
    out
}

/// The number behind an id of this kind.
pub(super) fn decode(kind: Kind, id: &str) -> Option<u64> {
    let bytes: [u8; 20] = id.as_bytes().try_into().ok()?;
    let mut mixed = 0u64;
    for byte in bytes[..11].iter().rev() {
        let digit = ALPHABET.iter().position(|letter| letter == byte)?;
        mixed = mixed.checked_mul(62)?.checked_add(digit as u64)?;
    }
    let number = unpermute(mixed) ^ ((kind as u64) << 56);
    (encode_bytes(kind, number) == bytes).then_some(number)
}

fn digits(mut number: u64, out: &mut [u8]) {
    for slot in out {
        *slot = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
}

const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;
const INVERSE: u64 = {
    // Newton's iteration for the inverse modulo 2^64; each step doubles the right bits.
    let mut inverse = FACTOR;
    let mut step = 0;
    while step < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(FACTOR.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
};

fn permute(number: u64) -> u64 {
    let mut x = number;
    for _ in 0..2 {
        x ^= x >> 32;
        x = x.wrapping_mul(FACTOR);
    }
    x ^ (x >> 32)
}

fn unpermute(number: u64) -> u64 {
    let mut x = number ^ (number >> 32);
    for _ in 0..2 {
        x = x.wrapping_mul(INVERSE);
        x ^= x >> 32;
    }
    x
}

/// Random numbers that depend only on the seed and on what they are for.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice for one purpose and one record.
    pub(super) fn new(seed: u64, purpose: u64, number: u64) -> Self {
        Dice(scramble(
            seed.rotate_left(17) ^ scramble(purpose << 48 ^ number),
        ))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True in so many cases of a hundred.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these words.
    pub(super) fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }

    /// One of these.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_can_be_undone_and_know_their_kind() {
        for number in [0, 1, 2, 1205, 999_999, u64::from(u32::MAX), 77 << 20] {
            let id = encode(Kind::Contact, number);
            assert_eq!(id.len(), 20);
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(decode(Kind::Contact, &id), Some(number));
            assert_eq!(decode(Kind::Note, &id).filter(|n| *n < 1 << 40), None);
        }
        assert_eq!(decode(Kind::Contact, "nosuchcontact0000000"), None);
        assert_eq!(decode(Kind::Contact, "short"), None);
    }

    #[test]
    fn ids_are_not_in_the_order_of_their_numbers() {
        let ids: Vec<_> = (0..100).map(|n| encode(Kind::Contact, n)).collect();
        assert!(!ids.is_sorted());
    }
}
