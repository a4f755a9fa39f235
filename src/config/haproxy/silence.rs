//! How long sessions may be silent: HAProxy has times for each side, a cluster one for all of its sessions.

use std::time::Duration;

use humantime::format_duration;

use super::Written;
use super::cluster::Out;
use super::proxy::{Proxy, Timeouts};
use crate::config::effective::span_or_off;
use crate::config::presets::Preset;

/// Writes down the times after which silent sessions end.
pub(super) fn write(backend: &Proxy, fronts: &[&Proxy], preset: Preset, out: &mut Out<'_>) {
    if all_alike(&IDLE, backend, fronts, out) && all_alike(&HALF_CLOSED, backend, fronts, out) {
        if preset.defaults().on_first_byte
            && let Some(time) = fronts.iter().find_map(|front| idle(&front.timeouts, &backend.timeouts))
        {
            // HAProxy knows no shorter time for a client that has not said anything yet.
            let value = Some(time.value).filter(|value| !value.is_zero());
            out.set(&["connect", "first_byte_timeout"], span_or_off(value), &time.span);
        }
        for front in fronts {
            doubt(&front.timeouts, &backend.timeouts, out);
        }
    }
}

/// A time that a session may be silent: one for all of a cluster, but each frontend has its say in HAProxy.
struct Silence {
    key: &'static str,
    state: &'static str,
    line: &'static str,
    /// What the frontend says.
    own: fn(&Timeouts) -> Option<&Written<Duration>>,
    /// What comes of the frontend's and the backend's.
    of: for<'t> fn(&'t Timeouts, &'t Timeouts) -> Option<&'t Written<Duration>>,
}

const IDLE: Silence = Silence {
    key: "idle",
    state: "idle",
    line: "timeout client",
    own: |front| front.client.as_ref(),
    of: idle,
};
const HALF_CLOSED: Silence = Silence {
    key: "half_closed",
    state: "half-closed",
    line: "timeout client-fin",
    own: |front| front.client_fin.as_ref(),
    of: half_closed,
};

/// Writes down the time, if it is the same by all frontends; whether it is.
fn all_alike(silence: &Silence, backend: &Proxy, fronts: &[&Proxy], out: &mut Out<'_>) -> bool {
    let of = |front: &Proxy| length((silence.of)(&front.timeouts, &backend.timeouts));
    let Some((first, others)) = fronts.split_first() else { return true };
    if let Some(other) = others.iter().find(|other| of(other) != of(first)) {
        let may_be = |front: &Proxy| {
            let time = of(front);
            let time =
                if time == Duration::MAX { "ever".to_owned() } else { format_duration(time).to_string() };
            format!("by {} {} may be {} for {time}", front.kind, front.name.text, silence.state)
        };
        let why = format!(
            "sessions {}, those {}, but a cluster treats all alike; write the same in both, or a backend for each",
            may_be(first),
            may_be(other),
        );
        for front in [first, other] {
            let span = (silence.own)(&front.timeouts).map_or(&front.name.span, |own| &own.span);
            out.remarks.refuse(span, silence.line, why.as_str());
        }
        return false;
    }
    if let Some(time) = fronts.iter().find_map(|front| (silence.of)(&front.timeouts, &backend.timeouts)) {
        let value = Some(time.value).filter(|value| !value.is_zero());
        out.set(&["timeouts", silence.key], span_or_off(value), &time.span);
    }
    true
}

/// Says where half-closed sessions end sooner than in HAProxy.
fn doubt(front: &Timeouts, back: &Timeouts, out: &mut Out<'_>) {
    let (client, server) = (bound(front.client_fin.as_ref()), bound(back.server_fin.as_ref()));
    let idle = length(idle(front, back));
    for (fin, other, line) in [(client, server, "timeout client-fin"), (server, client, "timeout server-fin")]
    {
        let Some(fin) = fin else { continue };
        let why = if fin.value > idle {
            format!("half-closed sessions end, too, when they have been idle for {}", format_duration(idle))
        } else if fin.value < other.map_or(idle, |other| other.value) {
            format!(
                "half-closed sessions end after {} whichever side has closed, those that wait for the other side, too",
                format_duration(fin.value)
            )
        } else {
            continue;
        };
        out.remarks.translated(&fin.span, line, why);
    }
}

/// `timeout tunnel` counts in place of the others.
fn idle<'t>(front: &'t Timeouts, back: &'t Timeouts) -> Option<&'t Written<Duration>> {
    let tunnel = back.tunnel.as_ref();
    bound(tunnel).or(shortest(front.client.as_ref(), back.server.as_ref())).or(tunnel)
}

/// Where nothing is said of half-closed sessions, they are as any other.
fn half_closed<'t>(front: &'t Timeouts, back: &'t Timeouts) -> Option<&'t Written<Duration>> {
    let fin = shortest(front.client_fin.as_ref(), back.server_fin.as_ref());
    bound(fin).or_else(|| idle(front, back)).or(fin)
}

fn shortest<'t>(
    one: Option<&'t Written<Duration>>,
    other: Option<&'t Written<Duration>>,
) -> Option<&'t Written<Duration>> {
    one.into_iter().chain(other).min_by_key(|time| length(Some(time)))
}

/// HAProxy takes 0 for a time that is not set.
fn bound(time: Option<&Written<Duration>>) -> Option<&Written<Duration>> {
    time.filter(|time| !time.value.is_zero())
}

fn length(time: Option<&Written<Duration>>) -> Duration {
    bound(time).map_or(Duration::MAX, |time| time.value)
}
