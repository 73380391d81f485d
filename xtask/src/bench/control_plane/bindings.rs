//! Thousands of role bindings: what they cost a request of somebody whom few of them bind.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::super::Figure;
use super::connection::Connection;
use super::runtime;
use super::server::{Ours, build};

const BINDINGS: usize = 5000;
/// Requests that are timed, each time.
const REQUESTS: usize = 2000;
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// What the others' bindings may add to the median.
const MORE: f64 = 1.25;

pub(super) fn run(quick: bool) -> Result<Vec<Figure>> {
    build()?;
    let bindings = if quick { BINDINGS / 10 } else { BINDINGS };
    runtime()?.block_on(measure(bindings))
}

async fn measure(bindings: usize) -> Result<Vec<Figure>> {
    let ours = Ours::start("bindings", false, 1)?;
    let connector = ours.server.connector()?;
    let mut admin = ours.server.connect(&connector).await?;
    let mut reader = ours.server.clone();
    "reader".clone_into(&mut reader.token);
    let mut reader = reader.connect(&connector).await?;
    let role = json!({
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
    });
    let roles = format!("{RBAC}/roles");
    admin
        .call(Method::POST, &roles, role.to_string().into())
        .await?;
    bind(&mut admin, "reader").await?;
    let alone = median(&mut reader).await?;
    for number in 0..bindings {
        bind(&mut admin, &format!("user{number}")).await?;
    }
    let beside = median(&mut reader).await?;
    Ok(vec![Figure {
        name: format!("a user's list beside {bindings} role bindings of others, median"),
        measured: format!("{beside:.2?} ({alone:.2?} alone)"),
        target: format!("<= {MORE} x alone"),
        met: beside.as_secs_f64() <= MORE * alone.as_secs_f64(),
    }])
}

async fn bind(admin: &mut Connection, user: &str) -> Result<()> {
    let binding: Value = json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    let path = format!("{RBAC}/rolebindings");
    let body = binding.to_string().into();
    admin.call(Method::POST, &path, body).await.map(drop)
}

async fn median(reader: &mut Connection) -> Result<Duration> {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        reader.call(Method::GET, PATH, Bytes::new()).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times.get(REQUESTS / 2).copied().context("no request")
}
