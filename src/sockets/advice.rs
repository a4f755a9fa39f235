//! The commands of this operating system that errors send people to.

/// What shows who listens on a port.
pub(super) fn who_listens(port: u16) -> String {
    if cfg!(target_os = "linux") {
        format!("`ss -ltnp sport = :{port}`")
    } else if cfg!(target_os = "freebsd") {
        format!("`sockstat -l -p {port}`")
    } else {
        format!("`lsof -nP -iTCP:{port} -sTCP:LISTEN`")
    }
}

/// What lets a user open a port that is reserved.
pub(super) fn how_to_open(port: u16) -> String {
    if cfg!(target_os = "linux") {
        format!(
            "give the binary or service CAP_NET_BIND_SERVICE, or lower the sysctl \
             net.ipv4.ip_unprivileged_port_start to {port}"
        )
    } else {
        "start it as root, or choose a port from 1024".to_owned()
    }
}

/// What shows the addresses that this machine has.
pub const SHOW_ADDRESSES: &str = if cfg!(target_os = "linux") { "ip address" } else { "ifconfig" };
