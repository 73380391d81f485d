//! The types that CRDs bring: what a structural schema demands of objects.

mod cardinality;
mod cel;
mod correlate;
mod default_check;
mod embedded;
mod formats;
mod lists;
mod node;
mod number;
mod open_api;
mod pattern;
mod props;
mod rule_values;
mod rules;
mod shape;
mod structural;
#[cfg(test)]
mod structural_tests;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{ErrorKind, FieldError, Path, Schema};
use correlate::Correlation;
use node::Node;
use props::Props;
use rules::Place;

/// The schema of one version of a CRD, compiled.
#[derive(Debug)]
pub struct CustomSchema {
    schema: Arc<Schema>,
    node: Node,
}

impl CustomSchema {
    /// Compiles `spec.versions[].schema.openAPIV3Schema` of a CRD. What is wrong with it is told
    /// with paths that begin at `path`, where it is.
    pub fn parse(open_api: &Value, path: &Path<'_>) -> Result<Self, Vec<FieldError>> {
        let props = Props::deserialize(open_api)
            .map_err(|error| vec![FieldError::invalid(path, "", error.to_string())])?;
        let errors = Self::complaints(&props, path);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            schema: shape::of(&props),
            node: Node::new(&props, true),
        })
    }

    /// What is wrong with a schema.
    fn complaints(props: &Props, path: &Path<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if props.nullable {
            let detail = "nullable cannot be true at the root";
            errors.push(FieldError::forbidden(&path.field("nullable"), detail));
        }
        let unsupported = structural::unsupported(props);
        let mut is_structural = false;
        if unsupported.is_none() {
            let before = errors.len();
            errors.extend(structural::check(props, path));
            if errors.len() == before {
                default_check::check(props, path, &mut errors);
            }
            is_structural = errors.len() == before;
        }
        let mut found = open_api::check(props, is_structural, path);
        errors.append(&mut found.schema);
        errors.append(&mut found.rules);
        if let (true, Some(detail)) = (errors.is_empty(), unsupported) {
            errors.push(FieldError::invalid(path, "", detail));
        }
        errors
    }

    /// The shape of the objects: for defaults, pruning, patches and apply.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// There are rules in CEL, which can cost more than an object is large.
    pub fn has_rules(&self) -> bool {
        self.node.has_rules
    }

    /// Fills in the defaults of an object, in place. Nulls that are no values stay.
    pub fn default(&self, object: &mut Value) {
        self.schema.fill_defaults(object);
    }

    /// Drops the nulls of an object that are no values, and that no default stands for.
    pub fn drop_nulls(&self, object: &mut Value) {
        self.schema.drop_nulls(object);
    }

    /// Drops the unknown fields of an object and says which they were (`spec.foo`), in order.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        self.schema.prune(object)
    }

    /// Checks a new object, beyond its own metadata.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = validate::validate(&self.node, object, &Path::ROOT, None);
        self.check_embedded(object, &mut errors);
        lists::check(&self.schema, object, &Path::ROOT, &mut errors);
        self.check_rules(object, None, &mut errors);
        errors
    }

    /// Checks an object that is written again, beyond its own metadata. What was invalid before
    /// and did not change is let through.
    pub fn validate_update(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let correlation = Correlation::new(&self.node, object, old);
        let mut errors = validate::validate(&self.node, object, &Path::ROOT, Some(correlation));
        self.check_embedded(object, &mut errors);
        self.check_lists_update(object, old, &mut errors);
        self.check_rules(object, Some(old), &mut errors);
        errors
    }

    /// Checks an object whose status is written.
    pub fn validate_status(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let (Some(node), Some(status)) = (self.node.field("status"), object.get("status")) {
            let correlation = Correlation::new(&self.node, object, old).field("status");
            errors = validate::validate(node, status, &Path::ROOT, correlation);
            let path = Path::new("status");
            // The status is checked by itself, so messages name its fields without it.
            errors = errors
                .into_iter()
                .map(|error| error.within(&path))
                .collect();
        }
        self.check_lists_update(object, old, &mut errors);
        self.check_rules(object, Some(old), &mut errors);
        errors
    }

    fn check_embedded(&self, object: &Value, errors: &mut Vec<FieldError>) {
        embedded::check(&self.schema, object, &Path::ROOT, errors);
    }

    /// Lists that had duplicates before may keep them.
    fn check_lists_update(&self, object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
        let mut found = Vec::new();
        lists::check(&self.schema, object, &Path::ROOT, &mut found);
        if found.is_empty() {
            return;
        }
        let mut before = Vec::new();
        lists::check(&self.schema, old, &Path::ROOT, &mut before);
        if before.is_empty() {
            errors.append(&mut found);
        }
    }

    /// Rules are run only where the types are right and nothing is missing.
    fn check_rules(&self, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
        if !self.node.has_rules {
            return;
        }
        if errors.iter().any(|error| is_blocking(error.kind)) {
            let detail = "some validation rules were not checked because the object was invalid; \
                          correct the existing errors to complete validation";
            errors.push(FieldError::invalid(&Path::ROOT, Value::Null, detail));
            return;
        }
        let correlation = old.map(|old| Correlation::new(&self.node, object, old));
        let place = Place {
            old,
            correlation,
            around: None,
        };
        rules::check(&self.node, object, place, &Path::ROOT, errors);
    }
}

fn is_blocking(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotSupported
            | ErrorKind::Required
            | ErrorKind::TooLong
            | ErrorKind::TooMany
            | ErrorKind::TypeInvalid
    )
}
