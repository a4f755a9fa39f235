//! To which of a cluster's nodes a listener's clients go, and what there is one of for each kind of readers.

use crate::leader::NodeState;

/// Which of a cluster's nodes clients go to, by what these say of themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum To {
    /// The one that leads.
    #[default]
    Leader,
    /// Those that follow, each client to one of them.
    Followers,
    /// Those that follow and the one that leads, each client to one of them.
    Any,
}

impl To {
    /// The kinds of readers.
    pub const READERS: [To; 2] = [To::Followers, To::Any];

    /// The word for it, in configurations and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            To::Leader => "leader",
            To::Followers => "followers",
            To::Any => "any",
        }
    }

    /// Whether what a node counts as is what these clients want.
    pub fn suits(self, state: NodeState) -> bool {
        match self {
            To::Leader => state == NodeState::Leader,
            To::Followers => state == NodeState::Follower,
            To::Any => matches!(state, NodeState::Leader | NodeState::Follower),
        }
    }
}

/// One thing for each kind of readers that some listener has.
#[derive(Clone, Debug)]
pub struct OfReaders<T> {
    followers: Option<T>,
    any: Option<T>,
}

impl<T> OfReaders<T> {
    /// Makes one for each of the kinds that are wanted; there is none for [`To::Leader`].
    pub fn new(wanted: &[To], mut make: impl FnMut(To) -> T) -> Self {
        let [followers, any] = To::READERS.map(|to| wanted.contains(&to).then(|| make(to)));
        OfReaders { followers, any }
    }

    /// The one for this kind, if it is wanted.
    pub fn get(&self, to: To) -> Option<&T> {
        match to {
            To::Leader => None,
            To::Followers => self.followers.as_ref(),
            To::Any => self.any.as_ref(),
        }
    }

    /// Makes something else of each.
    pub fn map<U>(self, mut make: impl FnMut(To, T) -> U) -> OfReaders<U> {
        OfReaders {
            followers: self.followers.map(|of| make(To::Followers, of)),
            any: self.any.map(|of| make(To::Any, of)),
        }
    }

    /// Adds what there is in `more`; what is there already stays.
    pub fn extend(&mut self, more: Self) {
        self.followers = self.followers.take().or(more.followers);
        self.any = self.any.take().or(more.any);
    }

    /// All there are.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.followers.iter().chain(&self.any)
    }

    /// All there are, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.followers.iter_mut().chain(&mut self.any)
    }

    /// The two places, to be waited for side by side.
    pub fn both_mut(&mut self) -> [Option<&mut T>; 2] {
        [self.followers.as_mut(), self.any.as_mut()]
    }
}

impl<A, B> OfReaders<(A, B)> {
    /// The two halves of each.
    pub fn unzip(self) -> (OfReaders<A>, OfReaders<B>) {
        let (mut firsts, mut seconds) = (OfReaders::default(), OfReaders::default());
        (firsts.followers, seconds.followers) = self.followers.unzip();
        (firsts.any, seconds.any) = self.any.unzip();
        (firsts, seconds)
    }
}

impl<T> Default for OfReaders<T> {
    /// No readers.
    fn default() -> Self {
        OfReaders { followers: None, any: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_clients_wants_what_its_name_says() {
        let wanted = |to: To| NodeState::ALL.into_iter().filter(move |state| to.suits(*state));
        assert!(wanted(To::Leader).eq([NodeState::Leader]));
        assert!(wanted(To::Followers).eq([NodeState::Follower]));
        assert!(wanted(To::Any).eq([NodeState::Leader, NodeState::Follower]));
    }

    #[test]
    fn there_is_one_for_each_kind_that_is_wanted() {
        let words = OfReaders::new(&[To::Leader, To::Any], To::as_str);
        assert_eq!(To::READERS.map(|to| words.get(to).copied()), [None, Some("any")]);
        assert_eq!(words.get(To::Leader), None);
        assert!(words.iter().eq(&["any"]));
    }
}
