//! Promise 3: bytes pass exactly as sent, each direction ends by itself, and TLS is the node's own.

use std::process::Output;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::certs::PUBLIC_NAME;
use crate::support::client::{half_close, hear, say};
use crate::support::scene::Scene;
use crate::support::wait::within_deadline;
use crate::support::{bulk, require_tool};

const TEN_MEGABYTES: u64 = 10_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_ten_megabytes_each_way_arrive_as_they_were_sent() {
    let scene = Scene::start(&["lead"]).await;
    let (mut up, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut up, "SINK").await.unwrap();
    let sent = within_deadline("10 MB up", bulk::send(&mut up, 5, TEN_MEGABYTES)).await.unwrap();
    // The client ends its side first; the node's answer comes after that (S6).
    half_close(&mut up).await.unwrap();
    assert_eq!(hear(&mut up).await.unwrap(), format!("{} {}", sent.bytes, sent.digest));
    drop(up);

    let (mut down, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut down, &format!("SOURCE {TEN_MEGABYTES}")).await.unwrap();
    let received = within_deadline("10 MB down", bulk::receive(&mut down, &[])).await.unwrap();
    let expected = bulk::send(&mut tokio::io::sink(), 1, TEN_MEGABYTES).await.unwrap();
    assert_eq!(received, expected);
    drop(down);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_both_directions_at_once_do_not_disturb_each_other() {
    let scene = Scene::start(&["lead"]).await;
    let (mut stream, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut stream, "ECHO").await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let sending = tokio::spawn(async move {
        let sent = bulk::send(&mut to, 11, TEN_MEGABYTES).await?;
        to.shutdown().await?;
        Ok::<_, std::io::Error>(sent)
    });
    let received = within_deadline("the echo", bulk::receive(&mut from, &[])).await.unwrap();
    assert_eq!(received, sending.await.unwrap().unwrap());
    drop(from);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a_node_may_end_its_side_first() {
    let scene = Scene::start(&["lead"]).await;
    let (mut stream, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut stream, "FAREWELL").await.unwrap();
    assert_eq!(hear(&mut stream).await.unwrap(), "farewell");
    let rest = within_deadline("the node's end", bulk::receive(&mut stream, &[])).await.unwrap();
    assert_eq!(rest.bytes, 0);
    let sent = bulk::send(&mut stream, 13, 1_000_000).await.unwrap();
    half_close(&mut stream).await.unwrap();
    assert_eq!(scene.nodes[0].farewell_sum().await, sent);
    drop(stream);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_openssl_see_the_nodes_own_certificate() {
    if !require_tool("curl", "a visit by curl") || !require_tool("openssl", "a look by openssl") {
        return;
    }
    let mut scene = Scene::start(&["follow", "lead", "follow"]).await;
    for leader in ["n2", "n3"] {
        let body = curl(&scene).await;
        assert!(body.contains(&format!("\"node\":\"{leader}\"")), "{body}");
        let node = scene.nodes.iter().find(|node| node.name == leader).unwrap();
        assert_eq!(openssl_s_client(&scene).await, node.identity.certificate);
        if leader == "n2" {
            scene.hand_over(1, 2).await;
            scene.gate.routes_to(Some("n3")).await;
        }
    }
    scene.gate.assert_books_balance().await;
}

async fn curl(scene: &Scene) -> String {
    let gate = scene.gate.address;
    let output = run(Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert"])
        .arg(scene.folder.path().join("ca.pem"))
        .args(["--resolve", &format!("{PUBLIC_NAME}:{}:{}", gate.port(), gate.ip())])
        .arg(format!("https://{PUBLIC_NAME}:{}/whoami", gate.port())))
    .await;
    String::from_utf8(output.stdout).unwrap()
}

async fn openssl_s_client(scene: &Scene) -> CertificateDer<'static> {
    let output = run(Command::new("openssl")
        .args([
            "s_client",
            "-verify_return_error",
            "-verify_hostname",
            PUBLIC_NAME,
            "-servername",
            PUBLIC_NAME,
        ])
        .args(["-connect", &scene.gate.address.to_string(), "-CAfile"])
        .arg(scene.folder.path().join("ca.pem"))
        .stdin(std::process::Stdio::null()))
    .await;
    CertificateDer::from_pem_slice(&output.stdout).unwrap()
}

async fn run(command: &mut Command) -> Output {
    let output = within_deadline("a tool", command.kill_on_drop(true).output()).await.unwrap();
    assert!(output.status.success(), "{:?}: {}", command.as_std(), String::from_utf8_lossy(&output.stderr));
    output
}
