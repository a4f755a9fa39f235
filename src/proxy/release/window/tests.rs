//! The window, by script.

use super::*;

const START: usize = 4;
const IN_THE_DARK: usize = 6;

struct Script {
    window: Window,
    begin: Instant,
    now: Instant,
}

impl Script {
    fn new() -> Self {
        let begin = Instant::now();
        Script { window: Window::new(START, IN_THE_DARK), begin, now: begin }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    fn ask(&mut self, epoch: u64) -> Result<u64, Instant> {
        self.window.let_go((epoch, ([127, 0, 0, 1], 1).into()), self.now)
    }

    /// Lets go as many as may.
    fn fill(&mut self, epoch: u64) -> Vec<u64> {
        std::iter::from_fn(|| self.ask(epoch).ok()).collect()
    }

    fn answer(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.window.answered(*number, self.now);
        }
    }

    /// A crowd of `crowd` at a node that takes so long for each opening, one after the other: how many were ever
    /// unanswered, and how long it took to serve all.
    fn serve(&mut self, crowd: usize, microseconds: u64) -> (usize, Duration) {
        let (mut most, mut answered) = (0, 0);
        let mut queue = VecDeque::new();
        while answered < crowd {
            while answered + queue.len() < crowd
                && let Ok(number) = self.ask(1)
            {
                queue.push_back(number);
            }
            most = most.max(queue.len());
            self.now += Duration::from_micros(microseconds);
            let served = queue.pop_front().unwrap();
            self.answer(&[served]);
            answered += 1;
        }
        (most, self.now - self.begin)
    }
}

#[test]
fn s2_no_more_are_let_go_than_the_window_holds() {
    let mut script = Script::new();
    let first = script.fill(1);
    assert_eq!(first.len(), START);
    assert_eq!(script.ask(1), Err(script.begin + PATIENCE));
    assert!(script.window.forget(first[1]).is_some());
    assert_eq!(script.fill(1).len(), 1, "a client that has gone leaves its place and no more");
    assert!(script.window.forget(first[1]).is_none());
}

#[test]
fn s2_prompt_answers_open_the_window() {
    let mut script = Script::new();
    for round in 0..4 {
        let released = script.fill(1);
        assert_eq!(released.len(), START << round);
        script.pass(10);
        script.answer(&released);
    }
}

#[test]
fn s2_late_answers_narrow_it_down_to_where_it_began() {
    let mut script = Script::new();
    let released = script.fill(1);
    script.pass(1);
    script.answer(&released);
    let released = script.fill(1);
    assert_eq!(released.len(), START * 2);
    script.pass(75);
    script.answer(&released[..1]);
    assert_eq!(script.window.free(), 1, "neither prompt nor late");
    script.pass(75);
    script.answer(&released[1..]);
    assert_eq!(script.fill(1).len(), START);
}

#[test]
fn s2_a_slow_node_never_has_a_long_queue_and_a_fast_one_is_soon_done() {
    let (most, _) = Script::new().serve(1000, 5_000);
    assert!(most <= 30, "{most} at once: a probe would have to wait for all of them");
    let (most, _) = Script::new().serve(300, 50_000);
    assert!(most <= 8, "{most} at once");
    let (most, took) = Script::new().serve(1000, 100);
    assert!(most >= 100 && took <= Duration::from_millis(101), "{most} at once, {took:?}");
}

#[test]
fn s2_a_node_far_away_is_not_taken_for_a_slow_one() {
    let mut script = Script::new();
    for round in 0..4 {
        let released = script.fill(1);
        assert_eq!(released.len(), START << round);
        script.pass(200);
        script.answer(&released);
    }
}

#[test]
fn s2_silence_starves_nobody_but_slows_the_crowd_down() {
    let mut script = Script::new();
    let mut waits = Vec::new();
    for places in [START, IN_THE_DARK, IN_THE_DARK, IN_THE_DARK] {
        assert_eq!(script.fill(1).len(), places);
        let until = script.ask(1).unwrap_err();
        waits.push((until - script.now).as_millis());
        script.now = until;
    }
    assert_eq!(waits, [250, 500, 1000, 1000]);
}

#[test]
fn s2_silence_ends_a_wide_window() {
    let mut script = Script::new();
    let released = script.fill(1);
    script.pass(1);
    script.answer(&released);
    let unanswered = script.fill(1);
    assert_eq!(unanswered.len(), START * 2);
    script.pass(250);
    assert_eq!(script.fill(1).len(), IN_THE_DARK);
    script.answer(&unanswered);
    assert_eq!(script.window.free(), 0, "too late to count");
}

#[test]
fn s2_a_slow_answer_earns_patience() {
    let mut script = Script::new();
    let released = script.fill(1);
    script.pass(200);
    script.answer(&released[..1]);
    script.fill(1);
    assert_eq!(script.ask(1), Err(script.begin + Duration::from_millis(800)));
}

#[test]
fn s2_each_tenure_starts_afresh() {
    let mut script = Script::new();
    let old = script.fill(1);
    let new = script.fill(2);
    assert_eq!(new.len(), START, "who waits for the old node takes nothing from the new one");
    script.answer(&old);
    assert_eq!(script.window.free(), 0);
}

#[test]
fn s2_what_was_known_is_forgotten_after_a_rest() {
    let mut script = Script::new();
    let released = script.fill(1);
    script.pass(1);
    script.answer(&released);
    script.pass(1001);
    assert_eq!(script.fill(1).len(), START);
}
