//! Whom the operator trusts with what: access to members that comes from data on the hub, and what
//! reaches logs and people.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::main_job::deployment;

scenarios!(
    a_kubeconfig_in_a_secret_runs_nothing_and_reads_no_file,
    access_secrets_are_read_only_from_allowed_namespaces,
    a_link_local_server_is_refused_unless_allowed,
    a_token_file_may_end_with_a_newline,
    credential_plugins_that_hang_do_not_pile_up,
    no_secret_reaches_a_log_an_event_a_status_or_a_metric,
);

/// A file of this scenario, without what a run before this one left.
fn file(world: &World, name: &str) -> PathBuf {
    let file = (world.lab.directory()).join(format!("{}-{name}", world.namespace()));
    drop(std::fs::remove_file(&file));
    file
}

async fn kubeconfig_of(world: &World, context: &str) -> Result<Value> {
    let view = ["config", "view", "--raw", "--minify", "-o", "json"];
    Ok(serde_json::from_str(&world.on(context, &view).await?)?)
}

/// A Secret of the scenario's namespace, and a member whose access it is.
async fn member_by_secret(world: &World, name: &str, kubeconfig: &str) -> Result<()> {
    let data = json!({ "kubeconfig": kubeconfig });
    let reference = json!({ "namespace": world.namespace(), "name": name });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data,
    });
    let member = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": name },
        "spec": { "access": { "secretRef": reference } },
    });
    world.apply(&secret).await?;
    world.apply(&member).await
}

fn access_flag(world: &World) -> String {
    format!("--access-namespaces={}", world.namespace())
}

async fn a_kubeconfig_in_a_secret_runs_nothing_and_reads_no_file(world: &World) -> Result<()> {
    let _operator = world
        .operator(&[&access_flag(world), "--member-contexts=cluster1"])
        .await?;
    let (ran, read) = (file(world, "ran"), file(world, "read"));
    std::fs::write(&read, "a token of the operator")?;
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "touch", "args": [ran],
    });
    let provider = json!({ "name": "gcp", "config": {
        "cmd-path": "touch", "cmd-args": ran, "expiry": "2000-01-01T00:00:00Z",
    } });
    let valid = kubeconfig_of(world, "cluster3").await?;
    let cases = [
        ("exec", "exec", exec.clone()),
        ("provider", "auth-provider", provider),
        ("token-file", "tokenFile", json!(read)),
        ("certificate", "client-certificate", json!(read)),
        ("key", "client-key", json!(read)),
        ("impersonates", "as", json!("system:admin")),
    ];
    for (name, field, value) in &cases {
        let mut kubeconfig = valid.clone();
        kubeconfig["users"][0]["user"] = Value::Null;
        kubeconfig["users"][0]["user"][field] = value.clone();
        member_by_secret(world, name, &kubeconfig.to_string()).await?;
    }
    let mut kubeconfig = valid.clone();
    kubeconfig["clusters"][0]["cluster"]["certificate-authority"] = json!(read);
    member_by_secret(world, "authority", &kubeconfig.to_string()).await?;
    let users = cases.iter();
    let users = users.map(|(name, field, _)| (*name, format!("users[0].user.{field} ")));
    let authority = "clusters[0].cluster.certificate-authority ".to_owned();
    for (name, field) in users.chain([("authority", authority)]) {
        let member = format!("membercluster/{name}");
        let message = world
            .until_condition(&member, "Ready", "False", "InvalidKubeconfig")
            .await?;
        ensure!(message.contains(&field), "{message}");
    }

    // One that serves, and whose Secret then changes.
    member_by_secret(world, "edge", &valid.to_string()).await?;
    world
        .until_condition("membercluster/edge", "Ready", "True", "Synced")
        .await?;
    let mut kubeconfig = valid.clone();
    kubeconfig["users"][0]["user"] = json!({ "exec": exec });
    member_by_secret(world, "edge", &kubeconfig.to_string()).await?;
    world
        .until_condition("membercluster/edge", "Ready", "False", "InvalidKubeconfig")
        .await?;
    member_by_secret(world, "edge", &valid.to_string()).await?;
    world
        .until_condition("membercluster/edge", "Ready", "True", "Synced")
        .await?;
    ensure!(!ran.exists(), "a kubeconfig of a Secret ran a program");
    Ok(())
}

async fn access_secrets_are_read_only_from_allowed_namespaces(world: &World) -> Result<()> {
    let operator = world.operator(&["--member-contexts=cluster1"]).await?;
    let valid = kubeconfig_of(world, "cluster3").await?.to_string();
    member_by_secret(world, "edge", &valid).await?;
    let message = world
        .until_condition(
            "membercluster/edge",
            "Ready",
            "False",
            "AccessNamespaceNotAllowed",
        )
        .await?;
    ensure!(message.contains("--access-namespaces"), "{message}");
    operator.stop().await?;
    for flag in [access_flag(world), "--access-namespaces=*".to_owned()] {
        let operator = world
            .operator(&[&flag, "--member-contexts=cluster1"])
            .await?;
        world
            .until_condition("membercluster/edge", "Ready", "True", "Synced")
            .await?;
        operator.stop().await?;
    }
    Ok(())
}

async fn a_link_local_server_is_refused_unless_allowed(world: &World) -> Result<()> {
    let flag = access_flag(world);
    let flags = [flag.as_str(), "--member-contexts=cluster1"];
    let operator = world.operator(&flags).await?;
    let mut kubeconfig = kubeconfig_of(world, "cluster3").await?;
    let server = kubeconfig["clusters"][0]["cluster"]["server"].clone();
    let port = server.as_str().and_then(|url| url.rsplit_once(':'));
    let port = port.context("no port")?.1.to_owned();
    // The unspecified address leads to this machine, as a metadata service's would.
    for (name, host) in [("any", "0.0.0.0"), ("metadata", "0xa9fea9fe")] {
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{host}:{port}"));
        member_by_secret(world, name, &kubeconfig.to_string()).await?;
        let member = format!("membercluster/{name}");
        let message = world
            .until_condition(&member, "Ready", "False", "ServerAddressNotAllowed")
            .await?;
        ensure!(message.contains("--allow-link-local-servers"), "{message}");
    }
    operator.stop().await?;
    let allowed = ["--allow-link-local-servers"];
    let _operator = world.operator(&[&flags[..], &allowed].concat()).await?;
    // It is tried, whatever its certificate says.
    eventually("the address is tried", async || {
        let found = world.get("cluster0", "membercluster/any").await?;
        let reason = lab::e2e::condition(&found, "Ready")["reason"].clone();
        let tried = reason != "ServerAddressNotAllowed";
        Ok(holds(tried, || found["status"].to_string()))
    })
    .await
}

async fn a_token_file_may_end_with_a_newline(world: &World) -> Result<()> {
    let view = ["config", "view", "--raw", "-o", "json"];
    let mut config: Value = serde_json::from_str(&world.kubectl(&view).await?)?;
    let mut moved = 0;
    for (number, user) in (config["users"].as_array_mut().into_iter().flatten()).enumerate() {
        let Some(token) = user["user"]["token"].as_str() else {
            continue;
        };
        let path = file(world, &format!("token-{number}"));
        std::fs::write(&path, format!("{token}\n"))?;
        user["user"] = json!({ "tokenFile": path });
        moved += 1;
    }
    ensure!(moved > 0, "the lab has no tokens");
    let kubeconfig = file(world, "kubeconfig");
    std::fs::write(&kubeconfig, config.to_string())?;
    let operator = world.candidate(&kubeconfig, &[])?;
    operator.ready().await?;
    for member in lab::e2e::MEMBERS {
        let member = format!("membercluster/{member}");
        world
            .until_condition(&member, "Ready", "True", "Synced")
            .await?;
    }
    Ok(())
}

/// The operator's own kubeconfig is changed again and again, and the plugin that each one names
/// never ends.
async fn credential_plugins_that_hang_do_not_pile_up(world: &World) -> Result<()> {
    let (started, done) = (file(world, "started"), file(world, "done"));
    let kubeconfig = file(world, "kubeconfig");
    let view = ["config", "view", "--raw", "-o", "json"];
    let config: Value = serde_json::from_str(&world.kubectl(&view).await?)?;
    let write = |attempt: usize| -> Result<()> {
        let script = format!(
            "echo {attempt} >> {}; until [ -e {} ]; do sleep 0.2; done; exit 1",
            started.display(),
            done.display()
        );
        let mut config = config.clone();
        let contexts = config["contexts"].as_array_mut().context("no contexts")?;
        for context in contexts.iter_mut().filter(|one| one["name"] == "cluster3") {
            context["context"]["user"] = json!("plugin");
        }
        let users = config["users"].as_array_mut().context("no users")?;
        users.push(json!({ "name": "plugin", "user": { "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", script],
        } } }));
        let draft = file(world, "draft");
        std::fs::write(&draft, config.to_string())?;
        Ok(std::fs::rename(&draft, &kubeconfig)?)
    };
    let starts = || {
        let text = std::fs::read_to_string(&started).unwrap_or_default();
        text.lines().count()
    };
    write(0)?;
    let operator = world.candidate(&kubeconfig, &["--deadline=1s"])?;
    operator.ready().await?;
    for attempt in 1..=3 {
        eventually("the plugin is started", async || {
            Ok(holds(starts() >= attempt, || starts().to_string()))
        })
        .await?;
        write(attempt)?;
    }
    eventually("no more plugins are started", async || {
        let found = world.get("cluster0", "membercluster/cluster3").await?;
        let message = lab::e2e::condition(&found, "Ready")["message"].to_string();
        let waits =
            message.contains("3 credential plugins that were started for it have not ended");
        Ok(holds(waits, || message))
    })
    .await?;
    ensure!(starts() == 3, "{} plugins were started", starts());
    // When they have ended, the kubeconfig of now counts.
    std::fs::write(&done, "")?;
    eventually("the plugin of now is started", async || {
        let text = std::fs::read_to_string(&started)?;
        Ok(holds(text.lines().any(|line| line == "3"), || text))
    })
    .await
}

/// What no log, Event, status or metric may hold.
const MARKER: &str = "M4RK3R-7e0c5d91";

async fn no_secret_reaches_a_log_an_event_a_status_or_a_metric(world: &World) -> Result<()> {
    let server = serve_what_no_one_can_read().await?;
    let valid = kubeconfig_of(world, "cluster3").await?;
    let with = |cluster: Value, user: Value| {
        let mut kubeconfig = valid.clone();
        for (field, value) in cluster.as_object().into_iter().flatten() {
            kubeconfig["clusters"][0]["cluster"][field] = value.clone();
        }
        kubeconfig["users"][0]["user"] = user;
        kubeconfig.to_string()
    };
    let none = || json!({});
    let exec =
        json!({ "command": MARKER, "args": [MARKER], "env": [{ "name": "A", "value": MARKER }] });
    let invalid = [
        ("yaml", format!("users: [{{name: {MARKER}")),
        ("key", format!("{MARKER}: {MARKER}")),
        ("exec", with(none(), json!({ "exec": exec }))),
        (
            "provider",
            with(none(), json!({ "auth-provider": { "name": MARKER } })),
        ),
        ("token-file", with(none(), json!({ "tokenFile": MARKER }))),
        ("field", with(none(), json!({ MARKER: MARKER }))),
        (
            "token",
            with(none(), json!({ "token": format!("{MARKER}\n{MARKER}") })),
        ),
        ("base64", with(none(), json!({ "client-key-data": MARKER }))),
        (
            "url",
            with(
                json!({ "server": format!("https://u:{MARKER}@127.0.0.1") }),
                none(),
            ),
        ),
    ];
    let wrong = json!({ "token": MARKER });
    let proxy = json!({ "proxy-url": format!("http://u:{MARKER}@127.0.0.1:1") });
    let unreachable = [
        ("refused", with(none(), wrong.clone())),
        ("unreadable", with(json!({ "server": server }), wrong)),
        ("proxy", with(proxy, none())),
    ];
    for (name, kubeconfig) in invalid.iter().chain(&unreachable) {
        member_by_secret(world, name, kubeconfig).await?;
    }
    // What a template names goes along.
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys" },
            "stringData": { "key": MARKER },
        }))
        .await?;
    // The hub's own kubeconfig has a token that is not valid, in a file.
    let view = ["config", "view", "--raw", "-o", "json"];
    let mut config: Value = serde_json::from_str(&world.kubectl(&view).await?)?;
    let token = file(world, "token");
    std::fs::write(&token, format!("{MARKER}\n"))?;
    let users = config["users"].as_array_mut().context("no users")?;
    users.push(json!({ "name": "wrong", "user": { "tokenFile": token } }));
    let contexts = config["contexts"].as_array_mut().context("no contexts")?;
    for context in contexts.iter_mut().filter(|one| one["name"] == "cluster2") {
        context["context"]["user"] = json!("wrong");
    }
    let kubeconfig = file(world, "kubeconfig");
    std::fs::write(&kubeconfig, config.to_string())?;

    let flags = [
        &access_flag(world),
        "--member-contexts=cluster1,cluster2",
        "--log-level=trace,kube_client=trace,kube_client::client=trace",
    ];
    let operator = world.candidate(&kubeconfig, &flags)?;
    operator.ready().await?;
    let template = json!({ "spec": { "containers": [{
        "name": "hello", "image": "hello:1", "envFrom": [{ "secretRef": { "name": "keys" } }],
    }] } });
    let fields = json!({ "clusters": ["cluster1"], "overflow": "None", "template": template });
    world.apply(&deployment("hello", &fields)).await?;
    world.until_replicas("hello", [Some(2), None, None]).await?;
    for (name, _) in &invalid {
        let member = format!("membercluster/{name}");
        world
            .until_condition(&member, "Ready", "False", "InvalidKubeconfig")
            .await?;
    }
    for (name, reason, what) in [
        ("refused", "Forbidden", "(401)"),
        ("cluster2", "Forbidden", "(401)"),
        ("unreadable", "Unreachable", "cannot be read"),
        ("proxy", "Unreachable", "tunnel error"),
    ] {
        let member = format!("membercluster/{name}");
        let message = world
            .until_condition(&member, "Ready", "False", reason)
            .await?;
        ensure!(message.contains(what), "{message}");
        ensure!(!message.contains("Some("), "{message}");
    }
    // Secrets that the client library cannot read, where the hub takes them.
    let namespace = world.namespace();
    for secret in ["secret/keys", "secret/refused"] {
        let patch = json!({ "metadata": { "finalizers": [null] } });
        if world.patch(secret, &patch).await.is_err() {
            continue;
        }
        world
            .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
            .await?;
        world
            .until_condition("membercluster/refused", "Ready", "False", "Forbidden")
            .await?;
    }

    let mut planted = vec![MARKER.to_owned()];
    let secrets = world
        .kubectl(&["-n", &namespace, "get", "secrets", "-o", "json"])
        .await?;
    let secrets: Value = serde_json::from_str(&secrets)?;
    let data = (secrets["items"].as_array().into_iter().flatten())
        .filter_map(|secret| secret["data"].as_object())
        .flat_map(|data| data.values().filter_map(Value::as_str));
    planted.extend(data.map(|value| value.chars().take(60).collect()));
    // The hub's own metrics and Events are the places where people look.
    let statuses = ["get", "mcl,mcd,mcj,mcs", "-A", "-o", "json"];
    let events = ["get", "events", "-A", "-o", "json"];
    let mut objects: Value = serde_json::from_str(&world.kubectl(&statuses).await?)?;
    for object in objects["items"].as_array_mut().into_iter().flatten() {
        // What was applied holds no marker; what is managed names no values.
        object["metadata"]["managedFields"].take();
    }
    let log = world.log();
    ensure!(log.contains("TRACE"), "the log is not at its most");
    for (place, text) in [
        ("log", log),
        ("statuses", objects.to_string()),
        ("Events", world.kubectl(&events).await?),
        ("metrics", operator.get("/metrics").await?),
    ] {
        for value in &planted {
            let line = text.lines().find(|line| line.contains(value));
            ensure!(line.is_none(), "{place}: {}", line.unwrap_or_default());
        }
    }
    // Finalizers that are no text keep the namespace.
    for secret in ["secret/keys", "secret/refused"] {
        let patch = json!({ "metadata": { "finalizers": null } });
        world.patch(secret, &patch).await?;
    }
    Ok(())
}

/// A server that answers every request with an object that no client can read; its URL.
async fn serve_what_no_one_can_read() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let body = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": { "finalizers": [null] },
        "major": { "data": MARKER }, "data": MARKER, "items": MARKER,
    });
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.to_string().len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                // A client that goes away is not waited for.
                drop(stream.read(&mut request).await);
                drop(stream.write_all(answer.as_bytes()).await);
            });
        }
    });
    Ok(url)
}
