//! Documents as rows of the state keyspace.
//!
//! ```text
//! 'd' ‖ collection ‖ 0 ‖ name → revision (8, big-endian) ‖ body
//! 'g' ‖ collection            → revision of the collection's newest change (8, big-endian)
//! ```

use ::fjall::Readable;

use super::tables::{Tables, broken};
use crate::{Document, Error};

pub fn document_key(collection: &str, name: &str) -> Vec<u8> {
    [b"d", collection.as_bytes(), &[0], name.as_bytes()].concat()
}

pub fn generation_key(collection: &str) -> Vec<u8> {
    [b"g", collection.as_bytes()].concat()
}

/// Splits a document's row into its revision and its body.
pub fn decode_revision(row: &[u8]) -> Result<(u64, &[u8]), Error> {
    let (revision, body) =
        row.split_first_chunk().ok_or_else(|| Error::Corrupt("a document without revision".to_owned()))?;
    Ok((u64::from_be_bytes(*revision), body))
}

fn decode_document(row: &[u8]) -> Result<Document, Error> {
    decode_revision(row).map(|(revision, body)| Document { revision, body: body.to_vec() })
}

fn decode_name(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|e| Error::Corrupt(format!("a document's name: {e}")))
}

impl Tables {
    pub fn document(&self, collection: &str, name: &str) -> Result<Option<Document>, Error> {
        let row = self.get(&self.state, &document_key(collection, name))?;
        row.map(|row| decode_document(&row)).transpose()
    }

    pub fn generation(&self, collection: &str) -> Result<u64, Error> {
        let row = self.get(&self.state, &generation_key(collection))?;
        row.map_or(Ok(0), |row| decode_revision(&row).map(|(revision, _)| revision))
    }

    pub fn documents(&self, collection: &str) -> Result<Vec<(String, Document)>, Error> {
        let prefix = document_key(collection, "");
        let named = |entry: ::fjall::Guard| {
            let (key, row) = entry.into_inner().map_err(broken)?;
            Ok((decode_name(&key[prefix.len()..])?, decode_document(&row)?))
        };
        self.published().prefix(&self.state, &prefix).map(named).collect()
    }
}
