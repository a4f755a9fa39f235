//! The page at `/` in a real browser, and `/events` beneath it: a failover is seen as it happens.

use serde_json::Value;

use crate::support::browser::{BROWSER, Browser};
use crate::support::require_tool;
use crate::support::scene::Scene;
use crate::support::stream::Stream;
use crate::support::wait::{until, within_deadline};

/// How many may listen to `/events` at once.
const MAX_SUBSCRIBERS: usize = 64;

/// A script that tells who leads, as the page has it.
const LEADER: &str = "document.querySelector('.lead strong')?.textContent";

/// Whether a change is that this node leads.
fn elects(node: &str) -> impl Fn(&Value) -> bool {
    move |change| change["kind"] == "leader_elected" && change["node"] == node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_told_to_whoever_listens_and_again_to_whoever_missed_it() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let mut stream = Stream::open(scene.gate.admin_address(), None).await;
    assert!(stream.is_open() && stream.head.contains("content-type: text/event-stream"), "{}", stream.head);
    let whole = stream.hears("status", |status| status["complete"] == true).await;
    let cluster = &whole.data["clusters"]["controllers"];
    assert_eq!((&cluster["leader"], &cluster["tenures"][0]["node"]), (&"n1".into(), &"n1".into()));

    scene.nodes[0].order("follow").await;
    let lost = stream.hears("change", |change| change["kind"] == "leader_lost").await;
    assert_eq!((&lost.data["node"], &lost.data["cluster"]), (&"n1".into(), &"controllers".into()));
    scene.nodes[1].order("lead").await;
    let elected = stream.hears("change", elects("n2")).await;
    assert!(
        elected.data["failover_ms"].is_u64() && elected.data["id"].as_u64() > lost.data["id"].as_u64(),
        "{elected:?}"
    );
    stream.hears("status", |status| status["clusters"]["controllers"]["leader"] == "n2").await;

    let mut again = Stream::open(scene.gate.admin_address(), lost.id.as_deref()).await;
    assert_eq!(again.hears("change", elects("n2")).await.id, elected.id);
    let (_, status) = scene.gate.get("/status").await.unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let tenures = &status["clusters"]["controllers"]["tenures"];
    assert_eq!((&tenures[0]["ended"], &tenures[1]["until"]), (&"stepped down".into(), &Value::Null));
    assert_eq!(tenures[1]["leaderless_ms"], elected.data["leaderless_ms"]);
    let states: Vec<_> = status["clusters"]["controllers"]["nodes"][1]["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["state"].clone())
        .collect();
    assert_eq!(states, ["unknown", "follower", "leader"]);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_listeners_are_bounded_and_take_no_place_from_others() {
    let scene = Scene::start(&["lead"]).await;
    let admin = scene.gate.admin_address();
    let mut streams = Vec::new();
    for _ in 0..MAX_SUBSCRIBERS {
        let stream = within_deadline("a place", Stream::open(admin, None)).await;
        assert!(stream.is_open(), "{}", stream.head);
        streams.push(stream);
    }
    let turned_away = within_deadline("an answer", Stream::open(admin, None)).await;
    let head = &turned_away.head;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: "), "{head}");
    assert_eq!(scene.gate.get("/livez").await.unwrap().0, 200);
    streams.pop();
    until("there is a place again", async || Stream::open(admin, None).await.is_open().then_some(())).await;
    drop(streams);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_gate_that_stops_tells_it_and_does_not_wait_for_listeners() {
    let mut scene = Scene::start(&["lead"]).await;
    let mut stream = Stream::open(scene.gate.admin_address(), None).await;
    stream.hears("status", |status| status["ready"] == true).await;
    let session = scene.echo_session().await;
    scene.gate.signal(rustix::process::Signal::TERM);
    // The session keeps it for a while.
    stream.hears("status", |status| status["not_ready"] == "draining").await;
    drop(session);
    within_deadline("the stream's end", async { while stream.next().await.is_some() {} }).await;
    assert!(scene.gate.exits().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_the_page_may_use_nothing_but_its_own_files_and_is_whole_without_them() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let (status, page) = scene.gate.get("/").await.unwrap();
    assert!(status == 200 && page.contains("<strong>n1</strong> leads since"), "{page}");
    for own in ["page.css", "page.js", "icon.svg"] {
        assert!(page.contains(&format!("=\"{own}\"")), "{own} is not used");
        assert_eq!(scene.gate.get(&format!("/{own}")).await.unwrap().0, 200, "{own}");
    }
    let head = within_deadline("the head", Stream::open(scene.gate.admin_address(), None)).await.head;
    for safety in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(head.contains(safety), "no {safety} in {head}");
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_seen_in_a_browser_without_a_reload() {
    if !require_tool(BROWSER, "the page in a real browser") {
        return;
    }
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let mut browser = Browser::showing(&format!("http://{}/", scene.gate.admin_address())).await;
    browser.comes_to(LEADER, "n1").await;
    browser.comes_to("document.getElementById('link').textContent", "live").await;
    // What a reload would undo.
    browser.evaluate("window.untouched = document.querySelector('details').open = true").await;

    // While nobody leads, an alarm stands between; whoever has opened something below it goes on reading.
    scene.nodes[0].order("follow").await;
    browser.comes_to(LEADER, "Nobody").await;
    browser.comes_to("document.querySelectorAll('.alarms li').length", 1).await;
    scene.nodes[1].order("lead").await;
    browser.comes_to(LEADER, "n2").await;
    browser.comes_to("document.querySelectorAll('.tenures tbody tr').length", 2).await;
    browser.comes_to("document.querySelector('tr.leader th').firstChild.data.trim()", "n2").await;
    browser
        .comes_to("/controllers: .*n2|is over/.test(document.getElementById('said').textContent)", true)
        .await;
    assert_eq!(browser.evaluate("window.untouched").await, true, "the page was loaded anew");
    assert_eq!(browser.evaluate("document.querySelector('details').open").await, true, "it was closed");

    scene.nodes[2].kill().await;
    browser.comes_to("document.querySelector('tr.unreachable th').firstChild.data.trim()", "n3").await;
    browser.resize(390, 844).await;
    browser.comes_to("document.documentElement.scrollWidth", 390).await;
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    scene.gate.assert_books_balance().await;
}
