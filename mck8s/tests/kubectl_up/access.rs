//! Who may do what.

use crate::session::Kubectl;

pub fn granted_and_refused(kubectl: &Kubectl) {
    let robot = "--as=system:serviceaccount:team:robot";
    kubectl.ok(&["create", "namespace", "team"]);
    kubectl.ok(&["create", "serviceaccount", "robot", "-n", "team"]);
    kubectl.ok(&[
        "create",
        "role",
        "reader",
        "--verb=get,list",
        "--resource=pods",
        "-n",
        "team",
    ]);
    let binding = ["create", "rolebinding", "reader", "--role=reader"];
    kubectl.ok(&[&binding[..], &["--serviceaccount=team:robot", "-n", "team"]].concat());
    kubectl.says(
        &["auth", "can-i", "list", "pods", "-n", "team", robot],
        &["yes"],
    );
    kubectl.fails(
        &["auth", "can-i", "delete", "pods", "-n", "team", robot],
        &["no"],
    );
    kubectl.says(
        &["auth", "can-i", "--list", "-n", "team", robot],
        &["pods [] [] [get list]"],
    );
    kubectl.says(
        &["get", "pods", "-n", "team", robot],
        &["No resources found"],
    );
    kubectl.fails(
        &["get", "secrets", "-n", "team", robot],
        &["Forbidden", "cannot list resource"],
    );
    let token = kubectl.ok(&["create", "token", "robot", "-n", "team"]);
    let token = format!("--token={}", token.trim());
    // It counts before the kubeconfig's.
    kubectl.says(
        &["auth", "whoami", &token],
        &["system:serviceaccount:team:robot"],
    );
    kubectl.fails(&["get", "nodes", &token], &["Forbidden"]);
    kubectl.fails(&["get", "nodes", "--token=wrong"], &["Unauthorized"]);
    kubectl.says(
        &["delete", "namespace", "team"],
        &["namespace \"team\" deleted"],
    );
    kubectl.fails(&["get", "namespace", "team"], &["NotFound"]);
}
