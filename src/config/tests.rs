//! Whole configurations, from text to model.

use super::*;

const LEAST: &str = r#"
[listeners.edge]
bind = "0.0.0.0:443"
cluster = "controllers"

[clusters.controllers]
preset = "openziti"
nodes = { ctrl1 = "10.0.0.1:1280", ctrl2 = "10.0.0.2:1280", ctrl3 = "10.0.0.3:1280" }
probe.tls.ca_file = "/etc/raftgate/ziti-root.pem"
"#;

#[test]
fn the_least_that_works() {
    let loaded = load_text("t.toml", LEAST).unwrap();
    println!("{}", loaded.config.effective_toml());
    assert_eq!(loaded.warnings, [""; 0]);
    let again = load_text("effective.toml", &loaded.config.effective_toml()).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn experiment() {
    let bad = r#"
workers = -1
[listeners.edge]
bind = ["0.0.0.0:443", "x"]
cluster = "controler"

[clusters.controllers]
preset = "opensiti"
nodes = { ctrl1 = "10.0.0.1", ctrl2 = {address="10.0.0.2:1280", prio=5}, ctrl3 = "10.0.0.3:1280" }
probe.interval = 250
hold.timout = "1"
[[clusters.controllers.probe.leader]]
status = [200, "x"]
[[clusters.controllers.probe.leader]]
"#;
    println!("{}", load_text("t.toml", bad).unwrap_err());
}
