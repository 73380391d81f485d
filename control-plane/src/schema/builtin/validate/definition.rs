//! `CustomResourceDefinition`s.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::{Errors, is_set, items, one_of, text, texts, unchanged};
use crate::schema::custom::CustomSchema;
use crate::schema::{FieldError, Path, names};

pub(crate) fn definition(definition: &Value, errors: &mut Errors) {
    let (spec, path) = (&definition["spec"], Path::new("spec"));
    let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    let name = text(&definition["metadata"], "name");
    if !name.is_empty() && name != wanted {
        let detail = r#"must be spec.names.plural+"."+spec.group"#;
        errors.push(FieldError::invalid(
            &Path::new("metadata.name"),
            name,
            detail,
        ));
    }
    check_group(spec, &path, errors);
    one_of(spec, "scope", &["Cluster", "Namespaced"], &path, errors);
    check_versions(spec, &path, errors);
    check_names(&spec["names"], &path.field("names"), errors);
    if spec["preserveUnknownFields"] == true {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        errors.push(FieldError::invalid(
            &path.field("preserveUnknownFields"),
            true,
            detail,
        ));
    }
    check_conversion(&spec["conversion"], &path.field("conversion"), errors);
    check_stored(definition, errors);
    check_approval(definition, errors);
}

/// What is wrong with a definition whose spec stays.
pub(crate) fn definition_again(definition: &Value, errors: &mut Errors) {
    check_stored(definition, errors);
    check_approval(definition, errors);
}

fn check_group(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let group = text(spec, "group");
    let path = path.field("group");
    let complaints = names::subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else if !complaints.is_empty() {
        errors.push(FieldError::invalid(&path, group, complaints.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(FieldError::invalid(&path, group, detail));
    }
}

fn check_versions(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let path = path.field("versions");
    let mut seen = BTreeSet::new();
    let mut stored = 0;
    let mut is_unique = true;
    for (index, version) in items(&spec["versions"]) {
        let path = path.index(index);
        if version["schema"]["openAPIV3Schema"].is_null() {
            let path = path.field("schema");
            errors.push(FieldError::required(&path.field("openAPIV3Schema"), ""));
        }
    }
    let shared = Shared::of(spec);
    shared.check(spec, errors);
    for (index, version) in items(&spec["versions"]) {
        let path = path.index(index);
        stored += usize::from(version["storage"] == true);
        let name = text(version, "name");
        is_unique &= seen.insert(name);
        let complaints = names::label_1035(name);
        if !complaints.is_empty() {
            let detail = complaints.join(",");
            errors.push(FieldError::invalid(&path.field("name"), name, detail));
        }
        if index == 0 && !complaints.is_empty() {
            // The first version is also the one that was there before there were several.
            errors.push(FieldError::invalid(
                &Path::new("spec.version"),
                name,
                complaints.join(","),
            ));
        }
        check_version(version, &shared, &path, errors);
    }
    let mut complain = |detail: &str| {
        errors.push(FieldError::invalid(&path, spec["versions"].clone(), detail));
    };
    if !is_unique {
        complain("must contain unique version names");
    }
    if stored != 1 {
        complain("must have exactly one version marked as storage version");
    }
}

fn check_version(version: &Value, shared: &Shared, path: &Path<'_>, errors: &mut Errors) {
    let warning = &version["deprecationWarning"];
    if !warning.is_null() {
        let path = path.field("deprecationWarning");
        let length = warning.as_str().unwrap_or_default().len();
        let detail = match length {
            _ if version["deprecated"] != true => "can only be set for deprecated versions",
            257.. => "must be <= 256 characters long",
            0 => "must not be an empty string",
            _ => "",
        };
        if !detail.is_empty() {
            errors.push(FieldError::invalid(&path, warning.clone(), detail));
        }
    }
    if !shared.schema {
        check_schema(version, &path.field("schema"), errors);
    }
    if !shared.subresources {
        check_scale(version, &path.field("subresources"), errors);
    }
    if !shared.columns {
        check_columns(version, &path.field("additionalPrinterColumns"), errors);
    }
}

/// What is the same in all versions. The real server keeps it once, and errors name it there.
struct Shared {
    schema: bool,
    subresources: bool,
    columns: bool,
}

impl Shared {
    fn of(spec: &Value) -> Self {
        let versions: Vec<_> = items(&spec["versions"])
            .map(|(_, version)| version)
            .collect();
        let is_same = |field: &str| {
            let mut pairs = versions.windows(2);
            pairs.all(|pair| matches!(pair, [one, other] if one[field] == other[field]))
        };
        Self {
            schema: is_same("schema"),
            subresources: is_same("subresources"),
            columns: is_same("additionalPrinterColumns"),
        }
    }

    fn check(&self, spec: &Value, errors: &mut Errors) {
        let path = Path::new("spec");
        let version = &spec["versions"][0];
        if self.schema {
            check_schema(version, &path.field("validation"), errors);
        }
        if self.subresources {
            check_scale(version, &path.field("subresources"), errors);
        }
        if self.columns {
            check_columns(version, &path.field("additionalPrinterColumns"), errors);
        }
    }
}

fn check_schema(version: &Value, path: &Path<'_>, errors: &mut Errors) {
    let schema = &version["schema"]["openAPIV3Schema"];
    if schema.is_null() {
        return;
    }
    let has_status = !version["subresources"]["status"].is_null();
    let type_name = text(schema, "type");
    if has_status && !matches!(type_name, "" | "object") {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the \
                      status subresource is enabled";
        let path = path.field("openAPIV3Schema.type");
        errors.push(FieldError::invalid(&path, type_name, detail));
    }
    if let Err(found) = CustomSchema::parse(schema, &path.field("openAPIV3Schema")) {
        errors.extend(found);
    }
}

fn check_columns(version: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (index, column) in items(&version["additionalPrinterColumns"]) {
        check_column(column, &path.index(index), errors);
    }
}

fn check_scale(version: &Value, path: &Path<'_>, errors: &mut Errors) {
    let scale = &version["subresources"]["scale"];
    if scale.is_null() {
        return;
    }
    for (field, prefixes, place) in [
        ("specReplicasPath", &[".spec."][..], "under .spec"),
        ("statusReplicasPath", &[".status."], "under .status"),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "under either .spec or .status",
        ),
    ] {
        let name = format!("scale.{field}");
        let (path, value) = (path.field(&name), text(scale, field));
        let is_below = prefixes.iter().any(|prefix| value.starts_with(prefix));
        if value.is_empty() {
            if field != "labelSelectorPath" {
                errors.push(FieldError::required(&path, ""));
            }
        } else if !value.starts_with('.') {
            let detail = "must be a simple json path starting with .";
            errors.push(FieldError::invalid(&path, value, detail));
        } else if !is_below {
            let detail = format!("should be a json path {place}");
            errors.push(FieldError::invalid(&path, value, detail));
        }
    }
}

fn check_column(column: &Value, path: &Path<'_>, errors: &mut Errors) {
    if text(column, "name").is_empty() {
        errors.push(FieldError::required(&path.field("name"), ""));
    }
    let types = ["boolean", "date", "integer", "number", "string"];
    let formats = [
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    let (kind, format) = (text(column, "type"), text(column, "format"));
    let one_of = |known: &[&str]| format!("must be one of {}", known.join(","));
    if kind.is_empty() {
        errors.push(FieldError::required(&path.field("type"), one_of(&types)));
    } else if !types.contains(&kind) {
        errors.push(FieldError::invalid(
            &path.field("type"),
            kind,
            one_of(&types),
        ));
    }
    if !format.is_empty() && !formats.contains(&format) {
        errors.push(FieldError::invalid(
            &path.field("format"),
            format,
            one_of(&formats),
        ));
    }
    let json_path = text(column, "jsonPath");
    if json_path.is_empty() {
        errors.push(FieldError::required(&path.field("JSONPath"), ""));
    } else if !json_path.starts_with('.') {
        let detail = "must be a simple json path starting with .";
        errors.push(FieldError::invalid(
            &path.field("JSONPath"),
            json_path,
            detail,
        ));
    }
}

fn check_names(object: &Value, path: &Path<'_>, errors: &mut Errors) {
    let fields = ["plural", "singular", "kind", "listKind"];
    for field in fields {
        if text(object, field).is_empty() {
            errors.push(FieldError::required(&path.field(field), ""));
        }
    }
    for field in fields {
        let name = text(object, field);
        let is_kind = field.ends_with("ind");
        let complaints = if is_kind {
            names::label_1035(&name.to_lowercase())
        } else {
            names::label_1035(name)
        };
        if !name.is_empty() && !complaints.is_empty() {
            let before = "may have mixed case, but should otherwise match: ";
            let detail = format!(
                "{}{}",
                if is_kind { before } else { "" },
                complaints.join(",")
            );
            errors.push(FieldError::invalid(&path.field(field), name, detail));
        }
    }
    let kind = text(object, "listKind");
    if !kind.is_empty() && kind == text(object, "kind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(&path.field("listKind"), kind, detail));
    }
    for field in ["shortNames", "categories"] {
        let path = path.field(field);
        for (index, name) in texts(&object[field]).into_iter().enumerate() {
            let complaints = names::label_1035(name);
            if !complaints.is_empty() {
                let detail = complaints.join(",");
                errors.push(FieldError::invalid(&path.index(index), name, detail));
            }
        }
    }
}

/// Objects are never converted here, so a webhook for it can't be used.
fn check_conversion(conversion: &Value, path: &Path<'_>, errors: &mut Errors) {
    if conversion.is_null() {
        return;
    }
    match text(conversion, "strategy") {
        "None" => {
            if is_set(&conversion["webhook"]) {
                let detail = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(
                    &path.field("webhookClientConfig"),
                    detail,
                ));
            }
        }
        "" => errors.push(FieldError::required(&path.field("strategy"), "")),
        "Webhook" => {
            let path = path.field("strategy");
            errors.push(FieldError::not_supported(&path, "Webhook", &["None"]));
        }
        strategy => {
            let known = ["None", "Webhook"];
            errors.push(FieldError::not_supported(
                &path.field("strategy"),
                strategy,
                &known,
            ));
        }
    }
}

fn check_stored(definition: &Value, errors: &mut Errors) {
    let path = Path::new("status.storedVersions");
    let shown = &definition["status"]["storedVersions"];
    let stored = texts(shown);
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        errors.push(FieldError::invalid(&path, shown.clone(), detail));
        return;
    }
    let versions: Vec<_> = items(&definition["spec"]["versions"]).collect();
    for (_, version) in &versions {
        let name = text(version, "name");
        if version["storage"] == true && !stored.contains(&name) {
            let detail = format!("must have the storage version {name}");
            errors.push(FieldError::invalid(&path, shown.clone(), detail));
        }
    }
    for (index, name) in stored.into_iter().enumerate() {
        if !versions
            .iter()
            .any(|(_, version)| text(version, "name") == name)
        {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains \
                 persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(FieldError::invalid(&path.index(index), name, detail));
        }
    }
}

/// Groups of the Kubernetes community are for what it has approved.
fn check_approval(definition: &Value, errors: &mut Errors) {
    const ANNOTATION: &str = "api-approved.kubernetes.io";
    let group = text(&definition["spec"], "group");
    let is_protected = ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group == *domain
            || group
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
    });
    if is_protected && text(&definition["metadata"]["annotations"], ANNOTATION).is_empty() {
        let detail = "protected groups must have approval annotation \
                      \"api-approved.kubernetes.io\", see \
                      https://github.com/kubernetes/enhancements/pull/1111";
        let path = Path::new("metadata.annotations");
        errors.push(FieldError::required(&path.key(ANNOTATION), detail));
    }
}

pub(crate) fn definition_update(definition: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("spec");
    let (new, before) = (&definition["spec"], &old["spec"]);
    let is_established = items(&old["status"]["conditions"]).any(|(_, condition)| {
        text(condition, "type") == "Established" && text(condition, "status") == "True"
    });
    if is_established {
        unchanged(new, before, "scope", &path, errors);
        unchanged(
            &new["names"],
            &before["names"],
            "kind",
            &path.field("names"),
            errors,
        );
    }
    unchanged(new, before, "group", &path, errors);
    unchanged(
        &new["names"],
        &before["names"],
        "plural",
        &path.field("names"),
        errors,
    );
}
