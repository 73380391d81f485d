//! Text from members on its way to people: bounded, on one line, without control characters.

/// The longest text that is passed on, in characters.
const LONGEST: usize = 512;

/// Text that a member wrote, as it may be shown.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::new();
    let words = text.split(|c: char| c.is_whitespace() || is_hidden(c));
    let mut left = LONGEST;
    for word in words.filter(|word| !word.is_empty()) {
        if !shown.is_empty() {
            shown.push(' ');
            left = left.saturating_sub(1);
        }
        let length = word.chars().count();
        if length > left {
            shown.extend(word.chars().take(left));
            shown.push('…');
            return shown;
        }
        shown.push_str(word);
        left -= length;
    }
    shown
}

/// What moves the cursor, or turns the direction of the text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_members_is_one_short_line() {
        assert_eq!(
            plain("no\n\tPriorityClass \x1b[31m \"gold\"\u{202e}"),
            "no PriorityClass [31m \"gold\""
        );
        let long = plain(&"ä ".repeat(100_000));
        assert!(long.chars().count() <= LONGEST + 1, "{}", long.len());
        assert!(long.ends_with('…'), "{long}");
        assert_eq!(plain(&"a".repeat(600)).chars().count(), LONGEST + 1);
    }
}
