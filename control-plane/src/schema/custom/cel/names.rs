//! The names of fields in CEL.

/// Words that mean something in CEL. A field of that name is written with underscores around it.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A field's name in CEL; none if it can't be written there.
pub(in super::super) fn escaped(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(is_known)
    {
        return None;
    }
    let name = name.replace("__", "\0");
    let name = name.replace('.', "__dot__").replace('-', "__dash__");
    Some(
        name.replace('/', "__slash__")
            .replace('\0', "__underscores__"),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_escaped() {
        for (name, expected) in [
            ("a_b", Some("a_b")),
            ("a__b", Some("a__underscores__b")),
            ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
            ("namespace", Some("__namespace__")),
            ("1a", None),
            ("é", None),
            ("$a", None),
        ] {
            assert_eq!(super::escaped(name).as_deref(), expected, "{name}");
        }
    }
}
