//! Mutations: a few changes to a seed, the same for the same number.

use std::ops::Range;

use fastrand::Rng;

/// Mutations are no longer than that, however often parts of them were doubled.
const LONGEST: usize = 20_000;
/// Bytes that parsers treat unlike their neighbours.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\r\n\t \"'\\#=:.,-/[]{}()*%&0189azAZ";

/// What mutations are made of.
#[derive(Debug)]
pub(super) struct Matter {
    /// Some are changed, and parts of others are put in.
    pub(super) seeds: Vec<Vec<u8>>,
    /// What is worth putting in as a whole.
    pub(super) words: Vec<Vec<u8>>,
}

impl Matter {
    /// The mutation of this number.
    pub(super) fn mutation(&self, number: u64) -> Vec<u8> {
        let mut rng = Rng::with_seed(number);
        let mut bytes = rng.choice(&self.seeds).cloned().unwrap_or_default();
        for _ in 0..=rng.u8(..5) {
            self.change(&mut bytes, &mut rng);
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let at = part(bytes.len(), rng);
        match rng.u8(..9) {
            0 => bytes.truncate(at.start),
            1 => drop(bytes.drain(at)),
            2 => {
                let doubled = bytes[at.clone()].to_vec();
                bytes.splice(at.end..at.end, doubled);
            }
            3 => {
                let other = rng.choice(&self.seeds).map_or(&[][..], Vec::as_slice);
                let from = part(other.len(), rng);
                bytes.splice(at, other[from].iter().copied());
            }
            4 | 5 => {
                let word = rng.choice(&self.words).cloned().unwrap_or_default();
                let end = if rng.bool() { at.end } else { at.start };
                bytes.splice(at.start..end, word);
            }
            6 => bytes.insert(at.start, TELLING[rng.usize(..TELLING.len())]),
            kind => {
                if let Some(byte) = bytes.get_mut(at.start) {
                    *byte = if kind == 7 {
                        *byte ^ 1 << rng.u8(..8)
                    } else {
                        TELLING[rng.usize(..TELLING.len())]
                    };
                }
            }
        }
    }
}

/// A part of so many bytes, mostly a short one.
fn part(len: usize, rng: &mut Rng) -> Range<usize> {
    let start = rng.usize(..=len);
    let longest = if rng.u8(..4) == 0 { len - start } else { (len - start).min(8) };
    start..start + rng.usize(..=longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_for_one_mutation() {
        let matter =
            Matter { seeds: vec![b"one and another".to_vec(), vec![7; 90]], words: vec![b"word".to_vec()] };
        let mutations: Vec<Vec<u8>> = (0..500).map(|number| matter.mutation(number)).collect();
        for (number, mutation) in (0..).zip(&mutations) {
            assert_eq!(matter.mutation(number), *mutation);
        }
        let mut different = mutations.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 300, "only {} differ", different.len());
        let with_word = mutations.iter().filter(|bytes| bytes.windows(4).any(|part| part == b"word")).count();
        assert!(with_word > 50, "only {with_word} have the word");
    }
}
