//! Whether a direction copies or splices: pure.
//!
//! Copying is best for what comes in small pieces: two system calls and one warm buffer. Splicing is best for what keeps
//! coming: the bytes never leave the kernel. Nobody says beforehand which it will be, so each direction learns it from
//! what its reads bring (D3).

/// A read that brings so many bytes speaks for splicing; one of a splice that brings less, for copying.
const LARGE: usize = 64 * 1024;
const SMALL: usize = 16 * 1024;
/// So many in a row change a direction's habit.
const LARGE_READS: u8 = 4;
const SMALL_SPLICES: u8 = 16;
/// The number of large reads after a sink has been too slow for its pipe.
const LARGE_READS_OF_SLOW: u8 = 64;

/// What one direction does, and how many reads in a row have spoken against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Habit {
    splices: bool,
    streak: u8,
    /// Whether its last pipe was needed elsewhere before the sink had taken what was in it.
    is_slow: bool,
}

impl Habit {
    /// Whether the next bytes are to be spliced.
    pub(super) fn splices(self) -> bool {
        self.splices
    }

    /// Takes in how much a read of a copying direction has brought.
    pub(super) fn note_copied(&mut self, bytes: usize) {
        self.note(bytes >= LARGE, if self.is_slow { LARGE_READS_OF_SLOW } else { LARGE_READS });
    }

    /// Takes in how much a splicing direction has moved at once.
    pub(super) fn note_spliced(&mut self, bytes: usize) {
        self.note(bytes < SMALL, SMALL_SPLICES);
    }

    /// Copies from here on, as if nothing had been learned: no pipe can be had.
    pub(super) fn copy(&mut self) {
        *self = Habit { is_slow: self.is_slow, ..Habit::default() };
    }

    /// Copies from here on, and for longer: the sink did not keep up, and others needed the pipe.
    pub(super) fn lose_pipe(&mut self) {
        *self = Habit { is_slow: true, ..Habit::default() };
    }

    fn note(&mut self, against: bool, enough: u8) {
        self.streak = if against { self.streak + 1 } else { 0 };
        if self.streak >= enough {
            *self = Habit { splices: !self.splices, ..Habit::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copying_until_it_splices(sizes: impl IntoIterator<Item = usize>) -> Option<usize> {
        let mut habit = Habit::default();
        sizes.into_iter().position(|size| {
            habit.note_copied(size);
            habit.splices()
        })
    }

    #[test]
    fn d3_a_direction_splices_once_its_reads_keep_being_large() {
        assert_eq!(copying_until_it_splices([LARGE; 9]), Some(3));
        assert_eq!(copying_until_it_splices([LARGE - 1; 300]), None);
        let interrupted = [LARGE, LARGE, LARGE, 1, LARGE, LARGE, LARGE, LARGE];
        assert_eq!(copying_until_it_splices(interrupted), Some(7));
    }

    #[test]
    fn d3_a_direction_copies_again_once_it_splices_little() {
        let mut habit = Habit { splices: true, ..Habit::default() };
        for _ in 0..100 {
            for size in [SMALL - 1; 15].into_iter().chain([SMALL]) {
                habit.note_spliced(size);
            }
        }
        assert!(habit.splices(), "a lull now and then is none");
        for _ in 0..16 {
            habit.note_spliced(1);
        }
        assert!(!habit.splices());
    }

    #[test]
    fn d3_a_direction_that_lost_its_pipe_copies_for_longer() {
        let mut habit = Habit { splices: true, ..Habit::default() };
        habit.lose_pipe();
        assert!(!habit.splices());
        let splices_after = |habit: &mut Habit| {
            (1..300).find(|_| {
                habit.note_copied(LARGE);
                habit.splices()
            })
        };
        assert_eq!(splices_after(&mut habit), Some(64));
        habit.copy();
        assert_eq!(splices_after(&mut habit), Some(4), "it has had a pipe since");
    }

    #[test]
    fn d3_without_a_pipe_it_begins_anew() {
        let mut habit = Habit { splices: true, ..Habit::default() };
        habit.copy();
        assert_eq!(habit, Habit::default());
    }
}
