//! Files that are wrong somewhere, and the socket that they name all the same.

use super::*;
use crate::config::DEFAULT_SOCKET;

fn found(text: &str) -> Result<Option<PathBuf>, Wrong> {
    path_in("t.toml", text)
}

#[test]
fn o6_a_mistake_elsewhere_does_not_hide_the_socket() {
    for text in [
        "admin.socket = \"/a\"\nworkers = \"many\"\n",
        "[admin]\nsocket = \"/a\" # here\n[clusters.c]\nnodse = 1\n",
        "admin = { socket = '/a' }\n[clusters.c]\nprobe.tls.ca_file = \"/nonexistent\"\n",
        // These are not even TOML.
        "admin.socket = \"/a\"\nworkers = = 2\n",
        "workers = \n[admin]\nbind = \"\"\nsocket = \"/a\"\n[clusters.c\n",
        "\"admin\".socket = \"/a\"\n[listeners]\nadmin.socket = \"/b\"\nx\n",
    ] {
        assert_eq!(found(text), Ok(Some("/a".into())), "{text}");
    }
    assert_eq!(found("workers = = 2\nadministrator = 1\n"), Ok(Some(DEFAULT_SOCKET.into())));
    assert_eq!(found("admin.socket = \"\"\nworkers = = 2\n"), Ok(None));
}

#[test]
fn o6_a_mistake_about_admin_does_not_lead_to_another_gate() {
    for text in [
        "admin.sokcet = \"/a\"\n",
        "admin.socket = \"a\"\n",
        "admin.socket = 1\n",
        "admin.socket = \"/a\nworkers = 1\n",
        "[admin]\nsokcet = \"/a\"\n[clusters\n",
        "admin.socket = \"/a\"\nadmin.socket = \"/b\"\n",
    ] {
        assert_eq!(found(text), Err(Wrong), "{text}");
    }
}

#[test]
fn o6_a_gate_with_a_haproxy_cfg_has_the_default_socket() {
    assert_eq!(path_in("haproxy.cfg", "globel\n  maxconn x\n"), Ok(Some(DEFAULT_SOCKET.into())));
    assert_eq!(path_in("gate.conf", "global\n  no such thing\n"), Ok(Some(DEFAULT_SOCKET.into())));
}
