//! How often nodes are asked, how long an answer may take, and how long a client may wait.

use std::time::Duration;

use humantime::format_duration;

use super::Written;
use super::cluster::{Out, shared};
use super::proxy::Proxy;
use super::server::Server;
use super::silence;
use crate::config::effective::span;
use crate::config::presets::Preset;
use crate::leader::Policy;

/// HAProxy's `inter` where none is written.
const INTER: Duration = Duration::from_secs(2);

/// Writes down the timings of probes.
pub(super) fn write(backend: &Proxy, servers: &[&Server], preset: Preset, out: &mut Out<'_>) {
    let inter = shared(servers, "inter", |options| &options.inter, out.remarks);
    let fastinter = shared(servers, "fastinter", |options| &options.fastinter, out.remarks);
    let downinter = shared(servers, "downinter", |options| &options.downinter, out.remarks);
    let rise = shared(servers, "rise", |options| &options.rise, out.remarks);
    let fall = shared(servers, "fall", |options| &options.fall, out.remarks);
    let own = Policy { interval: preset.defaults().interval, ..Policy::default() };
    let mut policy = own;
    let mut written = Vec::new();
    if let Some(inter) = inter {
        policy.interval = inter.value;
        out.set(&["probe", "interval"], span(inter.value), &inter.span);
        written.push(&inter.span);
    }
    policy.fast_interval = policy.fast_interval.min(policy.interval);
    if let Some(fast) = fastinter {
        // HAProxy lets it be the longer one.
        policy.fast_interval = fast.value.min(policy.interval);
        out.set(&["probe", "fast_interval"], span(policy.fast_interval), &fast.span);
    }
    if let Some((timeout, at)) = timeout(backend, inter) {
        policy.timeout = timeout;
        out.set(&["probe", "timeout"], span(timeout), &at);
    }
    for (key, number) in [("rise", rise), ("fall", fall)] {
        if let Some(number) = number {
            out.set(&["probe", key], i64::from(number.value), &number.span);
            written.push(&number.span);
        }
    }
    policy.rise = rise.map_or(policy.rise, |rise| rise.value);
    policy.fall = fall.map_or(policy.fall, |fall| fall.value);
    if let Some(down) = downinter {
        let why = "every node is asked at the same pace, since a follower may lead next";
        out.remarks.ignored(&down.span, "server option downinter", why);
    }
    doubt(policy, own, written.first().copied().or(backend.timeouts.check.as_ref().map(|it| &it.span)), out);
}

/// `timeout check` counts from the connection on; without it `inter` bounds the whole exchange.
fn timeout(backend: &Proxy, inter: Option<&Written<Duration>>) -> Option<(Duration, std::ops::Range<usize>)> {
    let Some(check) = backend.timeouts.check.as_ref().filter(|check| !check.value.is_zero()) else {
        return inter.map(|inter| (inter.value, inter.span.clone()));
    };
    let inter = inter.map_or(INTER, |inter| inter.value);
    let connect = backend.timeouts.connect.as_ref().map_or(inter, |connect| connect.value.min(inter));
    Some((connect + check.value, check.span.clone()))
}

/// No duration of a configuration is longer.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Says what is slower than it need be: what is written is kept all the same.
fn doubt(policy: Policy, own: Policy, at: Option<&std::ops::Range<usize>>, out: &mut Out<'_>) {
    let Some(at) = at else { return };
    let silence = |policy: Policy| {
        // Nothing longer is accepted later on, and the sum must not overflow.
        let [interval, fast_interval, timeout] =
            [policy.interval, policy.fast_interval, policy.timeout].map(|span| span.min(LONGEST));
        Policy { interval, fast_interval, timeout, ..policy }.lease()
    };
    let (slow, fast) = (silence(policy), silence(own));
    if slow <= fast && policy.rise <= own.rise && policy.interval <= own.interval {
        return;
    }
    let why = format!(
        "kept as written: nodes are asked every {} (Raftgate's own: {}), a leader counts from its answer no. {} (1), and \
         one that is silent is noticed after at most {} ({}); leave out inter, fall, rise and timeout check to follow faster",
        format_duration(policy.interval),
        format_duration(own.interval),
        policy.rise,
        format_duration(slow),
        format_duration(fast),
    );
    out.remarks.translated(at, "the check's timing", why);
}

/// Writes down what sessions and clients may take.
pub(super) fn timeouts(backend: &Proxy, fronts: &[&Proxy], preset: Preset, out: &mut Out<'_>) {
    let times = &backend.timeouts;
    if let Some(connect) = &times.connect {
        if connect.value.is_zero() {
            let why = "0 is no bound at all, but Raftgate wants one; write a time";
            out.remarks.refuse(&connect.span, "timeout connect", why);
        }
        out.set(&["connect", "timeout"], span(connect.value), &connect.span);
    }
    if let Some(queue) = times.queue.as_ref().filter(|queue| queue.value.is_zero()) {
        let why = "0 leaves it unset, so that clients wait `hold.timeout` while no node leads; write a time, or see its default \
                   with `raftgate check`";
        out.remarks.translated(&queue.span, "timeout queue", why);
    } else if let Some(queue) = &times.queue {
        out.set(&["hold", "timeout"], span(queue.value), &queue.span);
        let why = "taken for how long clients wait while no node leads, counted from when the last one did; HAProxy \
                   would refuse them at once";
        out.remarks.translated(&queue.span, "timeout queue", why);
    }
    silence::write(backend, fronts, preset, out);
}
