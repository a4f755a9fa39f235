//! A cluster's leader changes, the newest first: from whom to whom, at what price, and how the old one ended.

use super::html::Html;
use super::time::{clock, in_full, span, span_ms};
use crate::admin::status::History;
use crate::board::TenureStatus;

/// How many are shown; `/status` has all that are kept.
const SHOWN: usize = 10;

pub(super) fn show(html: &mut Html, now: f64, history: &History) {
    if history.tenures.is_empty() {
        return;
    }
    html.add("<table class=\"tenures\" role=\"table\"><caption>Leaders</caption>", &[]);
    html.add_columns(&[
        ("", "Leader"),
        ("", "From"),
        ("number", "Nobody led for"),
        ("number", "Failover took"),
        ("number", "Led for"),
        ("", "Ended"),
    ]);
    for tenure in history.tenures.iter().rev().take(SHOWN) {
        show_one(html, now, tenure);
    }
    html.add("</tbody></table>", &[]);
}

fn show_one(html: &mut Html, now: f64, tenure: &TenureStatus) {
    html.add(
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{} <small>epoch {}</small>",
        &[&tenure.node, &tenure.epoch],
    );
    if tenure.pinned {
        html.add(" <mark>pin</mark>", &[]);
    }
    let nobody = if tenure.leaderless_ms == 0 { "0 ms".to_owned() } else { span_ms(tenure.leaderless_ms) };
    let failover = tenure.failover_ms.map_or_else(|| "-".to_owned(), span_ms);
    html.add(
        "</th><td role=\"cell\"><time datetime=\"{}\">{}</time></td>\
         <td role=\"cell\" class=\"number\" data-label=\"nobody led for\">{}</td>\
         <td role=\"cell\" class=\"number\" data-label=\"failover took\">{}</td>\
         <td role=\"cell\" class=\"number\" data-label=\"led for\">{}</td><td role=\"cell\">{}</td></tr>",
        &[
            &in_full(tenure.from),
            &clock(tenure.from, now),
            &nobody,
            &failover,
            &span(tenure.until.unwrap_or(now) - tenure.from),
            &tenure.ended.unwrap_or("leads now"),
        ],
    );
}
