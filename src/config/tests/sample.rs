//! The configuration that is shipped: it works, its comments tell the truth, and it leaves nothing out.

use toml_edit::{DocumentMut, Item};

use super::*;

const SAMPLE: &str = include_str!("../../../config/raftgate.toml");

/// The sample with every default written out: `#key = ...` without a space is a key, `# ...` is prose.
fn with_defaults_written_out() -> String {
    let is_key = |rest: &str| rest.starts_with(|first: char| first.is_ascii_lowercase());
    SAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_sample_works_without_a_warning() {
    assert_eq!(warnings(SAMPLE), [""; 0]);
}

#[test]
fn its_comments_show_the_defaults() {
    let plain = config(SAMPLE);
    let mut written = config(&with_defaults_written_out());
    assert_eq!((written.workers, written.max_connections), (4, 10_000), "nothing was written out");
    (written.workers, written.max_connections) = (plain.workers, plain.max_connections);
    assert_eq!(written, plain);
}

#[test]
fn it_shows_every_key() {
    let written: DocumentMut = with_defaults_written_out().parse().unwrap();
    let effective: DocumentMut = config(SAMPLE).effective_toml().parse().unwrap();
    let shown = keys(written.as_item(), "");
    let missing: Vec<String> = keys(effective.as_item(), "")
        .into_iter()
        .filter(|key| !key.contains(".nodes.") && !shown.contains(key))
        .collect();
    assert_eq!(missing, [""; 0]);
    for key in [
        "probe_address",
        "server_name",
        "priority",
        "probe.host",
        "probe.tls.server_name",
        "spiffe_id",
        "probe.tls.spiffe_trust_domain",
        "probe.tls.client_cert_file",
        "probe.tls.client_key_file",
    ] {
        assert!(SAMPLE.contains(key), "{key}");
    }
}

/// The keys of everything that is not a table with a header or dots.
fn keys(item: &Item, prefix: &str) -> Vec<String> {
    let Item::Table(table) = item else { return vec![prefix.to_owned()] };
    table.iter().flat_map(|(key, item)| keys(item, &format!("{prefix}.{key}"))).collect()
}
