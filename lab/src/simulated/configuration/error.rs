//! What is wrong with a configuration.

use std::path::{Path, PathBuf};

/// What is wrong with a configuration: where, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("can't read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}, line {line}: {what}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 where it is about the whole file.
        line: u64,
        /// What is wrong, and what to write instead.
        what: String,
    },
}

/// Something wrong at a line, before the file is known.
pub(super) struct Problem {
    line: u64,
    what: String,
}

impl Problem {
    pub(super) fn at(line: u64, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { line, what }
    }

    pub(super) fn yaml(error: &serde_saphyr::Error) -> Self {
        let line = error.location().map_or(0, |location| location.line());
        Self::at(line, error.without_snippet().to_string())
    }

    pub(super) fn in_file(self, file: &Path) -> ConfigurationError {
        ConfigurationError::Wrong {
            file: file.to_owned(),
            line: self.line,
            what: self.what,
        }
    }
}
