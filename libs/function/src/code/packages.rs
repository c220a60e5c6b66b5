//! Code packages of a region: on the disk of the process that uses them, and, where several processes run functions, in
//! the region's store, from where each gets what it has not.
//!
//! ```text
//! code-packages/<sha256>   <piece>   {"data": "<base64>"}; the last piece is written first, so that piece 0 says that all is there
//! ```

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tradewind_engine::Documents;

use super::{CodeError, CodeStore, Pin};

const COLLECTION: &str = "code-packages";
/// Documents are meant to be small.
const PIECE_BYTES: usize = 192 * 1024;

#[derive(Serialize, Deserialize)]
struct Piece {
    pieces: usize,
    data: String,
}

pub struct Packages<D> {
    documents: Arc<D>,
    disk: Arc<CodeStore>,
    is_shared: bool,
}

impl<D: Documents> Packages<D> {
    /// `is_shared`: other processes need the packages too.
    pub fn new(documents: Arc<D>, disk: Arc<CodeStore>, is_shared: bool) -> Packages<D> {
        Packages { documents, disk, is_shared }
    }

    /// Keeps a package; safe, and to be had by everybody, when this returns.
    pub async fn store(&self, zip: Vec<u8>) -> Result<Arc<Pin>, CodeError> {
        let disk = self.disk.clone();
        let zip = Arc::new(zip);
        let bytes = zip.clone();
        let pin = blocking(move || disk.store(&bytes)).await?;
        if self.is_shared {
            self.publish(&pin.sha256, &zip).await?;
        }
        Ok(pin)
    }

    /// The folder with the package's files.
    pub async fn unpacked(&self, sha256: &str) -> Result<(PathBuf, Arc<Pin>), CodeError> {
        let unpack = || {
            let (disk, sha256) = (self.disk.clone(), sha256.to_owned());
            blocking(move || disk.unpacked(&sha256))
        };
        match unpack().await {
            Err(CodeError::Missing(_)) if self.is_shared => {
                let zip = self.fetch(sha256).await?;
                let disk = self.disk.clone();
                // Held until it is unpacked: nobody may collect it in between.
                let _pin = blocking(move || disk.store(&zip)).await?;
                unpack().await
            }
            other => other,
        }
    }

    /// Removes from this process's disk, and from the store, what `referenced` does not name.
    pub async fn collect(&self, referenced: HashSet<String>, removed: Option<&str>) -> Result<(), CodeError> {
        if let Some(sha256) = removed.filter(|sha256| self.is_shared && !referenced.contains(*sha256)) {
            self.withdraw(sha256).await?;
        }
        let disk = self.disk.clone();
        blocking(move || Ok(disk.collect(&referenced)?)).await
    }

    async fn publish(&self, sha256: &str, zip: &[u8]) -> Result<(), CodeError> {
        let collection = format!("{COLLECTION}/{sha256}");
        let pieces: Vec<_> = zip.chunks(PIECE_BYTES).collect();
        for (number, bytes) in pieces.iter().enumerate().rev() {
            let piece = Piece { pieces: pieces.len(), data: BASE64.encode(bytes) };
            let body = serde_json::to_vec(&piece).map_err(std::io::Error::other)?;
            // The name says what the content is: one that is there already is right.
            self.documents.compare_and_set(&collection, &name(number), None, Some(&body)).await?;
        }
        Ok(())
    }

    async fn fetch(&self, sha256: &str) -> Result<Vec<u8>, CodeError> {
        let collection = format!("{COLLECTION}/{sha256}");
        let (mut zip, mut number, mut pieces) = (Vec::new(), 0, 1);
        while number < pieces {
            let found = self.documents.get(&collection, &name(number)).await?;
            let found = found.ok_or_else(|| CodeError::Missing(sha256.to_owned()))?;
            let piece: Piece = serde_json::from_slice(&found.body).map_err(std::io::Error::other)?;
            zip.extend(BASE64.decode(piece.data).map_err(std::io::Error::other)?);
            pieces = piece.pieces;
            number += 1;
        }
        Ok(zip)
    }

    async fn withdraw(&self, sha256: &str) -> Result<(), CodeError> {
        let collection = format!("{COLLECTION}/{sha256}");
        for (name, piece) in self.documents.list(&collection).await? {
            self.documents.compare_and_set(&collection, &name, Some(piece.revision), None).await?;
        }
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("{number:05}")
}

async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, CodeError> + Send + 'static,
) -> Result<T, CodeError> {
    tokio::task::spawn_blocking(run).await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{MemoryDocuments, zip_of};

    #[tokio::test]
    async fn another_process_gets_a_package_that_it_has_not() {
        let (folder, documents) = (tempfile::tempdir().unwrap(), Arc::new(MemoryDocuments::default()));
        let process = |name: &str, is_shared| {
            let disk = Arc::new(CodeStore::open(folder.path().join(name)).unwrap());
            Packages::new(documents.clone(), disk, is_shared)
        };
        // Random, so that the zip is no smaller: several pieces.
        let noise: String =
            (0..60_000).map(|_| uuid::Uuid::new_v4().simple().to_string()[..8].to_owned()).collect();
        let zip = zip_of(&[("main.py", &noise)]);
        assert!(zip.len() > PIECE_BYTES);
        let (one, two, alone) = (process("one", true), process("two", true), process("three", false));
        let sha256 = one.store(zip).await.unwrap().sha256.clone();
        let (unpacked, _pin) = two.unpacked(&sha256).await.unwrap();
        assert_eq!(std::fs::read_to_string(unpacked.join("main.py")).unwrap(), noise);
        assert!(matches!(alone.unpacked(&sha256).await, Err(CodeError::Missing(_))));
        one.collect(HashSet::new(), Some(&sha256)).await.unwrap();
        assert!(documents.list(&format!("{COLLECTION}/{sha256}")).await.unwrap().is_empty());
    }
}
