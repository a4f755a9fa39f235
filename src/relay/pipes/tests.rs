//! How many pipes there are, and what becomes of the wish for one that the kernel does not grant (D3).

use super::*;
use crate::sockets::starved::{all_descriptors, is_starved};

/// More than any kernel grants anybody.
const TOO_MUCH: usize = 1 << 32;
const SMALLEST: usize = CAPACITIES[CAPACITIES.len() - 1];

#[test]
fn d3_no_more_pipes_are_lent_than_there_may_be() {
    let mut pipes = Pipes::new(2);
    let lent = [pipes.take().unwrap(), pipes.take().unwrap()];
    assert!(pipes.take().is_none());
    assert_eq!((pipes.in_use(), pipes.idle()), (2, 0));
    for pipe in lent {
        pipes.give_back(pipe);
    }
    assert_eq!((pipes.in_use(), pipes.idle()), (0, 2));
    assert!(pipes.take().is_some());
}

#[test]
fn d3_where_a_large_pipe_is_not_granted_a_smaller_one_is_taken_and_none_that_is_not_worth_it() {
    assert!(Pipe::new(&[TOO_MUCH, SMALLEST]).is_some());
    // It would have the 64 KiB that pipes are made with, or the 8 KiB of a user who has too many.
    assert!(Pipe::new(&[TOO_MUCH]).is_none());
}

#[test]
fn d3_idle_pipes_are_closed_once_they_are_not_needed() {
    let mut pipes = Pipes::new(4);
    let lent = [pipes.take().unwrap(), pipes.take().unwrap(), pipes.take().unwrap()];
    for pipe in lent {
        pipes.give_back(pipe);
    }
    pipes.tidy();
    assert_eq!(pipes.idle(), 3, "all were needed a moment ago");
    // One of them is needed again.
    let pipe = pipes.take().unwrap();
    pipes.give_back(pipe);
    pipes.tidy();
    assert_eq!(pipes.idle(), 1);
    pipes.tidy();
    assert_eq!(pipes.idle(), 0);
}

#[test]
fn d3_a_refused_pipe_is_counted_and_asked_for_again_later() {
    if !is_starved("relay::pipes::tests::d3_a_refused_pipe_is_counted_and_asked_for_again_later") {
        return;
    }
    let mut pipes = Pipes::new(2);
    let mut descriptors = all_descriptors();
    assert!(pipes.take().is_none());
    assert_eq!(pipes.tidy(), 1);
    // One is not enough.
    descriptors.pop();
    assert!(pipes.take().is_none());
    assert_eq!(pipes.in_use(), 0, "what was not had is not counted as lent");
    descriptors.clear();
    assert!(pipes.take().is_none(), "the kernel was asked again at once");
    assert_eq!(pipes.tidy(), 1);
    assert!(pipes.take().is_some());
    assert_eq!(pipes.tidy(), 0);
}
