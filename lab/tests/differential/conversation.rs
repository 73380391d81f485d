//! A conversation with one server.

use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use crate::Values;
use crate::case::{Case, Step, Until};
use crate::normal::Normalizer;
use crate::server::Server;

/// How long a server may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, normalized.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub warnings: Vec<String>,
    pub retry_after: String,
    /// JSON if it is, a list of the events if it was a watch, and otherwise a text.
    pub body: Value,
}

impl Answer {
    /// The connection ended without an answer.
    fn none(error: &kube::Error) -> Self {
        Self {
            status: 0,
            content_type: String::new(),
            warnings: Vec::new(),
            retry_after: String::new(),
            body: format!("no answer: {error:?}").into(),
        }
    }
}

/// A conversation with one server.
pub struct Conversation<'a> {
    server: &'a Server,
    values: Values,
    normalizer: Normalizer,
    answers: Vec<Answer>,
}

impl<'a> Conversation<'a> {
    /// Makes the namespace.
    pub async fn begin(case: &Case, server: &'a Server) -> Self {
        let namespace = namespace_of(&case.name);
        let mut values = Values::from([
            ("ns".to_owned(), namespace.clone()),
            ("v1".to_owned(), "/api/v1".to_owned()),
            ("core".to_owned(), format!("/api/v1/namespaces/{namespace}")),
        ]);
        for (short, group) in [
            ("apps", "apps/v1"),
            ("autoscaling", "autoscaling/v2"),
            ("batch", "batch/v1"),
            ("coordination", "coordination.k8s.io/v1"),
            ("networking", "networking.k8s.io/v1"),
            ("policy", "policy/v1"),
            ("rbac", "rbac.authorization.k8s.io/v1"),
        ] {
            let path = format!("/apis/{group}/namespaces/{namespace}");
            values.insert(short.to_owned(), path);
        }
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        values.insert("crds".to_owned(), definitions.to_owned());
        let own = format!("/apis/{namespace}.example.com/v1/namespaces/{namespace}");
        values.insert("own".to_owned(), own);
        let conversation = Self {
            server,
            values,
            normalizer: Normalizer::default(),
            answers: Vec::new(),
        };
        let text = format!(
            r#"{{"do":"POST <v1>/namespaces","raw":"{{\"metadata\":{{\"name\":\"{namespace}\"}}}}"}}"#
        );
        let step: Step = serde_json::from_str(&text).unwrap();
        let made = received(conversation.ask(&step).await).await;
        assert_eq!(made.status, 201, "{}: {made:?}", case.name);
        conversation
    }

    /// Makes these requests.
    pub async fn hold(&mut self, steps: &[Step]) {
        for step in steps {
            if step.during.is_empty() {
                let answer = self.settled(step).await;
                self.take(step, answer);
            } else {
                let watch = self.ask(step).await;
                let mut meanwhile = Vec::new();
                for step in &step.during {
                    let answer = self.settled(step).await;
                    self.keep(step, &answer);
                    meanwhile.push((step, answer));
                }
                let events = received(watch).await;
                self.take(step, events);
                for (step, answer) in meanwhile {
                    self.take(step, answer);
                }
            }
        }
    }

    /// What was answered.
    pub fn answers(self) -> Vec<Answer> {
        self.answers
    }

    /// Asks until the answer is as it shall be, or patience is at its end: then the last one
    /// counts, and differs from that of a server that got there.
    async fn settled(&self, step: &Step) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = received(self.ask(step).await).await;
            let arrived = match &step.until {
                None => true,
                Some(Until::Status(status)) => answer.status == *status,
                Some(Until::Values(values)) => values.iter().all(|(pointer, value)| {
                    answer.body.pointer(pointer).unwrap_or(&Value::Null) == value
                }),
            };
            if arrived || begun.elapsed() > PATIENCE {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn keep(&mut self, step: &Step, answer: &Answer) {
        for (name, pointer) in &step.keep {
            let value = match answer.body.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => "missing".to_owned(),
            };
            self.values.insert(name.clone(), value);
        }
    }

    fn take(&mut self, step: &Step, mut answer: Answer) {
        self.keep(step, &answer);
        self.normalizer.normalize(&mut answer.body);
        for warning in &mut answer.warnings {
            *warning = self.normalizer.text(warning);
        }
        self.answers.push(answer);
    }

    async fn ask(&self, step: &Step) -> kube::Result<Response<Body>> {
        let fill = |text: &str| fill(text, &self.values);
        let (method, path) = step.request.split_once(' ').unwrap();
        let agent = "differential/1";
        let mut request = Request::builder()
            .method(method)
            .uri(fill(path))
            .header(header::USER_AGENT, agent)
            .header(header::ACCEPT, accept(step.accept.as_deref()));
        let token = step.token.as_deref().unwrap_or(&self.server.token);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", fill(token)));
        }
        if let Some(user) = &step.user {
            request = request.header("Impersonate-User", fill(user));
        }
        for (name, value) in &step.headers {
            request = request.header(name, fill(value));
        }
        let body = match (&step.raw, &step.body) {
            (Some(raw), _) => Some(fill(raw)),
            (None, Some(body)) => Some(fill(&body.to_string())),
            (None, None) => None,
        };
        if body.is_some() {
            let content_type = content_type(step.content_type.as_deref());
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = body.unwrap_or_default().into_bytes();
        self.server.send(request.body(body).unwrap()).await
    }
}

/// A namespace's name, of a case's name.
fn namespace_of(name: &str) -> String {
    let dashed = name
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let mut words: Vec<_> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    while words.join("-").len() > 50 {
        words.pop();
    }
    words.join("-")
}

fn accept(form: Option<&str>) -> &str {
    match form {
        None => "application/json",
        Some("table") => "application/json;as=Table;v=v1;g=meta.k8s.io",
        Some("partial") => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        Some("partials") => "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        Some("aggregated") => {
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        }
        Some(other) => other,
    }
}

fn content_type(form: Option<&str>) -> &str {
    match form {
        None => "application/json",
        Some("merge") => "application/merge-patch+json",
        Some("json") => "application/json-patch+json",
        Some("strategic") => "application/strategic-merge-patch+json",
        Some("apply") => "application/apply-patch+yaml",
        Some(other) => other,
    }
}

/// Puts values in the place of `<name>`.
fn fill(text: &str, values: &Values) -> String {
    let mut filled = text.to_owned();
    // Twice: a value can have placeholders itself.
    for (name, value) in values {
        filled = filled.replace(&format!("<{name}>"), value);
    }
    while let Some((before, rest)) = filled.split_once("<letters:") {
        let (count, after) = rest.split_once('>').unwrap();
        filled = format!("{before}{}{after}", "x".repeat(count.parse().unwrap()));
    }
    filled
}

async fn received(response: kube::Result<Response<Body>>) -> Answer {
    let (head, body) = match response {
        Ok(response) => response.into_parts(),
        Err(error) => return Answer::none(&error),
    };
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let bytes = bytes.unwrap_or_default();
    Answer {
        status: head.status.as_u16(),
        content_type: all(&head.headers, "content-type").join(", "),
        warnings: all(&head.headers, "warning"),
        retry_after: all(&head.headers, "retry-after").join(", "),
        body: parsed(&bytes),
    }
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

/// One value if the text is one, several (the events of a watch) as a list.
fn parsed(bytes: &[u8]) -> Value {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(bytes)
        .into_iter()
        .collect();
    match values {
        Ok(values) if values.len() == 1 && values[0].get("object").is_none() => {
            values.into_iter().next().unwrap_or_default()
        }
        Ok(values) => values.into(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned().into(),
    }
}
