//! Rules in CEL (`x-kubernetes-validations`): compiled with the CRD, run at every write.

pub(super) mod check;
pub(super) mod cost;
mod depth;
mod expression;
pub(super) mod field_path;
pub(super) mod functions;
mod measure;
pub(super) mod meter;
pub(super) mod names;
pub(super) mod program;
mod reads;
mod rewrite;
pub(super) mod rules;
mod stack;
mod typing;
pub(super) mod words;

#[cfg(test)]
mod tests;
