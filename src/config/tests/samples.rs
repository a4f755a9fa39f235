//! The configurations that are shipped: they work, their comments tell the truth, and the first leaves nothing out.

use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, Item};

use super::*;

/// The one that shows every key.
const COMPLETE: &str = include_str!("../../../config/raftgate.toml");

/// Every file of `config/`, by name.
fn samples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_name().unwrap().display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(samples.len() >= 3, "the samples were not found");
    samples
}

/// A sample with every default written out: `#key = ...` without a space is a key, `# ...` is prose.
fn with_defaults_written_out(sample: &str) -> String {
    let is_key = |rest: &str| rest.starts_with(|first: char| first.is_ascii_lowercase());
    sample
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn samples_work_without_a_warning() {
    for (name, sample) in samples() {
        assert_eq!(load_text(&name, &sample).map(|loaded| loaded.warnings).unwrap(), [""; 0]);
    }
}

#[test]
fn each_preset_has_a_sample() {
    let presets: Vec<Preset> =
        samples().iter().map(|(_, sample)| config(sample).clusters[0].preset).collect();
    for preset in [Preset::OpenZiti, Preset::Vault, Preset::Patroni] {
        assert!(presets.contains(&preset), "{preset:?}");
    }
}

#[test]
fn their_comments_show_the_defaults() {
    for (name, sample) in samples() {
        let (plain, shown) = (config(&sample), with_defaults_written_out(&sample));
        assert_ne!(shown, sample, "{name}: nothing was written out");
        let mut written = config(&shown);
        // These follow the machine.
        (written.workers, written.max_connections) = (plain.workers, plain.max_connections);
        assert_eq!(written, plain, "{name}");
    }
}

#[test]
fn one_shows_every_key() {
    let written: DocumentMut = with_defaults_written_out(COMPLETE).parse().unwrap();
    let effective: DocumentMut = config(COMPLETE).effective_toml().parse().unwrap();
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
        assert!(COMPLETE.contains(key), "{key}");
    }
}

/// The keys of everything that is not a table with a header or dots.
fn keys(item: &Item, prefix: &str) -> Vec<String> {
    let Item::Table(table) = item else { return vec![prefix.to_owned()] };
    table.iter().flat_map(|(key, item)| keys(item, &format!("{prefix}.{key}"))).collect()
}
