//! How each peer is configured.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::haproxy::CHECKS;
use crate::stage::Stage;
use crate::support::certs::own_name;

/// What HAProxy is given where it is to be at its best: splicing, larger buffers and pipes. The number of pipes only
/// leaves descriptors for connections: many more than the streams that need one at a time.
const BEST_GLOBAL: &str = "  tune.bufsize 65536\n  tune.pipesize 1048576\n  maxpipes 1000\n";
/// The same, for its `defaults`.
const BEST_DEFAULTS: &str = "  option splice-auto\n  option splice-request\n  option splice-response\n";

/// Raftgate as it comes: the least that works, but for the addresses. `clusters` of them have the same nodes; the
/// listener's is the first.
pub(crate) fn raftgate(
    stage: &Stage,
    clusters: u32,
    bind: SocketAddr,
    admin: SocketAddr,
    has_one_worker: bool,
) -> String {
    let workers = if has_one_worker { "workers = 1\n" } else { "" };
    let mut text = format!(
        "{workers}admin.bind = \"{admin}\"\n\n[listeners.edge]\nbind = \"{bind}\"\ncluster = \"c1\"\n"
    );
    for number in 1..=clusters {
        write!(
            text,
            "\n[clusters.c{number}]\npreset = \"openziti\"\nprobe.tls.ca_file = \"{}\"\n",
            stage.authority_file().display()
        )
        .expect("a string can be written");
        for (node, data) in stage.nodes() {
            writeln!(
                text,
                "nodes.{} = {{ address = \"{data}\", probe_address = \"{}:{}\", server_name = \"{}\" }}",
                node.name,
                node.host,
                node.probe_port,
                own_name(&node.name)
            )
            .expect("a string can be written");
        }
    }
    text
}

/// HAProxy with the common recipe, or at its best.
pub(crate) fn haproxy(stage: &Stage, bind: SocketAddr, best: bool, has_one_worker: bool) -> String {
    let threads = if has_one_worker { "  nbthread 1\n" } else { "" };
    let (global, defaults) = if best { (BEST_GLOBAL, BEST_DEFAULTS) } else { ("", "") };
    let mut text = format!(
        "global\n  maxconn 8500\n  log stdout format raw local0\n{threads}{global}\
         defaults\n  mode tcp\n  log global\n  option tcplog\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{defaults}\
         frontend edge\n  bind {bind}\n  default_backend controllers\n\
         backend controllers\n{CHECKS}\n"
    );
    for (node, data) in stage.nodes() {
        writeln!(text, "  server {} {data} addr {} port {}", node.name, node.host, node.probe_port)
            .expect("a string can be written");
    }
    text
}

/// nginx, which cannot ask who leads: all goes to the leader by configuration. `workers` as nginx understands it.
pub(crate) fn nginx(stage: &Stage, bind: SocketAddr, workers: &str, folder: &Path) -> String {
    let data = stage.leader();
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nuser root;\ndaemon off;\nworker_processes {workers};\n\
         pid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log;\n\
         events {{ worker_connections 20000; }}\n\
         stream {{\n  log_format line '$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time';\n  \
         access_log {folder}/nginx-access.log line;\n  upstream leader {{ server {data}; }}\n  \
         server {{ listen {bind}; proxy_pass leader; }}\n}}\n"
    )
}
