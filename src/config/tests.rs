//! Whole configurations: what they mean, who wins, and what is said about mistakes.

mod imports;
mod layering;
mod mistakes;
mod presets;
mod routes;
mod samples;
mod values;

use super::*;

/// The least that works, as the README shows it; the lines of a test's own begin at 9.
const LEAST: &str = r#"[listeners.edge]
bind = "0.0.0.0:443"
cluster = "controllers"

[clusters.controllers]
preset = "openziti"
nodes = { ctrl1 = "10.0.0.1:1280", ctrl2 = "10.0.0.2:1280", ctrl3 = "10.0.0.3:1280" }
probe.tls.ca_file = "/etc/raftgate/ziti-root.pem"
"#;

/// [`LEAST`] with further keys of the cluster.
fn least_and(keys: &str) -> String {
    format!("{LEAST}{keys}")
}

fn config(toml: &str) -> Config {
    match load_text("t.toml", toml) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\nin\n{toml}"),
    }
}

fn warnings(toml: &str) -> Vec<String> {
    load_text("t.toml", toml).unwrap().warnings
}

/// What is said, without the lines of the file that are shown below it.
fn lines(result: Result<Loaded, ConfigError>) -> Vec<String> {
    match result {
        Err(ConfigError::Invalid(told)) => {
            told.iter().map(|told| told.lines().next().unwrap_or_default().to_owned()).collect()
        }
        other => panic!("not invalid: {other:?}"),
    }
}
