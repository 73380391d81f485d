//! Round-trip times from a table that a person has written.
//!
//! CSV in one of two forms; times are milliseconds, with a decimal point if need be. A square
//! table has the names in its first row and first column:
//!
//! ```csv
//! ,fog1,fog2,cloud1
//! fog1,,1.5,40
//! fog2,1.5,,42
//! cloud1,,,
//! ```
//!
//! A list has exactly this header:
//!
//! ```csv
//! from,to,milliseconds
//! fog1,fog2,1.5
//! fog1,cloud1,40
//! ```
//!
//! An empty cell is an unknown time, and the diagonal is ignored. Where the way there and the way
//! back differ, their mean counts: a round trip takes both. Lines that begin with `#` are
//! comments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use csv::{Position, ReaderBuilder, StringRecord, Trim};

use super::{RoundTripTimes, pair};

/// The header of a list.
const LIST: [&str; 3] = ["from", "to", "milliseconds"];

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The file can't be read.
    #[error("can't read the round-trip times in {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not CSV.
    #[error("not a CSV table: {0}")]
    Csv(#[from] csv::Error),
    /// There is nothing in it.
    #[error("the table is empty; write a row of names, or the header from,to,milliseconds")]
    Empty,
    /// A cell that is not a time.
    #[error(
        "line {line}, from {from:?} to {to:?}: {cell:?} is not a time; write milliseconds from 0 as in 12.5, or nothing if it is unknown"
    )]
    Cell {
        /// The line in the file, from 1.
        line: u64,
        /// The row's name.
        from: String,
        /// The column's name.
        to: String,
        /// What is written.
        cell: String,
    },
    /// A row with too few or too many cells.
    #[error(
        "line {line}, row {name:?}: {found} cells where {wanted} are wanted; write one for each name in the header, empty if it is unknown"
    )]
    Length {
        /// The line in the file, from 1.
        line: u64,
        /// The row's first cell.
        name: String,
        /// The cells in the row.
        found: usize,
        /// The cells in the header.
        wanted: usize,
    },
    /// A row of a square table whose name is no column.
    #[error(
        "line {line}: row {name:?} has no column; write the same names in the header and in the first column"
    )]
    NoColumn {
        /// The line in the file, from 1.
        line: u64,
        /// The row's name.
        name: String,
    },
    /// A name without any text.
    #[error("line {line}, column {column}: a name is missing")]
    NoName {
        /// The line in the file, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
    },
    /// A name, or a way from one to another, that is there twice.
    #[error("line {line}: {what} is there twice; keep one")]
    Twice {
        /// The line in the file, from 1.
        line: u64,
        /// What is there twice.
        what: String,
    },
}

/// Reads a table from a file.
pub fn read(file: &Path) -> Result<RoundTripTimes, MatrixError> {
    let text = std::fs::read_to_string(file).map_err(|source| MatrixError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    parse(&text)
}

/// Reads a table in one of the two forms.
pub fn parse(text: &str) -> Result<RoundTripTimes, MatrixError> {
    let mut rows = text
        .trim_start_matches('\u{feff}')
        .lines()
        .zip(1..)
        .filter_map(row);
    let header = rows.next().ok_or(MatrixError::Empty)??;
    let mut ways = Ways::default();
    if header.iter().eq(LIST) {
        for row in rows {
            read_list_row(&row?, &mut ways)?;
        }
    } else {
        let names = column_names(&header)?;
        let mut seen = BTreeSet::new();
        for row in rows {
            read_square_row(&row?, &names, &mut seen, &mut ways)?;
        }
    }
    Ok(ways.mean())
}

/// The cells of one line, with the number of the line; nothing for a blank line or a comment.
///
/// Line by line, because the CSV reader counts the lines that it skips to the row after them.
fn row((text, line): (&str, u64)) -> Option<Result<StringRecord, MatrixError>> {
    if text.starts_with('#') {
        return None;
    }
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let row = reader.into_records().next()?;
    let numbered = row.map(|mut row| {
        let mut position = Position::new();
        row.set_position(Some(position.set_line(line).clone()));
        row
    });
    Some(numbered.map_err(MatrixError::Csv))
}

fn read_list_row(row: &StringRecord, ways: &mut Ways) -> Result<(), MatrixError> {
    expect_length(row, LIST.len())?;
    let (from, to) = (name(row, 0)?, name(row, 1)?);
    ways.add(line(row), from, to, &row[2])
}

fn column_names(header: &StringRecord) -> Result<Vec<&str>, MatrixError> {
    let mut seen = BTreeSet::new();
    (1..header.len())
        .map(|column| {
            let name = name(header, column)?;
            if seen.insert(name) {
                Ok(name)
            } else {
                Err(twice(header, format!("column {name:?}")))
            }
        })
        .collect()
}

fn read_square_row(
    row: &StringRecord,
    names: &[&str],
    seen: &mut BTreeSet<String>,
    ways: &mut Ways,
) -> Result<(), MatrixError> {
    expect_length(row, names.len() + 1)?;
    let from = name(row, 0)?;
    if !names.contains(&from) {
        return Err(MatrixError::NoColumn {
            line: line(row),
            name: from.to_owned(),
        });
    }
    if !seen.insert(from.to_owned()) {
        return Err(twice(row, format!("row {from:?}")));
    }
    for (to, cell) in names.iter().zip(row.iter().skip(1)) {
        ways.add(line(row), from, to, cell)?;
    }
    Ok(())
}

/// Times by direction.
#[derive(Default)]
struct Ways(BTreeMap<(String, String), Duration>);

impl Ways {
    fn add(&mut self, line: u64, from: &str, to: &str, cell: &str) -> Result<(), MatrixError> {
        if from == to || cell.is_empty() {
            return Ok(());
        }
        let milliseconds = cell.parse::<f64>().ok();
        let time = milliseconds.and_then(|time| Duration::try_from_secs_f64(time / 1000.0).ok());
        let time = time.ok_or_else(|| MatrixError::Cell {
            line,
            from: from.to_owned(),
            to: to.to_owned(),
            cell: cell.to_owned(),
        })?;
        match self.0.insert((from.to_owned(), to.to_owned()), time) {
            None => Ok(()),
            Some(_) => Err(MatrixError::Twice {
                line,
                what: format!("the time from {from:?} to {to:?}"),
            }),
        }
    }

    fn mean(self) -> RoundTripTimes {
        let mut times = RoundTripTimes::new();
        for ((from, to), time) in self.0 {
            times
                .entry(pair(&from, &to))
                .and_modify(|other| *other = (*other + time) / 2)
                .or_insert(time);
        }
        times
    }
}

fn expect_length(row: &StringRecord, wanted: usize) -> Result<(), MatrixError> {
    if row.len() == wanted {
        return Ok(());
    }
    Err(MatrixError::Length {
        line: line(row),
        name: row.get(0).unwrap_or_default().to_owned(),
        found: row.len(),
        wanted,
    })
}

fn name(row: &StringRecord, column: usize) -> Result<&str, MatrixError> {
    row.get(column)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| MatrixError::NoName {
            line: line(row),
            column: column + 1,
        })
}

fn twice(row: &StringRecord, what: String) -> MatrixError {
    MatrixError::Twice {
        line: line(row),
        what,
    }
}

fn line(row: &StringRecord) -> u64 {
    row.position().map_or(0, Position::line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn times(pairs: &[(&str, &str, u64)]) -> RoundTripTimes {
        let entry = |&(one, other, micros)| (pair(one, other), Duration::from_micros(micros));
        pairs.iter().map(entry).collect()
    }

    #[test]
    fn a_square_table_in_any_order_with_gaps() {
        let table =
            "# measured in March\nrtt, fog1, fog2, cloud1\ncloud1, 41, , 0\nfog1, 0, 1.5, 39\r\n";
        let expected = times(&[("fog1", "fog2", 1500), ("cloud1", "fog1", 40_000)]);
        assert_eq!(parse(table).unwrap(), expected);
    }

    #[test]
    fn a_list() {
        let table =
            "\u{feff}from,to,milliseconds\nfog2,fog1,1\nfog1,fog2,2\nfog1,fog1,9\nfog1,far,\n";
        assert_eq!(parse(table).unwrap(), times(&[("fog1", "fog2", 1500)]));
    }

    #[rstest]
    #[case("", "the table is empty")]
    #[case(
        ",a,b\na,,fast\n",
        r#"line 2, from "a" to "b": "fast" is not a time; write milliseconds"#
    )]
    #[case(",a,b\n\na,,-1\n", r#"line 3, from "a" to "b": "-1" is not a time"#)]
    #[case("from,to,milliseconds\na,b,NaN\n", r#""NaN" is not a time"#)]
    #[case(
        "from,to,milliseconds\na,b\n",
        r#"line 2, row "a": 2 cells where 3 are wanted"#
    )]
    #[case(",a,b\na,1\n", r#"line 2, row "a": 2 cells where 3 are wanted"#)]
    #[case(",a,b\nc,1,2\n", r#"line 2: row "c" has no column"#)]
    #[case(",a,a\n", r#"line 1: column "a" is there twice"#)]
    #[case(",a,b\na,,1\na,,2\n", r#"line 3: row "a" is there twice"#)]
    #[case(
        "from,to,milliseconds\na,b,1\na,b,2\n",
        r#"the time from "a" to "b" is there twice"#
    )]
    #[case(",a,\n", "line 1, column 3: a name is missing")]
    fn errors_say_where_and_what_to_write(#[case] table: &str, #[case] part: &str) {
        let error = parse(table).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
