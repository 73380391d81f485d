//! Rules of roles (`PolicyRule`), as objects have them: what they allow, and what they cover.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::attributes::Attributes;
use crate::meta::items;

/// Whether a rule allows something.
pub(crate) fn allows(rule: &Value, attributes: &Attributes) -> bool {
    if !has(rule, "/verbs", &attributes.verb) {
        return false;
    }
    if let Some(path) = &attributes.path {
        return texts(rule, "/nonResourceURLs").any(|pattern| {
            pattern == "*"
                || pattern == path
                || pattern
                    .strip_suffix('*')
                    .is_some_and(|prefix| path.starts_with(prefix))
        });
    }
    has(rule, "/apiGroups", &attributes.group)
        && has_resource(rule, attributes)
        && (items(rule, "/resourceNames").is_empty()
            || texts(rule, "/resourceNames").any(|name| name == attributes.name))
}

fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    items(rule, field).iter().filter_map(Value::as_str)
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    texts(rule, field).any(|value| value == "*" || value == wanted)
}

fn has_resource(rule: &Value, attributes: &Attributes) -> bool {
    let full = attributes.full_resource();
    let of_any = format!("*/{}", attributes.subresource);
    texts(rule, "/resources").any(|resource| {
        resource == "*"
            || resource == full
            || (!attributes.subresource.is_empty() && resource == of_any)
    })
}

/// Values that are looked at to find what is missing, at most. The rules of real roles take some
/// thousands.
const MOST_STEPS: usize = 2_000_000;

/// Bytes of missing rights that are shown.
const MOST_SHOWN: usize = 64 * 1024;

/// There are too many rules to find out what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// What of the rights of some rules the rules of an owner do not have: a text for each resource or
/// path, as kube-apiserver shows them, sorted. Of very many, the first are shown.
pub(crate) fn missing(owner: &[Value], rules: &[Value]) -> Result<Vec<String>, TooMany> {
    let owned: Vec<Owned> = owner.iter().map(Owned::new).collect();
    let mut steps = MOST_STEPS;
    let mut missing = Vec::new();
    for block in rules.iter().flat_map(Block::of) {
        let mut rest = vec![block];
        for owned in &owned {
            let mut smaller = Vec::new();
            for block in rest {
                block.subtract(owned, &mut steps, &mut smaller)?;
            }
            rest = smaller;
            if rest.is_empty() {
                break;
            }
        }
        missing.extend(rest);
    }
    Ok(shown(&missing))
}

/// What the values of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Group,
    Resource,
    Name,
    Path,
    Verb,
}

/// The values of a list. None stands for all names.
type Values<'a> = Rc<[Option<&'a str>]>;

/// Rights: each combination of one value of each list.
struct Block<'a>(Vec<(Field, Values<'a>)>);

impl<'a> Block<'a> {
    /// The rights of a rule: those on resources, and those on paths.
    fn of(rule: &'a Value) -> [Self; 2] {
        let list = |field: &str| texts(rule, field).map(Some).collect::<Values<'a>>();
        let names = match list("/resourceNames") {
            none if none.is_empty() => Rc::from([None]),
            names => names,
        };
        let verbs = list("/verbs");
        let resources = vec![
            (Field::Group, list("/apiGroups")),
            (Field::Resource, list("/resources")),
            (Field::Name, names),
            (Field::Verb, Rc::clone(&verbs)),
        ];
        let paths = vec![
            (Field::Path, list("/nonResourceURLs")),
            (Field::Verb, verbs),
        ];
        [Self(resources), Self(paths)]
    }

    /// Adds to `rest` what an owner's rule does not cover of this.
    fn subtract(
        self,
        owned: &Owned<'_>,
        steps: &mut usize,
        rest: &mut Vec<Self>,
    ) -> Result<(), TooMany> {
        let mut split = Vec::new();
        for (field, values) in &self.0 {
            let cost = values.len().saturating_mul(owned.cost(*field));
            *steps = steps.checked_sub(cost).ok_or(TooMany)?;
            let (covered, others): (Vec<_>, Vec<_>) = values
                .iter()
                .partition(|value| owned.covers(*field, **value));
            if covered.is_empty() {
                if !self.is_empty() {
                    rest.push(self);
                }
                return Ok(());
            }
            split.push((*field, covered.into(), others.into()));
        }
        // What is covered in the lists before one, and is not in that one.
        for (at, (field, _, others)) in split.iter().enumerate() {
            let mut lists = self.0.clone();
            for (list, (field, covered, _)) in lists.iter_mut().zip(split.iter().take(at)) {
                *list = (*field, Rc::clone(covered));
            }
            if let Some(list) = lists.get_mut(at) {
                *list = (*field, Rc::clone(others));
            }
            let block = Self(lists);
            if !block.is_empty() {
                rest.push(block);
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().any(|(_, values)| values.is_empty())
    }
}

/// A rule of an owner, to be looked up.
struct Owned<'a> {
    groups: HashSet<&'a str>,
    resources: HashSet<&'a str>,
    names: HashSet<&'a str>,
    all_names: bool,
    paths: HashSet<&'a str>,
    /// Of paths that end in a star.
    prefixes: Vec<&'a str>,
    verbs: HashSet<&'a str>,
}

impl<'a> Owned<'a> {
    fn new(rule: &'a Value) -> Self {
        let prefixes = texts(rule, "/nonResourceURLs").filter(|path| path.ends_with('*'));
        Self {
            groups: texts(rule, "/apiGroups").collect(),
            resources: texts(rule, "/resources").collect(),
            names: texts(rule, "/resourceNames").collect(),
            all_names: items(rule, "/resourceNames").is_empty(),
            paths: texts(rule, "/nonResourceURLs").collect(),
            prefixes: prefixes.map(|path| path.trim_end_matches('*')).collect(),
            verbs: texts(rule, "/verbs").collect(),
        }
    }

    /// Values that are looked at for one of the field.
    fn cost(&self, field: Field) -> usize {
        match field {
            Field::Path => 1 + self.prefixes.len(),
            _ => 1,
        }
    }

    fn covers(&self, field: Field, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return self.all_names;
        };
        let is_in = |set: &HashSet<&str>| set.contains("*") || set.contains(value);
        match field {
            Field::Group => is_in(&self.groups),
            Field::Resource => {
                let of_any = value.split_once('/').map(|(_, sub)| format!("*/{sub}"));
                is_in(&self.resources)
                    || of_any.is_some_and(|any| self.resources.contains(any.as_str()))
            }
            Field::Name => self.all_names || self.names.contains(value),
            Field::Path => {
                let mut prefixes = self.prefixes.iter();
                self.paths.contains(value) || prefixes.any(|prefix| value.starts_with(prefix))
            }
            Field::Verb => is_in(&self.verbs),
        }
    }
}

/// Rights as rules in texts, those of one resource and name together.
fn shown(blocks: &[Block<'_>]) -> Vec<String> {
    let mut by_resource: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    let mut bytes = 0_usize;
    let rights = blocks.iter().flat_map(combinations);
    let mut rights = rights.peekable();
    while let Some(right) = rights.next_if(|_| bytes <= MOST_SHOWN) {
        // Empty values are shown, too.
        let sizes = right.iter().flatten().map(|value| value.len() + 1);
        bytes += sizes.sum::<usize>();
        match right.as_slice() {
            [Some(group), Some(resource), name, Some(verb)] => {
                let key = (*group, *resource, *name);
                by_resource.entry(key).or_default().push(verb);
            }
            [Some(path), Some(verb)] => {
                all.insert(format!("{{NonResourceURLs:[{path:?}], Verbs:[{verb:?}]}}"));
            }
            _ => {}
        }
    }
    for ((group, resource, name), verbs) in by_resource {
        let name = name.map_or_else(String::new, |name| format!(", ResourceNames:[{name:?}]"));
        let verbs: Vec<_> = verbs.iter().map(|verb| format!("{verb:?}")).collect();
        let verbs = verbs.join(" ");
        all.insert(format!(
            "{{APIGroups:[{group:?}], Resources:[{resource:?}]{name}, Verbs:[{verbs}]}}"
        ));
    }
    let more = rights.peek().map(|_| "and more".to_owned());
    all.into_iter().chain(more).collect()
}

/// The single rights of a block, with the values of its last list first.
fn combinations<'b, 'a>(
    block: &'b Block<'a>,
) -> impl Iterator<Item = Vec<Option<&'a str>>> + use<'b, 'a> {
    let lengths = block.0.iter().map(|(_, values)| values.len());
    let count = lengths.fold(1, usize::saturating_mul);
    (0..count).map(|index| {
        let mut rest = index;
        let mut right: Vec<_> = block
            .0
            .iter()
            .rev()
            .filter_map(|(_, values)| {
                let value = values.get(rest % values.len()).copied();
                rest /= values.len();
                value
            })
            .collect();
        right.reverse();
        right
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_told_by_resource() {
        let owner = [
            json!({"apiGroups": [""], "resources": ["pods", "*/status"], "verbs": ["get", "list"]}),
            json!({"apiGroups": ["apps"], "resources": ["*"], "resourceNames": ["a"], "verbs": ["*"]}),
            json!({"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}),
        ];
        let missing = |rule: Value| missing(&owner, &[rule]).unwrap();
        let none: [&str; 0] = [];
        assert_eq!(
            missing(
                json!({"apiGroups": [""], "resources": ["pods", "nodes/status"], "verbs": ["get"]})
            ),
            none
        );
        assert_eq!(
            missing(
                json!({"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "delete"]})
            ),
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}"#,
            ]
        );
        let apps = |names: Value| json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": names, "verbs": ["get"]});
        assert_eq!(missing(apps(json!(["a"]))), none);
        assert_eq!(
            missing(apps(json!(["b"]))),
            [
                r#"{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["b"], Verbs:["get"]}"#
            ]
        );
        assert_eq!(
            missing(apps(json!([]))),
            [r#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}"#]
        );
        let path = |path: &str| json!({"nonResourceURLs": [path], "verbs": ["get"]});
        assert_eq!(missing(path("/healthz/etcd")), none);
        assert_eq!(
            missing(path("/metrics")),
            [r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#]
        );
        assert_eq!(
            missing(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})),
            [r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#]
        );
    }
    /// A rule with so many values in each list.
    fn wide(count: usize, first: usize) -> Value {
        let list = |what: &str| -> Vec<String> {
            let numbers = first..first + count;
            numbers.map(|number| format!("{what}{number}")).collect()
        };
        json!({
            "apiGroups": list("g"), "resources": list("r"),
            "resourceNames": list("n"), "verbs": list("v"),
        })
    }

    #[test]
    fn wide_rules_are_compared_without_taking_them_apart() {
        let all = wide(60, 0);
        assert_eq!(
            missing(&[wide(30, 0), all.clone()], std::slice::from_ref(&all)),
            Ok(Vec::new())
        );
        // All of it but one group is there, in two halves.
        let mut halves = [all.clone(), all.clone()];
        let resources = items(&all, "/resources");
        let (first, second) = resources.split_at(30);
        halves[0]["resources"] = json!(first);
        halves[1]["resources"] = json!(second);
        assert_eq!(missing(&halves, std::slice::from_ref(&all)), Ok(Vec::new()));
        let mut more = all.clone();
        more["verbs"] = json!(["v1", "w"]);
        more["resourceNames"] = json!(["n1"]);
        more["resources"] = json!(["r1", "r31"]);
        more["apiGroups"] = json!(["g1"]);
        assert_eq!(
            missing(&halves, &[more]).unwrap(),
            [
                r#"{APIGroups:["g1"], Resources:["r1"], ResourceNames:["n1"], Verbs:["w"]}"#,
                r#"{APIGroups:["g1"], Resources:["r31"], ResourceNames:["n1"], Verbs:["w"]}"#,
            ]
        );
        let shown = missing(&[], &[all]).unwrap();
        let bytes: usize = shown.iter().map(String::len).sum();
        assert!(bytes < 10 * MOST_SHOWN, "{bytes}");
        assert_eq!(shown.last().map(String::as_str), Some("and more"));
        let empty = vec![""; 50_000];
        let empty = json!({"apiGroups": empty, "resources": empty, "verbs": empty});
        assert_eq!(missing(&[], &[empty]).unwrap().len(), 2);
    }

    #[test]
    fn rules_that_take_too_long_to_compare_are_refused() {
        let owner: Vec<_> = (0..3000).map(|first| wide(3, 3 * first)).collect();
        assert_eq!(missing(&owner, &owner), Err(TooMany));
        assert_eq!(missing(&owner, owner.get(2999..).unwrap()), Ok(Vec::new()));
    }

    mod against_single_rights {
        use proptest::prelude::*;

        use super::*;

        fn rule() -> impl Strategy<Value = Value> {
            let list = |values: &'static [&'static str]| {
                prop::sample::subsequence(values, 0..=values.len())
            };
            let lists = (
                list(&["", "a", "*"]),
                list(&["x", "y/s", "*/s", "*"]),
                list(&["n", "m"]),
                list(&["get", "put", "*"]),
                list(&["/p", "/p/q", "/p/*", "*"]),
            );
            lists.prop_map(|(groups, resources, names, verbs, paths)| {
                json!({
                    "apiGroups": groups, "resources": resources, "resourceNames": names,
                    "verbs": verbs, "nonResourceURLs": paths,
                })
            })
        }

        proptest! {
            /// Each right by itself is missing just when some rule of the owner has all of it.
            #[test]
            fn a_right_is_there_if_one_rule_has_it(
                owner in prop::collection::vec(rule(), 0..4),
                wanted in rule(),
            ) {
                let rights: Vec<_> = Block::of(&wanted).iter().flat_map(|block| {
                    let fields: Vec<_> = block.0.iter().map(|(field, _)| *field).collect();
                    combinations(block).map(move |right| {
                        let lists = fields.iter().zip(right);
                        Block(lists.map(|(field, value)| (*field, Rc::from([value]))).collect())
                    }).collect::<Vec<_>>()
                }).collect();
                let owned: Vec<_> = owner.iter().map(Owned::new).collect();
                let is_there = |right: &Block<'_>| owned.iter().any(|owned| {
                    right.0.iter().all(|(field, values)| owned.covers(*field, values[0]))
                });
                let single: Vec<_> = rights.into_iter().filter(|right| !is_there(right)).collect();
                let sorted = |texts: Vec<String>| -> Vec<String> {
                    // The order of verbs depends on how the rule was taken apart.
                    let mut texts: Vec<_> = texts.into_iter().map(|text| {
                        let mut words: Vec<_> = text.split(['[', ']', ' ']).map(str::to_owned).collect();
                        words.sort();
                        words.join(" ")
                    }).collect();
                    texts.sort();
                    texts
                };
                let found = missing(&owner, std::slice::from_ref(&wanted)).unwrap();
                prop_assert_eq!(sorted(found), sorted(shown(&single)));
            }
        }
    }
}
