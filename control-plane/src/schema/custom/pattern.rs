//! Regular expressions as Go reads them.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{Ast, Repetition, RepetitionKind, RepetitionRange, Visitor, visit};
use thiserror::Error;

/// How often something may be repeated by a count, counts within counts multiplied.
const MOST_REPEATS: u32 = 1000;

/// Bytes that a compiled expression may have, in steps: most are small, and are kept in large
/// numbers.
const SIZES: [usize; 3] = [16 * 1024, 256 * 1024, 2 * 1024 * 1024];

/// Bytes of the states that a search may remember, at least.
const LEAST_STATES: usize = 64 * 1024;

/// Bytes of all compiled expressions that are kept, at most.
const KEPT: usize = 64 * 1024 * 1024;

/// What is wrong with a pattern, in the words of Go.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}: `{part}`")]
pub(super) struct PatternError {
    reason: String,
    /// Of the pattern.
    part: String,
}

/// Compiles a regular expression of RE2's syntax, or gives it as it was compiled before. Where the
/// `regex` crate reads the same letters in another way, they are rewritten: `\d`, `\w`, `\s` and
/// `\b` mean ASCII, and inside of brackets `[`, `&` and `~` mean themselves.
///
/// Repetitions are bounded as in Go, and so is what the compiled expression takes.
pub(super) fn compiled(pattern: &str) -> Result<Arc<Regex>, PatternError> {
    static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);
    let cache = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = cache().get(pattern) {
        return Ok(regex);
    }
    let (regex, bytes) = compile(pattern)?;
    let regex = Arc::new(regex);
    cache().keep(pattern, Arc::clone(&regex), bytes);
    Ok(regex)
}

/// Compiles a pattern. Gives the bytes that it takes at most, too.
fn compile(pattern: &str) -> Result<(Regex, usize), PatternError> {
    let refused = |reason: &str| PatternError {
        reason: reason.to_owned(),
        part: pattern.to_owned(),
    };
    let translated = translated(pattern);
    if let Ok(ast) = Parser::new().parse(&translated) {
        visit(&ast, Repeats::new(&translated))?;
    }
    for size in SIZES {
        let states = size.max(LEAST_STATES);
        let compiled = RegexBuilder::new(&translated)
            .size_limit(size)
            .dfa_size_limit(states)
            .build();
        match compiled {
            Ok(regex) => return Ok((regex, size + states)),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                return Err(refused(words(
                    reason.strip_prefix("error: ").unwrap_or(reason),
                )));
            }
        }
    }
    Err(refused("expression too large"))
}

fn words(reason: &str) -> &str {
    match reason {
        "unclosed character class" => "missing closing ]",
        "unclosed group" => "missing closing )",
        "unopened group" => "unexpected )",
        "repetition operator missing expression" => "missing argument to repetition operator",
        reason => reason,
    }
}

/// Checks how often things are repeated, from the inside out.
struct Repeats<'p> {
    pattern: &'p str,
    /// How often something is repeated at most, within each of the counts around.
    within: Vec<u32>,
}

impl<'p> Repeats<'p> {
    fn new(pattern: &'p str) -> Self {
        Self {
            pattern,
            within: Vec::new(),
        }
    }

    fn refused(&self, repetition: &Repetition) -> PatternError {
        let span = repetition.op.span;
        let part = self.pattern.get(span.start.offset..span.end.offset);
        PatternError {
            reason: "invalid repeat count".to_owned(),
            part: part.unwrap_or_default().to_owned(),
        }
    }
}

/// The count of a repetition, if it has one.
fn count(repetition: &Repetition) -> Option<u32> {
    match &repetition.op.kind {
        RepetitionKind::Range(
            RepetitionRange::Exactly(count)
            | RepetitionRange::AtLeast(count)
            | RepetitionRange::Bounded(_, count),
        ) => Some(*count),
        _ => None,
    }
}

impl Visitor for Repeats<'_> {
    type Output = ();
    type Err = PatternError;

    fn finish(self) -> Result<(), PatternError> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), PatternError> {
        if let Ast::Repetition(repetition) = ast
            && count(repetition).is_some()
        {
            self.within.push(1);
        }
        Ok(())
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), PatternError> {
        if let Ast::Repetition(repetition) = ast
            && let Some(count) = count(repetition)
        {
            let times = self.within.pop().unwrap_or(1).saturating_mul(count);
            if times > MOST_REPEATS {
                return Err(self.refused(repetition));
            }
            if let Some(around) = self.within.last_mut() {
                *around = times.max(*around);
            }
        }
        Ok(())
    }
}

/// Expressions that were compiled, shared by all who have the same pattern. Those that were not
/// used for long make room for others.
#[derive(Default)]
struct Cache {
    known: HashMap<String, Kept>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

struct Kept {
    regex: Arc<Regex>,
    bytes: usize,
    used: u64,
}

impl Cache {
    fn get(&mut self, pattern: &str) -> Option<Arc<Regex>> {
        self.clock += 1;
        let kept = self.known.get_mut(pattern)?;
        kept.used = self.clock;
        Some(Arc::clone(&kept.regex))
    }

    fn keep(&mut self, pattern: &str, regex: Arc<Regex>, bytes: usize) {
        let bytes = bytes + pattern.len();
        if self.bytes + bytes > KEPT {
            self.forget_half();
        }
        let kept = Kept {
            regex,
            bytes,
            used: self.clock,
        };
        self.bytes += bytes;
        if let Some(before) = self.known.insert(pattern.to_owned(), kept) {
            self.bytes -= before.bytes;
        }
    }

    /// Forgets the half that was not used for longest.
    fn forget_half(&mut self) {
        let mut uses: Vec<u64> = self.known.values().map(|kept| kept.used).collect();
        uses.sort_unstable();
        let middle = uses.get(uses.len() / 2).copied().unwrap_or_default();
        self.known.retain(|_, kept| kept.used > middle);
        self.bytes = self.known.values().map(|kept| kept.bytes).sum();
    }
}

fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out, false),
            '[' => class(&mut chars, &mut out),
            '{' if !is_repetition(chars.clone()) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    out
}

/// What follows a backslash.
fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    let Some(c) = chars.next() else {
        out.push('\\');
        return;
    };
    match (c, in_class) {
        ('d', false) => out.push_str("[0-9]"),
        ('d', true) => out.push_str("0-9"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('s', false) => out.push_str(r"[\t\n\f\r ]"),
        ('s', true) => out.push_str(r"\t\n\f\r "),
        ('D', _) => out.push_str("[^0-9]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('S', _) => out.push_str(r"[^\t\n\f\r ]"),
        ('b' | 'B', false) => {
            out.push_str("(?-u:\\");
            out.push(c);
            out.push(')');
        }
        ('Q', false) => quoted(chars, out),
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
}

/// A text between `\Q` and `\E`.
fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    for c in chars {
        text.push(c);
        if text.ends_with("\\E") {
            text.truncate(text.len() - 2);
            break;
        }
    }
    out.push_str(&regex::escape(&text));
}

/// What follows an opening bracket, up to the closing one.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if let Some(c) = chars.next_if_eq(&'^') {
        out.push(c);
    }
    if chars.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => escape(chars, out, true),
            '[' if chars.peek() == Some(&':') => named_class(chars, out),
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
}

/// A class such as `[:alpha:]`.
fn named_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    for c in chars {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

/// Whether a brace begins a repetition such as `{2,3}`; it means itself otherwise.
fn is_repetition(rest: Peekable<Chars<'_>>) -> bool {
    let inner: String = rest.take_while(|c| *c != '}').take(12).collect();
    inner.starts_with(|c: char| c.is_ascii_digit())
        && inner.chars().all(|c| c.is_ascii_digit() || c == ',')
}

#[cfg(test)]
mod tests {
    use super::compiled;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, matches) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^\w$", "é", false),
            (r"\bfoo\b", "a foo", true),
            ("^[[a]+$", "[a", true),
            ("^[a&&b]+$", "&b", true),
            ("^[]a]$", "]", true),
            ("^[^]a]$", "]", false),
            ("^[[:alpha:]]$", "b", true),
            ("^a{2}$", "aa", true),
            ("^a{,2}$", "a{,2}", true),
            ("^{}$", "{}", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^a\/b$", "a/b", true),
            (r"^[^\s]+$", "a b", false),
            (r"^(?P<x>a)$", "a", true),
        ] {
            let regex = compiled(pattern).unwrap();
            assert_eq!(regex.is_match(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "[a", r"(?=a)", "\\"] {
            assert!(compiled(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn repetitions_are_bounded_as_in_go() {
        for (pattern, part) in [
            ("a{1001}", "{1001}"),
            ("a{2,1001}", "{2,1001}"),
            ("a{1001,}", "{1001,}"),
            ("(a{100}){11}", "{11}"),
            ("((a{10}){10}){11}", "{11}"),
        ] {
            let error = compiled(pattern).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("invalid repeat count: `{part}`"),
                "{pattern}"
            );
        }
        for pattern in [
            "a{1000}",
            "(a{100}){10}",
            "(a{0}){1000}",
            "^.{0,1000}$",
            "(a{1000})*",
        ] {
            assert!(compiled(pattern).is_ok(), "{pattern}");
        }
        // Within the counts, and too large all the same.
        assert!(compiled(r"(\pL{40}){25}").is_err());
    }
}
