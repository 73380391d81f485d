//! A budget for running expressions.
//!
//! Rewritten expressions pay for what they do: for steps, and for the sizes of the values that they
//! copy, compare and make.

use std::cell::RefCell;
use std::sync::Arc;

use kube_cel::cel::extractors::Arguments;
use kube_cel::cel::{Context, ExecutionError, Program, Value as Cel};

use super::expression::depth;
use super::measure::{Measured, STEP, content, price, size};
use super::reads::{Part, Path, Price, Root};
use super::rewrite::{APPEND, COLLECT, COLLECTED, MEASURE, PAY, Rewritten, TICK, rewrite};
use super::stack;
use crate::work;

/// What one run of an expression may cost: about half a second. That is more than the 1,000,000
/// that kube-apiserver allows, in steps that cost about the same.
const RUN: u64 = 4_000_000 * STEP;

/// What all rules for an object may cost; 10,000,000 in kube-apiserver.
const OBJECT: u64 = 10_000_000 * STEP;

/// What a list that is collected costs beside the steps that make its items, by their sizes:
/// it is copied some times, and bounds how much one run can keep.
const KEEP: u64 = 16;

/// What is left of the budget for an object.
pub(in super::super) struct Budget(u64);

impl Budget {
    pub(in super::super) fn new() -> Self {
        Self(OBJECT)
    }
}

/// Why a run came to nothing.
pub(in super::super) enum Failed {
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
pub(in super::super) struct Metered {
    program: Arc<Rewritten>,
    /// How deep it nests.
    depth: usize,
}

impl Metered {
    pub(super) fn new(program: &Program) -> Self {
        stack::deep(|| {
            let program = rewrite(program.expression());
            Self {
                depth: depth(&program.expression),
                program: Arc::new(program),
            }
        })
    }

    /// Runs the expression with these values, for as long as the budget lasts.
    pub(in super::super) fn run(
        &self,
        context: &Context<'_>,
        (this, old): (&Cel, Option<&Cel>),
        budget: &mut Budget,
    ) -> Result<Cel, Failed> {
        let mut context = context.new_inner_scope();
        let paths = self.program.paths.iter().enumerate();
        let prices = paths.map(|(number, path)| match value_of(path, this, old) {
            Some(value) => path.bind(number, value, &mut context),
            None => Price::default(),
        });
        let allowed = budget.0.min(RUN);
        let before = METER.replace(Some(Meter {
            left: allowed,
            prices: prices.collect(),
            program: Arc::clone(&self.program),
            measured: Vec::new(),
            lists: Vec::new(),
            is_spent: false,
        }));
        let ran = if spend(Meter::start) {
            stack::guarded(|| {
                stack::for_depth(self.depth, || {
                    Cel::resolve(&self.program.expression, &context)
                })
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
            Ok(Err(error)) => Err(Failed::Error(self.explained(error, this, old))),
            Err(panic) => Err(Failed::Broken(panic)),
        }
    }

    /// The error as it would be without the variables that paths were replaced with.
    fn explained(&self, error: ExecutionError, this: &Cel, old: Option<&Cel>) -> ExecutionError {
        let ExecutionError::UndeclaredReference(name) = &error else {
            return error;
        };
        let number = Path::number(name);
        let path = number.and_then(|number| self.program.paths.get(number));
        let missing = path.and_then(|path| Some(path.error(value_of(path, this, old)?)));
        missing.unwrap_or(error)
    }
}

/// The value that a path begins with; none if a loop sets it.
#[allow(clippy::option_option)]
fn value_of<'a>(path: &Path, this: &'a Cel, old: Option<&'a Cel>) -> Option<Option<&'a Cel>> {
    match path.root {
        Root::This => Some(Some(this)),
        Root::Old => Some(old),
        Root::Loop(..) => None,
    }
}

/// Registers what rewritten expressions call.
pub(super) fn register(context: &mut Context<'_>) {
    context.add_function(TICK, tick);
    context.add_function(MEASURE, measure);
    context.add_function(PAY, pay);
    context.add_function(COLLECT, collect);
    context.add_function(APPEND, append);
    context.add_function(COLLECTED, collected);
}

/// The budget of the expression that this thread runs.
struct Meter {
    left: u64,
    program: Arc<Rewritten>,
    /// What reading the program's paths costs at this moment.
    prices: Vec<Price>,
    /// Arguments of functions that are about to be called.
    measured: Vec<Measured>,
    /// The lists that loops are collecting, the innermost last.
    lists: Vec<Vec<Cel>>,
    is_spent: bool,
}

impl Meter {
    /// What a run costs without its loops, and what was copied for it.
    fn start(&mut self) -> u64 {
        let bound = self.prices.iter().map(|price| price.part(Part::Whole));
        bound.fold(self.pass(0), u64::saturating_add)
    }

    /// What a pass through the expression or a body costs.
    fn pass(&self, scope: usize) -> u64 {
        let Some(scope) = self.program.scopes.get(scope) else {
            return 0;
        };
        let reads = scope.reads.iter().map(|read| {
            let price = self.prices.get(read.path).copied().unwrap_or_default();
            price.part(read.part).saturating_mul(read.times)
        });
        reads.fold(scope.price, u64::saturating_add)
    }

    /// Notes the values that a loop has set.
    fn measure(&mut self, scope: usize, values: &[Cel]) {
        let Some(scope) = self.program.scopes.get(scope) else {
            return;
        };
        for (paths, value) in scope.variables.iter().zip(values) {
            for &number in paths {
                let path = self.program.paths.get(number);
                if let (Some(path), Some(price)) = (path, self.prices.get_mut(number)) {
                    *price = path.price_in(value);
                }
            }
        }
    }

    /// The list that a loop collects. Those that were begun within it are over.
    fn list(&mut self, number: i64) -> Option<&mut Vec<Cel>> {
        let number = usize::try_from(number).ok()?;
        self.lists.truncate(number + 1);
        self.lists.get_mut(number)
    }
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

/// Pays for a pass through the body of a loop: its number, and the variables that it sets.
fn tick(Arguments(all): Arguments) -> Result<Cel, ExecutionError> {
    let is_paid = spend(|meter| {
        let Some((Cel::Int(scope), values)) = all.split_first() else {
            return 0;
        };
        let scope = usize::try_from(*scope).unwrap_or_default();
        meter.measure(scope, values);
        meter.pass(scope)
    });
    if is_paid {
        Ok(Cel::Bool(true))
    } else {
        Err(spent())
    }
}

/// Begins a list. Gives its number.
#[allow(clippy::unnecessary_wraps)]
fn collect() -> Result<Cel, ExecutionError> {
    let number = METER.with_borrow_mut(|meter| {
        let lists = &mut meter.as_mut()?.lists;
        lists.push(Vec::new());
        i64::try_from(lists.len() - 1).ok()
    });
    Ok(Cel::Int(number.unwrap_or_default()))
}

/// Adds an item to a list, whose number it gives.
fn append(number: i64, item: Cel) -> Result<Cel, ExecutionError> {
    if !spend(|_| size(&item).saturating_mul(KEEP)) {
        return Err(spent());
    }
    METER.with_borrow_mut(|meter| {
        if let Some(list) = meter.as_mut().and_then(|meter| meter.list(number)) {
            list.push(item);
        }
    });
    Ok(Cel::Int(number))
}

/// Ends a list, and gives it.
#[allow(clippy::unnecessary_wraps)]
fn collected(number: i64) -> Result<Cel, ExecutionError> {
    let list = METER.with_borrow_mut(|meter| {
        let meter = meter.as_mut()?;
        meter.list(number)?;
        meter.lists.pop()
    });
    Ok(Cel::List(Arc::new(list.unwrap_or_default())))
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
