//! How deep an expression nests, told from its text alone.
//!
//! Parsers and interpreters work by recursion. This does not: it is asked before they are.

/// How deep the tree of an expression is, at most: brackets, chains of fields, indices and calls,
/// operators one after the other, and conditions within conditions.
pub(super) fn depth(source: &str) -> usize {
    let mut open: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut text = Tokens(source);
    while let Some(token) = text.next() {
        match token {
            Token::Open => {
                open.push(std::mem::take(&mut level));
            }
            Token::Close => {
                let inner = level.total();
                level = open.pop().unwrap_or_default();
                level.primary = level.primary.max(inner) + 1;
            }
            Token::Word => level.primary = level.primary.max(1),
            Token::Dot => level.primary += 1,
            Token::Sign => level.sign(),
            Token::Logic => level.logic(),
            Token::Operator => level.operator(),
            Token::Comma => level.comma(),
        }
    }
    while let Some(mut outer) = open.pop() {
        outer.primary = outer.primary.max(level.total()) + 1;
        level = outer;
    }
    level.total()
}

/// What is known of an expression between two brackets, as far as it was read.
#[derive(Default)]
struct Level {
    /// The value that is being read, with its chain.
    primary: usize,
    /// Signs before it.
    signs: usize,
    /// What operators have joined before it.
    joined: usize,
    /// What `&&` and `||` have joined before that, which parsers balance.
    logic: usize,
    /// How often.
    terms: usize,
    /// Expressions before the last comma.
    before: usize,
}

impl Level {
    fn value(&self) -> usize {
        self.joined.max(self.primary + self.signs)
    }

    fn sign(&mut self) {
        if self.primary == 0 {
            self.signs += 1;
        } else {
            self.operator();
        }
    }

    fn operator(&mut self) {
        self.joined = self.value() + 1;
        (self.primary, self.signs) = (0, 0);
    }

    fn logic(&mut self) {
        self.logic = self.logic.max(self.value());
        self.terms += 1;
        (self.primary, self.signs, self.joined) = (0, 0, 0);
    }

    fn comma(&mut self) {
        self.before = self.total();
        let before = self.before;
        *self = Self {
            before,
            ..Self::default()
        };
    }

    fn total(&self) -> usize {
        // A balanced tree of so many terms.
        let height = (usize::BITS - self.terms.leading_zeros()) as usize;
        let all = self.logic.max(self.value()) + height;
        all.max(self.before)
    }
}

enum Token {
    Open,
    Close,
    /// A name, a number or a text.
    Word,
    Dot,
    /// `!` or `-`.
    Sign,
    /// `&&` or `||`.
    Logic,
    /// Any other operator, and the parts of `a ? b : c`.
    Operator,
    Comma,
}

struct Tokens<'a>(&'a str);

impl Tokens<'_> {
    /// Leaves out so many bytes.
    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or_default();
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let first = self.0.chars().next()?;
            if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else if self.0.starts_with("//") {
                self.skip(self.0.find('\n').unwrap_or(self.0.len()));
            } else {
                return Some(self.token(first));
            }
        }
    }

    fn token(&mut self, first: char) -> Token {
        if first.is_alphanumeric() || first == '_' {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let end = self.0.find(|c| !is_word(c)).unwrap_or(self.0.len());
            let (word, rest) = self.0.split_at(end);
            let raw = word.chars().any(|c| matches!(c, 'r' | 'R'));
            let is_prefix = word.len() <= 2 && word.chars().all(|c| "rRbB".contains(c));
            self.0 = rest;
            if is_prefix && rest.starts_with(['"', '\'']) {
                self.text(raw);
            } else if word == "in" {
                return Token::Operator;
            }
            return Token::Word;
        }
        match first {
            '"' | '\'' => {
                self.text(false);
                return Token::Word;
            }
            '&' | '|' => {
                self.skip(if self.0.starts_with("&&") || self.0.starts_with("||") {
                    2
                } else {
                    1
                });
                return Token::Logic;
            }
            _ => {}
        }
        let two = ["==", "!=", "<=", ">="]
            .iter()
            .any(|two| self.0.starts_with(two));
        self.skip(if two { 2 } else { first.len_utf8() });
        match first {
            _ if two => Token::Operator,
            '(' | '[' | '{' => Token::Open,
            ')' | ']' | '}' => Token::Close,
            '.' => Token::Dot,
            ',' => Token::Comma,
            '!' | '-' => Token::Sign,
            _ => Token::Operator,
        }
    }

    /// Reads over a text, from its opening quotes.
    fn text(&mut self, raw: bool) {
        let quote = ["\"\"\"", "'''", "\"", "'"];
        let quote = quote.into_iter().find(|quote| self.0.starts_with(quote));
        let quote = quote.unwrap_or("'");
        self.skip(quote.len());
        while let Some(c) = self.0.chars().next() {
            if self.0.starts_with(quote) {
                self.skip(quote.len());
                return;
            }
            self.skip(c.len_utf8());
            if c == '\\' && !raw {
                let escaped = self.0.chars().next();
                self.skip(escaped.map_or(0, char::len_utf8));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn everything_that_nests_is_counted() {
        for (source, expected) in [
            ("a", 1),
            ("a.b.c", 3),
            ("a[b[c]]", 3),
            ("((a))", 3),
            ("'x'.trim().trim()", 5),
            ("1 + 2 + 3", 3),
            ("!!a", 3),
            ("- - -1", 4),
            ("f(a, b.c, d)", 3),
            ("'((((' == r'\\' + \"\\\"((\"", 3),
            ("a ? b : c ? d : e", 5),
        ] {
            assert_eq!(depth(source), expected, "{source}");
        }
        // What is balanced nests little however long it is.
        let long = vec!["a"; 1000].join(" && ");
        assert!(depth(&long) < 15, "{}", depth(&long));
    }

    #[test]
    fn any_text_is_measured_without_recursion() {
        for piece in ["(", ".l", "[0]", "!", "a?", "1+", "f(", "{\"", "a.b("] {
            let source = piece.repeat(100_000 / piece.len());
            assert!(depth(&source) > 250 || piece == "{\"", "{piece}");
        }
    }
}
