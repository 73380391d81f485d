//! Where a log lies.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::mark;

/// A place for one log. Tests put a faulty one in its place.
pub(super) trait Disk: Send {
    /// The whole log; none if there is none yet.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>>;
    /// Adds to the log. If it fails, a part may have been added.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was added.
    fn sync(&mut self) -> io::Result<()>;
    /// Shortens the log.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Writes another log beside the log, and makes it durable. If it fails, the log is as it was.
    fn prepare(&mut self, parts: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()>;
    /// Puts the prepared log in the log's place. If it fails, either may be there.
    fn replace(&mut self) -> io::Result<()>;
    /// Writes the mark that lies beside the log, in one step. It need not be durable.
    fn mark(&mut self, mark: &[u8; mark::SIZE]) -> io::Result<()>;
    /// The mark; none if there is none.
    fn read_mark(&mut self) -> io::Result<Option<Vec<u8>>>;
}

/// A folder with a log, locked against others.
pub(super) struct Folder {
    path: PathBuf,
    log: Option<File>,
    prepared: Option<File>,
    mark: Option<File>,
    /// Held as long as the folder is open.
    _lock: File,
}

const LOG: &str = "log";
const PREPARED: &str = "log.new";
const MARK: &str = "mark";
const LOCK: &str = "lock";

/// Objects may be secrets: only the owner reads them.
const OWNER: u32 = 0o600;
const OWNER_FOLDER: u32 = 0o700;

impl Folder {
    /// Opens a folder, which is made if need be.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        if !path.is_dir() {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(OWNER_FOLDER).create(path)?;
            fs::set_permissions(path, Permissions::from_mode(OWNER_FOLDER))?;
            if let Some(parent) = path.canonicalize()?.parent() {
                sync_folder(parent)?;
            }
        }
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let lock = open_owned(options, &path.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
            TryLockError::Error(error) => OpenError::Storage(error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            log: None,
            prepared: None,
            mark: None,
            _lock: lock,
        })
    }

    fn log(&mut self) -> io::Result<&mut File> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no log");
        self.log.as_mut().ok_or_else(missing)
    }
}

impl Disk for Folder {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let path = self.path.join(LOG);
        let mut file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // What is there may have been written, but not synced, by one that was killed.
        file.sync_all()?;
        sync_folder(&self.path)?;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        self.log = Some(file);
        Ok(Some(bytes))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.log()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.log()?.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let log = self.log()?;
        log.set_len(length)?;
        log.sync_data()
    }

    fn prepare(&mut self, parts: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        let path = self.path.join(PREPARED);
        let write = || -> io::Result<File> {
            // One that is left over from a crash is of no use.
            if path.exists() {
                fs::remove_file(&path)?;
            }
            let mut options = OpenOptions::new();
            let options = options.create_new(true).append(true);
            let mut file = open_owned(options, &path)?;
            for part in parts {
                file.write_all(&part?)?;
            }
            file.sync_all()?;
            Ok(file)
        };
        match write() {
            Ok(file) => {
                self.prepared = Some(file);
                Ok(())
            }
            Err(error) => {
                // It may have filled the disk.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn replace(&mut self) -> io::Result<()> {
        fs::rename(self.path.join(PREPARED), self.path.join(LOG))?;
        self.log = self.prepared.take();
        sync_folder(&self.path)
    }

    fn mark(&mut self, mark: &[u8; mark::SIZE]) -> io::Result<()> {
        let file = if let Some(file) = self.mark.take() {
            file
        } else {
            let mut options = OpenOptions::new();
            let options = options.create(true).truncate(false).write(true);
            open_owned(options, &self.path.join(MARK))?
        };
        self.mark.insert(file).write_all_at(mark, 0)
    }

    fn read_mark(&mut self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(MARK)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens a file that only its owner may use, under any umask.
fn open_owned(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(OWNER).open(path)?;
    file.set_permissions(Permissions::from_mode(OWNER))?;
    Ok(file)
}

/// Makes the names in a folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
