//! How near the engine comes to PostgreSQL itself: the same rows and changes, committed by UNNEST, raw and through the engine
//! by turns, from one process: `commits <url of an empty database> <url of another>`, on one server.
//!
//! Raw is BEGIN, both statements and COMMIT in one flush, without any fence, on as many sessions as there are partitions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio_postgres::{Client, NoTls, Statement};
use tradewind_engine::suite::{ManualClock, Owner, put};
use tradewind_engine::{Engine, Space};
use tradewind_engine_postgres::{PostgresEngine, Settings};
use tradewind_model::Sequence;

const PARTITIONS: u32 = 4;
const ROUNDS: usize = 6;
const TURN: Duration = Duration::from_secs(3);
const VALUE: [u8; 400] = [b'v'; 400];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let [raw, through] = &urls[..] else { anyhow::bail!("<url> <url>") };
    println!("fdatasync of 4 KiB appended: p50 {:?}", fdatasync_p50()?);
    for rows in [1, 16, 64, 256] {
        compare(raw, through, rows).await?;
    }
    Ok(())
}

async fn compare(raw: &str, through: &str, rows: usize) -> anyhow::Result<()> {
    let clock = ManualClock::default().clock();
    let engine = PostgresEngine::open(Settings::new(through), clock.clone()).await?;
    // Makes the same schema there, and the hour's piece.
    let other = PostgresEngine::open(Settings::new(raw), clock).await?;
    Owner::of(&other, 0).await.commit(&other, vec![], 1).await;
    let mut sessions = Vec::new();
    for _ in 0..PARTITIONS {
        sessions.push(Raw::open(raw).await?);
    }
    let mut owners = Vec::new();
    for number in 0..PARTITIONS {
        owners.push(Owner::of(&engine, number).await);
    }
    let (mut by_raw, mut by_engine) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let turns = sessions.iter_mut().enumerate().map(|(at, session)| session.turn(at, rows));
        by_raw.push(rate(join_all(turns).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?));
        let turns = owners.iter_mut().map(|owner| turn(&engine, owner, rows));
        by_engine.push(rate(join_all(turns).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?));
    }
    let (raw, engine) = (median(by_raw), median(by_engine));
    println!(
        "{rows} rows per commit, {PARTITIONS} at once: raw {raw}/s, engine {engine}/s, {} %",
        engine * 100 / raw
    );
    Ok(())
}

fn rate(rows: Vec<usize>) -> u64 {
    rows.iter().sum::<usize>() as u64 * 1000 / TURN.as_millis() as u64
}

fn median(mut rates: Vec<u64>) -> u64 {
    rates.sort_unstable();
    rates[rates.len() / 2]
}

async fn turn(engine: &PostgresEngine, owner: &mut Owner, rows: usize) -> anyhow::Result<usize> {
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < TURN {
        let keys = (0..rows as u64).map(|n| key(owner.partition.number.into(), owner.next.0 + n));
        let items = keys.map(|key| put(Space::Items, key, VALUE)).collect();
        let mut part = owner.part(items, rows as u64);
        part.changes.iter_mut().for_each(|(_, change)| *change = Bytes::from_static(&VALUE));
        engine.commit(vec![part]).await?;
        count += rows;
    }
    Ok(count)
}

/// Scattered, as hashed keys are.
fn key(partition: u64, n: u64) -> [u8; 32] {
    let mut key = [partition as u8; 32];
    key[16..24].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

struct Raw {
    client: Client,
    items: Statement,
    log: Statement,
    next: Sequence,
}

impl Raw {
    async fn open(url: &str) -> anyhow::Result<Raw> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
        let items = "INSERT INTO items SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
             ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value";
        let log = "INSERT INTO log SELECT (SELECT max(hour) FROM log_pieces), t.* \
             FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS t";
        let (items, log) = (client.prepare(items).await?, client.prepare(log).await?);
        let first = client.query_one("SELECT coalesce(max(sequence), 0) + 1 FROM log", &[]).await?;
        let next = Sequence(first.get::<_, i64>(0).unsigned_abs());
        Ok(Raw { client, items, log, next })
    }

    async fn turn(&mut self, at: usize, rows: usize) -> anyhow::Result<usize> {
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < TURN {
            let sequences: Vec<i64> = (0..rows as i64).map(|n| self.next.0.cast_signed() + n).collect();
            // As the engine, in the order of keys.
            let mut keys: Vec<_> = sequences.iter().map(|n| key(at as u64, n.unsigned_abs())).collect();
            keys.sort_unstable();
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            let partition = [at as u8; 20];
            let (partitions, values) = (vec![&partition[..]; rows], vec![&VALUE[..]; rows]);
            let (begin, items, log, commit) = tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                async { self.client.execute(&self.items, &[&keys, &values]).await },
                async { self.client.execute(&self.log, &[&partitions, &sequences, &values]).await },
                self.client.batch_execute("COMMIT"),
            );
            begin?;
            items?;
            log?;
            commit?;
            self.next = Sequence(self.next.0 + rows as u64);
            count += rows;
        }
        Ok(count)
    }
}

fn fdatasync_p50() -> anyhow::Result<Duration> {
    use std::io::Write;
    let mut file = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..1000 {
        file.write_all(&[1; 4096])?;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}
