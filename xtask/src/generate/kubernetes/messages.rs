//! The protobuf messages of the built-in kinds, and of all that is in them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::Sources;
use super::discovery::Kind;
use super::go_types::Package;

const META: &str = "k8s.io/apimachinery/pkg/apis/meta/v1";

/// Go types whose form in JSON is another one than in protobuf.
const SPECIAL: [(&str, &str); 8] = [
    ("k8s.io/apimachinery/pkg/api/resource.Quantity", "Q"),
    ("k8s.io/apimachinery/pkg/apis/meta/v1.Duration", "D"),
    ("k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1", "R"),
    ("k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime", "U"),
    ("k8s.io/apimachinery/pkg/apis/meta/v1.Time", "T"),
    ("k8s.io/apimachinery/pkg/runtime.RawExtension", "R"),
    ("k8s.io/apimachinery/pkg/types.UID", "s"),
    ("k8s.io/apimachinery/pkg/util/intstr.IntOrString", "O"),
];

/// The text of `messages.txt`; `control-plane/src/protobuf/mod.rs` says its form.
pub(super) fn table(sources: &Sources, kinds: &[Kind]) -> Result<String> {
    let load = |package: &str| sources.go_types(package);
    let mut messages = Messages::new(&load);
    messages.add(META, "DeleteOptions")?;
    for kind in kinds.iter().filter(|kind| kind.served.has_message) {
        let served = kind.served;
        messages.add(&package_of(served.group, served.version), served.kind)?;
        // What comes with options comes in the query.
        let sent = kind.subresources.iter();
        for sub in sent.filter(|sub| !sub.kind.ends_with("Options")) {
            messages.add(&package_of(&sub.group, &sub.version), &sub.kind)?;
        }
    }
    Ok(messages.text())
}

/// The Go package with the types of a group.
fn package_of(group: &str, version: &str) -> String {
    let name = group.split('.').next().unwrap_or_default();
    match name {
        "" => format!("k8s.io/api/core/{version}"),
        "apiregistration" => format!("k8s.io/kube-aggregator/pkg/apis/{name}/{version}"),
        "apiextensions" => format!("k8s.io/apiextensions-apiserver/pkg/apis/{name}/{version}"),
        _ => format!("k8s.io/api/{name}/{version}"),
    }
}

/// The messages so far.
struct Messages<'a> {
    /// The source of a package's types.
    load: &'a dyn Fn(&str) -> Result<String>,
    packages: HashMap<String, Rc<Package>>,
    /// Lines of fields, by the name of the message.
    done: BTreeMap<String, Vec<String>>,
}

impl<'a> Messages<'a> {
    fn new(load: &'a dyn Fn(&str) -> Result<String>) -> Self {
        Self {
            load,
            packages: HashMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Adds a struct and all that is in it. Gives its name.
    fn add(&mut self, path: &str, name: &str) -> Result<String> {
        let message = message_name(path, name);
        if self.done.contains_key(&message) {
            return Ok(message);
        }
        // It may hold itself.
        self.done.insert(message.clone(), Vec::new());
        let package = self.package(path)?;
        let fields = package.structs.get(name);
        let fields = fields.with_context(|| format!("{path} has no struct {name}"))?;
        let mut lines = Vec::new();
        for field in fields {
            let code = self.code(path, &field.go_type);
            let code = code.with_context(|| format!("{message}, field {}", field.name))?;
            lines.push(format!("{} {} {code}", field.number, field.name));
        }
        self.done.insert(message.clone(), lines);
        Ok(message)
    }

    fn package(&mut self, path: &str) -> Result<Rc<Package>> {
        if let Some(package) = self.packages.get(path) {
            return Ok(Rc::clone(package));
        }
        let package = Rc::new(Package::parse(&(self.load)(path)?));
        self.packages.insert(path.to_owned(), Rc::clone(&package));
        Ok(package)
    }

    /// What a field of a Go type holds.
    fn code(&mut self, path: &str, go_type: &str) -> Result<String> {
        for (prefix, mark) in [("*", "?"), ("[]", "*")] {
            if let Some(inner) = go_type.strip_prefix(prefix).filter(|_| go_type != "[]byte") {
                return Ok(format!("{mark}{}", self.code(path, inner)?));
            }
        }
        if let Some((_, value)) = go_type
            .strip_prefix("map[")
            .and_then(|map| map.split_once(']'))
        {
            return Ok(format!("%{}", self.code(path, value)?));
        }
        Ok(match go_type {
            "string" => "s".to_owned(),
            "bool" => "b".to_owned(),
            "int" | "int32" | "int64" => "i".to_owned(),
            "float64" => "f".to_owned(),
            "[]byte" => "y".to_owned(),
            named => self.code_of_named(path, named)?,
        })
    }

    /// What a type with a name holds: `metav1.Time`, or `PodSpec` in the package itself.
    fn code_of_named(&mut self, path: &str, go_type: &str) -> Result<String> {
        let (path, name) = match go_type.split_once('.') {
            None => (path.to_owned(), go_type),
            Some((import, name)) => {
                let package = self.package(path)?;
                let imported = package.imports.get(import);
                let imported = imported.with_context(|| format!("{path} imports no {import}"))?;
                (imported.clone(), name)
            }
        };
        let full = format!("{path}.{name}");
        if let Some((_, code)) = SPECIAL.iter().find(|(special, _)| *special == full) {
            return Ok((*code).to_owned());
        }
        let package = self.package(&path)?;
        if package.structs.contains_key(name) {
            return Ok(format!("m{}", self.add(&path, name)?));
        }
        let under = package.named.get(name);
        let under = under.with_context(|| format!("{full} is not declared"))?;
        match under.strip_prefix("[]") {
            // A list with a name is a message with a list in it.
            Some(items) => Ok(format!("L{}", self.code(&path, items)?)),
            None => self.code(&path, under),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (message, lines) in &self.done {
            // Writing to a text does not fail.
            let _ = writeln!(text, "message {message}");
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }
}

/// `core.v1.Pod` of `k8s.io/api/core/v1`.
fn message_name(path: &str, name: &str) -> String {
    let mut folders = path.rsplit('/');
    let (version, package) = (folders.next(), folders.next());
    let (version, package) = (version.unwrap_or_default(), package.unwrap_or_default());
    format!("{package}.{version}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const THINGS: &str = r#"
import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

type Phase string
type Values []string
type Amounts map[Phase]metav1.Time

type Thing struct {
	Inner   `json:",inline" protobuf:"bytes,1,opt,name=inner"`
	Phase   *Phase            `json:"phase" protobuf:"bytes,2,opt,name=phase"`
	Key     []byte            `json:"key" protobuf:"bytes,3,opt,name=key"`
	Extra   map[string]Values `json:"extra" protobuf:"bytes,4,rep,name=extra"`
	Amounts Amounts           `json:"amounts" protobuf:"bytes,5,rep,name=amounts"`
	Others  []Thing           `json:"others" protobuf:"bytes,6,rep,name=others"`
}

type Inner struct {
	Count int32 `json:"count" protobuf:"varint,1,opt,name=count"`
}

type Unused struct {
}
"#;

    #[test]
    fn what_is_in_a_kind_follows_it() {
        let load = |_: &str| Ok(THINGS.to_owned());
        let mut messages = Messages::new(&load);
        messages.add("k8s.io/api/things/v1", "Thing").unwrap();
        assert_eq!(
            messages.text(),
            "message things.v1.Inner\n1 count i\n\
             message things.v1.Thing\n1 . mthings.v1.Inner\n2 phase ?s\n3 key y\n4 extra %Ls\n\
             5 amounts %T\n6 others *mthings.v1.Thing\n"
        );
    }

    #[test]
    fn what_is_not_declared_is_refused() {
        let load = |_: &str| Ok(THINGS.to_owned());
        let error = Messages::new(&load).add("k8s.io/api/things/v1", "Gone");
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "k8s.io/api/things/v1 has no struct Gone");
    }
}
