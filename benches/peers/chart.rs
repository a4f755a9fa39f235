//! The picture made of the samples: for each workload that a goal is set for, multiples of what HAProxy's recipe comes to.

use std::fmt::Write as _;

use crate::goals::GOALS;
use crate::peers::Peer;
use crate::samples::Samples;
use crate::workloads::Workload;

/// Who is shown, and in which colour.
const SHOWN: [(Peer, &str); 3] =
    [(Peer::Raftgate, "#1b6ca8"), (Peer::HaproxyBest, "#e08e2b"), (Peer::Nginx, "#8a8f98")];
/// Where bars begin.
const LEFT: f64 = 310.0;
/// How long a bar of 1 is.
const ONE: f64 = 95.0;
/// The longest bar; longer ones say so.
const LONGEST: f64 = 5.0;
const WIDTH: f64 = 860.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;
const TOP: f64 = 64.0;

/// The picture as SVG, with a ground of its own so that it can be read on a dark page.
pub(crate) fn svg(samples: &Samples) -> String {
    let mut body = String::new();
    let mut y = TOP;
    let with_goals = |workload: &Workload| GOALS.iter().any(|goal| goal.workload == workload.name());
    for workload in Workload::ALL.into_iter().filter(with_goals) {
        let bars: Vec<_> = SHOWN
            .iter()
            .filter_map(|&(peer, colour)| {
                let ratio = samples.value(workload, peer)? / samples.value(workload, Peer::Haproxy)?;
                Some((ratio, colour))
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let title = workload.title();
        let note = if workload.is_cost() { " (less is better)" } else { "" };
        let middle = y + BAR * f64::from(u32::try_from(bars.len()).unwrap_or(1)) / 2.0 + 4.0;
        add(
            &mut body,
            &format!(
                "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{title}{note}</text>",
                LEFT - 10.0
            ),
        );
        for (ratio, colour) in bars {
            let length = ONE * ratio.min(LONGEST);
            let cut = if ratio > LONGEST { " ..." } else { "" };
            add(
                &mut body,
                &format!(
                    "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{:.0}\" fill=\"{colour}\"/>",
                    BAR - 2.0
                ),
            );
            add(
                &mut body,
                &format!(
                    "<text class=\"number\" x=\"{:.1}\" y=\"{:.0}\">{ratio:.2}{cut}</text>",
                    LEFT + length + 4.0,
                    y + BAR - 3.0
                ),
            );
            y += BAR;
        }
        y += GAP;
    }
    let mut head = String::new();
    add(
        &mut head,
        &format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {y:.0}\" width=\"{WIDTH:.0}\" height=\"{y:.0}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">"
        ),
    );
    add(
        &mut head,
        "<style>.number { font-size: 10px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }</style>",
    );
    add(&mut head, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
    add(
        &mut head,
        "<text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">Multiples of HAProxy (common recipe = 1)</text>",
    );
    let mut x = LEFT;
    for (peer, colour) in SHOWN {
        add(
            &mut head,
            &format!("<rect x=\"{x:.0}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"),
        );
        add(&mut head, &format!("<text x=\"{:.0}\" y=\"44\">{}</text>", x + 18.0, peer.name()));
        x += 130.0;
    }
    let one = LEFT + ONE;
    add(
        &mut head,
        &format!(
            "<line x1=\"{one}\" y1=\"{:.0}\" x2=\"{one}\" y2=\"{:.0}\" stroke=\"#222222\" stroke-dasharray=\"3 3\"/>",
            TOP - 8.0,
            y - GAP / 2.0
        ),
    );
    format!("{head}{body}</svg>\n")
}

fn add(text: &mut String, what: &str) {
    writeln!(text, "{what}").expect("a string can be written");
}
