//! An object that is not applied yet.

use kube::api::DynamicObject;

use crate::validate::{Invalid, validate};
use crate::workload::{Key, Kind, Workload};

/// An object that is not applied yet, and that the scheduler would serve.
#[derive(Clone, Debug)]
pub struct Manifest(Workload);

impl Manifest {
    /// Reads an object with its namespace. It is refused for what the scheduler would refuse it for, in
    /// the same words: the field, and what to write instead.
    pub fn read(kind: Kind, object: &DynamicObject) -> Result<Self, String> {
        let workload = Workload::read(kind, object);
        validate(&workload).map_err(|Invalid(problem)| problem)?;
        Ok(Self(workload))
    }

    /// Which object.
    pub(super) fn key(&self) -> &Key {
        &self.0.key
    }

    /// The object as it would be after the one that the hub has. A new one has a uid that no object of
    /// an API server has.
    pub(super) fn applied_to(&self, existing: Option<&Workload>) -> Workload {
        let mut workload = self.0.clone();
        match existing {
            Some(before) => {
                let is_same = before.spec == workload.spec;
                workload.uid.clone_from(&before.uid);
                workload.generation = before.generation + i64::from(!is_same);
                workload.deleted_at = before.deleted_at;
                workload.status = before.status.clone();
                workload.damaged_record.clone_from(&before.damaged_record);
            }
            None => workload.uid = workload.key.to_string(),
        }
        workload
    }
}
