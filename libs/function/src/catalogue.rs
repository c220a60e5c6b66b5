//! Functions and event source mappings as documents, changed by compare-and-set, and who wants to know of it.
//!
//! Collections: `functions` by name (versions and aliases: see [`version`]), `mappings` by UUID, `mapping-status` by UUID (written by whoever runs the mapping),
//! `mapping-checkpoints` by UUID and shard (see [`crate::mapping::checkpoint`]), `failed-batches/…` (see
//! [`crate::mapping::failed`]). JSON with unknown fields ignored and new fields defaulted, so that a newer program reads
//! what an older one wrote.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tradewind_engine::{Document, Documents};

pub mod function;
pub mod mapping;
pub mod version;

pub use function::{Code, Endpoint, Form, Function};
pub use mapping::{Mapping, MappingStatus, Replay};
pub use version::Alias;

const FUNCTIONS: &str = "functions";
const MAPPINGS: &str = "mappings";
const STATUS: &str = "mapping-status";

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error(transparent)]
    Engine(#[from] tradewind_engine::Error),
    #[error("document {collection}/{name} makes no sense: {error}")]
    Corrupt { collection: String, name: String, error: serde_json::Error },
    /// Somebody else changed the document all the time.
    #[error("document {collection}/{name} is changed by too many at once")]
    Contended { collection: String, name: String },
}

/// How often a change is tried again because another came first.
const MAX_TRIES: usize = 20;

pub struct Catalogue<D> {
    documents: Arc<D>,
    changed: watch::Sender<u64>,
}

impl<D: Documents> Catalogue<D> {
    pub fn new(documents: Arc<D>) -> Catalogue<D> {
        Catalogue { documents, changed: watch::channel(0).0 }
    }

    pub fn documents(&self) -> &Arc<D> {
        &self.documents
    }

    /// Signalled when a function or mapping was changed through this catalogue.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub async fn function(&self, name: &str) -> Result<Option<Function>, CatalogueError> {
        Ok(self.get(FUNCTIONS, name).await?.map(|(_, function)| function))
    }

    pub async fn functions(&self) -> Result<Vec<Function>, CatalogueError> {
        self.list(FUNCTIONS).await
    }

    /// Answers false if there is one of that name.
    pub async fn create_function(&self, function: &Function) -> Result<bool, CatalogueError> {
        self.create(FUNCTIONS, &function.name, function).await
    }

    /// Changes a function by `edit`, which may run several times and may refuse; `None` if there is no such function.
    pub async fn update_function<E>(
        &self,
        name: &str,
        edit: impl Fn(&mut Function) -> Result<(), E>,
    ) -> Result<Option<Result<Function, E>>, CatalogueError> {
        self.update(FUNCTIONS, name, edit).await
    }

    pub async fn delete_function(&self, name: &str) -> Result<Option<Function>, CatalogueError> {
        self.delete(FUNCTIONS, name).await
    }

    pub async fn mapping(&self, uuid: &str) -> Result<Option<Mapping>, CatalogueError> {
        Ok(self.get(MAPPINGS, uuid).await?.map(|(_, mapping)| mapping))
    }

    pub async fn mappings(&self) -> Result<Vec<Mapping>, CatalogueError> {
        self.list(MAPPINGS).await
    }

    pub async fn create_mapping(&self, mapping: &Mapping) -> Result<bool, CatalogueError> {
        self.create(MAPPINGS, &mapping.uuid, mapping).await
    }

    pub async fn update_mapping<E>(
        &self,
        uuid: &str,
        edit: impl Fn(&mut Mapping) -> Result<(), E>,
    ) -> Result<Option<Result<Mapping, E>>, CatalogueError> {
        self.update(MAPPINGS, uuid, edit).await
    }

    /// Stops a mapping where it is, with the reason; what it has not settled waits. `None` if there is no such mapping.
    pub async fn pause_mapping(
        &self,
        uuid: &str,
        reason: &str,
        now_ms: u64,
    ) -> Result<Option<Mapping>, CatalogueError> {
        let edit = |mapping: &mut Mapping| {
            if mapping.deleting {
                return Ok(());
            }
            if mapping.enabled {
                mapping.transition = "Disabling".to_owned();
                mapping.generation += 1;
            }
            mapping.enabled = false;
            mapping.pause_reason = Some(reason.to_owned());
            mapping.last_modified_ms = now_ms;
            Ok::<_, std::convert::Infallible>(())
        };
        Ok(self.update_mapping(uuid, edit).await?.map(|done| match done {
            Ok(mapping) => mapping,
            Err(never) => match never {},
        }))
    }

    pub async fn delete_mapping(&self, uuid: &str) -> Result<Option<Mapping>, CatalogueError> {
        self.delete(MAPPINGS, uuid).await
    }

    pub async fn mapping_status(&self, uuid: &str) -> Result<Option<MappingStatus>, CatalogueError> {
        Ok(self.get(STATUS, uuid).await?.map(|(_, status)| status))
    }

    /// Only the one that runs the mapping writes its status, so the newest wins. Wakes nobody.
    pub async fn set_mapping_status(&self, uuid: &str, status: &MappingStatus) -> Result<(), CatalogueError> {
        let revision = self.documents.get(STATUS, uuid).await?.map(|found| found.revision);
        let body = serde_json::to_vec(status).expect("plain structs become JSON");
        self.documents.compare_and_set(STATUS, uuid, revision, Some(&body)).await?;
        Ok(())
    }

    pub async fn forget_mapping_status(&self, uuid: &str) -> Result<(), CatalogueError> {
        if let Some(found) = self.documents.get(STATUS, uuid).await? {
            self.documents.compare_and_set(STATUS, uuid, Some(found.revision), None).await?;
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        collection: &str,
        name: &str,
    ) -> Result<Option<(u64, T)>, CatalogueError> {
        let found = self.documents.get(collection, name).await?;
        found.map(|found| Ok((found.revision, decode(collection, name, &found)?))).transpose()
    }

    async fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<T>, CatalogueError> {
        let found = self.documents.list(collection).await?;
        found.iter().map(|(name, document)| decode(collection, name, document)).collect()
    }

    async fn create<T: Serialize>(
        &self,
        collection: &str,
        name: &str,
        body: &T,
    ) -> Result<bool, CatalogueError> {
        let body = serde_json::to_vec(body).expect("plain structs become JSON");
        let created = self.documents.compare_and_set(collection, name, None, Some(&body)).await?.is_some();
        self.wake();
        Ok(created)
    }

    async fn update<T: Serialize + DeserializeOwned, E>(
        &self,
        collection: &str,
        name: &str,
        edit: impl Fn(&mut T) -> Result<(), E>,
    ) -> Result<Option<Result<T, E>>, CatalogueError> {
        for _ in 0..MAX_TRIES {
            let Some((revision, mut value)) = self.get::<T>(collection, name).await? else { return Ok(None) };
            if let Err(refused) = edit(&mut value) {
                return Ok(Some(Err(refused)));
            }
            let body = serde_json::to_vec(&value).expect("plain structs become JSON");
            let done = self.documents.compare_and_set(collection, name, Some(revision), Some(&body)).await?;
            if done.is_some() {
                self.wake();
                return Ok(Some(Ok(value)));
            }
        }
        Err(contended(collection, name))
    }

    async fn delete<T: DeserializeOwned>(
        &self,
        collection: &str,
        name: &str,
    ) -> Result<Option<T>, CatalogueError> {
        for _ in 0..MAX_TRIES {
            let Some((revision, value)) = self.get::<T>(collection, name).await? else { return Ok(None) };
            if self.documents.compare_and_set(collection, name, Some(revision), None).await?.is_some() {
                self.wake();
                return Ok(Some(value));
            }
        }
        Err(contended(collection, name))
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn decode<T: DeserializeOwned>(
    collection: &str,
    name: &str,
    document: &Document,
) -> Result<T, CatalogueError> {
    serde_json::from_slice(&document.body).map_err(|error| CatalogueError::Corrupt {
        collection: collection.to_owned(),
        name: name.to_owned(),
        error,
    })
}

fn contended(collection: &str, name: &str) -> CatalogueError {
    CatalogueError::Contended { collection: collection.to_owned(), name: name.to_owned() }
}
