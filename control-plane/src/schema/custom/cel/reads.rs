//! What an expression reads of its variables, and what that costs.

use std::sync::Arc;

use kube_cel::cel::objects::Key;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};

use super::measure::{length, size};

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// `self`.
    This,
    /// `oldSelf`.
    Old,
    /// A variable of a loop, by the number of its body and among those that the loop sets.
    Loop(usize, usize),
}

/// A variable, and a field in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub root: Root,
    /// The names of the fields, the outermost first.
    pub names: Vec<String>,
    /// Only its size is read.
    pub is_size: bool,
}

/// How much of what is at a path is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// One of its items.
    Item,
    /// What `in` compares: the items of a list, or one key of a map.
    Member,
    /// Nothing beyond what is copied on the way: what goes over its items pays for each.
    Items,
}

/// A path that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// The number of the path.
    pub path: usize,
    pub part: Part,
    /// How often it is copied.
    pub times: u64,
}

/// What reading a path costs, by the part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Price {
    whole: u64,
    item: u64,
    member: u64,
    items: u64,
}

impl Price {
    /// Of a variable, which is read in place.
    fn of(value: &Cel) -> Self {
        let largest = |sizes: &mut dyn Iterator<Item = u64>| sizes.max().unwrap_or(0);
        let whole = size(value);
        let (item, member) = match value {
            Cel::List(items) => (largest(&mut items.iter().map(size)), whole),
            Cel::Map(map) => (largest(&mut map.map.values().map(size)), 1),
            _ => (whole, whole),
        };
        Self {
            whole,
            item,
            member,
            items: 0,
        }
    }

    /// Of a field, which is copied, as is everything on the way to it.
    fn of_field(value: &Cel, names: &[String]) -> Self {
        let mut value = value;
        let mut all = 0;
        for name in names {
            let Some(below) = field(value, name) else {
                break;
            };
            all += size(below);
            value = below;
        }
        Self {
            whole: all,
            item: all,
            member: all,
            items: all,
        }
    }

    /// What reading so much of it costs.
    pub(super) fn part(self, part: Part) -> u64 {
        match part {
            Part::Whole => self.whole,
            Part::Item => self.item,
            Part::Member => self.member,
            Part::Items => self.items,
        }
    }
}

fn field<'a>(value: &'a Cel, name: &str) -> Option<&'a Cel> {
    match value {
        Cel::Map(map) => map.map.get(&Key::String(Arc::new(name.to_owned()))),
        _ => None,
    }
}

impl Path {
    /// What reading this costs of the variable that a loop has just set.
    pub(super) fn price_in(&self, variable: &Cel) -> Price {
        if self.names.is_empty() {
            Price::of(variable)
        } else {
            Price::of_field(variable, &self.names)
        }
    }

    /// The variable that holds what is at this path, so that reading it copies nothing.
    pub(super) fn variable(number: usize) -> String {
        format!("@{number}")
    }

    /// The number of the path whose variable has this name.
    pub(super) fn number(variable: &str) -> Option<usize> {
        variable.strip_prefix('@')?.parse().ok()
    }

    /// Sets the variable, if there is something at the path. Gives the price of reading it.
    pub(super) fn bind(
        &self,
        number: usize,
        root: Option<&Cel>,
        context: &mut Context<'_>,
    ) -> Price {
        let Some(Ok(value)) = root.map(|root| self.find(root)) else {
            return Price::default();
        };
        let price = Price::of(&value);
        context.add_variable_from_value(Self::variable(number), value);
        price
    }

    /// Why there is nothing at this path.
    pub(super) fn error(&self, root: Option<&Cel>) -> ExecutionError {
        let found = root.map(|root| self.find(root));
        let missing = |()| ExecutionError::undeclared_reference("oldSelf");
        found.ok_or(()).map_or_else(missing, |found| {
            found.err().unwrap_or(ExecutionError::NoSuchOverload)
        })
    }

    /// What is at this path. As in the interpreter, a field of what has none is false.
    fn find(&self, root: &Cel) -> Result<Cel, ExecutionError> {
        let mut value = root;
        for name in &self.names {
            if !matches!(value, Cel::Map(_)) {
                return Ok(Cel::Bool(false));
            }
            value = field(value, name).ok_or_else(|| ExecutionError::no_such_key(name))?;
        }
        if self.is_size {
            return length(value);
        }
        Ok(value.clone())
    }
}
