//! Random patches, rules, patterns and requests. A seed repeats a run.

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::input::{
    APPLY, DEFINITIONS, JSON_PATCH, MAPS, MERGE, STRATEGIC, definition, map, object, objects, ruled,
};
use crate::server::{Answer, Server, exchange};

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
    server.post(MAPS, &map("a")).expect(201);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0_u64;
    while Instant::now() < end {
        match random.below(4) {
            0 => patch(&server, &mut random),
            1 => rule(&server, &mut random, rounds),
            2 => pattern(&server, &mut random, rounds),
            _ => request(&server, &mut random),
        }
        rounds += 1;
    }
    println!("{rounds} rounds");
    server.end();
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

/// It was answered, and not by an error of the server but those that are meant.
fn check(answer: &Answer, sent: &dyn Fn() -> String) {
    let is_meant = answer.code < 500
        || answer.code == 504
        || answer.message() == "etcdserver: request is too large"
        || !answer.text.contains("panic") && answer.code == 500;
    assert!(is_meant, "{} {} to {}", answer.code, answer.text, sent());
}

fn patch(server: &Server, random: &mut Random) {
    let path = format!("{MAPS}/a");
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
    let patch = patch.to_string();
    let answer = server.send("PATCH", &path, kind, &patch);
    check(&answer, &|| format!("{kind} {patch}"));
    if server.send("GET", &path, "", "").code == 404 {
        server.post(MAPS, &map("a")).expect(201);
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
        check(&server.post(&objects(&plural), &made), &|| rule.clone());
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
        check(&server.post(&objects(&plural), &made), &|| pattern.clone());
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
