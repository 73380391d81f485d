//! The declarations of a Go package of Kubernetes' APIs, as far as protobuf needs them.
//!
//! The published `.proto` files do not say which fields may be unset, nor their names in JSON; the
//! tags and the types of the Go structs do, and the `.proto` files are made from those.

use std::collections::HashMap;

/// What a file with types declares.
#[derive(Debug, Default)]
pub(super) struct Package {
    /// Import paths, by the names under which the file uses them.
    pub(super) imports: HashMap<String, String>,
    pub(super) structs: HashMap<String, Vec<Field>>,
    /// Types with another type under them: `Finalizers []string`.
    pub(super) named: HashMap<String, String>,
}

/// A field of a struct that is in protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: String,
    /// In JSON; `.` if its fields are those of the struct around it.
    pub(super) name: String,
    /// As in Go: `*metav1.Time`, `map[string]string`.
    pub(super) go_type: String,
}

impl Package {
    /// Reads a file that is formatted as `gofmt` does.
    pub(super) fn parse(source: &str) -> Self {
        let mut package = Self::default();
        let mut current = None;
        for line in source.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                [first, ..] if first.starts_with("//") => {}
                ["type", name, "struct", "{", ..] => {
                    package.structs.entry(name.to_owned()).or_default();
                    current = Some(name.to_owned());
                }
                ["type", name, go_type, ..] if go_type != "struct" => {
                    package.named.insert(name.to_owned(), go_type.to_owned());
                }
                ["}", ..] if line.starts_with('}') => current = None,
                _ => match &current {
                    Some(name) => {
                        let fields = package.structs.get_mut(name).into_iter();
                        fields.for_each(|fields| fields.extend(field(line)));
                    }
                    None => package.imports.extend(import(&words)),
                },
            }
        }
        package
    }
}

/// A line of imports: `metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"`.
fn import(words: &[&str]) -> Option<(String, String)> {
    let words = words.strip_prefix(&["import"]).unwrap_or(words);
    let (name, path) = match words {
        [path] => (None, path),
        [name, path] => (Some(*name), path),
        _ => return None,
    };
    let path = path.strip_prefix('"')?.strip_suffix('"')?;
    let name = name.or_else(|| path.rsplit('/').next())?;
    Some((name.to_owned(), path.to_owned()))
}

/// A line of a struct; none if it is no field, or not in protobuf.
fn field(line: &str) -> Option<Field> {
    let mut parts = line.split('`');
    let (declared, tags) = (parts.next()?, parts.next()?);
    let number = tag(tags, "protobuf")?.split(',').nth(1)?;
    let name = tag(tags, "json")?.split(',').next()?;
    Some(Field {
        number: number.to_owned(),
        name: if name.is_empty() { "." } else { name }.to_owned(),
        go_type: declared.split_whitespace().last()?.to_owned(),
    })
}

/// The value of a tag: of `json:"name,omitempty"`, what is between the quotes.
fn tag<'a>(tags: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tags.split_once(&format!("{name}:\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
package v1

import (
	"k8s.io/apimachinery/pkg/runtime"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// type Comment struct {
type Phase string

type Thing struct {
	metav1.TypeMeta `json:",inline"`
	// Its metadata.
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	Source `json:",inline" protobuf:"bytes,2,opt,name=source"`
	Phase  *Phase `json:"phase" protobuf:"bytes,7,opt,name=thingPhase"` // as Go has it
	Secret string `json:"-" protobuf:"-"`
}

func (t Thing) String() string {
	return ""
}
"#;

    #[test]
    fn fields_have_their_names_of_json() {
        let package = Package::parse(SOURCE);
        let field = |number: &str, name: &str, go_type: &str| Field {
            number: number.to_owned(),
            name: name.to_owned(),
            go_type: go_type.to_owned(),
        };
        assert_eq!(
            package.structs["Thing"],
            [
                field("1", "metadata", "metav1.ObjectMeta"),
                field("2", ".", "Source"),
                field("7", "phase", "*Phase"),
            ]
        );
        assert_eq!(package.structs.len(), 1);
        assert_eq!(package.named["Phase"], "string");
        assert_eq!(
            package.imports["runtime"],
            "k8s.io/apimachinery/pkg/runtime"
        );
        assert_eq!(
            package.imports["metav1"],
            "k8s.io/apimachinery/pkg/apis/meta/v1"
        );
    }

    #[test]
    fn an_import_may_stand_alone() {
        let package = Package::parse("import m \"example.com/meta/v1\"\n");
        assert_eq!(package.imports["m"], "example.com/meta/v1");
    }
}
