//! The paths that rules and selectable fields name (`.spec.replicas`, `.spec['a.b']`).

use super::super::props::Props;
use crate::schema::Path;

/// A field that a path leads to.
pub(in super::super) struct Found<'a> {
    /// The path as errors write it.
    pub path: String,
    pub props: &'a Props,
}

/// Follows a path through a schema. The error says why it can't be followed.
pub(in super::super) fn resolve<'a>(
    path: &str,
    props: &'a Props,
    allows_brackets: bool,
) -> Result<Found<'a>, String> {
    let mut found = Found {
        path: String::new(),
        props,
    };
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        (name, rest) = step(rest, allows_brackets)?;
        found = next(&found, &name)?;
    }
    Ok(found)
}

/// The next name, and what is after it.
fn step(rest: &str, allows_brackets: bool) -> Result<(String, &str), String> {
    const END: &str = "unexpected end of JSON path";
    if let Some(rest) = rest.strip_prefix('[') {
        if !allows_brackets {
            return Err("array notation is not allowed".to_string());
        }
        if rest.is_empty() {
            return Err(END.to_string());
        }
        let Some(quoted) = rest.strip_prefix('\'') else {
            let token = rest.split(['.', '[', ']']).next().unwrap_or_default();
            return Err(format!("expected single quoted string but got {token}"));
        };
        let (name, after) = text(quoted)?;
        return match after.strip_prefix(']') {
            Some(rest) => Ok((name, rest)),
            None if after.is_empty() => Err(END.to_string()),
            None => Err(format!("expected ] but got {after}")),
        };
    }
    let Some(rest) = rest.strip_prefix('.') else {
        let token = rest.split(['.', '[', ']']).next().unwrap_or_default();
        return Err(format!("expected [ or . but got: {token}"));
    };
    if rest.is_empty() {
        return Err(END.to_string());
    }
    let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    Ok((name.to_string(), rest))
}

/// A text up to its closing quote.
fn text(quoted: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Ok((name, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => name.push(match chars.next().map(|(_, c)| c) {
                Some('a') => '\u{7}',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(c @ ('\'' | '\\')) => c,
                Some(c) => {
                    return Err(format!("invalid string literal: invalid escape char \\{c}"));
                }
                None => break,
            }),
            c => name.push(c),
        }
    }
    Err(format!("expected single quoted string but got '{quoted}"))
}

fn next<'a>(found: &Found<'a>, name: &str) -> Result<Found<'a>, String> {
    const UNKNOWN: &str = "does not refer to a valid field";
    let parent = Path::new(&found.path);
    let parent = if found.path.is_empty() {
        Path::ROOT
    } else {
        parent
    };
    if !found.props.properties.is_empty() {
        let props = found.props.properties.get(name).ok_or(UNKNOWN)?;
        return Ok(Found {
            path: parent.field(name).to_string(),
            props,
        });
    }
    Ok(Found {
        path: parent.key(name).to_string(),
        props: found.props.additional().ok_or(UNKNOWN)?,
    })
}
