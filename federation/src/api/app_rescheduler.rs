//! `AppRescheduler`: asks for work to be brought home from cloud clusters.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks for work to be brought home. The original reads no field of it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource,
)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "AppRescheduler",
    shortname = "appresch",
    shortname = "appres",
    derive = "PartialEq",
    deprecated = "fogguru.eu/v1 AppRescheduler: no operator of this release serves it, so the object has no effect",
    doc = "Asks for work to be brought home from cloud clusters.",
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
pub struct AppReschedulerSpec {}
