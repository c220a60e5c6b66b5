//! The credentials of a region, kept in its catalogue: made, listed, disabled, and followed by every front.
//!
//! A signature can only be verified by whoever knows the secret, so the catalogue holds secrets: who reads the region's
//! database can sign as anybody. They are shown once, to whoever made them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_engine::{Documents, Error};
use tradewind_iam::{Credentials, Profiles, Secret, Verifier};
use tradewind_model::{Clock, Region};

use crate::access::Access;

const COLLECTION: &str = "credentials";
/// How soon a front knows of a change.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Nobody needs more keys; a listing and a front hold all of them.
const MAX_KEYS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(transparent)]
    Engine(#[from] Error),
    #[error("there is no access key {0}")]
    Unknown(String),
    #[error("there is an access key {0} already, with another secret")]
    Taken(String),
    #[error("a region keeps at most {MAX_KEYS} access keys")]
    TooMany,
    #[error("the catalogue's document of access key {0} is not one")]
    Damaged(String),
}

/// An access key as the catalogue keeps it.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    secret_access_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_token: Option<String>,
    #[serde(default)]
    disabled: bool,
    /// Unix milliseconds.
    created_ms: u64,
    /// What it is for, in somebody's words.
    #[serde(default)]
    description: String,
}

/// An access key as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub access_key_id: String,
    pub disabled: bool,
    /// Unix milliseconds.
    pub created_ms: u64,
    pub description: String,
}

/// Makes a new access key; the answer is the only place its secret is shown.
pub async fn create<D: Documents>(
    catalogue: &D,
    description: &str,
    now_ms: u64,
) -> Result<Credentials, CredentialsError> {
    let made = generate();
    add(catalogue, &made, description, now_ms).await?;
    Ok(made)
}

/// Brings keys of a file in, each once: those that are there stay as they are, disabled ones too.
///
/// # Errors
/// A key is there with another secret; the ones before it are in.
pub async fn bring<D: Documents>(
    catalogue: &D,
    profiles: &Profiles,
    now_ms: u64,
) -> Result<(), CredentialsError> {
    for (profile, credentials) in profiles.iter() {
        add(catalogue, credentials, &format!("profile {profile}"), now_ms).await?;
    }
    Ok(())
}

/// All keys by their ids, without secrets.
pub async fn list<D: Documents>(catalogue: &D) -> Result<Vec<Listed>, CredentialsError> {
    let documents = catalogue.list(COLLECTION).await?;
    let listed = documents.into_iter().map(|(id, document)| {
        let stored = read(&id, &document.body)?;
        Ok(Listed {
            access_key_id: id,
            disabled: stored.disabled,
            created_ms: stored.created_ms,
            description: stored.description,
        })
    });
    listed.collect()
}

/// From now on requests signed with this key are refused.
pub async fn disable<D: Documents>(catalogue: &D, access_key_id: &str) -> Result<(), CredentialsError> {
    loop {
        let document = catalogue.get(COLLECTION, access_key_id).await?;
        let document = document.ok_or_else(|| CredentialsError::Unknown(access_key_id.to_owned()))?;
        let stored = Stored { disabled: true, ..read(access_key_id, &document.body)? };
        let body = written(&stored);
        let set = catalogue.compare_and_set(COLLECTION, access_key_id, Some(document.revision), Some(&body));
        if set.await?.is_some() {
            return Ok(());
        }
    }
}

async fn add<D: Documents>(
    catalogue: &D,
    credentials: &Credentials,
    description: &str,
    now_ms: u64,
) -> Result<(), CredentialsError> {
    let id = credentials.access_key_id();
    if catalogue.get(COLLECTION, id).await?.is_none() {
        if catalogue.list(COLLECTION).await?.len() >= MAX_KEYS {
            return Err(CredentialsError::TooMany);
        }
        let stored = Stored {
            secret_access_key: credentials.secret_access_key().expose().to_owned(),
            session_token: credentials.session_token().map(|token| token.expose().to_owned()),
            disabled: false,
            created_ms: now_ms,
            description: description.to_owned(),
        };
        if catalogue.compare_and_set(COLLECTION, id, None, Some(&written(&stored))).await?.is_some() {
            return Ok(());
        }
    }
    let document = catalogue.get(COLLECTION, id).await?;
    let document = document.ok_or_else(|| CredentialsError::Unknown(id.to_owned()))?;
    match read(id, &document.body)?.credentials(id) == *credentials {
        true => Ok(()),
        false => Err(CredentialsError::Taken(id.to_owned())),
    }
}

/// The keys that are accepted now.
async fn accepted<D: Documents>(catalogue: &D) -> Result<Vec<Credentials>, Error> {
    let documents = catalogue.list(COLLECTION).await?;
    let keys = documents.into_iter().filter_map(|(id, document)| match read(&id, &document.body) {
        Ok(stored) => (!stored.disabled).then(|| stored.credentials(&id)),
        // One damaged document must not lock everybody out.
        Err(error) => {
            tracing::error!(%error, "an access key is left out");
            None
        }
    });
    Ok(keys.collect())
}

/// Signatures are verified with the keys of the catalogue, as they change until `stop`, and with `own` ones of the process.
pub async fn access<D: Documents>(
    catalogue: &Arc<D>,
    clock: &Arc<dyn Clock>,
    region: Region,
    own: Vec<Credentials>,
    stop: &CancellationToken,
) -> Result<Arc<Access>, Error> {
    let verifier = Verifier::new([region.to_string()]);
    let access = Arc::new(Access::Verified { verifier, clock: clock.clone() });
    let fronts = access.clone();
    let accept = move |keys: Vec<Credentials>| {
        if let Access::Verified { verifier, .. } = &*fronts {
            verifier.set_credentials(keys.into_iter().chain(own.iter().cloned()));
        }
    };
    follow(catalogue.clone(), accept, stop.clone()).await?;
    Ok(access)
}

/// Gives `accept` the keys, before this returns and after every change until `stop`. While the catalogue cannot be read,
/// those known last stay.
pub async fn follow<D: Documents>(
    catalogue: Arc<D>,
    accept: impl Fn(Vec<Credentials>) + Send + 'static,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, Error> {
    // The generation first: what changes while the keys are read is read again.
    let mut seen = catalogue.generation(COLLECTION).await?;
    accept(accepted(&*catalogue).await?);
    Ok(tokio::spawn(async move {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let Ok(generation) = catalogue.generation(COLLECTION).await else { continue };
            if generation == seen {
                continue;
            }
            if let Ok(keys) = accepted(&*catalogue).await {
                accept(keys);
                seen = generation;
            }
        }
    }))
}

impl Stored {
    fn credentials(&self, id: &str) -> Credentials {
        let credentials = Credentials::new(id, Secret::new(self.secret_access_key.as_str()));
        match &self.session_token {
            Some(token) => credentials.with_session_token(Secret::new(token.as_str())),
            None => credentials,
        }
    }
}

/// The reader's own words could quote the secret.
fn read(id: &str, body: &[u8]) -> Result<Stored, CredentialsError> {
    serde_json::from_slice(body).map_err(|_| CredentialsError::Damaged(id.to_owned()))
}

fn written(stored: &Stored) -> Vec<u8> {
    serde_json::to_vec(stored).expect("strings and numbers are JSON")
}

/// In the form of AWS's: twenty characters of which four are fixed, and forty.
fn generate() -> Credentials {
    const ID: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Credentials::new(format!("AKIA{}", random_text(ID, 16)), Secret::new(random_text(SECRET, 40)))
}

/// The alphabet's length divides 256, so that no character is more likely than another.
fn random_text(alphabet: &[u8], length: usize) -> String {
    let characters =
        random_bytes(length).map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()]));
    characters.collect()
}

/// From the system's generator: the last six bytes of a version 4 UUID are nothing but random.
fn random_bytes(length: usize) -> impl Iterator<Item = u8> {
    let pieces = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes());
    pieces.flat_map(|piece| piece.into_iter().skip(10)).take(length)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tradewind_engine::Clock;
    use tradewind_engine::memory::{MemoryDisk, MemoryEngine};

    use super::*;

    fn catalogue() -> Arc<MemoryEngine> {
        let clock: Clock = Arc::new(|| 0);
        Arc::new(MemoryEngine::open(&MemoryDisk::default(), clock))
    }

    #[test]
    fn generated_keys_look_like_aws_keys_and_differ() {
        let (one, two) = (generate(), generate());
        assert_eq!((one.access_key_id().len(), one.secret_access_key().expose().len()), (20, 40));
        assert!(one.access_key_id().starts_with("AKIA"));
        assert_ne!(one, two);
    }

    #[tokio::test]
    async fn a_key_is_accepted_until_it_is_disabled_and_its_secret_is_not_listed() {
        let catalogue = catalogue();
        let made = create(&*catalogue, "for tests", 7).await.unwrap();
        assert_eq!(accepted(&*catalogue).await.unwrap(), std::slice::from_ref(&made));
        disable(&*catalogue, made.access_key_id()).await.unwrap();
        assert!(accepted(&*catalogue).await.unwrap().is_empty());
        let listed = list(&*catalogue).await.unwrap();
        let expected = Listed {
            access_key_id: made.access_key_id().to_owned(),
            disabled: true,
            created_ms: 7,
            description: "for tests".to_owned(),
        };
        assert_eq!(listed, [expected]);
        assert!(!serde_json::to_string(&listed).unwrap().contains(made.secret_access_key().expose()));
        assert!(matches!(disable(&*catalogue, "AKIANOBODY").await, Err(CredentialsError::Unknown(_))));
    }

    #[tokio::test]
    async fn a_file_brings_keys_once_and_does_not_enable_a_disabled_one() {
        let catalogue = catalogue();
        let file = "[a]\naws_access_key_id=K1\naws_secret_access_key=s1\n[b]\naws_access_key_id=K2\n\
                    aws_secret_access_key=s2\naws_session_token=t\n";
        let profiles = Profiles::parse(file).unwrap();
        bring(&*catalogue, &profiles, 1).await.unwrap();
        disable(&*catalogue, "K1").await.unwrap();
        bring(&*catalogue, &profiles, 2).await.unwrap();
        assert_eq!(accepted(&*catalogue).await.unwrap(), [profiles.get("b").unwrap().clone()]);
        let other = Profiles::parse(&file.replace("s2", "s3")).unwrap();
        assert!(
            matches!(bring(&*catalogue, &other, 3).await, Err(CredentialsError::Taken(id)) if id == "K2")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_front_follows_what_changes() {
        let catalogue = catalogue();
        let known: Arc<Mutex<Vec<Credentials>>> = Arc::default();
        let (stop, told) = (CancellationToken::new(), known.clone());
        let accept = move |keys| *told.lock().unwrap() = keys;
        let following = follow(catalogue.clone(), accept, stop.clone()).await.unwrap();
        let made = create(&*catalogue, "", 1).await.unwrap();
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert_eq!(*known.lock().unwrap(), std::slice::from_ref(&made));
        disable(&*catalogue, made.access_key_id()).await.unwrap();
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(known.lock().unwrap().is_empty());
        stop.cancel();
        following.await.unwrap();
    }
}
