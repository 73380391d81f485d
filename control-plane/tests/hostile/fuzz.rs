//! Random patches, rules, patterns and requests. A seed repeats a run.

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::input::{
    ACCOUNTS, APPLY, DEFINITIONS, JSON_PATCH, MAPS, MERGE, PODS, STRATEGIC, definition, map,
    object, objects, pod, rbac, role, role_binding, ruled,
};
use crate::server::{Answer, Caller, Server, exchange};

#[test]
fn random_input() {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("HOSTILE_SEED").unwrap_or(now.as_secs());
    let seconds = number("HOSTILE_SECONDS").unwrap_or(20);
    println!("HOSTILE_SEED={seed}");
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let server = Server::start();
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let things = definition("things", &anything);
    server.post(DEFINITIONS, &things).expect(201);
    let targets = targets();
    for (folder, object) in &targets {
        server.post(folder, object).expect(201);
    }
    server.post(PODS, &pod("a")).expect(201);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0_u64;
    while Instant::now() < end {
        match random.below(6) {
            0 => patch(&server, &mut random, &targets),
            1 => rule(&server, &mut random, rounds),
            2 => pattern(&server, &mut random, rounds),
            3 => rights(&server, &mut random),
            4 => damaged(&server, &mut random),
            _ => request(&server, &mut random),
        }
        rounds += 1;
    }
    println!("{rounds} rounds");
    server.end();
}

/// What both callers may patch: where it is, and what it is at first. All are called `a`.
fn targets() -> [(String, Value); 4] {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    [
        (MAPS.to_owned(), map("a")),
        (objects("things"), object("things", &json!({"l": [1]}))),
        (rbac("roles"), role("a", &rules)),
        (rbac("rolebindings"), role_binding("a", "a")),
    ]
}

/// Numbers that follow from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Some text from pieces.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        let count = self.below(most) + 1;
        (0..count).map(|_| self.pick(pieces)).collect()
    }

    fn caller(&mut self) -> Caller {
        Caller::ALL[self.below(Caller::ALL.len())]
    }

    /// Puts another value somewhere into this one.
    fn damage(&mut self, value: &mut Value) {
        let inner = match value {
            Value::Object(fields) if !fields.is_empty() => {
                let index = self.below(fields.len());
                fields.values_mut().nth(index)
            }
            Value::Array(items) if !items.is_empty() => {
                let index = self.below(items.len());
                items.get_mut(index)
            }
            _ => None,
        };
        match inner {
            Some(inner) if self.below(4) > 0 => self.damage(inner),
            _ => *value = self.value(3),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.next()),
            2 => json!(-1.5e300),
            3 => json!(self.below(2) == 0),
            4 => {
                let times = self.below(3000);
                json!("é".repeat(times))
            }
            5 | 6 => {
                let names = [
                    "data",
                    "metadata",
                    "labels",
                    "finalizers",
                    "$patch",
                    "name",
                    "a",
                ];
                let fields = (0..self.below(5))
                    .map(|_| (self.pick(&names).to_owned(), self.value(depth - 1)));
                Value::Object(fields.collect())
            }
            _ => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
        }
    }
}

/// How errors of the server begin that kube-apiserver answers in the same words.
const MEANT: [&str; 9] = [
    "etcdserver: request is too large",
    "unknown patch type: ",
    "expected a ",
    "merging lists cannot yet be specified in the patch",
    "list element types are not identical: ",
    "failed to create typed patch object ",
    "target.kind: Unsupported value: ",
    "target.name: Required value",
    "Internal error occurred: unsupported role reference kind: ",
];

/// It was answered, and not by an error of the server but those that are meant.
fn check(answer: &Answer, sent: &dyn Fn() -> String) {
    let message = answer.message();
    let is_meant = match answer.code {
        500 => MEANT.iter().any(|meant| message.starts_with(meant)),
        code => code < 500 || code == 504,
    };
    assert!(is_meant, "{} {} to {}", answer.code, answer.text, sent());
}

fn patch(server: &Server, random: &mut Random, targets: &[(String, Value)]) {
    let (folder, first) = &targets[random.below(targets.len())];
    let path = &format!("{folder}/a");
    let kind = random.pick(&[JSON_PATCH, MERGE, STRATEGIC, APPLY]);
    let patch = if kind == JSON_PATCH {
        let steps = ["/data", "/metadata", "/a", "/0", "/-", "/b", "/-1", "/~1"];
        let count = random.below(30);
        let operations = (0..count).map(|_| {
            let operation = random.pick(&["add", "remove", "replace", "move", "copy", "test", "?"]);
            json!({
                "op": operation,
                "path": random.text(&steps, 6),
                "from": random.text(&steps, 6),
                "value": random.value(4),
            })
        });
        operations.collect()
    } else {
        random.value(6)
    };
    let (patch, query) = if kind == APPLY {
        (applied(first, patch), "?fieldManager=m&force=true")
    } else {
        (patch, "")
    };
    let patch = patch.to_string();
    let patched = format!("{path}{query}");
    let answer = server.send_as(random.caller(), "PATCH", &patched, kind, &patch);
    check(&answer, &|| format!("{kind} {patch} for {path}"));
    if server.send("GET", path, "", "").code == 404 {
        server.post(folder, first).expect(201);
    }
}

/// A value as a configuration of an object's type.
fn applied(object: &Value, mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        for field in ["apiVersion", "kind"] {
            fields.insert(field.to_owned(), object[field].clone());
        }
    }
    value
}

/// Nobody gets rights by giving them to himself.
fn rights(server: &Server, random: &mut Random) {
    let texts = [
        "*",
        "",
        "secrets",
        "configmaps",
        "get",
        "list",
        "*/token",
        "a",
    ];
    let fields = ["apiGroups", "resources", "verbs", "resourceNames"];
    let count = random.below(3);
    let rules = (0..count).map(|_| {
        let fields = fields.map(|field| {
            let texts = (0..random.below(3)).map(|_| random.pick(&texts));
            (field.to_owned(), texts.collect())
        });
        Value::Object(fields.into_iter().collect())
    });
    let mut role = role("a", &rules.collect());
    if random.below(4) == 0 {
        random.damage(&mut role["rules"]);
    }
    let role = role.to_string();
    let path = &format!("{}/a", rbac("roles"));
    let (method, kind) = match random.below(3) {
        0 => ("PUT", "application/json"),
        1 => ("PATCH", MERGE),
        _ => ("PATCH", STRATEGIC),
    };
    let answer = server.send_as(Caller::Editor, method, path, kind, &role);
    check(&answer, &|| format!("{kind} {role}"));
    for path in [
        "/api/v1/namespaces/default/secrets",
        "/api/v1/configmaps",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ] {
        let read = server.send_as(Caller::Editor, "GET", path, "", "");
        assert_eq!(
            read.code, 403,
            "{path} after {method} {role}: {}",
            read.text
        );
    }
}

/// What would be right, but for something in it.
fn damaged(server: &Server, random: &mut Random) {
    let bodies = [
        (
            format!("{PODS}/a/binding"),
            json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": "a", "labels": {"a": "b"}},
                "target": {"kind": "Node", "name": "node"},
            }),
        ),
        (
            format!("{ACCOUNTS}/default/token"),
            json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {
                    "audiences": ["a"], "expirationSeconds": 600,
                    "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "a"},
                },
            }),
        ),
        (
            rbac("roles"),
            role(
                "b",
                &json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
            ),
        ),
        (rbac("rolebindings"), role_binding("b", "a")),
        (objects("things"), object("things", &json!({"l": [1]}))),
    ];
    let (path, mut body) = bodies[random.below(bodies.len())].clone();
    for _ in 0..=random.below(3) {
        random.damage(&mut body);
    }
    let answer = server.post_as(random.caller(), &path, &body);
    check(&answer, &|| format!("{body} for {path}"));
    if answer.code != 201 {
        return;
    }
    let (folder, name) = if path.ends_with("/binding") {
        (PODS.to_owned(), "a")
    } else {
        (path, "b")
    };
    let gone = format!("{folder}/{name}?gracePeriodSeconds=0");
    server.send("DELETE", &gone, "", "");
    if folder == PODS {
        server.post(PODS, &pod("a")).expect(201);
    }
}

fn rule(server: &Server, random: &mut Random, round: u64) {
    let pieces = [
        "self",
        ".l",
        ".s",
        "[0]",
        " == ",
        " + ",
        " && ",
        " || ",
        "(",
        ")",
        "[",
        "]",
        "1",
        "'a'",
        ".all(x, ",
        ".exists(y, ",
        ".map(z, ",
        ".filter(x, ",
        "x",
        "y",
        "z",
        " ? ",
        " : ",
        "!",
        "-",
        ".size()",
        ".matches('a+')",
        "'%.9f'.format(",
        ".replace('a', ",
        ", ",
        "{'a': ",
        "}",
        " in ",
        "has(",
        "lists.range(",
        ".join(",
        "duration('1s')",
        "@",
        "\"",
        "oldSelf",
        "9e9",
        "quantity('1')",
        ".findAll('.')",
        "sets.contains(",
        "self.l.all(x, x > 0)",
        "é",
    ];
    let rule = random.text(&pieces, 40);
    let plural = format!("rules{round}");
    let answer = server.post(DEFINITIONS, &definition(&plural, &ruled(&rule)));
    check(&answer, &|| rule.clone());
    if answer.code == 201 {
        let numbers: Vec<usize> = (0..random.below(1500)).collect();
        let made = object(
            &plural,
            &json!({"l": numbers, "s": "a".repeat(random.below(1000))}),
        );
        let answer = server.post_as(random.caller(), &objects(&plural), &made);
        check(&answer, &|| rule.clone());
        remove(server, &plural);
    }
}

fn pattern(server: &Server, random: &mut Random, round: u64) {
    let pieces = [
        "a",
        ".",
        "*",
        "+",
        "?",
        "(",
        ")",
        "[",
        "]",
        "{1000}",
        "{2}",
        "{40}",
        "{,3}",
        "|",
        "^",
        "$",
        r"\pL",
        r"\d",
        r"\b",
        "(?i)",
        "[^a]",
        r"\Q",
        r"\E",
        "é",
        "(?P<n>",
        "-",
        r"\",
        "[[:alpha:]]",
    ];
    let pattern = random.text(&pieces, 25);
    let plural = format!("patterns{round}");
    let field = json!({"type": "string", "pattern": pattern});
    let spec = json!({"type": "object", "properties": {"p": field}});
    let answer = server.post(DEFINITIONS, &definition(&plural, &spec));
    check(&answer, &|| pattern.clone());
    if answer.code == 201 {
        let text = random.text(&["a", "é", "\n", "0", " "], 20_000);
        let made = object(&plural, &json!({"p": text}));
        let answer = server.post_as(random.caller(), &objects(&plural), &made);
        check(&answer, &|| pattern.clone());
        remove(server, &plural);
    }
}

fn remove(server: &Server, plural: &str) {
    let path = format!("{DEFINITIONS}/{plural}.example.com");
    server.send("DELETE", &path, "", "");
}

/// Bytes that are hardly HTTP. They may be answered, or the connection ends.
fn request(server: &Server, random: &mut Random) {
    let pieces = [
        "GET ",
        "POST ",
        "PATCH ",
        "/api/v1/namespaces/default/configmaps",
        "/",
        "?watch=1",
        "%00",
        "..",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\n",
        "host: a",
        "authorization: Bearer admin",
        "authorization: Bearer editor",
        "content-length: 5",
        "content-length: -1",
        "transfer-encoding: chunked",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "ffffffffffffffff\r\n",
        ": ",
        "\0",
        "é",
        "{}",
        "connection: upgrade",
        "upgrade: h2c",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ];
    let text = random.text(&pieces, 20);
    let patience = Duration::from_millis(50);
    let answer = exchange(server.address, &text, b"\r\n\r\n", patience);
    if let Some(answer) = answer {
        check(&answer, &|| format!("{text:?}"));
    }
}
