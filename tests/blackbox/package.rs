//! The Debian package's life: built, installed, used, removed, purged. It takes this build's own binary, so that nothing is
//! compiled for it.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::wait::within_deadline;
use crate::support::{not_run, require_tool};

/// Files of the package, one of each kind.
const FILES: &[&str] = &[
    "usr/bin/raftgate",
    "etc/raftgate/raftgate.toml",
    "usr/lib/systemd/system/raftgate.service",
    "usr/lib/systemd/system/raftgate.socket",
    "usr/lib/sysusers.d/raftgate.conf",
    "usr/share/man/man1/raftgate.1.gz",
    "usr/share/man/man1/raftgate-reload.1.gz",
    "usr/share/bash-completion/completions/raftgate",
    "usr/share/zsh/vendor-completions/_raftgate",
    "usr/share/fish/vendor_completions.d/raftgate.fish",
    "usr/share/doc/raftgate/README.md",
    "usr/share/doc/raftgate/examples/prometheus/alerts.yml",
    "usr/share/doc/raftgate/examples/keepalived/first.conf",
];
const CONFIGURATION: &str = FILES[1];

async fn run(command: &mut Command) -> Output {
    within_deadline("a command", command.kill_on_drop(true).output()).await.unwrap()
}

/// A world without anything but a list of packages and one of users.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for path in ["etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in ["etc/passwd", "etc/group", "var/lib/dpkg/status"] {
            std::fs::write(folder.path().join(path), "").unwrap();
        }
        World(folder)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Runs dpkg in it, whose scripts come from outside: there is nothing inside that could run them.
    async fn dpkg(&self, what: &str, package: &str) {
        let mut command = Command::new("dpkg");
        command.arg("--root").arg(self.0.path());
        command.args(["--force-script-chrootless", "--force-depends", "--log=/dev/null", what, package]);
        let output = run(&mut command).await;
        assert!(output.status.success(), "dpkg {what} {package}: {output:#?}");
    }

    fn has(&self, file: &str) -> bool {
        self.path(file).exists()
    }
}

/// Packs this build's own binary.
async fn pack(folder: &Path) -> PathBuf {
    // Where `cargo deb` looks for what it would have built.
    let built = folder.join("release");
    std::fs::create_dir(&built).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_raftgate"), built.join("raftgate")).unwrap();
    let file = folder.join("raftgate.deb");
    let mut command = Command::new("cargo");
    command.args(["deb", "--no-build", "--locked", "--strip", "--fast", "--output"]).arg(&file);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", folder);
    let output = run(&mut command).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    file
}

#[tokio::test]
async fn the_package_is_installed_used_removed_and_purged() {
    let what = "the life of the Debian package";
    let has_tool = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join("cargo-deb").is_file());
    if !has_tool {
        return not_run(&format!("{what}: `cargo-deb` is not installed"));
    }
    if !rustix::process::geteuid().is_root() {
        return not_run(&format!("{what}: dpkg is root's"));
    }
    if !["dpkg", "systemd-sysusers", "strip"].iter().all(|tool| require_tool(tool, what)) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = pack(folder.path()).await;
    let world = World::new();

    world.dpkg("--install", package.to_str().unwrap()).await;
    for file in FILES {
        assert!(world.has(file), "not installed: {file}");
    }
    let users = std::fs::read_to_string(world.path("etc/passwd")).unwrap();
    assert!(users.starts_with("raftgate:x:") && users.trim_end().ends_with(":/usr/sbin/nologin"), "{users}");
    assert!(!world.has("etc/systemd/system/multi-user.target.wants"), "enabled with a sample configuration");
    // The sample is whole but for the root certificate, which is the user's.
    let mut check = Command::new(world.path("usr/bin/raftgate"));
    let checked = run(check.arg("check").arg("-c").arg(world.path(CONFIGURATION))).await;
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(78), "{said}");
    assert!(
        said.contains("/etc/raftgate/ziti-root.pem") && said.matches("raftgate.toml:").count() == 1,
        "{said}"
    );

    world.dpkg("--remove", "raftgate").await;
    assert!(!world.has("usr/bin/raftgate") && world.has(CONFIGURATION), "the configuration is the user's");
    world.dpkg("--purge", "raftgate").await;
    assert!(!world.has("etc/raftgate") && !world.has("etc/systemd/system/raftgate.service"), "left");
}
