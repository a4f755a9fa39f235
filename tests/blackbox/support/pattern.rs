//! Bytes that are known by their place: any piece of a stream can be compared by itself, wherever it was cut, and
//! whatever is lost, doubled, changed or somebody else's is found at its first byte.

use std::sync::LazyLock;

/// How long the pattern is before it repeats: a prime, so that no buffer and no page divides it.
const LENGTH: usize = 1_048_573;

/// What all streams are made of; each begins at a place of its own.
static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut table = vec![0; LENGTH];
    fastrand::Rng::with_seed(1).fill(&mut table);
    table
});

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the node.
    Up,
    /// From the node to the client.
    Down,
}

/// A stream's bytes, from where it has come to.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// Where in the table it begins.
    begin: usize,
    at: u64,
}

impl Pattern {
    /// The stream of a session's seed that goes this way, from its first byte.
    pub(crate) fn new(seed: u64, way: Way) -> Self {
        let stream = seed.wrapping_mul(2) + u64::from(way == Way::Down);
        let begin = stream.wrapping_mul(0x9E37_79B9_7F4A_7C15) % LENGTH as u64;
        Pattern { begin: usize::try_from(begin).expect("the table is short"), at: 0 }
    }

    /// The next bytes, no more than `most` and at least one if that is not 0.
    pub(crate) fn next(&mut self, most: u64) -> &'static [u8] {
        let run = &TABLE[self.place()..];
        let run = &run[..usize::try_from(most).map_or(run.len(), |most| most.min(run.len()))];
        self.at += run.len() as u64;
        run
    }

    /// Whether these are the next bytes; if not, the place of the first that is wrong.
    pub(crate) fn check(&mut self, mut bytes: &[u8]) -> Result<(), u64> {
        while !bytes.is_empty() {
            let from = self.at;
            let run = self.next(bytes.len() as u64);
            let (piece, rest) = bytes.split_at(run.len());
            if piece != run {
                let wrong = piece.iter().zip(run).take_while(|(byte, right)| byte == right).count();
                return Err(from + wrong as u64);
            }
            bytes = rest;
        }
        Ok(())
    }

    /// How many bytes it has come to.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    fn place(&self) -> usize {
        let at = usize::try_from(self.at % LENGTH as u64).expect("the table is short");
        (self.begin + at) % LENGTH
    }
}
