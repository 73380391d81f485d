//! What once ended, stalled or filled a server.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::input::{
    APPLY, DEFINITIONS, DEPLOYMENTS, JSON_PATCH, MAPS, MERGE, STRATEGIC, containers_of, definition,
    deployment, map, object, objects, ruled,
};
use crate::server::{Answer, Caller, Server, exchange, head};

#[test]
fn json_patches() {
    let server = Server::start();
    for caller in Caller::ALL {
        json_patches_of(&server, caller);
    }
    server.end();
}

fn json_patches_of(server: &Server, caller: Caller) {
    let name = format!("{caller:?}").to_lowercase();
    let send =
        |path: &str, kind: &str, patch: &str| server.send_as(caller, "PATCH", path, kind, patch);
    server.post_as(caller, MAPS, &map(&name)).expect(201);
    let path = &format!("{MAPS}/{name}");
    // Nested deeper and deeper.
    let inner = "/0".repeat(119);
    let nest = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let nest: Value = serde_json::from_str(&nest).unwrap();
    let mut rounds = vec![json!({"op": "add", "path": "/data/a", "value": [1]})];
    for _ in 0..120 {
        rounds.push(json!({"op": "add", "path": "/data/b", "value": nest}));
        rounds.push(json!({"op": "move", "from": "/data/a", "path": format!("/data/b{inner}/-")}));
        rounds.push(json!({"op": "move", "from": "/data/b", "path": "/data/a"}));
    }
    let patch = Value::from(rounds).to_string();
    send(path, JSON_PATCH, &patch).expect(422);
    // Twice as large again and again.
    let mut copies: Vec<Value> = (0..22)
        .map(|n| json!({"op": "copy", "from": "/data", "path": format!("/data/c{n}")}))
        .collect();
    copies.push(json!({"op": "replace", "path": "/data", "value": {"a": "b"}}));
    let patch = Value::from(copies).to_string();
    send(path, JSON_PATCH, &patch).expect(422);
    // Many moves of much.
    let large = json!({"data": {"big": "x".repeat(1_000_000)}}).to_string();
    send(path, MERGE, &large).expect(200);
    let moves: Vec<Value> = (0..10_000)
        .map(|n| {
            let (from, to) = if n % 2 == 0 {
                ("big", "bag")
            } else {
                ("bag", "big")
            };
            json!({"op": "move", "from": format!("/data/{from}"), "path": format!("/data/{to}")})
        })
        .collect();
    let patch = Value::from(moves).to_string();
    send(path, JSON_PATCH, &patch).expect(200);
    // Larger than an object may be, by patches that are not.
    server
        .post_as(caller, DEPLOYMENTS, &deployment(&name, 1))
        .expect(201);
    let path = &format!("{DEPLOYMENTS}/{name}");
    let more = |container: &str| {
        let added = json!({"name": container, "image": "i", "args": ["x".repeat(1_000_000)]});
        json!({"spec": {"template": {"spec": {"containers": [added]}}}}).to_string()
    };
    send(path, STRATEGIC, &more("b")).expect(200);
    let answer = send(path, STRATEGIC, &more("c")).expect(500);
    assert_eq!(answer.message(), "etcdserver: request is too large");
}

/// Many patches at a time of an object whose answers are large.
#[test]
fn patches_of_a_large_object() {
    const CLIENTS: usize = 30;
    const EACH: usize = 10;
    let server = Server::start();
    let mut large = map("large");
    large["data"]["big"] = json!("x".repeat(1_000_000));
    server.post(MAPS, &large).expect(201);
    let path = &format!("{MAPS}/large");
    thread::scope(|scope| {
        for (client, caller) in Caller::ALL.into_iter().cycle().take(CLIENTS).enumerate() {
            let server = &server;
            scope.spawn(move || {
                for number in 0..EACH {
                    let change = format!("{client}-{number}");
                    let patch = json!({"data": {"a": change}}).to_string();
                    let answer = server.send_as(caller, "PATCH", path, MERGE, &patch);
                    assert!(matches!(answer.code, 200 | 409 | 429), "{}", answer.code);
                }
            });
        }
    });
    let peak = server.peak();
    assert!(peak < 400 << 20, "{peak} bytes in memory");
    server.post(MAPS, &map("small")).expect(201);
    server.end();
}

#[test]
fn long_lists() {
    let server = Server::start();
    for caller in Caller::ALL {
        long_lists_of(&server, caller);
    }
    server.end();
}

fn long_lists_of(server: &Server, caller: Caller) {
    let name = format!("{caller:?}").to_lowercase();
    let send =
        |path: &str, kind: &str, patch: &str| server.send_as(caller, "PATCH", path, kind, patch);
    server
        .post_as(caller, DEPLOYMENTS, &deployment(&name, 1))
        .expect(201);
    let path = &format!("{DEPLOYMENTS}/{name}");
    let containers = containers_of(8000);
    let order: Vec<Value> = containers
        .iter()
        .map(|c| json!({"name": c["name"]}))
        .collect();
    let pod = json!({"containers": containers});
    let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
    fits(&send(path, STRATEGIC, &patch));
    let pod = json!({"containers": containers, "$setElementOrder/containers": order});
    let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
    fits(&send(path, STRATEGIC, &patch));
    let finalizers: Vec<String> = (0..50_000).map(|n| format!("example.com/f{n}")).collect();
    let patch = json!({"metadata": {"finalizers": finalizers}}).to_string();
    fits(&send(path, STRATEGIC, &patch));
    let applied = deployment(&format!("{name}-b"), 8000).to_string();
    let path = &format!("{DEPLOYMENTS}/{name}-b?fieldManager=m");
    for _ in 0..2 {
        fits(&send(path, APPLY, &applied));
    }
}

/// It was done, or the object would be too large.
#[track_caller]
fn fits(answer: &Answer) {
    let is_large = answer.code == 500 && answer.message() == "etcdserver: request is too large";
    assert!(
        is_large || matches!(answer.code, 200 | 201),
        "{}",
        answer.text
    );
}

#[test]
fn definitions() {
    let server = Server::start();
    let refused = |rule: &str, what: &str| {
        let answer = server
            .post(DEFINITIONS, &definition("refused", &ruled(rule)))
            .expect(422);
        assert!(answer.message().contains(what), "{}", answer.message());
    };
    refused(
        &format!("self{}", ".l".repeat(8000)),
        "recursion limit exceeded",
    );
    refused(
        &format!("self.l{} == 1", "[0]".repeat(4000)),
        "recursion limit exceeded",
    );
    refused(
        &format!("'x'{} == 'x'", ".trim()".repeat(3000)),
        "recursion limit exceeded",
    );
    let nested = "self.l.all(a, self.l.all(b, self.l.all(c, a + b > c)))";
    refused(nested, "estimated rule cost exceeds budget");
    for (plural, rule) in [
        ("panics", "'%.100000f'.format([4.0]) == ''"),
        (
            "copies",
            "self.l.map(x, self.l).map(x, x.map(y, y + 1)).size() == 0",
        ),
        ("ranges", "lists.range(100000000).size() == 0"),
    ] {
        server
            .post(DEFINITIONS, &definition(plural, &ruled(rule)))
            .expect(201);
        let numbers: Vec<usize> = (0..1500).collect();
        let made = object(plural, &json!({"l": numbers, "s": "s"}));
        for caller in Caller::ALL {
            server.post_as(caller, &objects(plural), &made).expect(422);
        }
    }
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let spec = json!({"type": "object", "properties": {"a": pattern("[a-z]{100000}")}});
    let answer = server
        .post(DEFINITIONS, &definition("repeats", &spec))
        .expect(422);
    let expected = "invalid repeat count: `{100000}`";
    assert!(answer.message().contains(expected), "{}", answer.message());
    let properties = (0..200).map(|n| (format!("f{n}"), pattern(&format!(r"(\pL{{40}}){{2}}{n}"))));
    let properties: serde_json::Map<String, Value> = properties.collect();
    let spec = json!({"type": "object", "properties": properties});
    for number in 0..3 {
        let plural = format!("letters{number}");
        let answer = server.post(DEFINITIONS, &definition(&plural, &spec));
        assert!([201, 422].contains(&answer.code), "{}", answer.text);
    }
    // Defaults that multiply.
    let item = json!({
        "type": "object",
        "properties": {"d": {"type": "string", "default": "x".repeat(1_000_000)}},
    });
    let list = json!({"type": "array", "items": item});
    let spec = json!({"type": "object", "properties": {"l": list}});
    server
        .post(DEFINITIONS, &definition("defaults", &spec))
        .expect(201);
    let items = vec![json!({}); 1000];
    let made = object("defaults", &json!({"l": items}));
    for caller in Caller::ALL {
        let answer = server.post_as(caller, &objects("defaults"), &made);
        assert_eq!(answer.message(), "etcdserver: request is too large");
    }
    server.end();
}

#[test]
fn what_the_types_cannot_hold() {
    let server = Server::start();
    server.post(DEPLOYMENTS, &deployment("a", 1)).expect(201);
    let path = &format!("{DEPLOYMENTS}/a/scale");
    let scale = |replicas: i64| json!({"metadata": {"name": "a"}, "spec": {"replicas": replicas}});
    let json = "application/json";
    server
        .send("PUT", path, json, &scale(2_147_483_648).to_string())
        .expect(400);
    server
        .send("PUT", path, json, &scale(3).to_string())
        .expect(200);
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |field: &str, value: Value| {
        let mut pod = json!({
            "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        pod["spec"][field] = value;
        pod
    };
    for (field, value, code) in [
        (
            "activeDeadlineSeconds",
            json!(9_223_372_036_854_775_808_u64),
            400,
        ),
        (
            "terminationGracePeriodSeconds",
            json!(9_223_372_036_854_775_808_u64),
            400,
        ),
        ("overhead", json!({"cpu": "x"}), 400),
        ("schedulingGates", json!([null]), 422),
    ] {
        let answer = server.post(pods, &pod(field, value));
        assert_eq!(answer.code, code, "{field}: {}", answer.text);
    }
    let mut odd = map("odd");
    odd["metadata"]["generation"] = json!(9_223_372_036_854_775_808_u64);
    server.post(MAPS, &odd).expect(400);
    odd["metadata"] = json!({"name": "odd", "finalizers": [null]});
    server.post(MAPS, &odd).expect(422);
    let spec = json!({"type": "object"});
    server
        .post(DEFINITIONS, &definition("labelled", &spec))
        .expect(201);
    let mut labelled = object("labelled", &json!({}));
    labelled["metadata"]["labels"] = json!({"team": null});
    let made = server.post(&objects("labelled"), &labelled).expect(201);
    let made: Value = serde_json::from_str(&made.text).unwrap();
    assert_eq!(made["metadata"]["labels"], json!({"team": ""}));
    // What can't be read deletes nothing.
    server.post(MAPS, &map("kept")).expect(201);
    let path = &format!("{MAPS}/kept");
    for options in [
        json!({"dryRun": "All"}),
        json!({"preconditions": {"uid": 5}}),
        json!({"preconditions": {"resourceVersion": 1}}),
        json!({"propagationPolicy": 1}),
    ] {
        let answer = server.send("DELETE", path, json, &options.to_string());
        assert!(answer.code >= 400, "{options}: {}", answer.text);
        assert!(
            answer.message().starts_with("json: cannot unmarshal"),
            "{}",
            answer.text
        );
    }
    server.send("GET", path, "", "").expect(200);
    server.end();
}

#[test]
fn silent_connections_and_slow_bodies() {
    let server = Server::start();
    let silent = (0..1000).map(|_| TcpStream::connect(server.address).unwrap());
    let silent: Vec<TcpStream> = silent.collect();
    server.send("GET", MAPS, "", "").expect(200);
    let callers = Caller::ALL.into_iter().cycle().take(300);
    let slow = callers.map(|caller| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let head = head(caller, "POST", MAPS, "application/json", 3_000_000);
        stream
            .set_write_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        // The server does not read on once there are too many.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&vec![b' '; 2_900_000]);
        stream
    });
    let slow: Vec<TcpStream> = slow.collect();
    for (caller, name) in Caller::ALL.into_iter().zip(["a", "b"]) {
        server.post_as(caller, MAPS, &map(name)).expect(201);
    }
    let metrics = server.send("GET", "/metrics", "", "").expect(200).text;
    let counted = "apiserver_request_total{verb=\"CREATE\",group=\"\",version=\"v1\",\
                   resource=\"configmaps\",subresource=\"\",scope=\"namespace\",code=\"201\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(
        metrics.contains("apiserver_open_connections 1"),
        "{metrics}"
    );
    let peak = server.peak();
    assert!(peak < 400 << 20, "{peak} bytes in memory");
    drop((silent, slow));
    let answer = exchange(
        server.address,
        "GET / HTTP/9\r\n\r\n",
        b"",
        Duration::from_secs(10),
    );
    assert!(answer.is_none_or(|answer| answer.code >= 400));
    server.end();
}
