//! Which known word a misspelled one was probably meant to be.

/// The known word that is fewest edits away, if it is near enough to be worth suggesting.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let bearable = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= bearable)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be inserted, deleted, replaced or swapped with their neighbour.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (i, letter) in from.to_lowercase().chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, &other) in to.iter().enumerate() {
            let mut best = (row[j] + usize::from(letter != other)).min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && previous == Some(other) && letter == to[j - 1] {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(letter);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_one_letter_more_less_other_or_swapped() {
        for (word, edited) in
            [("hold", "holds"), ("hold", "old"), ("hold", "held"), ("hold", "hodl"), ("Hold", "hol")]
        {
            assert_eq!(edits(word, edited), 1, "{word} {edited}");
            assert_eq!(edits(edited, word), 1, "{edited} {word}");
        }
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "SAME"), 0);
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let known = ["timeout", "limit", "then"];
        assert_eq!(nearest("timout", known), Some("timeout"));
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("thne", known), Some("then"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
