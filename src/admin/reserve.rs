//! Descriptors kept back, so that whoever watches a gate that has run out of them still gets an answer (S8, O6).

use std::os::fd::{AsFd, OwnedFd};

/// One for a connection; two for `/proc`, from which a scrape reads what the process uses; one to spare.
const SIZE: usize = 4;

/// Descriptors that are nothing but places.
#[derive(Debug, Default)]
pub(super) struct Reserve(Vec<OwnedFd>);

impl Reserve {
    /// Fills up, as far as there are descriptors; each is a duplicate of `any`.
    pub(super) fn fill(&mut self, any: impl AsFd) {
        while self.0.len() < SIZE
            && let Ok(place) = any.as_fd().try_clone_to_owned()
        {
            self.0.push(place);
        }
    }

    /// Gives all of it to whoever asks next. That may be somebody else of the process; then there is a next time.
    pub(super) fn give_up(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_it_is_filled_once_and_again_after_it_was_given_up() {
        let mut reserve = Reserve::default();
        for _ in 0..2 {
            reserve.fill(std::io::stderr());
            reserve.fill(std::io::stderr());
            assert_eq!(reserve.0.len(), SIZE);
            reserve.give_up();
            assert!(reserve.0.is_empty());
        }
    }
}
