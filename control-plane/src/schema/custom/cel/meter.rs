//! A budget for running expressions.
//!
//! The interpreter counts nothing, so that expressions are rewritten before they run: each pass of
//! a loop first pays for what its body will do, and functions whose result can be much larger than
//! their arguments pay for it before they are called. What is paid is the number of steps, and the
//! sizes of the values that they copy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use kube_cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use kube_cel::cel::extractors::Arguments;
use kube_cel::cel::objects::Key;
use kube_cel::cel::{Context, ExecutionError, Program, Value as Cel};

use super::measure::{Measured, content, multiplies, price, size};
use super::stack;
use crate::work;

/// What a step costs. The unit is a number that is copied, or 64 bytes of a text.
const STEP: u64 = 4;

/// What one run of an expression may cost: about half a second.
const RUN: u64 = 4_000_000 * STEP;

/// What all rules for an object may cost.
const OBJECT: u64 = 10_000_000 * STEP;

const TICK: &str = "@tick";
const MEASURE: &str = "@measure";
const PAY: &str = "@pay";

/// What is left of the budget for an object.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(OBJECT)
    }
}

/// Why a run came to nothing.
pub(super) enum Failed {
    /// The expression is wrong for these values.
    Error(ExecutionError),
    /// The interpreter broke.
    Broken(String),
    /// This run cost too much.
    TooCostly,
    /// All runs for the object cost too much.
    BudgetSpent,
}

/// An expression that pays for what it does.
#[derive(Debug)]
pub(super) struct Metered {
    expression: IdedExpr,
    /// How deep it nests.
    depth: usize,
    /// The whole expression first, then the bodies of its loops.
    scopes: Vec<Scope>,
    /// The fields of `self` and `oldSelf` that it names.
    paths: Vec<Vec<String>>,
}

/// What one pass through the expression, or through the body of a loop, does; without the loops
/// within.
#[derive(Debug, Default)]
struct Scope {
    /// What its steps cost.
    price: u64,
    /// Fields that it reads, as numbers of paths.
    reads: Vec<usize>,
    /// Variables of loops that it reads, and how often.
    variables: BTreeMap<String, u64>,
}

impl Metered {
    pub(super) fn new(program: &Program) -> Self {
        stack::deep(|| {
            let mut writer = Writer::default();
            writer.scopes.push(Scope::default());
            let mut expression = program.expression().clone();
            writer.rewrite(&mut expression, 0);
            Self {
                depth: depth(&expression),
                expression,
                scopes: writer.scopes,
                paths: writer.paths,
            }
        })
    }

    /// Runs the expression with these values, for as long as the budget lasts.
    pub(super) fn run(
        &self,
        context: &Context<'_>,
        (this, old): (&Cel, Option<&Cel>),
        budget: &mut Budget,
    ) -> Result<Cel, Failed> {
        let sizes: Vec<u64> = self
            .paths
            .iter()
            .map(|path| path_size(path, this, old))
            .collect();
        let prices = self.scopes.iter().map(|scope| {
            let reads = scope.reads.iter().filter_map(|&path| sizes.get(path));
            let reads = reads.fold(0, |sum: u64, size| sum.saturating_add(*size));
            (scope.price.saturating_add(reads), scope.variables.clone())
        });
        let allowed = budget.0.min(RUN);
        let meter = Meter {
            left: allowed,
            prices: prices.collect(),
            measured: Vec::new(),
            is_spent: false,
        };
        let before = METER.replace(Some(meter));
        let ran = if spend(|meter| meter.prices.first().map_or(0, |(price, _)| *price)) {
            stack::guarded(|| {
                stack::for_depth(self.depth, || Cel::resolve(&self.expression, context))
            })
        } else {
            Ok(Ok(Cel::Null))
        };
        let meter = METER.replace(before);
        let (left, is_spent) = meter.map_or((0, false), |meter| (meter.left, meter.is_spent));
        budget.0 -= allowed - left.min(allowed);
        match ran {
            _ if is_spent && allowed < RUN => Err(Failed::BudgetSpent),
            _ if is_spent => Err(Failed::TooCostly),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failed::Error(error)),
            Err(panic) => Err(Failed::Broken(panic)),
        }
    }
}

/// Registers what rewritten expressions call.
pub(super) fn register(context: &mut Context<'_>) {
    context.add_function(TICK, tick);
    context.add_function(MEASURE, measure);
    context.add_function(PAY, pay);
}

/// The budget of the expression that this thread runs.
struct Meter {
    left: u64,
    prices: Vec<(u64, BTreeMap<String, u64>)>,
    /// Arguments of functions that are about to be called.
    measured: Vec<Measured>,
    is_spent: bool,
}

thread_local! {
    static METER: RefCell<Option<Meter>> = const { RefCell::new(None) };
}

/// Pays, if there is enough. What asks without a meter pays nothing.
fn spend(price: impl FnOnce(&mut Meter) -> u64) -> bool {
    METER.with_borrow_mut(|meter| {
        let Some(meter) = meter else { return true };
        let price = price(meter);
        if meter.is_spent || price > meter.left || work::check_deadline().is_err() {
            meter.is_spent = true;
            meter.left = 0;
            return false;
        }
        meter.left -= price;
        true
    })
}

fn spent() -> ExecutionError {
    ExecutionError::function_error("cost", "operation cancelled: actual cost limit exceeded")
}

/// Pays for a pass through the body of a loop: its number, and the variables that it reads.
fn tick(Arguments(all): Arguments) -> Result<Cel, ExecutionError> {
    let is_paid = spend(|meter| {
        let mut all = all.iter();
        let scope = match all.next() {
            Some(Cel::Int(scope)) => usize::try_from(*scope).unwrap_or_default(),
            _ => 0,
        };
        let Some((price, variables)) = meter.prices.get(scope) else {
            return 0;
        };
        let variables = variables.values().zip(all);
        variables.fold(*price, |price, (times, value)| {
            price.saturating_add(size(value).saturating_mul(*times))
        })
    });
    if is_paid {
        Ok(Cel::Bool(true))
    } else {
        Err(spent())
    }
}

/// Remembers the size of an argument, and gives it.
// Functions of the interpreter give results.
#[allow(clippy::unnecessary_wraps)]
fn measure(value: Cel) -> Result<Cel, ExecutionError> {
    METER.with_borrow_mut(|meter| {
        if let Some(meter) = meter {
            meter.measured.push(content(&value));
        }
    });
    Ok(value)
}

/// Pays for a function before it is called: of its last argument, the name of the function and how
/// many arguments were measured. Gives the argument.
#[allow(clippy::needless_pass_by_value)]
fn pay(value: Cel, name: Arc<String>, count: i64) -> Result<Cel, ExecutionError> {
    let is_paid = spend(|meter| {
        meter.measured.push(content(&value));
        let count = usize::try_from(count).unwrap_or_default();
        let first = meter.measured.len().saturating_sub(count);
        let arguments = meter.measured.split_off(first);
        price(&name, &arguments)
    });
    if is_paid { Ok(value) } else { Err(spent()) }
}

/// What reading a field costs: it is copied, as is everything on the way to it.
fn path_size(path: &[String], this: &Cel, old: Option<&Cel>) -> u64 {
    let Some((root, names)) = path.split_first() else {
        return 0;
    };
    let mut value = match (root.as_str(), old) {
        ("self", _) => this,
        (_, Some(old)) => old,
        (_, None) => return 1,
    };
    if names.is_empty() {
        return size(value);
    }
    let mut all: u64 = 0;
    for name in names {
        let below = match value {
            Cel::Map(map) => map.map.get(&Key::String(Arc::new(name.clone()))),
            _ => return all.saturating_add(size(value)),
        };
        let Some(below) = below else { break };
        all = all.saturating_add(size(below));
        value = below;
    }
    all
}

/// Rewrites an expression.
#[derive(Default)]
struct Writer {
    scopes: Vec<Scope>,
    paths: Vec<Vec<String>>,
    /// Variables of the loops around, the nearest last.
    variables: Vec<String>,
}

impl Writer {
    fn rewrite(&mut self, expression: &mut IdedExpr, scope: usize) {
        self.step(scope);
        match &mut expression.expr {
            Expr::Ident(_) | Expr::Select(_) => self.read(expression, Vec::new(), scope),
            Expr::Call(call) => {
                let target = call.target.as_deref_mut();
                for part in target.into_iter().chain(&mut call.args) {
                    self.rewrite(part, scope);
                }
                if multiplies(&call.func_name) {
                    self.pay_for(call);
                }
            }
            Expr::List(list) => {
                for item in &mut list.elements {
                    self.rewrite(item, scope);
                }
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    self.entry(&mut entry.expr, scope);
                }
            }
            Expr::Struct(made) => {
                for entry in &mut made.entries {
                    self.entry(&mut entry.expr, scope);
                }
            }
            Expr::Comprehension(_) => self.comprehension(expression, scope),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn step(&mut self, scope: usize) {
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.price += STEP;
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr, scope: usize) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.rewrite(&mut entry.key, scope);
                self.rewrite(&mut entry.value, scope);
            }
            EntryExpr::StructField(field) => self.rewrite(&mut field.value, scope),
        }
    }

    /// A name, with the fields that are read of it, the last one first.
    fn read(&mut self, expression: &mut IdedExpr, mut names: Vec<String>, scope: usize) {
        match &mut expression.expr {
            Expr::Select(select) => {
                names.push(select.field.clone());
                self.step(scope);
                self.read(&mut select.operand, names, scope);
            }
            Expr::Ident(root) => {
                names.push(root.clone());
                names.reverse();
                self.read_path(names, scope);
            }
            _ => self.rewrite(expression, scope),
        }
    }

    fn read_path(&mut self, path: Vec<String>, scope: usize) {
        let Some(root) = path.first() else { return };
        let Some(scope) = self.scopes.get_mut(scope) else {
            return;
        };
        if self.variables.contains(root) {
            *scope.variables.entry(root.clone()).or_default() += path.len() as u64;
        } else if matches!(root.as_str(), "self" | "oldSelf") {
            let known = self.paths.iter().position(|known| *known == path);
            scope.reads.push(known.unwrap_or(self.paths.len()));
            if known.is_none() {
                self.paths.push(path);
            }
        }
    }

    fn comprehension(&mut self, expression: &mut IdedExpr, scope: usize) {
        let Expr::Comprehension(all) = &mut expression.expr else {
            return;
        };
        for part in [&mut all.iter_range, &mut all.accu_init] {
            self.rewrite(part, scope);
        }
        let outside = self.variables.len();
        self.variables.push(all.iter_var.clone());
        self.variables.extend(all.iter_var2.clone());
        self.variables.push(all.accu_var.clone());
        let body = self.scopes.len();
        self.scopes.push(Scope::default());
        for part in [&mut all.loop_cond, &mut all.loop_step] {
            self.rewrite(part, body);
        }
        self.variables.truncate(outside);
        self.rewrite(&mut all.result, scope);
        let names = self.scopes.get(body).map(|scope| &scope.variables);
        let names = names.into_iter().flat_map(BTreeMap::keys);
        let mut arguments = vec![number(body)];
        arguments.extend(names.map(|name| made(Expr::Ident(name.clone()))));
        let step = std::mem::take(&mut all.loop_step);
        let nothing = made(Expr::Literal(LiteralValue::Null));
        let tick = call(TICK, arguments);
        all.loop_step = call(operators::CONDITIONAL, vec![tick, step, nothing]);
    }

    /// Measures the arguments of a call, and pays with the last one.
    fn pay_for(&self, function: &mut CallExpr) {
        let name = function.func_name.clone();
        // What stands before a function may be a namespace of functions, such as `sets`.
        let is_value = |target: &IdedExpr| match &target.expr {
            Expr::Ident(name) => {
                self.variables.contains(name) || matches!(name.as_str(), "self" | "oldSelf")
            }
            _ => true,
        };
        let target = function.target.as_deref_mut().filter(|part| is_value(part));
        let mut parts: Vec<&mut IdedExpr> = target.into_iter().chain(&mut function.args).collect();
        let count = parts.len();
        let Some(last) = parts.pop() else { return };
        for part in parts {
            let argument = std::mem::take(part);
            *part = call(MEASURE, vec![argument]);
        }
        let name = made(Expr::Literal(LiteralValue::String(name.as_str().into())));
        let argument = std::mem::take(last);
        *last = call(PAY, vec![argument, name, number(count)]);
    }
}

fn made(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn number(number: usize) -> IdedExpr {
    let number = i64::try_from(number).unwrap_or_default();
    made(Expr::Literal(LiteralValue::Int(number.into())))
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    made(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    }))
}

/// How deep the tree of an expression is.
fn depth(expression: &IdedExpr) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &IdedExpr>| parts.map(depth).max().unwrap_or(0);
    1 + match &expression.expr {
        Expr::Select(select) => depth(&select.operand),
        Expr::Call(call) => deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => deepest(&mut map.entries.iter().flat_map(|entry| parts(&entry.expr))),
        Expr::Struct(made) => {
            deepest(&mut made.entries.iter().flat_map(|entry| parts(&entry.expr)))
        }
        Expr::Comprehension(all) => deepest(
            &mut [
                &all.iter_range,
                &all.accu_init,
                &all.loop_cond,
                &all.loop_step,
                &all.result,
            ]
            .into_iter(),
        ),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
