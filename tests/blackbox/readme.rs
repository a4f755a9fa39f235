//! What README promises a newcomer: its commands work, its configuration is valid.

use std::time::Duration;

use tempfile::TempDir;

use crate::support::certs::Authority;
use crate::support::gate::raftgate;
use crate::support::wait::within_deadline;

const README: &str = include_str!("../../README.md");
/// Three failovers take ten seconds; on a loaded machine a few times that.
const DEMO: Duration = Duration::from_mins(3);

/// The first indented block that begins with this line, without its indentation.
fn block(first_line: &str) -> String {
    let start = README.find(first_line).expect("README has the block");
    let indentation = start - README[..start].rfind('\n').map_or(0, |at| at + 1);
    let lines = README[start - indentation..].lines();
    let inside =
        lines.take_while(|line| line.trim().is_empty() || line.starts_with(&" ".repeat(indentation)));
    inside
        .map(|line| line.get(indentation..).unwrap_or_default())
        .fold(String::new(), |all, line| all + line + "\n")
}

/// Checks a configuration that is valid: what it amounts to, and what is said about it.
async fn check(folder: &TempDir, text: &str) -> (String, String) {
    let file = folder.path().join("raftgate.toml");
    std::fs::write(&file, text).unwrap();
    let output =
        within_deadline("the check", raftgate().arg("check").arg("-c").arg(&file).output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The quick start's configuration, with a root certificate that is there.
fn quick_start(folder: &TempDir) -> String {
    let root = folder.path().join("root.pem");
    std::fs::write(&root, Authority::new().pem()).unwrap();
    let text = block("[listeners.edge]").replace("/etc/raftgate/ziti-root.pem", root.to_str().unwrap());
    assert!(text.contains("ctrl3"), "not the whole block:\n{text}");
    text
}

#[tokio::test]
async fn the_configuration_with_routes_is_valid() {
    let (effective, said) = check(&tempfile::tempdir().unwrap(), &block("[listeners.public]")).await;
    assert_eq!(said, "");
    let route = "{ server_names = [\"vault.example.org\", \"*.vault.example.org\"], cluster = \"vault\" }";
    assert!(effective.contains(route) && effective.contains("[clusters.vault.nodes.vault3]"), "{effective}");
}

#[tokio::test]
async fn the_quick_starts_configuration_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (_, said) = check(&folder, &quick_start(&folder)).await;
    assert_eq!(said, "");
}

#[test]
fn the_quick_start_moves_addresses_after_the_check() {
    let place = |step: &str| README.find(step).unwrap_or_else(|| panic!("README does not say {step:?}"));
    let order =
        ["alt_server_certs:", "public_names = [", "`raftgate check --probe` until", "`edge.api.address`"];
    let places = order.map(place);
    assert!(places.is_sorted(), "{order:?} are at {places:?}");
    let configuration = block("[listeners.edge]");
    assert!(configuration.contains("public_names = [\"ctrl.example.org\"]"), "{configuration}");
    // Names, because many certificates of controllers carry no addresses.
    assert!(configuration.contains("ctrl1 = \"ctrl1.example.org:1280\""), "{configuration}");
}

#[tokio::test]
async fn the_example_for_other_proxies_is_valid_beside_the_quick_start() {
    let folder = tempfile::tempdir().unwrap();
    // Addresses that every machine has.
    let text = quick_start(&folder) + &block("[listeners.balanced]").replace("10.0.2.", "127.0.2.");
    let (effective, _) = check(&folder, &text).await;
    for line in ["accept_proxy_from = [\"10.0.0.5\", \"10.0.1.0/24\"]", "send_proxy = \"v2\"", "127.0.2.2"] {
        assert!(effective.contains(line), "no {line} in\n{effective}");
    }
}

#[tokio::test]
async fn the_example_with_reads_on_followers_is_valid_and_raises_no_doubt() {
    let text = block("[listeners.primary]");
    assert!(text.contains("/state"), "not the whole block:\n{text}");
    let (effective, said) = check(&tempfile::tempdir().unwrap(), &text).await;
    assert!(!said.contains("listeners"), "{said}");
    assert!(effective.contains("to = \"followers\""), "{effective}");
}

#[tokio::test]
async fn the_demo_goes_through_its_failovers_and_fails_nobody() {
    let demo = raftgate().args(["demo", "--failovers", "3"]).output();
    let output = tokio::time::timeout(DEMO, demo).await.expect("the demo ends by itself").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for fault in ["1 kill", "2 freeze", "3 hand over"] {
        assert!(said.contains(fault), "no {fault} in\n{said}");
    }
}
