//! What a command prints.

use std::io::{self, Write as _};

use anyhow::Result;

/// Prints a text. Who reads may have seen enough before its end.
pub(crate) fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
