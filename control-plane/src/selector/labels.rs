//! Label selectors, as a query has them (`a=b,c in (d,e),!f`) and as objects have them.
//!
//! The grammar and the words of its errors are those of apimachinery's `labels.Parse`.

use serde_json::{Map, Value};

use crate::meta::{items, strings, text};
use crate::schema::names::{label_value, qualified};

/// What an object's labels must be like. The default takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

impl LabelSelector {
    /// Of a query. The error is in the words of the real server.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Parser::new(text).parse().map(Self)
    }

    /// Of `matchLabels` and `matchExpressions`. None if it is not well formed.
    pub(crate) fn of_object(selector: &Value) -> Option<Self> {
        let mut requirements = Vec::new();
        if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels {
                let value = value.as_str()?.to_owned();
                let test = Test::In(vec![value]);
                requirements.push(Requirement {
                    key: key.clone(),
                    test,
                });
            }
        }
        for expression in items(selector, "/matchExpressions") {
            let values = strings(expression, "/values");
            let test = match text(expression, "/operator") {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                _ => return None,
            };
            let key = text(expression, "/key").to_owned();
            requirements.push(Requirement { key, test });
        }
        Some(Self(requirements))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object's labels are like that.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        if self.is_empty() {
            return true;
        }
        let labels = object
            .pointer("/metadata/labels")
            .and_then(Value::as_object);
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels.and_then(|labels| labels.get(&self.key)?.as_str());
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => {
                value.is_some_and(|value| values.iter().any(|other| other == value))
            }
            Test::NotIn(values) => {
                value.is_none_or(|value| values.iter().all(|other| other != value))
            }
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::Above(limit) => number().is_some_and(|number| number > *limit),
            Test::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `=`, `==`, `!=`, `!`, `,`, `(`, `)`, `<`, `>`
    Sign(&'static str),
    Wrong(String),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Wrong(text) => text,
            Self::Sign(text) => text,
            Self::End => "",
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn new(text: &str) -> Self {
        Self {
            tokens: tokens(text),
            position: 0,
        }
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.position).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn begins_requirement(&self) -> bool {
        matches!(self.peek(), Token::Word(_) | Token::Sign("!"))
    }

    fn parse(&mut self) -> Parsed<Vec<Requirement>> {
        let mut requirements = Vec::new();
        loop {
            if *self.peek() == Token::End {
                return Ok(requirements);
            }
            if !self.begins_requirement() {
                let found = self.peek().text();
                return Err(format!(
                    "found '{found}', expected: !, identifier, or 'end of string'"
                ));
            }
            let requirement = self.requirement();
            let wrap = |why| format!("unable to parse requirement: {why}");
            requirements.push(requirement.map_err(wrap)?);
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Sign(",") if self.begins_requirement() => {}
                Token::Sign(",") => {
                    let found = self.peek().text();
                    return Err(format!("found '{found}', expected: identifier after ','"));
                }
                other => {
                    let found = other.text();
                    return Err(format!("found '{found}', expected: ',' or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Parsed<Requirement> {
        let negated = *self.peek() == Token::Sign("!");
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        let wrong = qualified(&key);
        if !wrong.is_empty() {
            return Err(format!(
                "<nil>: Invalid value: {key:?}: {}",
                wrong.join("; ")
            ));
        }
        if negated {
            let test = Test::Missing;
            return Ok(Requirement { key, test });
        }
        if matches!(self.peek(), Token::End | Token::Sign(",")) {
            let test = Test::Exists;
            return Ok(Requirement { key, test });
        }
        let test = self.test(&key)?;
        Ok(Requirement { key, test })
    }

    fn test(&mut self, key: &str) -> Parsed<Test> {
        let operator = self.next();
        match &operator {
            Token::Word(word) if word == "in" => Ok(Test::In(self.values(key)?)),
            Token::Word(word) if word == "notin" => Ok(Test::NotIn(self.values(key)?)),
            Token::Sign("=" | "==") => Ok(Test::In(vec![self.value(key)?])),
            Token::Sign("!=") => Ok(Test::NotIn(vec![self.value(key)?])),
            Token::Sign(">") => Ok(Test::Above(self.bound(key)?)),
            Token::Sign("<") => Ok(Test::Below(self.bound(key)?)),
            other => Err(format!(
                "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                other.text()
            )),
        }
    }

    fn value(&mut self, key: &str) -> Parsed<String> {
        if matches!(self.peek(), Token::End | Token::Sign(",")) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(value) => checked(key, 0, value),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn bound(&mut self, key: &str) -> Parsed<i64> {
        let value = self.value(key)?;
        value.parse().map_err(|_| {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            format!("values[0]: Invalid value: {value:?}: {why}")
        })
    }

    fn values(&mut self, key: &str) -> Parsed<Vec<String>> {
        match self.next() {
            Token::Sign("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = Vec::new();
        // An item that is left out is an empty value.
        let mut item = None;
        loop {
            match self.next() {
                Token::Word(word) if item.is_none() => item = Some(word),
                Token::Sign(sign @ ("," | ")")) => {
                    values.push(item.take().unwrap_or_default());
                    if sign == ")" {
                        break;
                    }
                }
                other if item.is_some() => {
                    return Err(format!("found '{}', expected: ',' or ')'", other.text()));
                }
                other if values.is_empty() => {
                    let found = other.text();
                    return Err(format!("found '{found}', expected: ',', ')' or identifier"));
                }
                other => {
                    let found = other.text();
                    return Err(format!("found '{found}', expected: ',', or identifier"));
                }
            }
        }
        let values = values.into_iter().enumerate();
        values
            .map(|(index, value)| checked(key, index, value))
            .collect()
    }
}

fn checked(key: &str, index: usize, value: String) -> Parsed<String> {
    let wrong = label_value(&value);
    if wrong.is_empty() {
        return Ok(value);
    }
    Err(format!(
        "values[{index}][{key}]: Invalid value: {value:?}: {}",
        wrong.join("; ")
    ))
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '\r', '\n']);
    while let Some(first) = rest.chars().next() {
        let is_sign = |c: char| "=!(),><".contains(c);
        let is_space = |c: char| " \t\r\n".contains(c);
        let length = if is_sign(first) {
            // Signs are taken in twos where they make one.
            if rest.starts_with("==") || rest.starts_with("!=") {
                2
            } else {
                1
            }
        } else {
            rest.find(|c: char| is_sign(c) || is_space(c))
                .unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(length);
        tokens.push(match token {
            "=" => Token::Sign("="),
            "==" => Token::Sign("=="),
            "!=" => Token::Sign("!="),
            "!" => Token::Sign("!"),
            "," => Token::Sign(","),
            "(" => Token::Sign("("),
            ")" => Token::Sign(")"),
            ">" => Token::Sign(">"),
            "<" => Token::Sign("<"),
            word if word.contains('\0') => Token::Wrong(word.to_owned()),
            word => Token::Word(word.to_owned()),
        });
        rest = after.trim_start_matches(is_space);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_by_labels() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "5", "empty": ""}}});
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web,tier", true),
            ("app!=web", false),
            ("none!=web", true),
            ("!none", true),
            ("!app", false),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("none notin (db)", true),
            ("empty=", true),
            ("empty in ()", true),
            ("empty in (,a)", true),
            ("tier>4", true),
            ("tier < 5", false),
            ("in in (in)", false),
        ];
        for (text, expected) in cases {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&object), expected, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            (
                ",a",
                "found ',', expected: !, identifier, or 'end of string'",
            ),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            (
                "a ~ b",
                "unable to parse requirement: found '~', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "a in b",
                "unable to parse requirement: found 'b' expected: '('",
            ),
            (
                "a in (b",
                "unable to parse requirement: found '', expected: ',' or ')'",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(
                LabelSelector::parse(text),
                Err(expected.to_owned()),
                "{text}"
            );
        }
    }
}
