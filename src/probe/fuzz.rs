//! What the reader and the judge of nodes' answers hold for any bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::exchange::{Answer, BODY_LIMIT, Connection, Deadline};
use super::failure::Failure;
use super::judge::{Condition, Rules};
use crate::leader::{ProbeFailure, Verdict};

/// Longer than any target runs: what there is to be read is there from the beginning.
const PATIENCE: Duration = Duration::from_hours(1);

/// A node that has said its answer, and closed: the same is read in whatever pieces it comes.
pub fn answer(bytes: &[u8]) {
    let Some((piece, said)) = bytes.split_first() else { return };
    let whole = read(said, said.len().max(1));
    if let Some((_, body, _)) = &whole {
        assert!(body.len() <= BODY_LIMIT, "{} bytes of a body", body.len());
    }
    let pieces = usize::from(*piece) % 64 + 1;
    assert_eq!(read(said, pieces), whole, "in pieces of {pieces}");
}

/// The status, the body, and whether the connection ends, if there was an answer. Of a head that never ends, hyper finds
/// out what is wrong with it only if it comes at once; so what failed may differ.
type Read = Option<(u16, Bytes, bool)>;

fn read(said: &[u8], piece: usize) -> Read {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without IO");
    runtime.block_on(async {
        let node = Said { rest: said.to_vec(), piece, is_due: false };
        let answer = ask(Connection::new(Box::new(node), None)).await;
        let answer = answer
            .map_err(|Failure { kind, detail, .. }| {
                assert!(!detail.is_empty() && !detail.contains(char::is_control), "{detail:?}");
                assert_ne!(kind, ProbeFailure::Timeout, "{detail}");
                detail
            })
            .ok()?;
        Some((answer.status, answer.body, answer.closes))
    })
}

async fn ask(mut connection: Connection) -> Result<Answer, Failure> {
    let deadline = Deadline::after(Instant::now(), PATIENCE);
    let request = Request::builder().uri("/").header("host", "n").body(Empty::new()).expect("a request");
    let head = connection.send(&request, deadline).await?;
    connection.read(head, &rules("/leads", true.into()), deadline).await
}

/// A stream out of which all of this comes, in pieces of one length, and then its end.
struct Said {
    rest: Vec<u8>,
    piece: usize,
    /// Between two pieces there is nothing for a moment.
    is_due: bool,
}

impl AsyncRead for Said {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_due = !this.is_due;
        if this.is_due {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = this.piece.min(this.rest.len()).min(buf.remaining());
        buf.put_slice(&this.rest[..len]);
        this.rest.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Said {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A verdict: as a naive reader of the rules has it, with words that stay one short line.
///
/// The bytes are a status (two bytes), a JSON pointer, a line's end, a JSON value, another one, and the body.
pub fn verdict(bytes: &[u8]) {
    let Some(([high, low], rest)) = bytes.split_first_chunk() else { return };
    let mut parts = rest.splitn(3, |byte| *byte == b'\n');
    let [pointer, wanted, body] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let status = u16::from_be_bytes([*high, *low]) % 700;
    let rules =
        rules(&String::from_utf8_lossy(pointer), serde_json::from_slice(wanted).unwrap_or(Value::Null));
    let judgement = rules.judge(status, body);

    let json = serde_json::from_slice(body).ok();
    let holds =
        |conditions: &[Condition]| conditions.iter().any(|condition| holds(condition, status, json.as_ref()));
    let expected = if holds(&rules.leader) {
        Verdict::Leader
    } else if holds(&rules.follower) {
        Verdict::Follower
    } else {
        Verdict::Unfit { status }
    };
    assert_eq!(judgement.verdict, expected, "{}", judgement.detail);
    let says_ill = json.as_ref().and_then(|json| found(json, "/data/healthy")) == Some(&Value::Bool(false));
    assert_eq!(judgement.healthy, !says_ill && expected != Verdict::Unfit { status });
    let of_rules = pointer.len() + wanted.len();
    assert!(judgement.detail.len() < 1000 + 8 * of_rules, "{} bytes of words", judgement.detail.len());
    assert!(of_rules > 0 || !judgement.detail.contains(char::is_control), "{:?}", judgement.detail);
}

fn rules(pointer: &str, wanted: Value) -> Rules {
    let condition = |status, json: &[(&str, Value)]| Condition {
        status,
        json: json.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone())).collect(),
    };
    Rules {
        leader: vec![
            condition(vec![200..=200], &[(pointer, wanted)]),
            condition(vec![200..=299], &[("/raft/isLeader", true.into()), ("/n/1", 1.into())]),
        ],
        follower: vec![
            condition(vec![429..=429, 472..=473], &[]),
            condition(vec![200..=200, 503..=503], &[("/role", "replica".into())]),
        ],
        health: Some("/data/healthy"),
    }
}

/// Whether a condition holds, read as simply as can be.
fn holds(condition: &Condition, status: u16, json: Option<&Value>) -> bool {
    let said =
        |(pointer, wanted): &(String, Value)| json.and_then(|json| found(json, pointer)) == Some(wanted);
    condition.status.iter().any(|range| range.contains(&status)) && condition.json.iter().all(said)
}

/// What a JSON pointer leads to, by the letter of RFC 6901.
fn found<'j>(json: &'j Value, pointer: &str) -> Option<&'j Value> {
    if pointer.is_empty() {
        return Some(json);
    }
    let mut steps =
        pointer.strip_prefix('/')?.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    steps.try_fold(json, |value, step| match value {
        Value::Object(members) => members.get(&step),
        Value::Array(elements) => {
            let is_index =
                step == "0" || !step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit());
            elements.get(step.parse::<usize>().ok().filter(|_| is_index)?)
        }
        _ => None,
    })
}
