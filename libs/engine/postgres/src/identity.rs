//! Which database is which: each carries its region's id and its number, so that the order in which they are named, or one that
//! is forgotten or belongs elsewhere, does no harm.
//!
//! ```text
//! table identity                              (region, number)
//! collection databases, name <number>         {}          in number 0: which there are
//! ```

use tradewind_engine::Documents;
use uuid::Uuid;

use crate::error::{OpenError, refused};
use crate::{PostgresEngine, connect};

const COLLECTION: &str = "databases";

/// One node at a time says who is who; the lock goes with its session.
const LOCK: &str = "SELECT pg_advisory_lock(7265610003)";

/// Every branch of a transaction over several databases is one, as long as it is prepared.
const PREPARED: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub region: Uuid,
    pub number: usize,
}

/// The region, and its databases in the order of their numbers, new ones at the end.
pub async fn ordered(mut engines: Vec<PostgresEngine>) -> Result<(Uuid, Vec<PostgresEngine>), OpenError> {
    check_settings(&engines).await?;
    let first = find_first(&engines).await?;
    engines.swap(0, first);
    let lock = engines[0].database.primary.connector.connect().await?;
    lock.client.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0").await?;
    lock.client.batch_execute(LOCK).await?;
    let region = claim(&engines[0], Identity { region: Uuid::new_v4(), number: 0 }).await?;
    if region.number != 0 {
        let reason = format!(
            "database {} of a region is named, and not number 0, which has its catalogue",
            region.number
        );
        return Err(OpenError::Misplaced(reason));
    }
    register(&engines[0], 0).await?;
    let mut numbered = vec![(0, engines.remove(0))];
    for engine in engines {
        let number = number_of(&numbered[0].1, &engine, region.region).await?;
        numbered.push((number, engine));
    }
    numbered.sort_by_key(|(number, _)| *number);
    check_complete(&numbered).await?;
    Ok((region.region, numbered.into_iter().map(|(_, engine)| engine).collect()))
}

/// The database with the catalogue: number 0, or one that has documents already, or the first.
async fn find_first(engines: &[PostgresEngine]) -> Result<usize, OpenError> {
    let mut with_documents = None;
    for (at, engine) in engines.iter().enumerate() {
        match identity(engine).await? {
            Some(identity) if identity.number == 0 => return Ok(at),
            None if has_documents(engine).await? => with_documents = with_documents.or(Some(at)),
            _ => {}
        }
    }
    Ok(with_documents.unwrap_or(0))
}

async fn identity(engine: &PostgresEngine) -> Result<Option<Identity>, OpenError> {
    let session = engine.database.primary.session().await?;
    Ok(of(&session).await?)
}

/// What a server says of itself; a standby what its primary does.
pub async fn of(client: &tokio_postgres::Client) -> Result<Option<Identity>, tokio_postgres::Error> {
    let row = client.query_opt("SELECT region::text, number FROM identity", &[]).await?;
    let decode = |row: tokio_postgres::Row| {
        let region: &str = row.try_get(0)?;
        let number = usize::try_from(row.try_get::<_, i32>(1)?).unwrap_or(usize::MAX);
        Ok::<_, tokio_postgres::Error>(Identity { region: region.parse().unwrap_or_default(), number })
    };
    row.map(decode).transpose()
}

async fn has_documents(engine: &PostgresEngine) -> Result<bool, OpenError> {
    let session = engine.database.primary.session().await?;
    let row = session.query_one("SELECT EXISTS (SELECT FROM documents)", &[]).await?;
    Ok(row.try_get(0).map_err(|error| refused(&error))?)
}

/// Gives the database this identity, unless it has one; answers the one it has.
async fn claim(engine: &PostgresEngine, wanted: Identity) -> Result<Identity, OpenError> {
    const SQL: &str =
        "INSERT INTO identity (region, number) VALUES ($1::text::uuid, $2) ON CONFLICT DO NOTHING";
    let session = engine.database.primary.session().await?;
    session.execute(SQL, &[&wanted.region.to_string(), &(wanted.number as i32)]).await?;
    Ok(identity(engine).await?.unwrap_or(wanted))
}

async fn number_of(
    catalogue: &PostgresEngine,
    engine: &PostgresEngine,
    region: Uuid,
) -> Result<usize, OpenError> {
    let found = match identity(engine).await? {
        Some(found) => found,
        None => {
            let number = catalogue.list(COLLECTION).await?.len();
            register(catalogue, number).await?;
            claim(engine, Identity { region, number }).await?
        }
    };
    if found.region != region {
        return Err(OpenError::Misplaced("a database of another region is named".to_owned()));
    }
    Ok(found.number)
}

async fn register(catalogue: &PostgresEngine, number: usize) -> Result<(), OpenError> {
    catalogue.compare_and_set(COLLECTION, &number.to_string(), None, Some(b"{}")).await?;
    Ok(())
}

async fn check_complete(numbered: &[(usize, PostgresEngine)]) -> Result<(), OpenError> {
    let count = numbered[0].1.list(COLLECTION).await?.len();
    for number in 0..count {
        if numbered.get(number).is_none_or(|(found, _)| *found != number) {
            let reason =
                format!("database {number} of the region's {count} is not named, or another one twice");
            return Err(OpenError::Misplaced(reason));
        }
    }
    if numbered.len() != count {
        return Err(OpenError::Misplaced("a database is named twice".to_owned()));
    }
    Ok(())
}

async fn check_settings(engines: &[PostgresEngine]) -> Result<(), OpenError> {
    for engine in engines.iter().filter(|_| engines.len() > 1) {
        let session = engine.database.primary.session().await?;
        let value = connect::show(&session, "max_prepared_transactions").await?;
        if value.parse::<u32>().unwrap_or(0) < PREPARED {
            let needed = "several databases need at least 16";
            return Err(OpenError::Setting { name: "max_prepared_transactions", value, needed });
        }
    }
    Ok(())
}
