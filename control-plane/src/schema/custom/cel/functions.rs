//! The functions that rules have.

use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use regex::Regex;

use super::super::pattern;
use super::measure::length;
use super::meter;

/// All functions that Kubernetes gives to rules.
pub(in super::super) fn base() -> &'static Context<'static> {
    static BASE: LazyLock<Context<'static>> = LazyLock::new(|| {
        let mut base = Context::default().with_all();
        // It only matters to a type checker, which lets the value be compared with anything.
        base.add_function("dyn", |value: Cel| Ok::<Cel, ExecutionError>(value));
        // Regular expressions as Go reads them, within bounds, and compiled once.
        base.add_function("matches", matches);
        base.add_function("find", find);
        base.add_function("findAll", find_all);
        // Of texts it counts characters, as in Go.
        base.add_function("size", |This(value): This<Cel>| length(&value));
        meter::register(&mut base);
        base
    });
    &BASE
}

fn compiled(function: &str, pattern: &str) -> Result<Arc<Regex>, ExecutionError> {
    pattern::compiled(pattern).map_err(|error| {
        let error = format!("error parsing regexp: {error}");
        ExecutionError::function_error(function, error)
    })
}

// The interpreter hands arguments over by value.
#[allow(clippy::needless_pass_by_value)]
fn matches(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<Cel, ExecutionError> {
    let regex = compiled("matches", &pattern)?;
    Ok(Cel::Bool(regex.is_match(&text)))
}

#[allow(clippy::needless_pass_by_value)]
fn find(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<Cel, ExecutionError> {
    let regex = compiled("find", &pattern)?;
    let found = regex.find(&text).map_or("", |found| found.as_str());
    Ok(Cel::String(Arc::new(found.to_owned())))
}

/// All that matches, or the first so many.
fn find_all(
    This(text): This<Arc<String>>,
    Arguments(arguments): Arguments,
) -> Result<Cel, ExecutionError> {
    let Some(Cel::String(pattern)) = arguments.first() else {
        return Err(ExecutionError::NoSuchOverload);
    };
    let regex = compiled("findAll", pattern)?;
    let most = match arguments.get(1) {
        Some(Cel::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let found = regex.find_iter(&text).take(most);
    let found = found.map(|found| Cel::String(Arc::new(found.as_str().to_owned())));
    Ok(Cel::List(Arc::new(found.collect())))
}
