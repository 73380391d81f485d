//! Lays an applied configuration over the live object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::discriminant;

use serde_json::{Map, Value};

use super::compare::Zip;
use super::element::PathElement;
use super::invalid::{Invalid, Problem};
use super::shape::{ListShape, MapShape, Shape};
use crate::schema::Schema;
use crate::work::is_late;

/// Merges a configuration into an object. Nothing is removed; what both say is as in the
/// configuration.
pub(super) fn merge(live: &Value, config: &Value, schema: &Schema) -> Result<Value, Invalid> {
    let merged = merge_value(Some(live), Some(config), schema);
    merged
        .map(|merged| merged.unwrap_or(Value::Null))
        .map_err(Invalid)
}

type Merged = Result<Option<Value>, Vec<Problem>>;

fn merge_value(live: Option<&Value>, config: Option<&Value>, schema: &Schema) -> Merged {
    let Some(leading) = config.or(live) else {
        return Ok(None);
    };
    if is_late(leading) {
        return Ok(None);
    }
    let shape = Shape::of(schema, leading);
    if let (Some(live), Some(_)) = (live, config) {
        // What the configuration replaces by another sort of value must be sound, too.
        let before = Shape::of(schema, live);
        if discriminant(&before) != discriminant(&shape) {
            merge_shape(Some(live), config, before)?;
        }
    }
    merge_shape(live, config, shape)
}

fn merge_shape(live: Option<&Value>, config: Option<&Value>, shape: Shape<'_>) -> Merged {
    match shape {
        Shape::Map(map) if !map.is_atomic() => {
            let fields = (fields_of(live), fields_of(config));
            if fields != (None, None) {
                return merge_fields(fields.0, fields.1, map);
            }
        }
        Shape::List(list) if !list.is_atomic() => {
            let (live_items, config_items) = (items_of(live), items_of(config));
            if !live_items.is_empty() || !config_items.is_empty() {
                return merge_items(live_items, config_items, list);
            }
        }
        _ => {}
    }
    Ok(config.or(live).cloned())
}

/// The fields of an object that has some.
fn fields_of(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value?.as_object().filter(|fields| !fields.is_empty())
}

fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn merge_fields(
    live: Option<&Map<String, Value>>,
    config: Option<&Map<String, Value>>,
    map: MapShape<'_>,
) -> Merged {
    let mut fields = Map::new();
    let mut problems = Vec::new();
    for (name, live, config) in Zip::new(live, config) {
        match merge_value(live, config, map.field(name)) {
            Ok(Some(value)) => {
                fields.insert(name.clone(), value);
            }
            Ok(None) => {}
            Err(below) => {
                problems.extend(
                    below
                        .into_iter()
                        .map(|below| below.under(&format!(".{name}"))),
                );
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok((!fields.is_empty()).then_some(Value::Object(fields)))
}

/// Merges lists item by item.
///
/// The items of the configuration are in its order. An item that only the live object has keeps its
/// place before the next shared item.
fn merge_items(live: &[Value], config: &[Value], list: ListShape<'_>) -> Merged {
    let config = Indexed::of(config, list);
    let live = Indexed::of(live, list);
    let mut problems = config.problems.clone();
    problems.extend(
        config
            .repeated
            .iter()
            .map(|element| Problem::new(format!("duplicate entries for key {element}"))),
    );
    problems.extend(live.problems.iter().cloned());
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut merging = Merging {
        list,
        live: &live,
        config: &config,
        merged: Vec::new(),
        problems,
    };
    merging.run();
    if !merging.problems.is_empty() {
        return Err(merging.problems);
    }
    let items = merging.merged;
    Ok((!items.is_empty()).then_some(Value::Array(items)))
}

/// The items of a list by name.
struct Indexed<'a> {
    order: Vec<(PathElement, &'a Value)>,
    /// None for a name that several have: they are not merged.
    items: BTreeMap<PathElement, Option<&'a Value>>,
    repeated: Vec<PathElement>,
    problems: Vec<Problem>,
}

impl<'a> Indexed<'a> {
    fn of(values: &'a [Value], list: ListShape<'_>) -> Self {
        let mut indexed = Self {
            order: Vec::new(),
            items: BTreeMap::new(),
            repeated: Vec::new(),
            problems: Vec::new(),
        };
        for (index, item) in values.iter().enumerate() {
            match list.element(item) {
                Ok(element) => indexed.add(element, item),
                Err(reason) => {
                    let reason = format!("element {index}: {reason}");
                    indexed.problems.push(Problem::new(reason));
                }
            }
        }
        indexed
    }

    fn add(&mut self, element: PathElement, item: &'a Value) {
        let known = self.items.insert(element.clone(), Some(item));
        if known.is_some() {
            self.items.insert(element.clone(), None);
            self.repeated.push(element.clone());
        }
        self.order.push((element, item));
    }

    fn has(&self, element: &PathElement) -> bool {
        self.items.contains_key(element)
    }

    fn get(&self, element: &PathElement) -> Option<&'a Value> {
        self.items.get(element).copied().flatten()
    }
}

struct Merging<'a> {
    list: ListShape<'a>,
    live: &'a Indexed<'a>,
    config: &'a Indexed<'a>,
    merged: Vec<Value>,
    problems: Vec<Problem>,
}

impl Merging<'_> {
    fn run(&mut self) {
        let mut live: VecDeque<_> = self.live.order.iter().collect();
        let mut config: VecDeque<_> = self.config.order.iter().collect();
        // The shared items that are still to come, in the order of the configuration.
        let shared = config.iter().map(|(element, _)| element);
        let mut shared: VecDeque<_> = shared.filter(|element| self.live.has(element)).collect();
        let mut done = BTreeSet::new();
        while !live.is_empty() || !config.is_empty() {
            if let (Some((ours, _)), Some((theirs, _))) = (live.front(), config.front()) {
                if ours == theirs {
                    done.insert(theirs);
                    self.push(theirs, self.live.get(theirs), self.config.get(theirs));
                    live.pop_front();
                    config.pop_front();
                    shared.pop_front();
                    continue;
                }
                let waits = shared.front().is_some_and(|next| *next != ours);
                if self.config.has(ours) && waits {
                    live.pop_front();
                    continue;
                }
            }
            if let Some((element, item)) = live.front() {
                if !self.config.has(element) {
                    self.push(element, Some(item), None);
                    live.pop_front();
                    continue;
                }
                if done.contains(element) {
                    live.pop_front();
                }
            }
            if let Some((element, _)) = config.pop_front() {
                done.insert(element);
                self.push(element, self.live.get(element), self.config.get(element));
                if shared.front().is_some_and(|next| *next == element) {
                    shared.pop_front();
                }
            }
        }
    }

    fn push(&mut self, element: &PathElement, live: Option<&Value>, config: Option<&Value>) {
        match merge_value(live, config, self.list.items()) {
            Ok(value) => self.merged.extend(value),
            Err(below) => {
                let below = below.into_iter();
                self.problems
                    .extend(below.map(|below| below.under(&element.to_string())));
            }
        }
    }
}
