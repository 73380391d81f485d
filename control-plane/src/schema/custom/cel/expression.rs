//! Parts of expressions, as the interpreter has them.

use kube_cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

/// An expression that was in no source.
pub(super) fn made(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

/// A variable.
pub(super) fn variable(name: String) -> IdedExpr {
    made(Expr::Ident(name))
}

/// A number, such as an index into what belongs to the expression.
pub(super) fn number(number: usize) -> IdedExpr {
    let number = i64::try_from(number).unwrap_or_default();
    made(Expr::Literal(LiteralValue::Int(number.into())))
}

/// A call of a global function.
pub(super) fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    made(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    }))
}

/// Whether this is the variable of that name.
pub(super) fn is_variable(expression: &IdedExpr, name: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(found) if found == name)
}

/// How deep the tree of an expression is.
pub(super) fn depth(expression: &IdedExpr) -> usize {
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
