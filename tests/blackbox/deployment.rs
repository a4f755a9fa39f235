//! What lies in `config/systemd`, `config/docker` and `config/kubernetes`: whole, consistent in itself, and about the
//! binary that there is.

use std::path::{Path, PathBuf};
use std::process::Output;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::support::certs::Authority;
use crate::support::gate::raftgate;
use crate::support::require_tool;
use crate::support::wait::within_deadline;

const UNIT: &str = include_str!("../../config/systemd/raftgate.service");
const SOCKET: &str = include_str!("../../config/systemd/raftgate.socket");
const SYSUSERS: &str = include_str!("../../config/systemd/raftgate.sysusers");
const DOCKERFILE: &str = include_str!("../../config/docker/Dockerfile");
const KUBERNETES: &str = include_str!("../../config/kubernetes/raftgate.yaml");
const MONITOR: &str = include_str!("../../config/kubernetes/servicemonitor.yaml");
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// The most that `systemd-analyze security` may find, in tenths: "OK" goes up to 49, "MEDIUM" begins with 50. Two of them
/// are for `NotifyAccess=all`: an old process has to say when it is the main one again.
const EXPOSURE: &str = "18";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

async fn run(command: &mut Command) -> Output {
    within_deadline("a command", command.kill_on_drop(true).output()).await.unwrap()
}

/// What a line of the unit sets this key to.
fn unit(key: &str) -> &'static str {
    let prefix = format!("{key}=");
    UNIT.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("no {key} in the unit"))
}

/// The whole number of seconds in `20s`.
fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap()
}

#[tokio::test]
async fn systemd_finds_no_fault_with_the_units_and_little_exposed() {
    if !require_tool("systemd-analyze", "the check of the unit by systemd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.service");
    // It wants to see the binary, which is not installed here.
    let text = UNIT.replace("/usr/bin/raftgate", env!("CARGO_BIN_EXE_raftgate"));
    assert_ne!(text, UNIT);
    std::fs::write(&file, text).unwrap();
    let socket = folder.path().join("raftgate.socket");
    std::fs::write(&socket, SOCKET).unwrap();
    let verified =
        run(Command::new("systemd-analyze").args(["verify", "--man=no"]).args([&file, &socket])).await;
    let said = [verified.stdout.as_slice(), verified.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    // It speaks of other units of the machine, too.
    assert!(verified.status.success() && !said.contains("raftgate"), "{said}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE]).arg(&file);
    let judged = run(&mut security).await;
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

#[tokio::test]
async fn o4_the_unit_waits_longer_than_a_gate_drains_and_knows_its_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.toml");
    std::fs::write(
        &file,
        "listeners.a = { bind = \":1\", cluster = \"c\" }\nclusters.c = { nodes.n = \"127.0.0.1:1\" }\n",
    )
    .unwrap();
    let effective = run(raftgate().arg("check").arg("-c").arg(&file)).await;
    let effective = String::from_utf8(effective.stdout).unwrap();
    let (_, shutdown) = effective.split_once("[shutdown]\ndrain = \"").expect("the effective configuration");
    let drain = seconds(shutdown.split_once('"').unwrap().0);
    assert!(seconds(unit("TimeoutStopSec")) >= drain + 5, "{drain}");
    assert_eq!(unit("RestartPreventExitStatus"), "2 78");
    // At a stop every process of the service drains, old ones of upgrades, too; at a reload none ends.
    assert_eq!((unit("KillMode"), unit("KillSignal")), ("control-group", "SIGTERM"));
    assert_eq!((unit("Type"), unit("NotifyAccess")), ("notify", "all"));
    let reload =
        unit("ExecReload").strip_prefix("/usr/bin/raftgate ").expect("it reloads by its own command");
    let help = run(raftgate().args(reload.split(' ')).arg("--help")).await;
    assert!(help.status.success(), "{help:?}");
    assert_eq!(unit("ExecStart"), "/usr/bin/raftgate run -c /etc/raftgate/raftgate.toml");
    assert!(SYSUSERS.contains(&format!("\nu {} - ", unit("User"))), "nobody makes the unit's user");
}

/// Whatever keeps a gate from starting, it is tried again until it can: an address that comes late, a port that is in use.
#[test]
fn o4_the_unit_is_restarted_however_often_it_fails() {
    let (_, rest) = UNIT.split_once("[Unit]\n").expect("a section [Unit]");
    let (section, _) = rest.split_once("\n[").expect("a section after [Unit]");
    // Anywhere else systemd would not heed it.
    assert!(section.lines().any(|line| line == "StartLimitIntervalSec=0"), "{section}");
    assert_eq!((unit("Restart"), unit("RestartSec")), ("on-failure", "1s"));
}

/// What the socket unit opens is what the sample configuration listens on: else the gate would close it with a warning.
#[test]
fn o3_the_socket_unit_opens_the_port_of_the_sample_configuration() {
    let sample = include_str!("../../config/raftgate.toml");
    let port = SOCKET.lines().find_map(|line| line.strip_prefix("ListenStream=")).unwrap();
    assert!(sample.contains(&format!("\nbind = \":{port}\"\n")), "{port}");
    assert!(SOCKET.contains("\nBindIPv6Only=both\n"), "\":{port}\" is IPv4, too");
}

#[test]
fn the_image_is_built_from_what_there_is_by_the_same_compiler_and_run_by_nobody_special() {
    let instruction = |name: &str| {
        DOCKERFILE
            .lines()
            .filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
            .collect::<Vec<_>>()
    };
    let toolchain = include_str!("../../rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).unwrap();
    assert!(
        instruction("FROM")[0].starts_with(&format!("rust:{channel}-")),
        "another compiler than {channel}"
    );
    for image in instruction("FROM") {
        assert!(image.contains(':') && !image.contains(":latest"), "not pinned: {image}");
    }
    for copied in instruction("COPY") {
        let words: Vec<&str> = copied.split(' ').collect();
        for source in &words[..words.len() - 1] {
            let from_context = !copied.starts_with("--from");
            assert!(!from_context || root().join(source).exists(), "there is no {source}");
        }
    }
    // Cargo refuses a manifest whose targets are not there.
    for path in MANIFEST.lines().filter_map(|line| line.strip_prefix("path = ")) {
        let folder = path.trim_matches('"').split('/').next().unwrap();
        assert!(instruction("COPY").contains(&format!("{folder} {folder}").as_str()), "{folder} is missing");
    }
    assert_eq!(instruction("USER"), ["65532:65532"]);
    assert!(instruction("ENTRYPOINT")[0].starts_with('['), "there is no need of a shell");
    let (_, health) = instruction("HEALTHCHECK")[0].split_once("CMD ").expect("a health check");
    assert_eq!(health, r#"["/usr/bin/raftgate", "health"]"#, "there is nothing else to ask with");
}

/// Every object of a file.
fn objects(text: &str) -> Vec<Value> {
    Yaml::load_from_str(text).unwrap().iter().map(plain).collect()
}

/// As JSON, which has no anchors, tags and keys that are no texts.
fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Boolean(flag)) => json!(flag),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.as_str().expect("a text for a key").to_owned(), plain(value)))
                .collect::<Map<_, _>>(),
        ),
        other => panic!("not plain YAML: {other:?}"),
    }
}

/// The object of this kind and name.
fn object(kind: &str, name: &str) -> Value {
    let found = objects(KUBERNETES).into_iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// Whether an object with these labels is selected.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().expect("a selector");
    !selector.is_empty() && selector.iter().all(|(label, value)| &labels[label] == value)
}

fn pod() -> Value {
    object("Deployment", "raftgate")["spec"]["template"].clone()
}

fn container() -> Value {
    pod()["spec"]["containers"][0].clone()
}

#[tokio::test]
async fn the_configuration_for_kubernetes_is_valid_and_lies_where_the_gate_reads_it() {
    let config = object("ConfigMap", "raftgate")["data"]["raftgate.toml"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ziti-root.pem");
    std::fs::write(&roots, Authority::new().pem()).unwrap();
    let file = folder.path().join("raftgate.toml");
    let mount = container()["volumeMounts"][0]["mountPath"].as_str().unwrap().to_owned();
    let text = config.replace(&format!("{mount}/ziti-root.pem"), roots.to_str().unwrap());
    assert_ne!(text, config);
    std::fs::write(&file, text).unwrap();
    let checked = run(raftgate().arg("check").arg("-c").arg(&file)).await;
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    assert_eq!(container()["args"], json!(["run", "-c", format!("{mount}/raftgate.toml")]));

    // Its ports are the container's, its time to drain fits into the pod's.
    let port = |name: &str| {
        let ports = container()["ports"].as_array().unwrap().clone();
        ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].clone()
    };
    assert!(config.contains(&format!("bind = \":{}\"\ncluster", port("tls"))), "{config}");
    assert!(config.contains(&format!("admin.bind = \":{}\"", port("admin"))), "{config}");
    let drain = seconds(config.split_once("shutdown.drain = \"").unwrap().1.split_once('"').unwrap().0);
    let pre_stop = container()["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace = pod()["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace >= pre_stop + drain + 5, "{grace}");
}

#[test]
fn the_objects_for_kubernetes_know_one_another() {
    let deployment = object("Deployment", "raftgate");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert!(selects(&deployment["spec"]["selector"]["matchLabels"], labels));
    let affinity =
        &pod()["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert!(selects(&affinity[0]["labelSelector"]["matchLabels"], labels));
    let budget = object("PodDisruptionBudget", "raftgate");
    assert!(selects(&budget["spec"]["selector"]["matchLabels"], labels));
    let replicas = deployment["spec"]["replicas"].as_u64();
    assert!(budget["spec"]["minAvailable"].as_u64() < replicas, "no node could ever be drained");

    let has_port =
        |name: &Value| container()["ports"].as_array().unwrap().iter().any(|port| &port["name"] == name);
    for name in ["raftgate", "raftgate-admin"] {
        let service = object("Service", name);
        assert!(selects(&service["spec"]["selector"], labels), "{name}");
        assert!(has_port(&service["spec"]["ports"][0]["targetPort"]), "{name}");
    }
    assert!(
        !object("Service", "raftgate").to_string().contains("admin"),
        "the admin listener is not for clients"
    );
    for probe in ["livenessProbe", "readinessProbe"] {
        assert!(has_port(&container()[probe]["httpGet"]["port"]), "{probe}");
    }

    let volume = &pod()["spec"]["volumes"][0];
    assert_eq!(volume["name"], container()["volumeMounts"][0]["name"]);
    assert_eq!(volume["projected"]["sources"][0]["configMap"]["name"], "raftgate");
    assert!(KUBERNETES.contains("kubectl create configmap raftgate-roots --from-file=ziti-root.pem"));
    assert_eq!(volume["projected"]["sources"][1]["configMap"]["name"], "raftgate-roots");

    let image = container()["image"].as_str().unwrap().to_owned();
    assert_eq!(image, concat!("raftgate:", env!("CARGO_PKG_VERSION")));
    // The same user as the image's, by number, as `runAsNonRoot` wants it.
    let user = pod()["spec"]["securityContext"]["runAsUser"].to_string();
    assert!(DOCKERFILE.contains(&format!("\nUSER {user}:{user}\n")));
}

/// The time in seconds from the first failed probe of this kind on until Kubernetes acts.
fn patience(probe: &str) -> u64 {
    let value =
        |key: &str| container()[probe][key].as_u64().unwrap_or_else(|| panic!("{probe} has no {key}"));
    value("periodSeconds") * (value("failureThreshold") - 1) + value("timeoutSeconds")
}

#[test]
fn o6_kubernetes_acts_on_no_single_slow_answer() {
    for probe in ["livenessProbe", "readinessProbe"] {
        assert!(container()[probe]["failureThreshold"].as_u64() >= Some(2), "{probe}");
        assert!(container()[probe]["timeoutSeconds"].as_u64() >= Some(2), "{probe}");
    }
    // A restart ends every session: a gate is out of service long before.
    assert!(patience("livenessProbe") >= 30 && patience("readinessProbe") <= 5);
}

#[test]
fn o6_the_network_policy_closes_the_admin_port_alone() {
    let policy = object("NetworkPolicy", "raftgate")["spec"].clone();
    assert!(selects(&policy["podSelector"]["matchLabels"], &pod()["metadata"]["labels"]));
    assert_eq!(policy["policyTypes"], json!(["Ingress"]), "the gate reaches its nodes");
    let rules = policy["ingress"].as_array().unwrap();
    let rule = |port: &str| rules.iter().find(|rule| rule["ports"] == json!([{ "port": port }])).expect(port);
    assert!(rule("tls").get("from").is_none(), "clients may come from anywhere");
    assert!(rule("admin")["from"].as_array().is_some_and(|from| !from.is_empty()));
    assert_eq!(rules.len(), 2);
}

#[test]
fn the_monitor_for_kubernetes_finds_the_admin_service_and_names_the_job_as_the_alerts_have_it() {
    let [monitor] = <[Value; 1]>::try_from(objects(MONITOR)).unwrap();
    let spec = &monitor["spec"];
    for (name, wanted) in [("raftgate-admin", true), ("raftgate", false)] {
        let service = object("Service", name);
        let found = selects(&spec["selector"]["matchLabels"], &service["metadata"]["labels"]);
        assert_eq!(found, wanted, "{name}");
    }
    let admin = object("Service", "raftgate-admin");
    assert_eq!(spec["endpoints"][0]["port"], admin["spec"]["ports"][0]["name"]);
    let job = &admin["metadata"]["labels"][spec["jobLabel"].as_str().unwrap()];
    assert!(
        include_str!("../../config/prometheus/alerts.yml").contains(&format!("up{{job={job}}}")),
        "{job}"
    );
}
