//! Requests and answers in memory, on paused time: what no answer may do to the deadline (L6).

use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::super::testing::{rules_by_status, rules_on_bodies};
use super::*;
use crate::leader::ProbeFailure;

mod lifetimes;

const TIMEOUT: Duration = Duration::from_millis(3500);

/// Sends a request to a node that does this once it was asked, and reads the answer, body and all.
async fn ask<F>(node: impl FnOnce(DuplexStream) -> F) -> Result<Answer, Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    ask_for_what(&rules_on_bodies(), node).await
}

/// The same, but reads no more of the answer than these rules look at.
async fn ask_for_what<F>(rules: &Rules, node: impl FnOnce(DuplexStream) -> F) -> Result<Answer, Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (ours, mut theirs) = duplex(1024);
    let mut connection = Connection::new(Box::new(ours), None);
    let deadline = Deadline::after(Instant::now(), TIMEOUT);
    let request = Request::builder().uri("/").header("host", "n").body(Empty::new()).unwrap();
    let head = connection.send(&request, deadline);
    let asked = async {
        while theirs.read_u8().await.unwrap() != b'\n' {}
        tokio::spawn(node(theirs));
    };
    let (head, ()) = tokio::join!(head, asked);
    connection.read(head?, rules, deadline).await
}

/// Asks a node that says this and then closes the connection.
async fn ask_for(text: &'static str) -> Result<Answer, Failure> {
    ask(async move |mut node| {
        let _ = node.write_all(text.as_bytes()).await;
    })
    .await
}

/// Asks a node that says `first` and then `more`, again and again as long as it is heard, with this distance
/// before each.
async fn ask_flood(first: &'static str, more: &'static str, distance: Duration) -> Result<Answer, Failure> {
    ask(async move |mut node| {
        let mut said = first;
        loop {
            sleep(distance).await;
            if node.write_all(said.as_bytes()).await.is_err() {
                return;
            }
            said = more;
        }
    })
    .await
}

#[track_caller]
fn assert_failed(result: Result<Answer, Failure>, kind: ProbeFailure, words: &str) {
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, kind, "{}", failure.detail);
    assert!(failure.detail.contains(words), "{words} in: {}", failure.detail);
}

#[tokio::test(start_paused = true)]
async fn l6_silence_ends_at_the_deadline() {
    let began = Instant::now();
    let result = ask(async |_node| std::future::pending().await).await;
    assert_failed(result, ProbeFailure::Timeout, "no answer within 3s 500ms: it was asked");
    assert_eq!(began.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn l6_no_byte_rearms_the_deadline() {
    let second = Duration::from_secs(1);
    for (first, more, words) in [
        ("HTTP/1.1 200 OK\r\nA: ", "a", "it was asked"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", "it was asked"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "a", "body was not complete"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "body was not complete"),
    ] {
        let began = Instant::now();
        assert_failed(ask_flood(first, more, second).await, ProbeFailure::Timeout, words);
        assert_eq!(began.elapsed(), TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn l6_head_and_body_are_capped() {
    for (first, more, words) in [
        ("HTTP/1.1 200 OK\r\nA: ", "aaaaaaaaaaaaaaaa", "head has no end within 16384 bytes"),
        ("HTTP/1.1 200 OK\r\n", "A: a\r\n", "head has no end within 16384 bytes"),
        ("HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaaaaaaaaaa", "body is larger than 65536 bytes"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n",
            "aaaaaaaaaaaaaaaa",
            "body is larger than 65536 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "4\r\naaaa\r\n",
            "body is larger than 65536 bytes",
        ),
    ] {
        let result = ask_flood(first, more, Duration::ZERO).await;
        assert_failed(result, ProbeFailure::Protocol, words);
    }
}

#[tokio::test(start_paused = true)]
async fn l6_a_head_up_to_the_cap_is_read_and_one_far_beyond_is_not() {
    let ask_with_header = async |length| {
        ask(async move |mut node| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: {}\r\n\r\n", "a".repeat(length));
            let _ = node.write_all(head.as_bytes()).await;
        })
        .await
    };
    assert_eq!(ask_with_header(HEAD_LIMIT - 100).await.unwrap().status, 200);
    assert_failed(ask_with_header(2 * HEAD_LIMIT).await, ProbeFailure::Protocol, "no end within 16384 bytes");
}

#[tokio::test(start_paused = true)]
async fn l6_a_body_up_to_the_cap_is_read() {
    let answer = ask(async |mut node| {
        let _ = node.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n").await;
        let _ = node.write_all(&vec![b'a'; BODY_LIMIT]).await;
    });
    assert_eq!(answer.await.unwrap().body.len(), BODY_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_says_so() {
    for text in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "\x15\x03\x01\x00\x02\x02\x46",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
    ] {
        assert_failed(ask_for(text).await, ProbeFailure::Protocol, "not HTTP/1.1");
    }
    let bad_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_failed(ask_for(bad_chunk).await, ProbeFailure::Protocol, "not acceptable");
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_short_is_a_closed_connection() {
    for text in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    ] {
        assert_failed(ask_for(text).await, ProbeFailure::Closed, "before its answer was complete");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_tell_whether_the_connection_goes_on() {
    for (text, status, body, closes) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 200, "ab", false),
        ("HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 429, "ab", false),
        ("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101, "", false),
        ("HTTP/1.1 204 None\r\n\r\n", 204, "", false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", 200, "ab", true),
        ("HTTP/1.1 200 OK\r\nConnection: upgrade, Close\r\nContent-Length: 2\r\n\r\nab", 200, "ab", true),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", 200, "ab", true),
        ("HTTP/1.0 503 No\r\n\r\nuntil the end", 503, "until the end", true),
    ] {
        let answer = ask_for(text).await.unwrap();
        let seen = (answer.status, &answer.body[..], answer.closes);
        assert_eq!(seen, (status, body.as_bytes(), closes), "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn l2_a_body_that_no_rule_looks_at_is_not_waited_for() {
    for (head, part, parts, closes) in [
        ("Content-Length: 2\r\n\r\n", "ok", 1, false),
        ("Transfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n0\r\n\r\n", 1, false),
        ("Content-Length: 102400\r\n\r\n", "0123456789abcdef", 6400, true),
        ("Content-Type: text/event-stream\r\n\r\n", "data: x\n\n", usize::MAX, true),
        ("Transfer-Encoding: chunked\r\n\r\n", "", 1, true),
    ] {
        let began = Instant::now();
        let rules = rules_by_status();
        let answer = ask_for_what(&rules, async move |mut node| {
            let _ = node.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await;
            for _ in 0..parts {
                if node.write_all(part.as_bytes()).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.closes), (200, closes), "{head:?}");
        assert!(began.elapsed() <= UNREAD_GRACE, "{head:?}: {:?}", began.elapsed());
    }
}
