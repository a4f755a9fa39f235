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
fn d3_without_descriptors_there_is_no_pipe_until_there_are() {
    if !is_starved("relay::splice::tests::d3_without_descriptors_there_is_no_pipe_until_there_are") {
        return;
    }
    let mut pipes = Pipes::new(2);
    let mut descriptors = all_descriptors();
    assert!(pipes.take().is_none());
    // One is not enough.
    descriptors.pop();
    assert!(pipes.take().is_none());
    assert_eq!(pipes.in_use(), 0, "what was not had is not counted as lent");
    descriptors.clear();
    assert!(pipes.take().is_some());
}
