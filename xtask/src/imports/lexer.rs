//! The words and signs of a Rust file, without comments, texts and tests.

/// Identifiers, `::`, and other signs one by one.
pub(super) fn tokens(source: &str) -> Vec<String> {
    let letters: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let next = letters.get(at + 1).copied();
        match (letter, next) {
            ('/', Some('/')) => at = skip_line(&letters, at),
            ('/', Some('*')) => at = skip_comment(&letters, at),
            ('r' | 'b', _) if raw_text(&letters, at).is_some() => {
                at = raw_text(&letters, at).unwrap_or(at + 1);
            }
            ('"', _) => {
                let end = skip_text(&letters, at);
                tokens.push(letters.get(at..end).unwrap_or_default().iter().collect());
                at = end;
            }
            ('\'', _) => at = skip_character(&letters, at),
            (':', Some(':')) => {
                tokens.push("::".to_owned());
                at += 2;
            }
            _ if is_word(letter) => {
                let word = letters
                    .iter()
                    .skip(at)
                    .take_while(|letter| is_word(**letter));
                let word: String = word.collect();
                at += word.chars().count();
                tokens.push(word);
            }
            _ => {
                if !letter.is_whitespace() {
                    tokens.push(letter.to_string());
                }
                at += 1;
            }
        }
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn skip_line(letters: &[char], at: usize) -> usize {
    let rest = letters.iter().skip(at);
    at + rest.take_while(|letter| **letter != '\n').count()
}

fn skip_comment(letters: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < letters.len() {
        match (letters.get(at), letters.get(at + 1)) {
            (Some('/'), Some('*')) => depth += 1,
            (Some('*'), Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Where a text ends.
fn skip_text(letters: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&letter) = letters.get(at) {
        at += if letter == '\\' { 2 } else { 1 };
        if letter == '"' {
            break;
        }
    }
    at.min(letters.len())
}

/// Where a raw text ends; none if none begins here.
fn raw_text(letters: &[char], at: usize) -> Option<usize> {
    let begins_word = at.checked_sub(1).and_then(|at| letters.get(at));
    if begins_word.is_some_and(|letter| is_word(*letter)) {
        return None;
    }
    let mut at = at;
    if letters.get(at) == Some(&'b') {
        at += 1;
    }
    if letters.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = letters
        .iter()
        .skip(at)
        .take_while(|letter| **letter == '#')
        .count();
    at += hashes;
    if letters.get(at) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let rest = letters.get(at + 1..)?;
    let length = rest.windows(end.len()).position(|window| window == end)?;
    Some(at + 1 + length + end.len())
}

/// After a character, or after the quote of a lifetime.
fn skip_character(letters: &[char], at: usize) -> usize {
    match (letters.get(at + 1), letters.get(at + 2)) {
        (Some('\\'), _) => {
            let rest = letters.iter().skip(at + 3);
            at + 4 + rest.take_while(|letter| **letter != '\'').count()
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}
