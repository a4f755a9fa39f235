//! The configuration that is shown is the one that is meant, and nothing of it stays behind.

use std::os::unix::fs::PermissionsExt;

use toml_edit::DocumentMut;

use super::super::certs::Authority;
use super::*;

#[test]
fn it_names_every_node_and_the_root_whatever_the_path() {
    let cluster = Cluster::start(&Authority::generate().unwrap()).unwrap();
    let text = write(&cluster, Path::new("/tmp/a \"quoted\" folder/root.pem"));
    let parsed: DocumentMut = text.parse().unwrap();
    let demo = &parsed["clusters"][CLUSTER];
    for node in cluster.nodes() {
        assert_eq!(demo["nodes"][node.name()].as_str(), Some(node.address().to_string().as_str()));
    }
    assert_eq!(demo["probe"]["tls"]["ca_file"].as_str(), Some("/tmp/a \"quoted\" folder/root.pem"));
    assert_eq!(parsed["listeners"]["demo"]["cluster"].as_str(), Some(CLUSTER));
}

#[test]
fn the_root_is_the_users_own_and_goes_with_the_demo() {
    let file = RootFile::create("a certificate").unwrap();
    let (path, folder) = (file.path().to_owned(), file.path().parent().unwrap().to_owned());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a certificate");
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(file);
    assert!(!folder.exists());
}
