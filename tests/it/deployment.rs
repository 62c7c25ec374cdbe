//! The files of `deploy/` for Kubernetes and systemd: valid, restricted, and without a secret that is not in a file.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use authy_tests::tools;
use serde_json::{Value, json};

#[cfg(target_os = "linux")]
mod systemd;

/// The oldest and the newest version of Kubernetes that the manifests are for.
const VERSIONS: &str = "1.31,1.37";

fn folder() -> PathBuf {
    tools::root().join("deploy/kubernetes")
}

/// Returns the manifests of a folder.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

fn validate(files: &[PathBuf]) -> Output {
    let script = tools::root().join("tests/harness/kubernetes.py");
    Command::new(tools::python()).arg(script).arg(VERSIONS).args(files).output().unwrap()
}

/// Returns the manifests by their kind.
fn documents() -> &'static Value {
    static DOCUMENTS: LazyLock<Value> = LazyLock::new(|| {
        let output = validate(&manifests(&folder()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    });
    &DOCUMENTS
}

/// The containers of the pod, those that run before it included.
fn containers(pod: &Value) -> Vec<&Value> {
    ["containers", "initContainers"].iter().flat_map(|kind| pod[kind].as_array().unwrap()).collect()
}

/// Returns the names of the settings that are secrets, and of all others.
fn settings() -> (BTreeSet<String>, BTreeSet<String>) {
    let table = authy_server::config::table_markdown();
    let name = |line: &str| line.split('`').nth(1).unwrap_or_default().to_owned();
    let (secret, other): (Vec<_>, Vec<_>) = table.lines().partition(|line| line.contains("or `…_FILE` |"));
    (secret.into_iter().map(name).collect(), other.into_iter().map(name).collect())
}

/// Asserts that variables are settings, and that each secret among them is the name of a file in a folder.
fn assert_settings<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>, folder: &str) {
    let (secret, other) = settings();
    assert!(secret.len() > 3 && other.len() > 30);
    for (name, value) in variables {
        match name.strip_suffix("_FILE") {
            Some(secret_name) => assert!(secret.contains(secret_name) && value.starts_with(folder), "{name}={value}"),
            None => assert!(other.contains(name), "{name} is a secret or no setting"),
        }
    }
}

#[test]
fn every_manifest_is_valid_and_a_field_that_kubernetes_does_not_know_is_noticed() {
    let documents = documents();
    assert!(documents.as_object().unwrap().len() > 7, "{documents}");
    let folder = tempfile::tempdir().unwrap();
    let deployment = fs::read_to_string(self::folder().join("deployment.yaml")).unwrap();
    for (right, wrong, message) in [
        ("enableServiceLinks", "enableServiceLink", "'enableServiceLink' was unexpected"),
        ("terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 1m", "'1m' is not of type 'integer'"),
        ("apps/v1", "apps/v2", "has no apps/v2 Deployment"),
    ] {
        let file = folder.path().join("wrong.yaml");
        fs::write(&file, deployment.replace(right, wrong)).unwrap();
        let output = validate(&[file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(message), "{said}");
    }
}

#[test]
fn the_kustomization_has_every_file_and_the_image_of_this_version() {
    let kustomization = &documents()["Kustomization"];
    let names = manifests(&folder()).into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let names: BTreeSet<_> = names.filter(|name| name != "kustomization.yaml").collect();
    let listed = kustomization["resources"].as_array().unwrap().iter();
    assert_eq!(names, listed.map(|name| name.as_str().unwrap().to_owned()).collect());
    assert!(folder().join(kustomization["configMapGenerator"][0]["envs"][0].as_str().unwrap()).exists());
    assert_eq!(kustomization["images"][0]["newTag"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_parts_of_the_deployment_find_each_other() {
    let documents = documents();
    let template = &documents["Deployment"]["spec"]["template"];
    let (labels, pod) = (&template["metadata"]["labels"], &template["spec"]);
    for (kind, selector) in [
        ("Deployment", "/spec/selector/matchLabels"),
        ("Service", "/spec/selector"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
    ] {
        assert_eq!(documents[kind].pointer(selector), Some(labels), "{kind}");
    }
    for constraint in pod["topologySpreadConstraints"].as_array().unwrap() {
        assert_eq!(&constraint["labelSelector"]["matchLabels"], labels);
    }
    let name = &documents["Deployment"]["metadata"]["name"];
    assert_eq!(&documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"], name);
    assert_eq!(pod["serviceAccountName"], documents["ServiceAccount"]["metadata"]["name"]);
    assert_eq!(documents["Namespace"]["metadata"]["name"], documents["Kustomization"]["namespace"]);
    let config_map = &documents["Kustomization"]["configMapGenerator"][0]["name"];
    for container in containers(pod) {
        assert_eq!(&container["envFrom"], &json!([{ "configMapRef": { "name": config_map } }]));
        assert_eq!(container["image"], documents["Kustomization"]["images"][0]["name"]);
    }
    // Each port of the pods is reached by the service, and the network policy says from where.
    let ports = pod["containers"][0]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 2);
    for (number, port) in ports.iter().enumerate() {
        assert_eq!(documents["Service"]["spec"]["ports"][number]["targetPort"], port["name"]);
        let ingress = &documents["NetworkPolicy"]["spec"]["ingress"][number];
        assert_eq!(ingress["ports"], json!([{ "port": port["name"], "protocol": "TCP" }]));
    }
}

/// Returns the port of an address that a setting names.
fn port_of(settings: &str, beginning: &str) -> u64 {
    let line = settings.lines().find_map(|line| line.trim().strip_prefix(beginning));
    line.unwrap_or_else(|| panic!("no {beginning}")).rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn the_metrics_can_be_scraped_from_outside_of_the_pod_and_of_the_container() {
    let documents = documents();
    let template = &documents["Deployment"]["spec"]["template"];
    let admin = &template["spec"]["containers"][0]["ports"][1];
    let port = port_of(&fs::read_to_string(folder().join("settings.env")).unwrap(), "AUTHY_ADMIN_LISTEN=0.0.0.0:");
    assert_eq!((&admin["name"], admin["containerPort"].as_u64()), (&json!("admin"), Some(port)));
    let annotations = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": port.to_string(), "prometheus.io/path": "/metrics",
    });
    assert_eq!(template["metadata"]["annotations"], annotations);
    let from = &documents["NetworkPolicy"]["spec"]["ingress"][1]["from"];
    assert_eq!(from[0]["namespaceSelector"]["matchLabels"], json!({ "kubernetes.io/metadata.name": "monitoring" }));
    assert!(!from.to_string().contains("ingress-nginx"), "the proxy would pass on what is for administrators: {from}");
    let compose = fs::read_to_string(tools::root().join("deploy/compose.yaml")).unwrap();
    let port = port_of(&compose, "AUTHY_ADMIN_LISTEN: 0.0.0.0:");
    assert!(
        compose.contains(&format!("\"127.0.0.1:{port}:{port}\"")),
        "{port} is not published, to this machine alone"
    );
}

#[test]
fn the_pods_may_do_nothing_but_serve() {
    let documents = documents();
    let pod = &documents["Deployment"]["spec"]["template"]["spec"];
    // Kubernetes refuses other pods in the namespace.
    assert_eq!(documents["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!((&pod["automountServiceAccountToken"], &pod["hostNetwork"]), (&json!(false), &Value::Null));
    assert_eq!(documents["ServiceAccount"]["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({ "type": "RuntimeDefault" }));
    for container in containers(pod) {
        let restricted = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(container["securityContext"], restricted);
        let resources = &container["resources"];
        assert!(resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string());
        // More than it asked for is memory that the node may not have.
        assert_eq!(resources["limits"], json!({ "memory": resources["requests"]["memory"] }));
    }
    let policy = &documents["NetworkPolicy"]["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(policy["ingress"].as_array().unwrap().iter().all(|rule| rule["from"].is_array()), "{policy}");
}

#[test]
fn a_rollout_and_a_drained_node_leave_servers_that_answer() {
    let documents = documents();
    let deployment = &documents["Deployment"]["spec"];
    let pod = &deployment["template"]["spec"];
    let server = &pod["containers"][0];
    for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(server[probe]["httpGet"], json!({ "path": path, "port": server["ports"][1]["name"] }), "{probe}");
    }
    let seconds = |probe: &str| {
        let number = |field: &str| server[probe][field].as_u64().unwrap();
        number("periodSeconds") * number("failureThreshold")
    };
    // A server that waits for its database is not ended, and one that is not ready gets no requests before it is ended.
    assert!(seconds("startupProbe") > 60 && seconds("readinessProbe") < seconds("livenessProbe"));
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 30);
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert_eq!(pod["initContainers"][0]["args"], json!(["migrate"]));
    // The autoscaler decides, from three up; `kubectl apply` would undo what it did.
    assert_eq!(deployment["replicas"], Value::Null);
    assert_eq!(documents["HorizontalPodAutoscaler"]["spec"]["minReplicas"], 3);
    assert_eq!(documents["PodDisruptionBudget"]["spec"]["maxUnavailable"], 1);
}

#[test]
fn the_settings_of_the_pods_exist_and_their_secrets_are_files() {
    let documents = documents();
    let pod = &documents["Deployment"]["spec"]["template"]["spec"];
    // The variables that Kubernetes makes of the service `authy` would be unknown settings.
    assert_eq!(pod["enableServiceLinks"], false);
    for container in containers(pod) {
        let mount = &container["volumeMounts"][0];
        assert_eq!((&mount["name"], &mount["readOnly"]), (&pod["volumes"][0]["name"], &json!(true)));
        let variables = container["env"].as_array().unwrap().iter();
        let variables: Vec<_> =
            variables.map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap())).collect();
        assert!(variables.iter().all(|(name, _)| name.ends_with("_FILE")), "{variables:?}");
        assert_settings(variables, mount["mountPath"].as_str().unwrap());
    }
    // The group that the files belong to can read them, and nobody else.
    assert_eq!(pod["volumes"][0]["secret"]["defaultMode"], 0o440);
    assert!(pod["securityContext"]["fsGroup"].is_u64());
    let settings = fs::read_to_string(folder().join("settings.env")).unwrap();
    let lines = settings.lines().filter(|line| !line.starts_with('#'));
    let variables: Vec<_> = lines.map(|line| line.split_once('=').unwrap()).collect();
    assert!(variables.len() > 1);
    assert_settings(variables, "no secret is here");
}
