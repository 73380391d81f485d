//! Which names are valid, and what is said of those that are not.
//!
//! Every function returns what is wrong with the name, in the words of the API; nothing if it is
//! valid.

/// What is wrong; nothing if it is valid.
pub type Complaints = Vec<String>;

/// A rule for names. The second argument says that it is a prefix, to which more is added.
pub type NameRule = fn(&str, bool) -> Complaints;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// A DNS subdomain of at most 253 characters: the name of most objects.
pub fn subdomain(name: &str) -> Complaints {
    let mut complaints = at_most(name, 253);
    if !is_subdomain(name) {
        complaints.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    complaints
}

/// A DNS subdomain that begins with `*.`.
pub fn wildcard_subdomain(name: &str) -> Complaints {
    let mut complaints = at_most(name, 253);
    if !name.strip_prefix("*.").is_some_and(is_subdomain) {
        complaints.push(pattern(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS \
             subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and \
             end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    complaints
}

/// A DNS label of at most 63 characters: the name of a namespace.
pub fn label(name: &str) -> Complaints {
    let mut complaints = at_most(name, 63);
    if !is_label(name) {
        complaints.push(if is_subdomain(name) {
            "must not contain dots".to_string()
        } else {
            pattern(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
                 or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    complaints
}

/// A DNS label that begins with a letter: the name of a service.
pub fn label_1035(name: &str) -> Complaints {
    let mut complaints = at_most(name, 63);
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !(starts_well && is_label(name)) {
        complaints.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
             with an alphabetic character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    complaints
}

/// A name of at most 63 characters, with a DNS subdomain and `/` before it or not: the key of a
/// label.
pub fn qualified(name: &str) -> Complaints {
    let explained = |before: &str| {
        pattern(
            &format!(
                "{before}must consist of alphanumeric characters, '-', '_' or '.', and must start \
                 and end with an alphanumeric character"
            ),
            QUALIFIED,
            &["MyName", "my.name", "123-abc"],
        )
    };
    let mut complaints = Vec::new();
    let name = match name.split_once('/') {
        None => name,
        Some((_, name)) if name.contains('/') => {
            let explained = explained("a qualified name ");
            return vec![format!(
                "{explained} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            complaints.push("prefix part must be non-empty".to_string());
            name
        }
        Some((prefix, name)) => {
            let of_prefix = subdomain(prefix).into_iter();
            complaints.extend(of_prefix.map(|complaint| format!("prefix part {complaint}")));
            name
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_string());
    } else {
        let of_name = at_most(name, 63).into_iter();
        complaints.extend(of_name.map(|complaint| format!("name part {complaint}")));
    }
    if !is_qualified(name) {
        complaints.push(explained("name part "));
    }
    complaints
}

/// The value of a label: empty, or a name of at most 63 characters.
pub fn label_value(value: &str) -> Complaints {
    let mut complaints = at_most(value, 63);
    if !(value.is_empty() || is_qualified(value)) {
        complaints.push(pattern(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    complaints
}

/// The name of a port: at most 15 characters, with a letter.
pub fn port(name: &str) -> Complaints {
    let mut complaints = at_most(name, 15);
    let mut complain = |wrong: bool, complaint: &str| {
        if wrong {
            complaints.push(complaint.to_string());
        }
    };
    let is_known = |c: char| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit();
    complain(
        name.is_empty() || !name.chars().all(is_known),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    complain(
        !name.contains(|c: char| c.is_ascii_lowercase()),
        "must contain at least one letter (a-z)",
    );
    complain(name.contains("--"), "must not contain consecutive hyphens");
    complain(
        name.starts_with('-') || name.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    complaints
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn variable(name: &str) -> Complaints {
    let mut complaints = Vec::new();
    if name.is_empty() {
        complaints.push("environment variable name must be non-empty".to_string());
    }
    if !name.chars().all(|c| matches!(c, ' '..='~') && c != '=') {
        complaints.push(
            "a valid environment variable name must consist only of printable ASCII characters \
             other than '='"
                .to_string(),
        );
    }
    complaints
}

/// A key in a `ConfigMap` or a `Secret`, which may become the name of a file.
pub fn config_key(name: &str) -> Complaints {
    let mut complaints = at_most(name, 253);
    let is_known = |c: char| matches!(c, '-' | '.' | '_') || c.is_ascii_alphanumeric();
    if name.is_empty() || !name.chars().all(is_known) {
        complaints.push(pattern(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match name {
        "." => complaints.push("must not be '.'".to_string()),
        ".." => complaints.push("must not be '..'".to_string()),
        name if name.starts_with("..") => complaints.push("must not start with '..'".to_string()),
        _ => {}
    }
    complaints
}

/// A name that can stand in a path: the name of a role.
pub fn path_segment(name: &str, is_prefix: bool) -> Complaints {
    if !is_prefix && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    let banned = ['/', '%'].into_iter().filter(|c| name.contains(*c));
    banned.map(|c| format!("may not contain '{c}'")).collect()
}

/// The name of an object, as a DNS subdomain.
pub fn subdomain_name(name: &str, is_prefix: bool) -> Complaints {
    subdomain(&masked(name, is_prefix))
}

/// The name of an object, as a DNS label.
pub fn label_name(name: &str, is_prefix: bool) -> Complaints {
    label(&masked(name, is_prefix))
}

/// The name of an object, as a DNS label that begins with a letter.
pub fn label_1035_name(name: &str, is_prefix: bool) -> Complaints {
    label_1035(&masked(name, is_prefix))
}

/// A prefix may end with a dash, for something follows it.
fn masked(name: &str, is_prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(rest) if is_prefix && !rest.is_empty() => {
            let mut masked = rest.to_string();
            masked.pop();
            masked.push('a');
            masked
        }
        _ => name.to_string(),
    }
}

fn at_most(name: &str, max: usize) -> Complaints {
    if name.len() > max {
        vec![format!("must be no more than {max} characters")]
    } else {
        Vec::new()
    }
}

/// A complaint with examples and the regular expression.
fn pattern(complaint: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<_> = examples.iter().map(|name| format!("'{name}', ")).collect();
    let examples = examples.join(" or ");
    format!("{complaint} (e.g. {examples}regex used for validation is '{regex}')")
}

fn is_label(name: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(is_end)
        && name.ends_with(is_end)
        && name.chars().all(|c| is_end(c) || c == '-')
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(is_label)
}

fn is_qualified(name: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(is_end)
        && name.ends_with(is_end)
        && name
            .chars()
            .all(|c| is_end(c) || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::{Complaints, config_key, label, label_1035, label_name, label_value, port};
    use super::{qualified, subdomain};

    type Rule = fn(&str) -> Complaints;

    #[test]
    fn good_names_pass_and_bad_ones_do_not() {
        let rules: [(Rule, &[&str], &[&str]); 7] = [
            (
                subdomain,
                &["a", "a.b-c", "1.2"],
                &["", "A", "a..b", "-a", "a_b"],
            ),
            (label, &["a", "1-b"], &["a.b", "a-", "B"]),
            (label_1035, &["a1"], &["1a", "a.b"]),
            (
                qualified,
                &["A", "a.b/C_d"],
                &["", "/a", "a/", "a/b/c", "A/b"],
            ),
            (label_value, &["", "A_1"], &["-", "a b"]),
            (
                port,
                &["http", "h-1"],
                &["", "80", "a--b", "-a", "sixteen-letters-"],
            ),
            (config_key, &["a.b", ".a", "_"], &["", "..", "..a", "a/b"]),
        ];
        for (rule, good, bad) in rules {
            for name in good {
                assert_eq!(rule(name), Vec::<String>::new(), "{name:?}");
            }
            for name in bad {
                assert!(!rule(name).is_empty(), "{name:?}");
            }
        }
    }

    #[test]
    fn complaints_are_worded_as_the_api_words_them() {
        assert_eq!(
            subdomain("A"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                 characters, '-' or '.', and must start and end with an alphanumeric character \
                 (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            label_value("-"),
            [
                "a valid label must be an empty string or consist of alphanumeric characters, \
                 '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        );
        assert_eq!(label("a.b"), ["must not contain dots"]);
    }

    #[test]
    fn a_prefix_may_end_with_a_dash() {
        assert!(label_name("web-", true).is_empty());
        assert!(!label_name("web-", false).is_empty());
    }
}
