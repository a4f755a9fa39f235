//! Debian's Chromium without a window, driven through its pipe for developers' tools (`--remote-debugging-pipe`).

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::wait::{until, within_deadline};

/// Its name on this machine.
pub(crate) const BROWSER: &str = "chromium";

/// Hands the browser the pipe as its descriptors 3 and 4, where it expects it.
const SCRIPT: &str = "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";

/// A running browser with one page; it is killed when this is dropped.
pub(crate) struct Browser {
    _child: Child,
    _profile: TempDir,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: String,
    last: u64,
    /// What the page has complained about.
    pub(crate) complaints: Vec<Value>,
}

impl Browser {
    /// Starts one that shows `address`.
    pub(crate) async fn showing(address: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh", BROWSER])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut browser = Browser {
            _child: child,
            _profile: profile,
            orders,
            answers,
            session: String::new(),
            last: 0,
            complaints: Vec::new(),
        };
        let target = browser.order("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.order("Target.attachToTarget", attached).await;
        attached["sessionId"].as_str().expect("it has a session").clone_into(&mut browser.session);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.order(domain, json!({})).await;
        }
        browser.order("Page.navigate", json!({ "url": address })).await;
        browser
    }

    /// Makes the page's window so wide and high.
    pub(crate) async fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        self.order("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// What an expression in JavaScript comes to on the page.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        self.order("Runtime.evaluate", parameters).await["result"]["value"].take()
    }

    /// Waits until an expression comes to this.
    pub(crate) async fn comes_to(&mut self, expression: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        until(&format!("`{expression}` is {wanted}"), async || {
            (self.evaluate(expression).await == wanted).then_some(())
        })
        .await;
    }

    /// Has an order carried out, and returns what came of it.
    async fn order(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            order["sessionId"] = self.session.as_str().into();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).await.unwrap();
        within_deadline(&format!("{method} of the browser"), self.answer(method)).await
    }

    /// The answer to the last order; what comes before it is looked through for complaints.
    async fn answer(&mut self, method: &str) -> Value {
        loop {
            let mut message = Vec::new();
            let length = self.answers.read_until(0, &mut message).await.unwrap();
            assert!(length > 0, "the browser ended before {method}");
            message.pop();
            let mut message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            if message["method"] == "Log.entryAdded" || message["method"] == "Runtime.exceptionThrown" {
                self.complaints.push(message["params"].take());
            }
        }
    }
}
