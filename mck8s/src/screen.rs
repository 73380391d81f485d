//! A page at the lower end of the terminal, drawn over and over, and lines that go above it.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::tcgetwinsize;
use tracing_subscriber::fmt::MakeWriter;

/// The terminal. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Page>>);

/// What is drawn.
#[derive(Default)]
struct Page {
    text: String,
    drawn: bool,
}

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Screen {
    /// The terminal, if standard output is one that can be drawn on.
    pub(crate) fn find() -> Option<Self> {
        let able = std::env::var("TERM").is_ok_and(|term| !["", "dumb"].contains(&term.as_str()));
        (able && io::stdout().is_terminal()).then(Self::default)
    }

    /// How large it is now.
    pub(crate) fn size() -> Size {
        let size = tcgetwinsize(io::stdout()).ok();
        let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let (columns, rows) = size.unwrap_or_default();
        Size {
            columns: if columns == 0 { 80 } else { columns },
            rows: if rows == 0 { 24 } else { rows },
        }
    }

    /// Draws a page in the place of the one before.
    pub(crate) fn draw(&self, page: String) -> io::Result<()> {
        let mut before = self.page();
        let mut out = io::stdout().lock();
        write!(out, "{}{page}", before.erased(Self::size().columns))?;
        *before = Page {
            text: page,
            drawn: true,
        };
        out.flush()
    }

    /// Writes a line above the page.
    pub(crate) fn say(&self, line: &str) -> io::Result<()> {
        let page = self.page();
        let mut out = io::stdout().lock();
        let erased = page.erased(Self::size().columns);
        write!(out, "{erased}{line}\n{}", page.text)?;
        out.flush()
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    /// What takes the page off a terminal of that width; the cursor is at its end.
    fn erased(&self, columns: usize) -> String {
        if !self.drawn {
            return String::new();
        }
        // A line that is longer than the terminal has become narrow takes several rows.
        let rows = |line: &str| line.chars().count().div_ceil(columns).max(1);
        match self.text.lines().map(rows).sum() {
            0_usize => String::new(),
            rows => format!("\x1b[{rows}A\r\x1b[J"),
        }
    }
}

/// Writes the log to standard error, above the page where both are on the terminal.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Above(self)
    }
}

/// Lines for above the page.
pub(crate) struct Above<'a>(&'a Screen);

impl Write for Above<'_> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let page = self.0.page();
        if !io::stderr().is_terminal() {
            io::stderr().write_all(lines)?;
            return Ok(lines.len());
        }
        let mut out = io::stdout().lock();
        write!(out, "{}", page.erased(Screen::size().columns))?;
        out.flush()?;
        io::stderr().write_all(lines)?;
        write!(out, "{}", page.text)?;
        out.flush()?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_off_as_tall_as_the_terminal_shows_it() {
        let page = Page {
            text: "short\n\nten chars!\n".to_owned(),
            drawn: true,
        };
        assert_eq!(page.erased(80), "\x1b[3A\r\x1b[J");
        assert_eq!(page.erased(10), "\x1b[3A\r\x1b[J");
        // The long line has wrapped.
        assert_eq!(page.erased(9), "\x1b[4A\r\x1b[J");
        assert_eq!(Page::default().erased(80), "");
    }
}
