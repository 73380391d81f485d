//! Hundreds of custom resource definitions: until they are served, and what a small change costs.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

use super::super::Figure;
use super::super::procfs::processor_time;
use super::runtime;
use super::server::{Ours, build};

const DEFINITIONS: usize = 500;
/// Fields of each, all with a pattern.
const FIELDS: usize = 10;
/// Small changes that are made to one of them.
const CHANGES: u32 = 200;
const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ESTABLISHED: Duration = Duration::from_secs(5);
const CHANGED: Duration = Duration::from_millis(2);

pub(super) fn run(quick: bool) -> Result<Vec<Figure>> {
    build()?;
    let definitions = if quick { DEFINITIONS / 10 } else { DEFINITIONS };
    runtime()?.block_on(measure(definitions))
}

async fn measure(definitions: usize) -> Result<Vec<Figure>> {
    let ours = Ours::start("definitions", false, 1)?;
    let connector = ours.server.connector()?;
    let mut connection = ours.server.connect(&connector).await?;
    let begun = Instant::now();
    for number in 0..definitions {
        // It is answered when the definition is established and served.
        let body = Bytes::from(definition(number).to_string());
        connection.call(Method::POST, PATH, body).await?;
    }
    let established = begun.elapsed();
    let processor = processor_time(&ours.server.pids)?;
    let one = format!("{PATH}/widgets7.example.com");
    for number in 0..CHANGES {
        let label = json!([{
            "op": "add", "path": "/metadata/labels", "value": {"number": number.to_string()},
        }]);
        connection.patch(&one, label.to_string().into()).await?;
    }
    let processor = processor_time(&ours.server.pids)?.saturating_sub(processor) / CHANGES;
    Ok(vec![
        Figure {
            name: format!("{definitions} definitions of {FIELDS} patterned fields, until served"),
            measured: format!("{established:.1?}"),
            target: format!("< {ESTABLISHED:?}"),
            met: established < ESTABLISHED,
        },
        Figure {
            name: format!("a label of one of {definitions} definitions, processor"),
            measured: format!("{processor:.2?}"),
            target: format!("< {CHANGED:?}"),
            met: processor < CHANGED,
        },
    ])
}

fn definition(number: usize) -> Value {
    let fields: Map<String, Value> = (0..FIELDS)
        .map(|field| {
            let pattern = format!("^[a-z0-9]([-a-z0-9]{{0,60}}[a-z0-9])?{field}$");
            let schema = json!({"type": "string", "pattern": pattern});
            (format!("field{field}"), schema)
        })
        .collect();
    let spec = json!({"type": "object", "properties": fields});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets{number}.example.com")},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": format!("widgets{number}"), "kind": format!("Widget{number}")},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": spec},
                }},
            }],
        },
    })
}
