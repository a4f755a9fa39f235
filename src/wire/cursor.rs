//! Reads structures of which perhaps only a beginning has arrived.

use std::ops::RangeInclusive;

/// Why a structure cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All that has arrived fits; the rest is still to come.
    Short,
    /// No bytes to come could make this what is looked for.
    Mismatch,
}

/// A place in a structure of known length, whose last bytes may be missing yet.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    arrived: &'a [u8],
    missing: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of a structure that is `missing` bytes longer than what has `arrived`.
    pub(super) fn new(arrived: &'a [u8], missing: usize) -> Self {
        Cursor { arrived, missing }
    }

    /// How long the rest of the structure is, be it there or not.
    pub(super) fn len(&self) -> usize {
        self.arrived.len() + self.missing
    }

    /// Reads a big-endian number of `width` bytes that has to lie in `range`. Of a number that has
    /// arrived in part only, the part must already allow it.
    pub(super) fn number(&mut self, width: usize, range: RangeInclusive<usize>) -> Result<usize, Stop> {
        let field = self.part(width)?;
        let value = field.arrived.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
        let unknown_bits = 8 * field.missing;
        let lowest = value << unknown_bits;
        let highest = lowest | ((1 << unknown_bits) - 1);
        if range.is_empty() || highest < *range.start() || lowest > *range.end() {
            return Err(Stop::Mismatch);
        }
        if field.missing > 0 { Err(Stop::Short) } else { Ok(value) }
    }

    /// Takes the next `len` bytes as a structure of their own, and goes on behind them.
    pub(super) fn part(&mut self, len: usize) -> Result<Cursor<'a>, Stop> {
        if len > self.len() {
            return Err(Stop::Mismatch);
        }
        let (arrived, rest) = self.arrived.split_at(len.min(self.arrived.len()));
        let missing = len - arrived.len();
        self.arrived = rest;
        self.missing -= missing;
        Ok(Cursor { arrived, missing })
    }

    /// All of it, if nothing is missing.
    pub(super) fn whole(self) -> Result<&'a [u8], Stop> {
        if self.missing > 0 { Err(Stop::Short) } else { Ok(self.arrived) }
    }

    /// Takes a vector: its length in `width` bytes, which has to lie in `range`, then so many bytes.
    pub(super) fn vector(&mut self, width: usize, range: RangeInclusive<usize>) -> Result<Cursor<'a>, Stop> {
        let longest = self.len().saturating_sub(width);
        let len = self.number(width, *range.start()..=longest.min(*range.end()))?;
        self.part(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_arrived_in_part_is_judged_by_what_it_can_still_become() {
        let read = |bytes, range| Cursor::new(bytes, 3 - bytes.len()).number(3, range);
        assert_eq!(read(&[1, 2, 3], 0..=0x01_02_03), Ok(0x01_02_03));
        assert_eq!(read(&[1, 2, 3], 0..=0x01_02_02), Err(Stop::Mismatch));
        assert_eq!(read(&[1, 2, 3], 0x01_02_04..=0xff_ff_ff), Err(Stop::Mismatch));
        assert_eq!(read(&[1, 2], 0..=0x01_02_00), Err(Stop::Short));
        assert_eq!(read(&[1, 2], 0..=0x01_01_ff), Err(Stop::Mismatch));
        assert_eq!(read(&[1, 2], 0x01_02_ff..=0xff_ff_ff), Err(Stop::Short));
        assert_eq!(read(&[1, 2], 0x01_03_00..=0xff_ff_ff), Err(Stop::Mismatch));
        assert_eq!(read(&[], 7..=7), Err(Stop::Short));
        assert_eq!(read(&[], RangeInclusive::new(2, 1)), Err(Stop::Mismatch));
    }

    #[test]
    fn a_structure_holds_no_more_than_its_length() {
        let mut cursor = Cursor::new(&[0, 9], 2);
        assert_eq!(cursor.part(5).unwrap_err(), Stop::Mismatch);
        assert_eq!(cursor.vector(2, 0..=9).unwrap_err(), Stop::Mismatch);
        let mut cursor = Cursor::new(&[0, 1], 2);
        let vector = cursor.vector(2, 0..=9).unwrap();
        assert_eq!((vector.len(), vector.arrived, cursor.len()), (1, &[][..], 1));
    }

    #[test]
    fn nothing_is_whole_of_which_a_byte_is_missing() {
        assert_eq!(Cursor::new(&[1, 2], 0).whole(), Ok(&[1, 2][..]));
        assert_eq!(Cursor::new(&[1, 2], 1).whole(), Err(Stop::Short));
    }

    #[test]
    fn what_lies_behind_missing_bytes_is_missing_too() {
        let mut cursor = Cursor::new(&[1, 2], 4);
        assert_eq!(cursor.part(3).unwrap().missing, 1);
        assert_eq!(cursor.number(2, 0..=9), Err(Stop::Short));
        assert_eq!(cursor.len(), 1);
        assert_eq!(cursor.number(2, 0..=9), Err(Stop::Mismatch));
    }
}
