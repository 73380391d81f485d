//! What a query asks for.

use serde_json::{Value, json};

use super::status::{ApiError, Cause};
use crate::objects::{DeleteOptions, Propagation};

/// A query, decoded, in the order in which it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Of the text after the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a parameter; empty if it was not given.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.0.iter().filter(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// A parameter that is true unless it says `false` or `0`; none if it was not given.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        Some(!(value.eq_ignore_ascii_case("false") || value == "0"))
    }

    /// A number; none if it was not given or is empty.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let wrong =
            |why| ApiError::bad_request(format!("strconv.ParseInt: parsing {value:?}: {why}"));
        match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(error) => Err(wrong(match std::num::ParseIntError::kind(&error) {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    "value out of range"
                }
                _ => "invalid syntax",
            })),
        }
    }
}

/// What is done about fields that are not known or given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the client is told.
    #[default]
    Warn,
    /// They are refused.
    Strict,
}

/// The options of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    /// Who writes; empty to be taken from the user agent.
    pub(crate) field_manager: String,
    pub(crate) field_validation: FieldValidation,
    /// An apply takes fields that others own.
    pub(crate) force: Option<bool>,
}

impl WriteOptions {
    /// Of a query; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub(crate) fn of(query: &Query, kind: &str, apply: bool) -> Result<Self, ApiError> {
        let manager = query.text("fieldManager");
        let mut causes = Vec::new();
        if kind == "PatchOptions" {
            if apply && manager.is_empty() {
                causes.push(Cause::required(
                    "fieldManager",
                    "is required for apply patch",
                ));
            }
            if !apply && query.has("force") {
                causes.push(Cause::forbidden(
                    "force",
                    "may not be specified for non-apply patch",
                ));
            }
        }
        causes.extend(field_manager(manager));
        causes.extend(dry_run(&query.all("dryRun")));
        let validation = query.text("fieldValidation");
        let field_validation = match validation {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                let value = format!("{other:?}");
                causes.push(Cause::not_supported("fieldValidation", &value, &supported));
                FieldValidation::Warn
            }
        };
        refuse(kind, &causes)?;
        Ok(Self {
            dry_run: query.has("dryRun"),
            field_manager: manager.to_owned(),
            field_validation,
            force: query.flag("force"),
        })
    }
}

/// The options of a request are wrong if there are causes.
pub(crate) fn refuse(kind: &str, causes: &[Cause]) -> Result<(), ApiError> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_in("meta.k8s.io", kind, "", causes))
}

fn field_manager(manager: &str) -> Vec<Cause> {
    const LENGTH: usize = 128;
    let mut causes = Vec::new();
    if manager.len() > LENGTH {
        let message = format!("Too long: may not be more than {LENGTH} bytes");
        causes.push(Cause::new("FieldValueTooLong", "fieldManager", message));
    }
    for (position, letter) in manager.char_indices().filter(|(_, c)| c.is_control()) {
        let code = u32::from(letter);
        let detail = format!("invalid character U+{code:04X} (at position {position})");
        causes.push(Cause::invalid(
            "fieldManager",
            &format!("{manager:?}"),
            &detail,
        ));
    }
    causes
}

/// What is wrong with `dryRun`, which may only say `All`.
pub(crate) fn dry_run(values: &[&str]) -> Vec<Cause> {
    if values.iter().all(|&value| value == "All") {
        return Vec::new();
    }
    let given = json!(values).to_string();
    vec![Cause::not_supported("dryRun", &given, &["All"])]
}

/// The options of a list or watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) limit: usize,
    pub(crate) continues: String,
    /// As it was sent; empty if it was not.
    pub(crate) resource_version: String,
    pub(crate) match_exact: bool,
    pub(crate) match_given: bool,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) timeout_seconds: Option<u64>,
}

impl ListOptions {
    /// Of a query. A path may ask to watch, too.
    pub(crate) fn of(query: &Query, watch: bool) -> Result<Self, ApiError> {
        let number = |name| query.number(name);
        let options = Self {
            label_selector: query.text("labelSelector").to_owned(),
            field_selector: query.text("fieldSelector").to_owned(),
            limit: usize::try_from(number("limit")?.unwrap_or(0)).unwrap_or(0),
            continues: query.text("continue").to_owned(),
            resource_version: query.text("resourceVersion").to_owned(),
            match_exact: query.text("resourceVersionMatch") == "Exact",
            match_given: !query.text("resourceVersionMatch").is_empty(),
            bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: query.flag("sendInitialEvents"),
            timeout_seconds: number("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok()),
        };
        let matching = query.text("resourceVersionMatch");
        let causes = if watch {
            options.wrong_watch(matching)
        } else {
            options.wrong_list(matching)
        };
        refuse("ListOptions", &causes)?;
        Ok(options)
    }

    fn wrong_list(&self, matching: &str) -> Vec<Cause> {
        const FIELD: &str = "resourceVersionMatch";
        let mut causes = Vec::new();
        if !matching.is_empty() {
            if self.resource_version.is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                causes.push(Cause::forbidden(FIELD, why));
            }
            if !self.continues.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                causes.push(Cause::forbidden(FIELD, why));
            }
            if !["Exact", "NotOlderThan"].contains(&matching) {
                let supported = ["Exact", "NotOlderThan", ""];
                causes.push(Cause::not_supported(
                    FIELD,
                    &format!("{matching:?}"),
                    &supported,
                ));
            }
            if matching == "Exact" && self.resource_version == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                causes.push(Cause::forbidden(FIELD, why));
            }
        }
        if self.send_initial_events.is_some() {
            let why = "sendInitialEvents is forbidden for list";
            causes.push(Cause::forbidden("sendInitialEvents", why));
        }
        causes
    }

    fn wrong_watch(&self, matching: &str) -> Vec<Cause> {
        const FIELD: &str = "resourceVersionMatch";
        let mut causes = Vec::new();
        if !self.continues.is_empty() && matching.is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(Cause::forbidden(FIELD, why));
        }
        if self.send_initial_events.is_some() && matching != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden(FIELD, why));
        }
        if !matching.is_empty() {
            if self.send_initial_events.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                causes.push(Cause::forbidden(FIELD, why));
            }
            if matching != "NotOlderThan" {
                causes.push(Cause::not_supported(
                    FIELD,
                    &format!("{matching:?}"),
                    &["NotOlderThan"],
                ));
            }
            if !self.continues.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                causes.push(Cause::forbidden(FIELD, why));
            }
        }
        causes
    }
}

impl DeleteOptions {
    /// Of the body if there is one, or else of the query.
    pub(crate) fn of(query: &Query, body: Option<&Value>) -> Result<Self, ApiError> {
        let from_query;
        let given = if let Some(body) = body {
            body
        } else {
            from_query = json!({
                "gracePeriodSeconds": query.number("gracePeriodSeconds")?,
                "propagationPolicy": query.get("propagationPolicy"),
                "orphanDependents": query.flag("orphanDependents"),
                "dryRun": query.all("dryRun"),
            });
            &from_query
        };
        check_delete_options(given)?;
        let text = |pointer: &str| given.pointer(pointer).and_then(Value::as_str);
        let mut causes = Vec::new();
        let orphan_dependents = given.get("orphanDependents").and_then(Value::as_bool);
        let policy = text("/propagationPolicy");
        if let (Some(_), Some(policy)) = (orphan_dependents, policy) {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid(
                "propagationPolicy",
                &format!("{policy:?}"),
                why,
            ));
        }
        let propagation = match policy {
            None => None,
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Background") => Some(Propagation::Background),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                let value = format!("{other:?}");
                causes.push(Cause::not_supported(
                    "propagationPolicy",
                    &value,
                    &supported,
                ));
                None
            }
        };
        let values = crate::meta::strings(given, "/dryRun");
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        causes.extend(dry_run(&values));
        refuse("DeleteOptions", &causes)?;
        Ok(Self {
            dry_run: !values.is_empty(),
            grace_period: given.get("gracePeriodSeconds").and_then(Value::as_i64),
            propagation,
            orphan_dependents,
            uid: text("/preconditions/uid").map(str::to_owned),
            resource_version: text("/preconditions/resourceVersion").map(str::to_owned),
        })
    }
}

/// Refuses options that are not of their types: what can't be read must not delete.
fn check_delete_options(options: &Value) -> Result<(), ApiError> {
    let fits = |value: &Value, wanted: &str| match wanted {
        "int64" => value.as_i64().is_some(),
        "bool" => value.is_boolean(),
        "[]string" => value.is_array(),
        "v1.Preconditions" => value.is_object(),
        _ => value.is_string(),
    };
    let fields = [
        ("gracePeriodSeconds", "int64"),
        ("preconditions", "v1.Preconditions"),
        ("preconditions.uid", "types.UID"),
        ("preconditions.resourceVersion", "string"),
        ("orphanDependents", "bool"),
        ("propagationPolicy", "v1.DeletionPropagation"),
        ("dryRun", "[]string"),
        ("ignoreStoreReadErrorWithClusterBreakingPotential", "bool"),
    ];
    let refused = |value: &Value, field: &str, wanted: &str| {
        let found = match value {
            Value::Number(number) => format!("number {number}"),
            other => super::json::go_kind(other).unwrap_or("string").to_owned(),
        };
        ApiError::unforeseen(format!(
            "json: cannot unmarshal {found} into Go struct field DeleteOptions.{field} of type {wanted}"
        ))
    };
    for (field, wanted) in fields {
        let value = options.pointer(&format!("/{}", field.replace('.', "/")));
        if let Some(value) = value.filter(|value| !value.is_null() && !fits(value, wanted)) {
            return Err(refused(value, field, wanted));
        }
    }
    let dry_run = options.get("dryRun").and_then(Value::as_array);
    let odd = dry_run.and_then(|values| values.iter().find(|value| !value.is_string()));
    odd.map_or(Ok(()), |value| Err(refused(value, "dryRun", "string")))
}
