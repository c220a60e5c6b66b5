//! Leases by the database's clock, one row per name and group.

use std::time::Duration;

use tradewind_engine::{Error, Member, MembersError};

use crate::database::Database;
use crate::error::written;

/// Takes the row unless another life holds it. `clock_timestamp`, since a statement may wait for a row's lock.
const RENEW: &str = "INSERT INTO members AS m (member_group, name, id, address, alive_until) \
     VALUES ($1, $2, $3::text::uuid, $4, clock_timestamp() + make_interval(secs => $5)) \
     ON CONFLICT (member_group, name) DO UPDATE \
       SET id = EXCLUDED.id, address = EXCLUDED.address, \
           alive_until = clock_timestamp() + make_interval(secs => $5) \
       WHERE m.id = EXCLUDED.id OR m.alive_until <= clock_timestamp() \
     RETURNING name";
const FORGET: &str = "DELETE FROM members WHERE ctid = ANY (ARRAY( \
     SELECT ctid FROM members WHERE member_group = $1 AND alive_until <= clock_timestamp() FOR UPDATE SKIP LOCKED))";
const ALIVE: &str = "SELECT name, id::text, address FROM members \
     WHERE member_group = $1 AND alive_until > clock_timestamp() ORDER BY name";
const LEAVE: &str = "DELETE FROM members WHERE member_group = $1 AND name = $2 AND id = $3::text::uuid";

pub async fn renew(
    database: &Database,
    group: &str,
    member: &Member,
    ttl: Duration,
) -> Result<Vec<Member>, MembersError> {
    let session = database.primary.session().await?;
    let id = member.id.to_string();
    let lease = async {
        let statement = session.prepare_cached(RENEW).await?;
        let seconds = ttl.as_secs_f64();
        session.query_opt(&statement, &[&group, &member.name, &id, &member.address, &seconds]).await
    };
    let is_ours = lease.await.map_err(|error| written(&error))?.is_some();
    let others = async {
        let forget = session.prepare_cached(FORGET).await?;
        session.execute(&forget, &[&group]).await?;
        let alive = session.prepare_cached(ALIVE).await?;
        session.query(&alive, &[&group]).await?.iter().map(decode).collect::<Result<Vec<_>, _>>()
    };
    let alive = others.await.map_err(|error| written(&error))?;
    if is_ours {
        return Ok(alive);
    }
    let holder = alive.into_iter().find(|other| other.name == member.name);
    let address = holder.map(|holder| holder.address).unwrap_or_default();
    Err(MembersError::NameTaken { name: member.name.clone(), address })
}

pub async fn alive(database: &Database, group: &str) -> Result<Vec<Member>, Error> {
    let session = database.primary.session().await?;
    let alive = async {
        let statement = session.prepare_cached(ALIVE).await?;
        session.query(&statement, &[&group]).await?.iter().map(decode).collect::<Result<Vec<_>, _>>()
    };
    alive.await.map_err(|error| written(&error))
}

pub async fn leave(database: &Database, group: &str, member: &Member) -> Result<(), Error> {
    let session = database.primary.session().await?;
    let id = member.id.to_string();
    let left = async {
        let statement = session.prepare_cached(LEAVE).await?;
        session.execute(&statement, &[&group, &member.name, &id]).await
    };
    left.await.map(drop).map_err(|error| written(&error))
}

fn decode(row: &tokio_postgres::Row) -> Result<Member, tokio_postgres::Error> {
    let id: &str = row.try_get(1)?;
    let id = id.parse().unwrap_or_default();
    Ok(Member { name: row.try_get(0)?, id, address: row.try_get(2)? })
}

/// What the contract says of names that a text column cannot hold.
pub fn assert_text(text: &str) {
    assert!(!text.contains('\0'), "names have no zero byte");
}

#[cfg(test)]
mod tests {
    use super::assert_text;

    #[test]
    #[should_panic(expected = "zero byte")]
    fn a_name_with_a_zero_byte_is_a_mistake() {
        assert_text("a\0b");
    }
}
