//! Deployments and Jobs on a member.

use crate::session::Kubectl;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'nginx:1', resources: {requests: {cpu: 100m, memory: 64Mi}}}
";
const DONE: &str = "deployment \"web\" successfully rolled out";

pub fn rolled_out(kubectl: &Kubectl) {
    let file = kubectl.file("web.yaml", WEB);
    let image = [
        "get",
        "deploy",
        "web",
        "-o",
        "jsonpath={..image} {.spec.replicas}",
    ];
    let status = ["rollout", "status", "deployment", "web", "--timeout=60s"];
    kubectl.ok(&["apply", "-f", &file]);
    kubectl.says(&status, &[DONE]);
    kubectl.says(
        &["get", "deploy,rs,pods", "-l", "app=web", "-o", "wide"],
        &[],
    );
    kubectl.says(
        &["get", "deploy", "-o", "wide"],
        &[
            "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
            "web 2/2 2 2",
        ],
    );
    kubectl.says(
        &["get", "pods", "-l", "app=web"],
        &["NAME READY STATUS RESTARTS AGE", "1/1 Running 0"],
    );
    kubectl.says(
        &["get", "pods", "-A", "--field-selector=status.phase=Pending"],
        &["No resources found"],
    );
    kubectl.says(
        &["describe", "deploy", "web"],
        &[
            "2 desired | 2 updated | 2 total | 2 available",
            "ScalingReplicaSet",
        ],
    );
    kubectl.says(
        &["describe", "pods", "-l", "app=web"],
        &["Status: Running", "Image: nginx:1", "Scheduled"],
    );
    kubectl.says(
        &["logs", "deploy/web"],
        &["simulated container of image nginx:1 started"],
    );
    kubectl.says(
        &["set", "image", "deploy/web", "web=nginx:2"],
        &["image updated"],
    );
    kubectl.says(&status, &[DONE]);
    kubectl.says(
        &["rollout", "history", "deploy", "web"],
        &["REVISION CHANGE-CAUSE 1 <none> 2 <none>"],
    );
    kubectl.says(&["rollout", "undo", "deploy", "web"], &["rolled back"]);
    kubectl.says(&status, &[DONE]);
    kubectl.says(&image, &["nginx:1 2"]);
    kubectl.says(&["rollout", "restart", "deploy", "web"], &["restarted"]);
    kubectl.says(&status, &[DONE]);
    kubectl.says(&["scale", "deploy", "web", "--replicas=3"], &["scaled"]);
    kubectl.says(
        &[
            "wait",
            "--for=jsonpath={.status.readyReplicas}=3",
            "deploy/web",
        ],
        &["condition met"],
    );
    kubectl.says(
        &["wait", "--for=condition=Available", "deploy/web"],
        &["condition met"],
    );
    kubectl.says(
        &["expose", "deploy", "web", "--port=80"],
        &["service/web exposed"],
    );
    kubectl.says(&["get", "svc", "web"], &["web ClusterIP 10.", "80/TCP"]);
    kubectl.says(
        &["autoscale", "deploy", "web", "--max=5", "--cpu-percent=50"],
        &["autoscaled"],
    );
    kubectl.says(&["get", "hpa"], &["web Deployment/web"]);
    kubectl.says(
        &["events", "--for", "deploy/web"],
        &["ScalingReplicaSet", "Scaled up replica set"],
    );
    kubectl.says(
        &["get", "events", "--field-selector=reason=Scheduled"],
        &["Successfully assigned"],
    );
    kubectl.ok(&["delete", "svc,hpa", "web"]);
}

pub fn deleted_in_every_way(kubectl: &Kubectl) {
    let file = kubectl.file("web.yaml", WEB);
    let status = ["rollout", "status", "deployment", "web", "--timeout=60s"];
    let pods = ["get", "rs,pods", "-l", "app=web", "-o", "name"];
    kubectl.ok(&["delete", "deploy", "web", "--cascade=orphan"]);
    let orphans = kubectl.ok(&pods);
    assert!(
        orphans.contains("pod/") && orphans.contains("replicaset.apps/"),
        "{orphans}"
    );
    // The next of the name takes them in.
    kubectl.ok(&["apply", "-f", &file]);
    kubectl.ok(&status);
    let owners = [
        "get",
        "rs",
        "-l",
        "app=web",
        "-o",
        "jsonpath={..ownerReferences[*].kind}",
    ];
    kubectl.until(&owners, |said| {
        !said.is_empty() && said.split(' ').all(|kind| kind == "Deployment")
    });
    kubectl.ok(&["delete", "deploy", "web", "--cascade=foreground"]);
    assert_eq!(kubectl.ok(&pods), "");
    kubectl.ok(&["apply", "-f", &file]);
    kubectl.ok(&status);
    kubectl.ok(&["delete", "deploy", "web", "--wait=false"]);
    kubectl.until(&pods, str::is_empty);
}

pub fn run_to_the_end(kubectl: &Kubectl) {
    let job = kubectl.file(
        "pi.yaml",
        "
apiVersion: batch/v1
kind: Job
metadata: {name: pi}
spec:
  template:
    metadata: {annotations: {lab.mck8s.io/run-seconds: '1'}}
    spec: {restartPolicy: Never, containers: [{name: pi, image: perl}]}
",
    );
    kubectl.ok(&["create", "-f", &job]);
    kubectl.says(
        &[
            "wait",
            "--for=condition=Complete",
            "job/pi",
            "--timeout=60s",
        ],
        &["condition met"],
    );
    kubectl.says(&["get", "job", "pi"], &["pi Complete 1/1"]);
    kubectl.says(&["logs", "job/pi"], &["ended with exit code 0"]);
    kubectl.says(
        &["describe", "job", "pi"],
        &["1 Succeeded", "Job completed"],
    );
    kubectl.ok(&["delete", "job", "pi"]);
}
