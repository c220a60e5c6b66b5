//! The directory of one region: who may use it, and which format is in it.
//!
//! ```text
//! <dir>/LOCK       locked (flock) by the process that has the directory open, for all its life
//! <dir>/VERSION    the name of the format, written before anything else
//! <dir>/db/        the fjall database
//! ```
//!
//! The lock is the lease of an embedded region: without it two processes could both own its partitions.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::settings::Settings;

/// Changes with the keyspaces, the layouts of their keys or of the counter rows.
pub const FORMAT: &str = "tradewind-region-1";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("data directory {} is not writable: {source}", dir.display())]
    NotWritable { dir: PathBuf, source: io::Error },
    #[error("data directory {} is in use by another process", dir.display())]
    InUse { dir: PathBuf },
    #[error("data directory {} holds data of format {found:?}, and this program reads {FORMAT:?}", dir.display())]
    OtherFormat { dir: PathBuf, found: String },
    #[error("data directory {} cannot be opened: {reason}", dir.display())]
    Damaged { dir: PathBuf, reason: String },
}

/// A locked directory of the right format. Dropped last, when nothing writes there any more.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: Option<File>,
    _temporary: Option<tempfile::TempDir>,
}

impl Directory {
    pub fn open(settings: &Settings) -> Result<Directory, OpenError> {
        if settings.in_memory {
            return Self::temporary(&settings.dir);
        }
        let path = settings.dir.clone();
        let not_writable = |source| OpenError::NotWritable { dir: path.clone(), source };
        fs::create_dir_all(&path).map_err(not_writable)?;
        let lock = lock(&path)?;
        check_format(&path)?;
        remove_unfinished(&path.join("db")).map_err(not_writable)?;
        Ok(Directory { path, _lock: Some(lock), _temporary: None })
    }

    fn temporary(dir: &Path) -> Result<Directory, OpenError> {
        let folder = tempfile::Builder::new()
            .prefix("tradewind-")
            .tempdir()
            .map_err(|source| OpenError::NotWritable { dir: dir.to_owned(), source })?;
        Ok(Directory { path: folder.path().to_owned(), _lock: None, _temporary: Some(folder) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// Makes the folder of a new keyspace durable. fjall syncs what is in the folder, not its name; after a loss of
    /// power a keyspace without its folder would be taken for one that never was, with its rows in the journal.
    pub fn sync_keyspaces(&self) -> io::Result<()> {
        File::open(self.database().join("keyspaces"))?.sync_all()
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let dir = path.to_owned();
    let opened = File::options().create(true).truncate(false).write(true).open(path.join("LOCK"));
    let file = opened.map_err(|source| OpenError::NotWritable { dir: dir.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir }),
        Err(TryLockError::Error(source)) => Err(OpenError::NotWritable { dir, source }),
    }
}

fn check_format(path: &Path) -> Result<(), OpenError> {
    let dir = path.to_owned();
    match fs::read_to_string(path.join("VERSION")) {
        Ok(found) if found.trim_end() == FORMAT => Ok(()),
        Ok(found) => Err(OpenError::OtherFormat { dir, found: found.trim_end().chars().take(80).collect() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => begin(path),
        Err(source) => Err(OpenError::Damaged { dir, reason: format!("VERSION: {source}") }),
    }
}

fn begin(path: &Path) -> Result<(), OpenError> {
    let dir = path.to_owned();
    if path.join("db").exists() {
        return Err(OpenError::Damaged { dir, reason: "there is a database and no VERSION file".to_owned() });
    }
    write_format(path).map_err(|source| OpenError::NotWritable { dir, source })
}

fn write_format(path: &Path) -> io::Result<()> {
    // Renamed into place, so that a crash leaves no half-written VERSION.
    let draft = path.join("VERSION.new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&draft, path.join("VERSION"))?;
    File::open(path)?.sync_all()
}

/// A crash while fjall made its first files leaves a folder that it cannot open. It has no keyspace, so nothing was ever
/// committed to it.
fn remove_unfinished(database: &Path) -> io::Result<()> {
    let marker = fs::metadata(database.join("version")).map_or(0, |file| file.len());
    if marker > 0 || !database.exists() || has_keyspaces(database)? {
        return Ok(());
    }
    fs::remove_dir_all(database)
}

fn has_keyspaces(database: &Path) -> io::Result<bool> {
    match fs::read_dir(database.join("keyspaces")) {
        // Keyspace 0 is fjall's own list of the others, which it makes after the marker.
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<Directory, OpenError> {
        Directory::open(&Settings::new(path))
    }

    fn message(path: &Path) -> String {
        open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_is_made_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        drop(open(&path).unwrap());
        assert_eq!(fs::read_to_string(path.join("VERSION")).unwrap(), format!("{FORMAT}\n"));
        open(&path).unwrap();
    }

    #[test]
    fn a_directory_in_use_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(folder.path()).unwrap();
        assert_eq!(
            message(folder.path()),
            format!("data directory {} is in use by another process", folder.path().display())
        );
    }

    #[test]
    fn data_of_another_format_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("VERSION"), "tradewind-region-9\n").unwrap();
        assert_eq!(
            message(folder.path()),
            format!(
                "data directory {} holds data of format \"tradewind-region-9\", and this program reads {FORMAT:?}",
                folder.path().display()
            )
        );
    }

    #[test]
    fn a_database_without_a_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("db")).unwrap();
        assert!(message(folder.path()).contains("no VERSION file"));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let message = message(&file.join("region"));
        assert!(
            message.starts_with(&format!("data directory {} is not writable", file.join("region").display()))
        );
        assert!(!message.contains('\n'));
    }

    #[test]
    fn a_database_whose_making_was_cut_short_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        fs::create_dir_all(folder.path().join("db/keyspaces")).unwrap();
        fs::write(folder.path().join("db/0.jnl"), "").unwrap();
        drop(open(folder.path()).unwrap());
        assert!(!folder.path().join("db").exists());
    }
}
