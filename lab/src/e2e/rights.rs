//! Whether each right that the shipped manifests give is one that the operators ask for: without it,
//! what a scenario has seen would have been refused.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::accounts::{MEMBER, MEMBER_ACCOUNT, NAMESPACE, manifest_of, objects};
use super::{MEMBERS, Suite, World};
use crate::real::HUB;

/// What any server of today serves, so that what stands in for it is not asked: `/healthz` of servers
/// before 1.16, and of roles without `/readyz`.
const STANDS_IN: &str = "get /healthz";

/// A verb and a resource, or a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right(String);

impl Right {
    fn of(verb: &str, group: &str, resource: &str) -> Self {
        Self(format!("{verb} {resource}.{group}"))
    }
}

/// The rights of a manifest, one for each verb and resource.
fn given(manifest: &str) -> Result<BTreeSet<Right>> {
    let mut all = BTreeSet::new();
    let texts = |value: &Value| -> Vec<String> {
        let values = value.as_array().into_iter().flatten();
        values
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    for object in objects(manifest)? {
        for rule in object["rules"].as_array().into_iter().flatten() {
            for verb in texts(&rule["verbs"]) {
                for group in texts(&rule["apiGroups"]) {
                    let resources = texts(&rule["resources"]).into_iter();
                    all.extend(resources.map(|one| Right::of(&verb, &group, &one)));
                }
                let paths = texts(&rule["nonResourceURLs"]).into_iter();
                all.extend(paths.map(|path| Right(format!("{verb} {path}"))));
            }
        }
    }
    Ok(all)
}

/// What an account was allowed on a cluster.
fn used(world: &World, cluster: &str, account: &str) -> Result<BTreeSet<Right>> {
    let log = world.lab.cluster(cluster)?.audit_log();
    let log = log.context("the lab records nothing")?;
    let file = File::open(&log).with_context(|| log.display().to_string())?;
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let mut all = BTreeSet::new();
    for line in BufReader::new(file).lines() {
        // The last one may be half written.
        let Ok(event) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        let is_allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
        if !is_allowed || event["user"]["username"] != user.as_str() {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (verb, object) = (text(&event["verb"]), &event["objectRef"]);
        if object.is_null() {
            let uri = text(&event["requestURI"]);
            let path = uri.split('?').next().unwrap_or_default();
            all.insert(Right(format!("{verb} {path}")));
            continue;
        }
        let resource = match object["subresource"].as_str() {
            Some(part) => format!("{}/{part}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        let group = text(&object["apiGroup"]);
        if verb == "patch" && event["responseStatus"]["code"] == 201 {
            // What an apply creates needs both.
            all.insert(Right::of("create", &group, &resource));
        }
        all.insert(Right::of(&verb, &group, &resource));
    }
    Ok(all)
}

/// Each right of the operator on the hub, and on the members, was asked for.
pub(super) fn check(world: &World, suite: &Suite) -> Result<()> {
    let account = suite.operator.account;
    let on_hub = used(world, HUB, account)?;
    let mut on_members = BTreeSet::new();
    for member in MEMBERS {
        on_members.extend(used(world, member, MEMBER_ACCOUNT)?);
    }
    // What pods use is read by the autoscaler, and everything else by the scheduler, too.
    let of_suite = |right: &&Right| right.0.contains("metrics.k8s.io") == suite.metrics;
    let given_there = given(MEMBER)?;
    let named = |right: &Right| given_there.contains(right);
    let any = Right::of("list", "*", "*");
    if on_members
        .iter()
        .any(|right| right.0.starts_with("list ") && !named(right))
    {
        on_members.insert(any);
    }
    let given_on_hub = given(manifest_of(account)?)?;
    let unused = given_on_hub
        .difference(&on_hub)
        .map(|right| format!("hub: {}", right.0));
    let unused_there = (given_there.iter())
        .filter(of_suite)
        .filter(|right| right.0 != STANDS_IN && !on_members.contains(right))
        .map(|right| format!("member: {}", right.0));
    let unused: Vec<_> = unused.chain(unused_there).collect();
    ensure!(
        unused.is_empty(),
        "no scenario asks for these rights of the manifests: {}",
        unused.join(", ")
    );
    Ok(())
}
