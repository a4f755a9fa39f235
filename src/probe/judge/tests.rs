//! Answers of real nodes, and of things that are none.

use serde_json::json;

use super::*;

/// What an OpenZiti controller answers on its leader endpoint.
fn openziti_body(is_leader: bool, is_raft_enabled: bool) -> Vec<u8> {
    let check = json!({"id": "bolt.read", "healthy": true, "lastCheckDuration": "1µs"});
    let body = json!({
        "data": {"checks": [check], "healthy": true},
        "meta": {},
        "raft": {"isLeader": is_leader, "isRaftEnabled": is_raft_enabled},
    });
    serde_json::to_vec_pretty(&body).unwrap()
}

fn condition(status: &[RangeInclusive<u16>], json: &[(&str, Value)]) -> Condition {
    let json = json.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone())).collect();
    Condition { status: status.to_vec(), json }
}

fn openziti() -> Rules {
    Rules {
        leader: vec![
            condition(&[200..=200], &[("/raft/isLeader", json!(true))]),
            condition(&[200..=200], &[("/raft/isRaftEnabled", json!(false))]),
        ],
        follower: vec![condition(&[429..=429], &[("/raft/isLeader", json!(false))])],
        health: Some("/data/healthy"),
    }
}

fn by_status() -> Rules {
    Rules {
        leader: vec![condition(&[200..=200], &[])],
        follower: vec![condition(&[429..=429, 470..=479], &[])],
        health: None,
    }
}

#[track_caller]
fn assert_unfit(rules: &Rules, status: u16, body: &[u8], reason: &str) {
    let judgement = rules.judge(status, body);
    assert_eq!(judgement.verdict, Verdict::Unfit { status });
    assert!(judgement.detail.contains(reason), "{}", judgement.detail);
}

#[test]
fn l2_openziti_says_who_leads() {
    let rules = openziti();
    let leader = rules.judge(200, &openziti_body(true, true));
    assert_eq!((leader.verdict, leader.detail.as_str()), (Verdict::Leader, "says that it leads (200)"));
    let follower = rules.judge(429, &openziti_body(false, true));
    assert_eq!(
        (follower.verdict, follower.detail.as_str()),
        (Verdict::Follower, "says that it follows (429)")
    );
}

#[test]
fn health_is_what_the_body_says_of_it_and_never_changes_the_verdict() {
    let ill =
        |body: Vec<u8>| String::from_utf8(body).unwrap().replace("\"healthy\": true", "\"healthy\": false");
    for (status, verdict, leads) in [(200, Verdict::Leader, true), (429, Verdict::Follower, false)] {
        let well = openziti().judge(status, &openziti_body(leads, true));
        assert_eq!((well.verdict, well.healthy), (verdict, true));
        let ill = openziti().judge(status, ill(openziti_body(leads, true)).as_bytes());
        assert_eq!((ill.verdict, ill.healthy), (verdict, false));
    }
    // Who says nothing of it is well if it says who leads, and not otherwise.
    assert!(by_status().judge(429, b"").healthy);
    assert!(by_status().judge(200, br#"{"data":{"healthy":false}}"#).healthy);
    assert!(!openziti().judge(503, &openziti_body(true, true)).healthy);
}

#[test]
fn l2_a_single_openziti_controller_without_raft_leads() {
    assert_eq!(openziti().judge(200, &openziti_body(false, false)).verdict, Verdict::Leader);
}

#[test]
fn l2_openziti_answers_that_say_nothing_are_unfit() {
    let rules = openziti();
    // An old controller, or a path beside the right one: 200 from every node.
    assert_unfit(&rules, 200, br#"{"data":{"checks":[],"healthy":true},"meta":{}}"#, "no /raft/isLeader");
    assert_unfit(&rules, 200, &openziti_body(false, true), "/raft/isLeader is false, not true");
    // The binding is missing: the edge API answers.
    assert_unfit(&rules, 404, br#"{"error":{"code":"NOT_FOUND"}}"#, "answered 404, which means neither");
    assert_unfit(&rules, 503, b"", "answered 503");
}

#[test]
fn bodies_that_are_no_json_are_unfit_only_where_json_is_asked_for() {
    for garbage in [&b""[..], b"OK", b"{", b"\xff\xfe", b"{\"raft\":{\"isLeader\":true}} and more"] {
        assert_unfit(&openziti(), 200, garbage, "its body is not JSON");
        assert_eq!(by_status().judge(200, garbage).verdict, Verdict::Leader);
        assert_unfit(&openziti(), 429, garbage, "its body is not JSON");
        assert_eq!(by_status().judge(429, garbage).verdict, Verdict::Follower);
    }
    // Deeper than any honest answer, yet no reason to overflow a stack.
    assert_unfit(&openziti(), 200, &vec![b'['; 60_000], "its body is not JSON");
}

#[test]
fn l2_a_number_is_the_same_however_it_is_written() {
    let leads = |wanted: Value| Rules {
        leader: vec![condition(&[200..=200], &[("/leader", wanted)])],
        follower: Vec::new(),
        health: None,
    };
    for (body, wanted, verdict) in [
        (r#"{"leader": 1.0}"#, json!(1), Verdict::Leader),
        (r#"{"leader": 1}"#, json!(1.0), Verdict::Leader),
        (r#"{"leader": 1e0}"#, json!(1), Verdict::Leader),
        (r#"{"leader": 1.5}"#, json!(1), Verdict::Unfit { status: 200 }),
        (r#"{"leader": 9007199254740993}"#, json!(9_007_199_254_740_992_u64), Verdict::Unfit { status: 200 }),
        (r#"{"leader": "1"}"#, json!(1), Verdict::Unfit { status: 200 }),
    ] {
        assert_eq!(leads(wanted).judge(200, body.as_bytes()).verdict, verdict, "{body}");
    }
}

#[test]
fn l2_an_empty_pointer_is_the_whole_body() {
    let rules = Rules {
        leader: vec![condition(&[200..=200], &[("", json!("10.0.0.1:8300"))])],
        follower: Vec::new(),
        health: None,
    };
    assert_eq!(rules.judge(200, b"\"10.0.0.1:8300\"\n").verdict, Verdict::Leader);
    assert_unfit(&rules, 200, b"\"10.0.0.2:8300\"", "the whole body is \"10.0.0.2:8300\", not");
    assert_eq!(rules.invalid_pointer(), None);
}

#[test]
fn statuses_match_by_range_and_leader_comes_first() {
    let rules = by_status();
    for status in 100..=999 {
        let expected = match status {
            200 => Verdict::Leader,
            429 | 470..=479 => Verdict::Follower,
            status => Verdict::Unfit { status },
        };
        assert_eq!(rules.judge(status, b"").verdict, expected);
    }
    let overlapping = Rules {
        leader: vec![condition(&[200..=299], &[])],
        follower: vec![condition(&[200..=499], &[])],
        health: None,
    };
    assert_eq!(overlapping.judge(204, b"").verdict, Verdict::Leader);
    assert_eq!(overlapping.judge(300, b"").verdict, Verdict::Follower);
}

#[test]
fn every_part_of_a_condition_must_hold() {
    let patroni =
        |role: &str| condition(&[200..=200], &[("/role", json!(role)), ("/state", json!("running"))]);
    let rules = Rules {
        leader: vec![patroni("primary"), patroni("master")],
        follower: vec![condition(&[503..=503], &[("/role", json!("replica"))])],
        health: None,
    };
    let verdict = |status, body: Value| rules.judge(status, body.to_string().as_bytes()).verdict;
    assert_eq!(verdict(200, json!({"role": "primary", "state": "running"})), Verdict::Leader);
    assert_eq!(verdict(200, json!({"role": "master", "state": "running"})), Verdict::Leader);
    assert_eq!(verdict(200, json!({"role": "primary", "state": "starting"})), Verdict::Unfit { status: 200 });
    assert_eq!(verdict(200, json!({"role": "primary"})), Verdict::Unfit { status: 200 });
    assert_eq!(verdict(503, json!({"role": "primary", "state": "running"})), Verdict::Unfit { status: 503 });
    assert_eq!(verdict(503, json!({"role": "replica"})), Verdict::Follower);
}

#[test]
fn pointers_reach_into_arrays_escapes_and_every_type_of_value() {
    let body = br#"{"a/b": {"m~n": [0, {"x": null}, "text", 1.5]}}"#;
    for (pointer, value) in [
        ("/a~1b/m~0n/0", json!(0)),
        ("/a~1b/m~0n/1/x", json!(null)),
        ("/a~1b/m~0n/1", json!({"x": null})),
        ("/a~1b/m~0n/2", json!("text")),
        ("/a~1b/m~0n/3", json!(1.5)),
        ("", json!({"a/b": {"m~n": [0, {"x": null}, "text", 1.5]}})),
    ] {
        let rules = |value| Rules {
            leader: vec![condition(&[200..=200], &[(pointer, value)])],
            follower: Vec::new(),
            health: None,
        };
        assert_eq!(rules(value).judge(200, body).verdict, Verdict::Leader, "{pointer}");
        assert_eq!(
            rules(json!("other")).judge(200, body).verdict,
            Verdict::Unfit { status: 200 },
            "{pointer}"
        );
    }
}

#[test]
fn a_condition_without_any_status_never_holds() {
    let rules = Rules { leader: vec![condition(&[], &[])], follower: Vec::new(), health: None };
    assert_unfit(&rules, 200, b"", "neither leader nor follower");
}

#[test]
fn details_stay_short_and_printable_whatever_the_node_says() {
    let rules = Rules {
        leader: vec![condition(&[200..=200], &[("/role", json!("leader"))])],
        follower: Vec::new(),
        health: None,
    };
    let body = json!({"role": "\n\u{1b}[31m".repeat(1000)}).to_string();
    let detail = rules.judge(200, body.as_bytes()).detail;
    assert!(detail.len() < 500 && !detail.contains(char::is_control), "{detail}");
}

#[test]
fn a_text_is_shown_whole_up_to_forty_letters() {
    let rules = Rules {
        leader: vec![condition(&[200..=200], &[("/role", json!("leader"))])],
        follower: Vec::new(),
        health: None,
    };
    let shown = |len| rules.judge(200, json!({ "role": "x".repeat(len) }).to_string().as_bytes()).detail;
    assert!(shown(40).contains(&format!("/role is \"{}\", not", "x".repeat(40))), "{}", shown(40));
    assert!(shown(41).contains(&format!("/role is \"{}...\", not", "x".repeat(40))), "{}", shown(41));
}

#[test]
fn pointers_that_can_never_match_are_found() {
    let with = |pointer: &str| Rules {
        leader: Vec::new(),
        follower: vec![condition(&[200..=200], &[("/fine", json!(1)), (pointer, json!(1))])],
        health: None,
    };
    assert_eq!(with("raft/isLeader").invalid_pointer(), Some("raft/isLeader"));
    assert_eq!(with("/raft/isLeader").invalid_pointer(), None);
    assert_eq!(with("").invalid_pointer(), None);
}

#[test]
fn a_controller_without_health_checks_is_told_what_it_lacks() {
    let request = |path: &str| Request {
        method: "GET".into(),
        path: path.into(),
        host: "n1".into(),
        headers: Vec::new(),
    };
    let rules = Rules { leader: vec![condition(&[200..=200], &[])], follower: Vec::new(), health: None };
    let detail = |status, path: &str| rules.judge(status, b"").with_hint(&request(path)).detail;
    let lacks = "is `- binding: health-checks` in the controller's `web` section?";
    assert!(detail(404, "/health-checks/controller/raft").ends_with(lacks));
    assert!(!detail(503, "/health-checks/controller/raft").contains(lacks));
    assert!(!detail(404, "/leader").contains(lacks));
}
