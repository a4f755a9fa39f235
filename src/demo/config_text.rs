//! The configuration of the demo's gate, as a user would write it, and the one file that it names.

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::cluster::Cluster;

/// The name of the gate's one cluster.
pub(super) const CLUSTER: &str = "demo";

/// What the gate is started with; the demo shows it first.
pub(super) fn write(cluster: &Cluster, ca_file: &Path) -> String {
    let nodes: String = cluster.nodes().iter().fold(String::new(), |mut list, node| {
        let separator = if list.is_empty() { "" } else { ", " };
        let _ = write!(list, "{separator}{} = \"{}\"", node.name(), node.address());
        list
    });
    format!(
        "admin.bind = \"\"\n\
         admin.socket = \"\"\n\
         shutdown.drain = \"1s\"\n\
         \n\
         [listeners.demo]\n\
         bind = \"127.0.0.1:0\"\n\
         cluster = \"{CLUSTER}\"\n\
         \n\
         [clusters.{CLUSTER}]\n\
         preset = \"openziti\"\n\
         nodes = {{ {nodes} }}\n\
         probe.tls.ca_file = {}\n",
        toml_edit::Value::from(ca_file.to_string_lossy().as_ref()),
    )
}

/// A file with the root certificate, in a folder of its own; both go when this is dropped.
pub(super) struct RootFile {
    folder: PathBuf,
    path: PathBuf,
}

impl RootFile {
    /// Writes it below the system's folder for temporary files.
    pub(super) fn create(pem: &str) -> io::Result<Self> {
        let name = format!("raftgate-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let folder = std::env::temp_dir().join(name);
        // Fails if it is there already: nobody else's folder is ever used, or removed.
        DirBuilder::new().mode(0o700).create(&folder)?;
        let file = RootFile { path: folder.join("root.pem"), folder };
        std::fs::write(&file.path, pem)?;
        Ok(file)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RootFile {
    fn drop(&mut self) {
        // What cannot be removed is one public certificate: not worth failing for.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests;
