//! One measured number, and its place in docs/benchmarks.md.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::repository::root;

const DOCUMENT: &str = "docs/benchmarks.md";

/// One measured number beside what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    /// What was measured, with its conditions.
    pub(crate) name: String,
    /// The result, with its unit.
    pub(crate) measured: String,
    /// What it should be, with its unit.
    pub(crate) target: String,
    /// Whether it is.
    pub(crate) met: bool,
}

/// The figures for a terminal.
pub(crate) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["FIGURE", "MEASURED", "TARGET", "MET"]);
    for figure in figures {
        let met = if figure.met { "yes" } else { "no" };
        table.add_row([&figure.name, &figure.measured, &figure.target, met]);
    }
    table
}

/// Replaces one section of the document with these figures, and leaves the
/// rest of it as people wrote it.
pub(crate) fn write(section: &str, machine: &str, figures: &[Figure]) -> Result<()> {
    let path = root().join(DOCUMENT);
    let document = fs::read_to_string(&path).unwrap_or_else(|_| empty(section));
    let document = replace(&document, section, &markdown(machine, figures)).with_context(|| {
        format!(
            "{DOCUMENT} lacks the marks `<!-- begin {section} -->` and `<!-- end {section} -->`"
        )
    })?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(&path, document).with_context(|| format!("cannot write {DOCUMENT}"))?;
    println!("wrote {DOCUMENT}");
    Ok(())
}

fn empty(section: &str) -> String {
    format!(
        "# Benchmarks\n\n## {section}\n\nWritten by `cargo xtask bench {section}`.\n\n\
         <!-- begin {section} -->\n<!-- end {section} -->\n"
    )
}

fn markdown(machine: &str, figures: &[Figure]) -> String {
    let mut text =
        format!("{machine}\n\n| Figure | Measured | Target | Met |\n| --- | --- | --- | --- |\n");
    for figure in figures {
        let met = if figure.met { "yes" } else { "**no**" };
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {met} |",
            cell(&figure.name),
            cell(&figure.measured),
            cell(&figure.target)
        );
    }
    text
}

/// The document with the text between a section's marks replaced; none when
/// it does not have both marks in their order.
fn replace(document: &str, section: &str, text: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- begin {section} -->"),
        format!("<!-- end {section} -->"),
    );
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_changes() {
        let document = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n";
        let written = replace(document, "x", "new\n").unwrap();
        assert_eq!(written, "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n");
        assert_eq!(replace(&written, "x", "new\n").unwrap(), written);
        assert_eq!(replace(document, "y", "new\n"), None);
    }

    #[test]
    fn a_missed_target_stands_out() {
        let figure = Figure {
            name: "a|b".to_owned(),
            measured: "2 ms".to_owned(),
            target: "≤ 1 ms".to_owned(),
            met: false,
        };
        let text = markdown("2 cores", &[figure]);
        assert!(
            text.contains("| a\\|b | 2 ms | ≤ 1 ms | **no** |"),
            "{text}"
        );
    }
}
