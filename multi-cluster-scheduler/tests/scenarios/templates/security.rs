//! Security contexts.

use serde_json::{Value, json};

use super::{Random, some, without};

/// What a pod says.
pub(super) fn of_pod(random: &mut Random) -> Value {
    let fields = vec![
        ("runAsUser", json!(random.below(1000))),
        ("runAsGroup", json!(random.below(1000))),
        ("runAsNonRoot", json!(random.chance(50))),
        ("fsGroup", json!(random.below(1000))),
        (
            "fsGroupChangePolicy",
            json!(random.one(&["Always", "OnRootMismatch"])),
        ),
        ("supplementalGroups", json!([1, random.below(9) + 2])),
        (
            "supplementalGroupsPolicy",
            json!(random.one(&["Merge", "Strict"])),
        ),
        (
            "sysctls",
            json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }]),
        ),
        // Another one is refused unless the object before has one.
        ("seLinuxChangePolicy", json!("Recursive")),
        ("seLinuxOptions", se_linux(random)),
        ("seccompProfile", profile(random)),
        ("appArmorProfile", profile(random)),
        ("windowsOptions", windows(random)),
    ];
    some(random, 35, fields)
}

/// What a container says.
pub(super) fn of_container(random: &mut Random) -> Value {
    let fields = vec![
        ("runAsUser", json!(random.below(1000))),
        ("runAsGroup", json!(random.below(1000))),
        ("runAsNonRoot", json!(random.chance(50))),
        ("readOnlyRootFilesystem", json!(random.chance(50))),
        ("allowPrivilegeEscalation", json!(random.chance(50))),
        // The other one needs a server that is started with `--allow-privileged`.
        ("privileged", json!(false)),
        (
            "capabilities",
            json!({ "add": ["NET_ADMIN"], "drop": [random.one(&["ALL", "CHOWN"])] }),
        ),
        ("seLinuxOptions", se_linux(random)),
        ("seccompProfile", profile(random)),
        ("appArmorProfile", profile(random)),
        ("windowsOptions", windows(random)),
        ("procMount", json!("Default")),
    ];
    some(random, 35, fields)
}

fn se_linux(random: &mut Random) -> Value {
    let fields = vec![
        ("level", json!("s0:c1,c2")),
        ("role", json!("object_r")),
        ("type", json!("container_t")),
        ("user", json!(random.one(&["a", "b"]))),
    ];
    some(random, 50, fields)
}

/// Of seccomp as of `AppArmor`.
fn profile(random: &mut Random) -> Value {
    random.one(&[
        json!({ "type": "RuntimeDefault" }),
        json!({ "type": "Unconfined" }),
        json!({ "type": "Localhost", "localhostProfile": "a.json" }),
    ])
}

fn windows(random: &mut Random) -> Value {
    let fields = vec![
        ("gmsaCredentialSpecName", json!(random.one(&["one", "two"]))),
        ("gmsaCredentialSpec", json!("{}")),
        ("runAsUserName", json!(random.one(&["one", "domain\\two"]))),
        ("hostProcess", json!(false)),
    ];
    some(random, 50, fields)
}

/// Leaves out what is not for pods of this operating system, and what sets up a network that is the
/// node's.
pub(super) fn fit(context: &mut Value, os: Option<&str>, has_network: bool) {
    match os {
        Some("windows") => {
            if let Some(fields) = context.as_object_mut() {
                fields.retain(|field, _| field == "runAsNonRoot" || field == "windowsOptions");
            }
        }
        Some(_) => without(context, &["windowsOptions"]),
        None => {}
    }
    if !has_network {
        without(context, &["sysctls"]);
    }
}
