//! Room for code that works by recursion, and a net for code that panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that an expression of the greatest depth takes, with its macros expanded.
const DEEP: usize = 64 * 1024 * 1024;

/// Bytes of stack for each level of an expression, at most. Code that is not optimized takes more.
const LEVEL: usize = if cfg!(debug_assertions) { 64 } else { 32 } * 1024;

/// Runs with a stack for expressions of any depth that is compiled.
pub(super) fn deep<T>(run: impl FnOnce() -> T) -> T {
    stacker::grow(DEEP, run)
}

/// Runs with a stack for an expression of a depth, which is the present one if that will do.
pub(super) fn for_depth<T>(depth: usize, run: impl FnOnce() -> T) -> T {
    let needed = 64 * 1024 + depth.saturating_mul(LEVEL);
    stacker::maybe_grow(needed, DEEP.max(needed), run)
}

/// Runs what may panic. The error is what the panic said.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        format!("internal error: {}", text.unwrap_or("unknown"))
    })
}
