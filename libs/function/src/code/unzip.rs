//! Unpacking a package that anybody may have made: nothing outside the folder, no links, no more than 250 MB.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipFile;

/// What a package may unpack to (Lambda quotas: 250 MB).
pub const MAX_UNZIPPED: u64 = 262_144_000;
/// Far above any real package, far below what exhausts a file system.
const MAX_ENTRIES: usize = 100_000;

const MODE_KIND: u32 = 0o170_000;
const MODE_LINK: u32 = 0o120_000;

#[derive(Debug, thiserror::Error)]
pub enum UnzipError {
    #[error("not a zip file: {0}")]
    Malformed(String),
    #[error("entry {0:?} would leave the package's folder")]
    Outside(String),
    #[error("entry {0:?} is a symbolic link or a special file")]
    Special(String),
    #[error("unpacks to more than {MAX_UNZIPPED} bytes or {MAX_ENTRIES} files")]
    TooLarge,
    #[error("package is empty")]
    Empty,
    #[error("unpacking: {0}")]
    Io(#[from] io::Error),
}

/// Says whether `zip` will unpack, as far as its directory tells.
pub fn check(zip: &[u8]) -> Result<(), UnzipError> {
    let mut archive = open(zip)?;
    let mut total = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(malformed)?;
        check_entry(&entry)?;
        total += entry.size();
    }
    if archive.is_empty() {
        return Err(UnzipError::Empty);
    }
    if total > MAX_UNZIPPED || archive.len() > MAX_ENTRIES {
        return Err(UnzipError::TooLarge);
    }
    Ok(())
}

/// Unpacks into `folder`, which is empty. Sizes are counted as bytes come out, since a zip may lie about them.
pub fn unpack(zip: &[u8], folder: &Path) -> Result<(), UnzipError> {
    check(zip)?;
    let mut archive = open(zip)?;
    let mut left = MAX_UNZIPPED;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(malformed)?;
        left = unpack_entry(&mut entry, folder, left)?;
    }
    Ok(())
}

fn open(zip: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, UnzipError> {
    ZipArchive::new(Cursor::new(zip)).map_err(malformed)
}

fn check_entry<R: Read>(entry: &ZipFile<'_, R>) -> Result<(), UnzipError> {
    let name = || entry.name().to_owned();
    // Names with `..`, absolute ones and ones with a null byte have no enclosed name.
    if entry.enclosed_name().is_none() {
        return Err(UnzipError::Outside(name()));
    }
    let kind = entry.unix_mode().unwrap_or(0) & MODE_KIND;
    if kind == MODE_LINK || entry.is_symlink() || !matches!(kind, 0 | 0o100_000 | 0o040_000) {
        return Err(UnzipError::Special(name()));
    }
    Ok(())
}

fn unpack_entry<R: Read>(entry: &mut ZipFile<'_, R>, folder: &Path, left: u64) -> Result<u64, UnzipError> {
    let name = entry.enclosed_name().ok_or_else(|| UnzipError::Outside(entry.name().to_owned()))?;
    let path = folder.join(name);
    if entry.is_dir() {
        fs::create_dir_all(&path)?;
        return Ok(left);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = create(&path, entry.unix_mode())?;
    let written = io::copy(&mut entry.take(left + 1), &mut file)?;
    left.checked_sub(written).ok_or(UnzipError::TooLarge)
}

/// A file that its owner may always read, and everybody may execute if somebody could in the package.
fn create(path: &Path, mode: Option<u32>) -> io::Result<File> {
    let executable = mode.is_some_and(|mode| mode & 0o111 != 0);
    let mode = if executable { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)
}

fn malformed(error: zip::result::ZipError) -> UnzipError {
    UnzipError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::fixtures::zip_of;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["../evil", "/etc/evil", "a/../../evil"] {
            assert!(matches!(check(&zip_of(&[(name, "x")])), Err(UnzipError::Outside(_))), "{name}");
        }
    }

    #[test]
    fn links_are_refused() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        assert!(matches!(check(&zip), Err(UnzipError::Special(_))));
    }

    #[test]
    fn nonsense_and_empty_packages_are_refused() {
        assert!(matches!(check(b"not a zip"), Err(UnzipError::Malformed(_))));
        assert!(matches!(check(&zip_of(&[])), Err(UnzipError::Empty)));
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("zeros", SimpleFileOptions::default()).unwrap();
        let megabyte = vec![0; 1024 * 1024];
        for _ in 0..251 {
            writer.write_all(&megabyte).unwrap();
        }
        let zip = writer.finish().unwrap().into_inner();
        assert!(matches!(check(&zip), Err(UnzipError::TooLarge)));
    }

    #[test]
    fn executable_bits_are_kept() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        writer.start_file("bin/bootstrap", options.unix_permissions(0o755)).unwrap();
        writer.start_file("bin/text", options.unix_permissions(0o400)).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        let folder = tempfile::tempdir().unwrap();
        unpack(&zip, folder.path()).unwrap();
        let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bin/bootstrap"), mode("bin/text")), (0o755, 0o644));
    }
}
