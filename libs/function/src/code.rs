//! Code packages on disk, by what is in them.
//!
//! ```text
//! <directory>/<sha256>.zip     as uploaded; there only once it is whole and synced
//! <directory>/<sha256>/        unpacked, made on first use from the zip, shared by all environments
//! <directory>/incoming/        what is being written; emptied on start
//! ```
//!
//! A package stays while a function names it, somebody holds a [`Pin`] of it, or an environment runs from it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use sha2::{Digest, Sha256};

pub mod directory;
mod packages;
mod unzip;

pub use packages::Packages;
pub use unzip::{MAX_UNZIPPED, UnzipError};

/// The largest zip in a request (Lambda quotas: 50 MB zipped).
pub const MAX_ZIP: usize = 50 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error(transparent)]
    Unzip(#[from] UnzipError),
    #[error("code storage: {0}")]
    Io(#[from] io::Error),
    #[error("code storage: {0}")]
    Engine(#[from] tradewind_engine::Error),
    #[error("code package {0} is missing")]
    Missing(String),
}

/// Keeps a package from being collected while it lives.
#[derive(Debug)]
pub struct Pin {
    pub sha256: String,
}

pub struct CodeStore {
    directory: PathBuf,
    pins: Mutex<HashMap<String, Weak<Pin>>>,
    // One unpacking at a time: two would race for the same folder.
    unpacking: Mutex<()>,
}

impl CodeStore {
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<CodeStore> {
        let directory = directory.into();
        let incoming = directory.join("incoming");
        if incoming.exists() {
            fs::remove_dir_all(&incoming)?;
        }
        fs::create_dir_all(&incoming)?;
        Ok(CodeStore { directory, pins: Mutex::default(), unpacking: Mutex::default() })
    }

    /// Checks that `zip` can be unpacked and keeps it; on disk when this returns. Blocks.
    pub fn store(&self, zip: &[u8]) -> Result<Arc<Pin>, CodeError> {
        unzip::check(zip)?;
        let sha256 = hex(&Sha256::digest(zip));
        let pin = self.pin(&sha256);
        let path = self.zip_path(&sha256);
        if !path.exists() {
            let mut file = tempfile::NamedTempFile::new_in(self.incoming())?;
            file.write_all(zip)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(pin)
    }

    /// The folder with the package's files, unpacked if it is not yet. Blocks.
    pub fn unpacked(&self, sha256: &str) -> Result<(PathBuf, Arc<Pin>), CodeError> {
        let pin = self.pin(sha256);
        let folder = self.directory.join(sha256);
        let _one_at_a_time = self.unpacking.lock().expect("no panic while held");
        if !folder.exists() {
            let zip = self.read(sha256)?;
            let fresh = tempfile::TempDir::new_in(self.incoming())?;
            unzip::unpack(&zip, fresh.path())?;
            fs::rename(fresh.keep(), &folder)?;
        }
        Ok((folder, pin))
    }

    pub fn read(&self, sha256: &str) -> Result<Vec<u8>, CodeError> {
        match fs::read(self.zip_path(sha256)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(CodeError::Missing(sha256.to_owned()))
            }
            other => Ok(other?),
        }
    }

    /// Removes what neither `referenced` nor a pin names. A package that is stored after `referenced` was read is
    /// pinned, so nothing needed is lost. Blocks.
    pub fn collect(&self, referenced: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let Some(sha256) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            if sha256.len() == 64 && !referenced.contains(sha256) && !self.is_pinned(sha256) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn pin(&self, sha256: &str) -> Arc<Pin> {
        let mut pins = self.pins.lock().expect("no panic while held");
        pins.retain(|_, pin| pin.strong_count() > 0);
        if let Some(pin) = pins.get(sha256).and_then(Weak::upgrade) {
            return pin;
        }
        let pin = Arc::new(Pin { sha256: sha256.to_owned() });
        pins.insert(sha256.to_owned(), Arc::downgrade(&pin));
        pin
    }

    fn is_pinned(&self, sha256: &str) -> bool {
        let pins = self.pins.lock().expect("no panic while held");
        pins.get(sha256).is_some_and(|pin| pin.strong_count() > 0)
    }

    fn zip_path(&self, sha256: &str) -> PathBuf {
        self.directory.join(format!("{sha256}.zip"))
    }

    fn incoming(&self) -> PathBuf {
        self.directory.join("incoming")
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::zip_of;

    #[test]
    fn a_package_is_collected_only_when_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::open(folder.path()).unwrap();
        let pin = store.store(&zip_of(&[("main.py", "x = 1")])).unwrap();
        let sha256 = pin.sha256.clone();
        let (unpacked, running) = store.unpacked(&sha256).unwrap();
        assert_eq!(fs::read_to_string(unpacked.join("main.py")).unwrap(), "x = 1");

        drop(pin);
        store.collect(&HashSet::new()).unwrap();
        assert!(unpacked.exists(), "an environment runs from it");
        drop(running);
        store.collect(&HashSet::from([sha256.clone()])).unwrap();
        assert!(unpacked.exists(), "a function names it");
        store.collect(&HashSet::new()).unwrap();
        assert!(!unpacked.exists());
        assert!(matches!(store.read(&sha256), Err(CodeError::Missing(_))));
    }
}
