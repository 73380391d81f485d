//! The file that events are appended to. It is rotated, so that it does not fill the disk.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tracing::{error, warn};

/// Bytes after which another file is begun.
const SIZE: u64 = 100 * 1024 * 1024;
/// Older files that are kept, as `FILE.1` (the newest) to `FILE.5`.
const KEPT: u32 = 5;

/// A log that is bounded.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    written: u64,
    size: u64,
    /// Lines that were not written since the last one that was.
    missed: u64,
}

impl Log {
    /// Goes on with a file, or begins it, for its owner only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_size(path, SIZE)
    }

    fn with_size(path: &Path, size: u64) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            written: file.metadata()?.len(),
            file,
            size,
            missed: 0,
        })
    }

    /// Appends a line, and says so when that begins to fail, and when it has ended: not each time.
    pub(super) fn append(&mut self, line: &str) {
        match self.write(line) {
            Err(error) if self.missed == 0 => {
                error!(%error, "requests are not recorded in the audit log");
                self.missed = 1;
            }
            Err(_) => self.missed += 1,
            Ok(()) if self.missed > 0 => {
                warn!(
                    missed = self.missed,
                    "requests were not recorded in the audit log"
                );
                self.missed = 0;
            }
            Ok(()) => {}
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        let length = line.len() as u64;
        if self.written > 0 && self.written + length > self.size {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.written += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            let (from, to) = (self.older(number), self.older(number + 1));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        fs::rename(&self.path, self.older(1))?;
        self.file = open(&self.path)?;
        self.written = 0;
        Ok(())
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

/// Opens a file. A new one is its owner's only, under any umask.
fn open(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    if is_new {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_rotated() {
        let folder =
            std::env::temp_dir().join(format!("control-plane-audit-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.log");
        let mut log = Log::with_size(&path, 20).unwrap();
        for number in 10..100 {
            log.write(&format!("line {number}")).unwrap();
        }
        drop(log);
        Log::with_size(&path, 20).unwrap().write("last").unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("audit.log"), "last\n");
        assert_eq!(read("audit.log.1"), "line 98\nline 99\n");
        assert_eq!(read("audit.log.5"), "line 90\nline 91\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6);
        fs::remove_dir_all(&folder).unwrap();
    }
}
