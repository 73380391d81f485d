//! A log in a file that does not grow for ever.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes after which a file is put aside.
const SIZE: u64 = 10 << 20;

/// A file, and the one before it under the same name with `.1`. Clones share it.
#[derive(Clone)]
pub(crate) struct LogFile(Arc<Mutex<Current>>);

struct Current {
    path: PathBuf,
    file: File,
    written: u64,
    size: u64,
}

impl LogFile {
    /// Goes on with a file, which is made if need be.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::of_size(path, SIZE)
    }

    fn of_size(path: &Path, size: u64) -> io::Result<Self> {
        let file = open(path)?;
        let written = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Current {
            path: path.to_owned(),
            file,
            written,
            size,
        }))))
    }
}

impl Current {
    /// Puts the file aside, in the place of the one before.
    fn rotate(&mut self) -> io::Result<()> {
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        fs::rename(&self.path, before)?;
        self.file = open(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

/// Messages may name what is not for others.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

/// Writes one line.
pub(crate) struct Line<'a>(MutexGuard<'a, Current>);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let current = &mut *self.0;
        if current.written >= current.size {
            current.rotate()?;
        }
        let written = current.file.write(line)?;
        current.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file.flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_takes_twice_its_size_at_most_and_ends_with_what_came_last() {
        let folder = std::env::temp_dir().join(format!("mck8s-log-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        for round in 0..2 {
            let log = LogFile::of_size(&path, 1000).unwrap();
            for number in 0..500 {
                let line = format!("{round} line {number}\n");
                log.make_writer().write_all(line.as_bytes()).unwrap();
            }
        }
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let (now, before) = (read("log"), read("log.1"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        assert!(now.len() < 1100 && before.len() < 1100);
        assert!(now.ends_with("1 line 499\n"));
        let lines = [before, now].concat();
        let first = lines.split_whitespace().nth(2).unwrap().parse::<u32>();
        let numbers = lines.lines().map(|line| line.rsplit(' ').next().unwrap());
        let expected = (first.unwrap()..500).map(|number| number.to_string());
        assert!(numbers.eq(expected), "{lines}");
        fs::remove_dir_all(folder).unwrap();
    }
}
