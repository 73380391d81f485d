//! Amounts of resources, as templates, pods and nodes write them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use placement::{QuantityError, Resources, check_amount, parse_milli, parse_whole};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::pods::ShapeError;

pub(super) type Amounts = BTreeMap<String, Amount>;

/// A quantity as it is written: text or a number. Nothing is none.
#[derive(Clone, Debug)]
pub(super) struct Amount(pub(super) String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        text_of(&value).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("{value} is not a quantity: write \"500m\" or 2"))
        })
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        // Kubernetes takes spaces around it.
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some("0".to_owned()),
        _ => None,
    }
}

/// Resource amounts by name as integers; the error names the resource.
pub fn quantities<'a>(
    amounts: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Resources, (String, QuantityError)> {
    let mut resources = Resources::default();
    for (name, text) in amounts {
        let failed = |error| (name.to_owned(), error);
        match name {
            "cpu" => resources.cpu_milli = parse_milli(text).map_err(failed)?,
            "memory" => resources.memory = parse_whole(text).map_err(failed)?,
            "ephemeral-storage" => {
                resources.ephemeral_storage = parse_whole(text).map_err(failed)?;
            }
            "pods" => resources.pods = parse_whole(text).map_err(failed)?,
            // Attached volumes are counted by CSI drivers, not by requests.
            name if name.starts_with("attachable-volumes-") => {}
            name => {
                resources
                    .extended
                    .insert(name.to_owned(), parse_whole(text).map_err(failed)?);
            }
        }
    }
    Ok(resources)
}

/// The same for the amounts of a typed object; amounts that are no quantity count as none.
pub fn typed_quantities(amounts: &BTreeMap<String, Quantity>) -> Resources {
    let mut all = Resources::default();
    for (name, quantity) in amounts {
        if let Ok(one) = quantities(std::iter::once((name.as_str(), quantity.0.as_str()))) {
            all = all.saturating_add(&one);
        }
    }
    all
}

/// Amounts as people write them.
pub fn quantities_of(resources: &Resources) -> BTreeMap<String, Quantity> {
    let cpu = if resources.cpu_milli % 1000 == 0 {
        (resources.cpu_milli / 1000).to_string()
    } else {
        format!("{}m", resources.cpu_milli)
    };
    let mut all = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu)),
        ("memory".to_owned(), Quantity(bytes(resources.memory))),
        ("pods".to_owned(), Quantity(resources.pods.to_string())),
    ]);
    if resources.ephemeral_storage > 0 {
        all.insert(
            "ephemeral-storage".to_owned(),
            Quantity(bytes(resources.ephemeral_storage)),
        );
    }
    all.extend(
        resources
            .extended
            .iter()
            .map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))),
    );
    all
}

fn bytes(amount: i64) -> String {
    const UNITS: [(&str, i64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let unit = UNITS
        .iter()
        .find(|(_, size)| amount != 0 && amount % size == 0);
    unit.map_or_else(
        || amount.to_string(),
        |(name, size)| format!("{}{name}", amount / size),
    )
}

/// Refuses a template with an amount, wherever it stands, that is no quantity, negative, or too
/// large to count: members would refuse it, or hang on it.
pub(super) fn check_amounts(template: &Value) -> Result<(), ShapeError> {
    match template.get("spec") {
        Some(spec) => check(spec, "spec"),
        None => Ok(()),
    }
}

fn check(value: &Value, path: &str) -> Result<(), ShapeError> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            let path = format!("{path}.{key}");
            match (key.as_str(), value) {
                ("requests" | "limits" | "overhead", Value::Object(amounts)) => amounts
                    .iter()
                    .try_for_each(|(name, amount)| check_one(amount, format!("{path}.{name}"))),
                ("sizeLimit" | "divisor", amount) => check_one(amount, path),
                // Any key may stand in these.
                ("labels" | "annotations" | "matchLabels" | "nodeSelector", _) => Ok(()),
                _ => check(value, &path),
            }
        }),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(number, item)| {
            let name = item.get("name").and_then(Value::as_str);
            match name {
                Some(name) => check(item, &format!("{path}[{name}]")),
                None => check(item, &format!("{path}[{number}]")),
            }
        }),
        _ => Ok(()),
    }
}

fn check_one(amount: &Value, path: String) -> Result<(), ShapeError> {
    let text = text_of(amount).unwrap_or_else(|| amount.to_string());
    check_amount(&text).map_err(|source| ShapeError::Quantity { path, source })
}
