//! Limits that hold for a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits that hold for a time, again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// When it begins: a cron expression of five fields, e.g. `0 8 * * 1-5`.
    #[schemars(length(min = 1, max = 253))]
    pub schedule: String,
    /// The time zone of `schedule`, as the IANA names it, e.g. `Europe/Paris`. Default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub time_zone: Option<String>,
    /// How long it lasts, e.g. `10h` or `1h 30m`.
    #[schemars(length(min = 1, max = 63))]
    pub duration: String,
    /// Stands for `minReplicas` meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_replicas: Option<u32>,
    /// Stands for `maxReplicas` meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_replicas: Option<u32>,
}
