//! Regular expressions as Go reads them.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Compiles a regular expression of RE2's syntax. Where the `regex` crate reads the same letters
/// in another way, they are rewritten: `\d`, `\w`, `\s` and `\b` mean ASCII, and inside of
/// brackets `[`, `&` and `~` mean themselves.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&translated(pattern))
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
    use super::compile;

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
            let regex = compile(pattern).unwrap();
            assert_eq!(regex.is_match(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "[a", r"(?=a)", "\\"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
