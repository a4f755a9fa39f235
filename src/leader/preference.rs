//! Which node is preferred where nothing that was said tells two apart (L3): pure.

use std::cmp::Reverse;

/// How much a node is preferred, the greatest the most: by the operator's priority, then by name. Never by [`NodeId`]: those
/// tell in which order nodes have come, which is not the same in two gates with the same configuration.
///
/// [`NodeId`]: super::NodeId
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Preference {
    priority: i32,
    /// Its name's place in the order of names.
    place: Reverse<usize>,
}

impl Preference {
    /// Those of nodes with these names and priorities, in any order.
    pub fn of<'n>(nodes: impl IntoIterator<Item = (&'n str, i32)>) -> Vec<Self> {
        let (names, mut preferences): (Vec<_>, Vec<_>) = nodes
            .into_iter()
            .map(|(name, priority)| (name, Preference { priority, ..Self::default() }))
            .unzip();
        let mut by_name: Vec<usize> = (0..names.len()).collect();
        by_name.sort_by_key(|id| names[*id]);
        for (place, id) in by_name.into_iter().enumerate() {
            preferences[id].place = Reverse(place);
        }
        preferences
    }

    /// Those of nodes with these priorities that are in the order of their names.
    pub fn in_order(priorities: &[i32]) -> impl Iterator<Item = Self> {
        priorities
            .iter()
            .zip(0..)
            .map(|(priority, place)| Preference { priority: *priority, place: Reverse(place) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_priority_is_preferred_then_the_first_name_in_whatever_order_nodes_have_come() {
        let order = |nodes: &[(&'static str, i32)]| {
            let mut names: Vec<_> = Preference::of(nodes.iter().copied()).into_iter().zip(nodes).collect();
            names.sort_by_key(|(preference, _)| Reverse(*preference));
            names.into_iter().map(|(_, (name, _))| *name).collect::<Vec<_>>()
        };
        assert_eq!(order(&[("b", 0), ("c", 1), ("a", 0), ("d", -1)]), ["c", "a", "b", "d"]);
        assert_eq!(order(&[("d", -1), ("a", 0), ("b", 0), ("c", 1)]), ["c", "a", "b", "d"]);
        let sorted = [("a", 0), ("b", 7), ("c", 0)];
        assert_eq!(Preference::of(sorted), Preference::in_order(&[0, 7, 0]).collect::<Vec<_>>());
    }
}
