//! Whether anything in a folder of code has changed: a fingerprint of its files' names, sizes and times.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Beyond this the folder is not watched any further: a walk must stay cheap, it happens while people wait.
const MAX_FILES: usize = 20_000;
/// Folders that running the code itself writes to, or that nobody edits by hand.
const UNWATCHED: [&str; 4] = ["__pycache__", ".git", "node_modules", "target"];

/// Differs (but for chance) after any file was added, removed, written or renamed. Blocks.
pub fn fingerprint(folder: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut left = MAX_FILES;
    visit(folder, &mut hasher, &mut left)?;
    Ok(hasher.finish())
}

fn visit(folder: &Path, hasher: &mut DefaultHasher, left: &mut usize) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if *left == 0 || UNWATCHED.iter().any(|unwatched| name == *unwatched) {
            continue;
        }
        *left -= 1;
        // A file that vanished since the folder was read shows at the next look.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            name.hash(hasher);
            visit(&entry.path(), hasher, left)?;
        } else {
            (name, metadata.len(), modified_ns(&metadata)).hash(hasher);
        }
    }
    Ok(())
}

fn modified_ns(metadata: &fs::Metadata) -> u128 {
    let modified = metadata.modified().ok();
    modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).map_or(0, |age| age.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_code_shows_and_caches_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("lib")).unwrap();
        fs::write(path.join("lib/a.py"), "x = 1").unwrap();
        let first = fingerprint(path).unwrap();
        fs::create_dir(path.join("__pycache__")).unwrap();
        fs::write(path.join("__pycache__/a.pyc"), "compiled").unwrap();
        assert_eq!(fingerprint(path).unwrap(), first);
        fs::write(path.join("lib/a.py"), "x = 10").unwrap();
        let second = fingerprint(path).unwrap();
        assert_ne!(second, first);
        fs::rename(path.join("lib/a.py"), path.join("lib/b.py")).unwrap();
        assert_ne!(fingerprint(path).unwrap(), second);
    }
}
