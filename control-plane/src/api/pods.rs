//! What is done to pods: binding to a node, eviction, logs.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::decode;
use super::query::WriteOptions;
use super::response::plain;
use super::status::{ApiError, Cause};
use crate::kinds::table;
use crate::meta::{fields, is_deleting, items, name, number, object_in, text, uid};
use crate::objects::{DeleteOptions, Error, MODIFIED, pipeline};
use crate::selector::LabelSelector;
use crate::store::{Key, Page, WriteError};

/// How often a change is tried anew when others write, too.
const ATTEMPTS: usize = 20;

fn success(call: &Call, code: u16) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code,
    });
    call.answer_value(code, &status)
}

fn body(call: &Call, group: &str, kind: &str) -> Result<Value, ApiError> {
    let expected = decode::Expected {
        group,
        version: "v1",
        kind,
    };
    decode::typed(call, &expected)
}

/// Binds a pod to a node, as a scheduler does.
pub(crate) async fn bind(call: &Call, pod_name: &str) -> Result<Response, ApiError> {
    let options = WriteOptions::of(&call.query, "CreateOptions", false)?;
    let binding = body(call, "", "Binding")?;
    if !matches!(name(&binding), given if given.is_empty() || given == pod_name) {
        return Err(ApiError::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    check_target(&binding)?;
    let key = Key::new(&table("", "pods"), call.namespace(), pod_name);
    let not_found = || ApiError::not_found_in("", "pods", pod_name);
    let pods = call.kinds.find("", "v1", "pods").ok_or_else(not_found)?;
    for _ in 0..ATTEMPTS {
        let pod = call.objects().store.get(&key).ok_or_else(not_found)?;
        let bound = bound(
            pod.value(),
            &binding,
            pod_name,
            &call.objects().sources.now_text(),
        )?;
        match call
            .objects()
            .update(pods, &pod, bound, options.dry_run)
            .await
        {
            Ok(_) => return Ok(success(call, 201)),
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(Error::write(pods, pod_name, &error).into()),
        }
    }
    Err(ApiError::conflict(pods, pod_name, MODIFIED))
}

/// The target is a node.
fn check_target(binding: &Value) -> Result<(), ApiError> {
    if !matches!(text(binding, "/target/kind"), "" | "Node") {
        let kind = format!("{:?}", text(binding, "/target/kind"));
        let cause = Cause::not_supported("target.kind", &kind, &["Node", "<empty>"]);
        return Err(ApiError::unforeseen(cause.text()));
    }
    if text(binding, "/target/name").is_empty() {
        return Err(ApiError::unforeseen(
            Cause::required("target.name", "").text(),
        ));
    }
    Ok(())
}

/// The pod on its node.
fn bound(pod: &Value, binding: &Value, pod_name: &str, now: &str) -> Result<Value, ApiError> {
    let refuse = |why: String| Err(ApiError::conflict_in("", "pods/binding", pod_name, &why));
    let wanted = uid(binding);
    if !wanted.is_empty() && wanted != uid(pod) {
        let there = uid(pod);
        return refuse(format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {there}"
        ));
    }
    if is_deleting(pod) {
        return refuse(format!(
            "pod {pod_name} is being deleted, cannot be assigned to a host"
        ));
    }
    let node = text(pod, "/spec/nodeName");
    if !node.is_empty() {
        return refuse(format!(
            "pod {pod_name} is already assigned to node {node:?}"
        ));
    }
    if !items(pod, "/spec/schedulingGates").is_empty() {
        return refuse(format!(
            "pod {pod_name} has non-empty .spec.schedulingGates"
        ));
    }
    let mut pod = pod.clone();
    let target = text(binding, "/target/name").to_owned();
    object_in(&mut pod, "spec").insert("nodeName".to_owned(), target.into());
    object_in(&mut pod, "status").remove("nominatedNodeName");
    for field in ["annotations", "labels"] {
        if let Some(given) = fields(binding, &format!("/metadata/{field}")) {
            let metadata = crate::meta::metadata(&mut pod);
            let there = metadata.entry(field).or_insert_with(|| json!({}));
            if let Some(there) = there.as_object_mut() {
                there.extend(given.clone());
            }
        }
    }
    let causes = pipeline::validate_texts(&pod);
    if !causes.is_empty() {
        return Err(ApiError::invalid_in("", "Binding", pod_name, &causes));
    }
    let mut conditions = items(&pod, "/status/conditions").to_vec();
    conditions.retain(|condition| text(condition, "/type") != "PodScheduled");
    conditions.push(json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": now,
    }));
    object_in(&mut pod, "status").insert("conditions".to_owned(), conditions.into());
    Ok(pod)
}

/// Deletes a pod if the budgets that count for it allow that.
pub(crate) async fn evict(call: &Call) -> Result<Response, ApiError> {
    let write = WriteOptions::of(&call.query, "CreateOptions", false)?;
    let eviction = body(call, "policy", "Eviction")?;
    let pod_name = call.path.name.as_str();
    if !matches!(name(&eviction), given if given.is_empty() || given == pod_name) {
        return Err(ApiError::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let given = eviction
        .get("deleteOptions")
        .filter(|options| options.is_object());
    let mut options = DeleteOptions::of(&call.query, given)?;
    options.dry_run |= write.dry_run;
    let key = call.key(pod_name);
    let pod = call.objects().store.get(&key);
    let pod = pod.ok_or_else(|| ApiError::not_found(&call.resource, pod_name))?;
    let pod = pod.value();
    let idle = matches!(
        text(pod, "/status/phase"),
        "Succeeded" | "Failed" | "Pending"
    );
    if !idle && !is_deleting(pod) {
        spend_budget(call, pod, options.dry_run).await?;
    }
    if !options.dry_run && !is_deleting(pod) {
        report_eviction(call, &key).await?;
    }
    call.objects()
        .delete(&call.resource, &key, &options)
        .await?;
    Ok(success(call, 201))
}

/// Says in the pod's status who has ended it.
async fn report_eviction(call: &Call, key: &Key) -> Result<(), ApiError> {
    for _ in 0..ATTEMPTS {
        let Some(pod) = call.objects().store.get(key) else {
            return Ok(());
        };
        let mut value = pod.value().clone();
        let mut conditions = items(&value, "/status/conditions").to_vec();
        conditions.retain(|condition| text(condition, "/type") != "DisruptionTarget");
        conditions.push(json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastProbeTime": null,
            "lastTransitionTime": call.objects().sources.now_text(),
        }));
        object_in(&mut value, "status").insert("conditions".to_owned(), conditions.into());
        match call
            .objects()
            .update(&call.resource, &pod, value, false)
            .await
        {
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(Error::write(&call.resource, &key.name, &error).into()),
            Ok(_) => return Ok(()),
        }
    }
    let name = &call.path.name;
    Err(ApiError::conflict(&call.resource, name, MODIFIED))
}

const DISRUPTED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Takes one disruption from the budget that counts for a pod.
async fn spend_budget(call: &Call, pod: &Value, dry_run: bool) -> Result<(), ApiError> {
    let budgets = call.kinds.find("policy", "v1", "poddisruptionbudgets");
    let Some(resource) = budgets else {
        return Ok(());
    };
    for _ in 0..ATTEMPTS {
        let list = call
            .objects()
            .store
            .list(&resource.table, call.namespace(), &Page::default());
        let list = list.map(|list| list.items).unwrap_or_default();
        let counts = |budget: &Value| {
            let selector = budget
                .pointer("/spec/selector")
                .and_then(LabelSelector::of_object);
            selector.is_some_and(|selector| selector.matches(pod))
        };
        let found: Vec<_> = list
            .iter()
            .filter(|budget| counts(budget.value()))
            .collect();
        let budget = match found.as_slice() {
            [] => return Ok(()),
            [budget] => *budget,
            _ => {
                return Err(ApiError::unforeseen(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        if !is_ready(pod) && may_go_unready(budget.value()) {
            return Ok(());
        }
        let spent = spend(
            budget.value(),
            name(pod),
            &call.objects().sources.now_text(),
        )?;
        match call
            .objects()
            .update(resource, budget, spent, dry_run)
            .await
        {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(Error::write(resource, name(budget.value()), &error).into()),
        }
    }
    Err(ApiError::new(
        504,
        "Timeout",
        "Timeout: couldn't update PodDisruptionBudget due to conflicts",
    )
    .retry_after(10))
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = items(pod, "/status/conditions").iter();
    conditions.any(|condition| {
        text(condition, "/type") == "Ready" && text(condition, "/status") == "True"
    })
}

/// Whether a pod that is not ready goes without a disruption.
fn may_go_unready(budget: &Value) -> bool {
    let count = |field: &str| number(budget, &format!("/status/{field}")).unwrap_or(0);
    let (healthy, desired) = (count("currentHealthy"), count("desiredHealthy"));
    text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow"
        || (healthy >= desired && desired > 0)
}

/// The budget after one more disruption.
fn spend(budget: &Value, pod_name: &str, now: &str) -> Result<Value, ApiError> {
    let refuse = |message: String, seconds: u32| {
        let cause = Cause::new("DisruptionBudget", "", message);
        let error = ApiError::new(429, "TooManyRequests", DISRUPTED).retry_after(seconds);
        Err(error.with_causes(&[cause]))
    };
    let count = |pointer: &str| number(budget, pointer).unwrap_or(0);
    let budget_name = name(budget);
    if count("/status/observedGeneration") < count("/metadata/generation") {
        let message =
            format!("The disruption budget {budget_name} is still being processed by the server.");
        return refuse(message, 10);
    }
    let allowed = count("/status/disruptionsAllowed");
    if allowed <= 0 {
        let (desired, current) = (
            count("/status/desiredHealthy"),
            count("/status/currentHealthy"),
        );
        let message = format!(
            "The disruption budget {budget_name} needs {desired} healthy pods and has {current} currently"
        );
        return refuse(message, 0);
    }
    let mut budget = budget.clone();
    let status = object_in(&mut budget, "status");
    status.insert("disruptionsAllowed".to_owned(), json!(allowed - 1));
    let disrupted = status.entry("disruptedPods").or_insert_with(|| json!({}));
    if let Some(disrupted) = disrupted.as_object_mut() {
        disrupted.insert(pod_name.to_owned(), now.into());
    }
    Ok(budget)
}

/// Answers with the log of a container.
pub(crate) fn log(call: &Call) -> Result<Response, ApiError> {
    let pod_name = call.path.name.as_str();
    let pod = call.objects().store.get(&call.key(pod_name));
    let pod = pod.ok_or_else(|| ApiError::not_found(&call.resource, pod_name))?;
    let pod = pod.value();
    let names: Vec<&str> = items(pod, "/spec/containers")
        .iter()
        .map(|container| text(container, "/name"))
        .collect();
    let all = [
        "/spec/containers",
        "/spec/initContainers",
        "/spec/ephemeralContainers",
    ];
    let mut all = all.iter().flat_map(|pointer| items(pod, pointer));
    let wanted = call.query.text("container");
    let container = match (wanted, names.as_slice()) {
        ("", [only]) => *only,
        ("", names) => {
            let names = names.join(" ");
            return Err(ApiError::bad_request(format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{names}]"
            )));
        }
        (wanted, _) if all.any(|container| text(container, "/name") == wanted) => wanted,
        (wanted, _) => {
            return Err(ApiError::bad_request(format!(
                "container {wanted} is not valid for pod {pod_name}"
            )));
        }
    };
    if text(pod, "/spec/nodeName").is_empty() {
        let mut nothing = plain(204, "");
        nothing.headers_mut().remove(http::header::CONTENT_TYPE);
        return Ok(nothing);
    }
    let source = call.server.logs.as_ref();
    let Some(source) = source else {
        let why = "logs are not served: no kubelet is behind this API server";
        return Err(ApiError::new(501, "NotImplemented", why));
    };
    let text = source.log(pod, container);
    let text = text.ok_or_else(|| {
        let waiting = "is waiting to start: ContainerCreating";
        ApiError::bad_request(format!(
            "container {container:?} in pod {pod_name:?} {waiting}"
        ))
    })?;
    Ok(plain(200, tail(call, text)?))
}

/// The last lines, if only some are wanted.
fn tail(call: &Call, text: String) -> Result<String, ApiError> {
    let Some(wanted) = call.query.number("tailLines")? else {
        return Ok(text);
    };
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let kept = lines.get(lines.len().saturating_sub(wanted)..);
    Ok(kept.unwrap_or_default().concat())
}
