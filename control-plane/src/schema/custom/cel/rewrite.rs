//! Rewrites expressions so that they pay for what they do, and do no more than they must.
//!
//! The interpreter counts nothing, copies a field each time that it is read, and copies the list
//! that a `map` or `filter` makes with each item that it adds. What is rewritten reads the fields
//! of `self` and `oldSelf` from variables, which are not copied; collects items beside the
//! interpreter; pays for each pass of a loop before it; and pays for functions whose result can be
//! much larger than their arguments before they are called.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators,
};

use super::expression::{call, is_variable, made, number, variable};
use super::measure::{STEP, multiplies};
use super::reads::{Part, Path, Read, Root};

/// The functions that rewritten expressions call.
pub(super) const TICK: &str = "@tick";
pub(super) const MEASURE: &str = "@measure";
pub(super) const PAY: &str = "@pay";
pub(super) const COLLECT: &str = "@collect";
pub(super) const APPEND: &str = "@append";
pub(super) const COLLECTED: &str = "@collected";

/// What one pass through the expression, or through the body of a loop, does; without the loops
/// within.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// What its steps cost.
    pub price: u64,
    pub reads: Vec<Read>,
    /// The paths of each variable that the loop sets, which are measured at each pass.
    pub variables: Vec<Vec<usize>>,
}

/// An expression that was rewritten.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub expression: IdedExpr,
    /// The whole expression first, then the bodies of its loops.
    pub scopes: Vec<Scope>,
    /// All paths that it reads.
    pub paths: Vec<Path>,
}

/// Rewrites an expression. Needs a stack as deep as the expression.
pub(super) fn rewrite(expression: &IdedExpr) -> Rewritten {
    let mut writer = Writer::default();
    writer.scopes.push(Scope::default());
    let mut expression = expression.clone();
    writer.rewrite(&mut expression, 0);
    writer.assign_paths();
    Rewritten {
        expression,
        scopes: writer.scopes,
        paths: writer.paths,
    }
}

#[derive(Default)]
struct Writer {
    scopes: Vec<Scope>,
    paths: Vec<Path>,
    /// Variables of the loops around, the nearest last.
    variables: Vec<(String, Root)>,
    /// How many additions are right around, each of which copies what the one within has made.
    additions: u64,
}

impl Writer {
    fn rewrite(&mut self, expression: &mut IdedExpr, scope: usize) {
        self.rewrite_part(expression, scope, Part::Whole);
    }

    /// Rewrites what is read in part.
    fn rewrite_part(&mut self, expression: &mut IdedExpr, scope: usize, part: Part) {
        let is_sum = matches!(&expression.expr, Expr::Call(call) if is_addition(call));
        let around = self.additions;
        if is_sum {
            self.additions += 1;
        }
        self.step(scope);
        match &mut expression.expr {
            Expr::Ident(_) | Expr::Select(_) => self.read(expression, scope, part),
            Expr::Call(_) => self.call(expression, scope),
            Expr::List(list) => self.all(&mut list.elements, scope),
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
            Expr::Comprehension(all) => self.comprehension(all, scope),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
        self.additions = around;
    }

    fn all<'e>(&mut self, parts: impl IntoIterator<Item = &'e mut IdedExpr>, scope: usize) {
        for part in parts {
            self.rewrite(part, scope);
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr, scope: usize) {
        match entry {
            EntryExpr::MapEntry(entry) => self.all([&mut entry.key, &mut entry.value], scope),
            EntryExpr::StructField(field) => self.rewrite(&mut field.value, scope),
        }
    }

    fn step(&mut self, scope: usize) {
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.price += STEP;
        }
    }

    /// A name, and the fields that are read of it.
    fn read(&mut self, expression: &mut IdedExpr, scope: usize, part: Part) {
        if let Some(path) = self.path(expression) {
            self.read_path(expression, path, scope, part);
            return;
        }
        if let Expr::Select(select) = &mut expression.expr {
            // A variable only if this tells whether the field is there.
            self.rewrite_part(&mut select.operand, scope, Part::Items);
        }
    }

    fn read_path(&mut self, expression: &mut IdedExpr, path: Path, scope: usize, part: Part) {
        let is_bound = !matches!(path.root, Root::Loop(..));
        let number = self.number(path);
        if is_bound {
            *expression = variable(Path::variable(number));
        }
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.reads.push(Read {
                path: number,
                part,
                times: 1 + self.additions,
            });
        }
    }

    /// The number of a path, which is a new one if it has none.
    fn number(&mut self, path: Path) -> usize {
        let known = self.paths.iter().position(|known| *known == path);
        known.unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        })
    }

    /// The path that a chain of fields is, if it begins with a variable whose size is known.
    fn path(&self, expression: &IdedExpr) -> Option<Path> {
        match &expression.expr {
            Expr::Ident(name) => Some(Path {
                root: self.root(name)?,
                names: Vec::new(),
                is_size: false,
            }),
            Expr::Select(select) if !select.test => {
                let mut path = self.path(&select.operand)?;
                path.names.push(select.field.clone());
                Some(path)
            }
            _ => None,
        }
    }

    fn root(&self, name: &str) -> Option<Root> {
        let variable = self.variables.iter().rev().find(|(known, _)| known == name);
        match (variable, name) {
            (Some((_, root)), _) => Some(*root),
            (None, "self") => Some(Root::This),
            (None, "oldSelf") => Some(Root::Old),
            (None, _) => None,
        }
    }

    fn call(&mut self, expression: &mut IdedExpr, scope: usize) {
        if let Some(path) = self.size_path(expression) {
            self.read_path(expression, path, scope, Part::Whole);
            return;
        }
        let Expr::Call(call) = &mut expression.expr else {
            return;
        };
        let is_function = multiplies(&call.func_name);
        let has_target = call.target.as_deref().is_some_and(|it| self.is_value(it));
        let CallExpr {
            func_name, args, ..
        } = call;
        match (func_name.as_str(), args.as_mut_slice()) {
            (operators::INDEX | operators::OPT_INDEX, [operand, index]) => {
                self.rewrite_part(operand, scope, Part::Item);
                self.rewrite(index, scope);
            }
            (operators::IN, [item, container]) => {
                self.rewrite(item, scope);
                self.rewrite_part(container, scope, Part::Member);
            }
            _ => self.all(call.target.as_deref_mut().into_iter().chain(args), scope),
        }
        if is_function {
            pay_for(call, has_target);
        }
    }

    /// The size of a field of `self` or `oldSelf`, which is counted once and not at each pass.
    fn size_path(&self, expression: &IdedExpr) -> Option<Path> {
        let Expr::Call(call) = &expression.expr else {
            return None;
        };
        let of = match (call.target.as_deref(), call.args.as_slice()) {
            _ if call.func_name != "size" => return None,
            (Some(target), []) => target,
            (None, [argument]) => argument,
            _ => return None,
        };
        let path = self.path(of)?;
        let is_bound = !matches!(path.root, Root::Loop(..));
        is_bound.then_some(Path {
            is_size: true,
            ..path
        })
    }

    /// What stands before a function may be a namespace of functions, such as `sets`.
    fn is_value(&self, target: &IdedExpr) -> bool {
        match &target.expr {
            Expr::Ident(name) => self.root(name).is_some(),
            _ => true,
        }
    }

    fn comprehension(&mut self, all: &mut ComprehensionExpr, scope: usize) {
        self.additions = 0;
        self.rewrite_part(&mut all.iter_range, scope, Part::Items);
        collect(all);
        self.rewrite(&mut all.accu_init, scope);
        let outside = self.variables.len();
        let body = self.scopes.len();
        self.scopes.push(Scope::default());
        let names = [
            Some(&all.iter_var),
            all.iter_var2.as_ref(),
            Some(&all.accu_var),
        ];
        let names: Vec<String> = names.into_iter().flatten().cloned().collect();
        for (index, name) in names.iter().enumerate() {
            self.variables.push((name.clone(), Root::Loop(body, index)));
            // The interpreter copies it into its variable.
            self.read(&mut variable(name.clone()), body, Part::Whole);
        }
        self.all([&mut all.loop_cond, &mut all.loop_step], body);
        self.variables.truncate(outside);
        self.rewrite(&mut all.result, scope);
        if let Some(scope) = self.scopes.get_mut(body) {
            scope.variables = vec![Vec::new(); names.len()];
        }
        let mut arguments = vec![number(body)];
        arguments.extend(names.into_iter().map(variable));
        let step = std::mem::take(&mut all.loop_step);
        let nothing = made(Expr::Literal(LiteralValue::Null));
        let tick = call(TICK, arguments);
        all.loop_step = call(operators::CONDITIONAL, vec![tick, step, nothing]);
    }

    /// Tells bodies of loops which paths begin with their variables.
    fn assign_paths(&mut self) {
        for (number, path) in self.paths.iter().enumerate() {
            let Root::Loop(body, variable) = path.root else {
                continue;
            };
            let scope = self.scopes.get_mut(body);
            let paths = scope.and_then(|scope| scope.variables.get_mut(variable));
            paths.into_iter().for_each(|paths| paths.push(number));
        }
    }
}

fn is_addition(call: &CallExpr) -> bool {
    call.func_name == operators::ADD
}

/// Lets a loop that makes a list collect the items, so that the variable is a number only.
fn collect(all: &mut ComprehensionExpr) {
    let is_empty = matches!(&all.accu_init.expr, Expr::List(list) if list.elements.is_empty());
    if is_empty
        && is_variable(&all.result, &all.accu_var)
        && collects(&all.loop_step, &all.accu_var)
    {
        all.accu_init = call(COLLECT, Vec::new());
        add_instead(&mut all.loop_step);
        all.result = call(COLLECTED, vec![variable(all.accu_var.clone())]);
    }
}

/// Whether a step adds one item to the list, always or on a condition.
fn collects(step: &IdedExpr, list: &str) -> bool {
    let Expr::Call(call) = &step.expr else {
        return false;
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::ADD, [to, item]) => is_variable(to, list) && is_one(item),
        (operators::CONDITIONAL, [_, then, otherwise]) => {
            collects(then, list) && is_variable(otherwise, list)
        }
        _ => false,
    }
}

fn is_one(items: &IdedExpr) -> bool {
    matches!(
        &items.expr,
        Expr::List(list) if list.elements.len() == 1 && list.optional_indices.is_empty()
    )
}

fn add_instead(step: &mut IdedExpr) {
    let Expr::Call(sum) = &mut step.expr else {
        return;
    };
    if let (operators::CONDITIONAL, [_, then, _]) =
        (sum.func_name.as_str(), sum.args.as_mut_slice())
    {
        add_instead(then);
    } else if let Some(Expr::List(list)) = sum.args.pop().map(|items| items.expr) {
        let to = std::mem::take(&mut sum.args);
        *step = call(APPEND, to.into_iter().chain(list.elements).collect());
    }
}

/// Measures the arguments of a call, and pays with the last one.
fn pay_for(function: &mut CallExpr, has_target: bool) {
    let name = function.func_name.clone();
    let target = function.target.as_deref_mut().filter(|_| has_target);
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
