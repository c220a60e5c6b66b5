//! Reading one's own writes in any region: a write's token says where it stands in the log of its region, and a region that
//! is given it waits until it has applied the log so far, or says that it has not.
//!
//! A token is the text of [`Token::encode`] in base64url without padding. Reads are of what is committed here, never of a
//! standby, so whoever has waited sees the write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout};
use tradewind_engine::{Documents, Engine};
use tradewind_model::id::PartitionId;
use tradewind_model::token::{Token, Tokens};
use tradewind_model::{ItemKey, Region, Sequence};
use tradewind_wire::ApiError;

use crate::partition::owner::explain;
use crate::partition::state::Source;
use crate::question::{Question, Reply};
use crate::region::Database;
use crate::table::Table;

/// Longer than that nobody waits for a write of another region.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Tokens that one request may bring: of the largest transaction.
pub const MAX_TOKENS: usize = 100;
/// A partition that is owned by another node is looked at this often.
const LOOK: Duration = Duration::from_millis(20);
/// Another region is asked to wait this long at once.
const ASKED: Duration = Duration::from_secs(2);

/// As clients are given it.
pub fn to_text(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(token.encode())
}

/// `None`: it is no token.
pub fn from_text(text: &str) -> Option<Token> {
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Token::decode(&bytes))
}

impl<E: Engine + Documents> Table<E> {
    /// The token of a write that left the key's partition at `sequence`.
    pub(crate) fn token(&self, key: &ItemKey, sequence: Sequence) -> Token {
        let partition = self.partition_id(self.position(key.hash()));
        Token { region: self.shared().region, partition, sequence }
    }
}

impl<E: Engine + Documents> Database<E> {
    /// Waits until this region has applied all that the tokens name.
    ///
    /// # Errors
    /// ServiceUnavailable, which may be tried again, if it has not in time; a validation error for a token of a table that
    /// is none here.
    pub async fn wait_for(&self, tokens: &Tokens, most: Duration) -> Result<(), ApiError> {
        match self.apply(tokens, most).await? {
            true => Ok(()),
            false => Err(ApiError::unavailable(format!(
                "Region {} has not applied the writes of x-tradewind-token within {} ms; try again",
                self.region(),
                most.as_millis()
            ))),
        }
    }

    /// Whether all that the tokens name is applied here by then.
    async fn apply(&self, tokens: &Tokens, most: Duration) -> Result<bool, ApiError> {
        let waiting = async {
            for token in tokens.iter() {
                self.wait_for_one(token).await?;
            }
            Ok(())
        };
        match timeout(most, waiting).await {
            Ok(done) => done.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn wait_for_one(&self, token: &Token) -> Result<(), ApiError> {
        let table = self.table_of_token(token)?;
        while let Some(position) = self.lagging(&table, token).await? {
            match table.running(position) {
                Some(owner) => {
                    let mut state = owner.watch();
                    // Seen as it is now: what came between the look and this is looked at first.
                    state.mark_unchanged();
                    if self.lagging(&table, token).await? != Some(position) {
                        continue;
                    }
                    // An owner that ends has handed over to another.
                    if state.changed().await.is_err() {
                        sleep(LOOK).await;
                    }
                }
                None => sleep(LOOK).await,
            }
        }
        Ok(())
    }

    /// The table whose log in its region the token speaks of.
    fn table_of_token(&self, token: &Token) -> Result<Arc<Table<E>>, ApiError> {
        let incarnation = token.partition.incarnation;
        let is_it = |table: &&Arc<Table<E>>| {
            let document = table.document();
            match token.region == self.region() {
                true => document.incarnation == incarnation,
                false => document.counts(token.region, incarnation),
            }
        };
        self.tables().iter().find(is_it).cloned().ok_or_else(|| {
            ApiError::validation(format!(
                "x-tradewind-token is of a write in region {} to a table that is none of region {}",
                token.region,
                self.region()
            ))
        })
    }

    /// A partition here that has not applied all that the token names.
    async fn lagging(&self, table: &Table<E>, token: &Token) -> Result<Option<usize>, ApiError> {
        let PartitionId { incarnation, number } = token.partition;
        if token.region == self.region() {
            let Some(position) = table.position_of(number) else { return Ok(None) };
            let next = self.partition_state(table, position).await?.next;
            return Ok((next <= token.sequence).then_some(position));
        }
        let source = Source { region: token.region, incarnation, number };
        let mut range = None;
        let mut least: Option<(Sequence, usize)> = None;
        for position in 0..table.partition_count() {
            let state = table.state(position).await.map_err(|error| explain(&error))?;
            let Some(link) = state.links.get(&source) else { continue };
            range = Some((link.from, link.to));
            least = least.into_iter().chain([(link.cursor, position)]).min();
        }
        // Nothing has come of it yet: it is looked at again.
        let (Some((from, to)), Some((cursor, position))) = (range, least) else { return Ok(Some(0)) };
        let document = table.document();
        for (at, partition) in document.partitions.iter().enumerate() {
            if partition.overlaps(from, to)
                && !table.state(at).await.map_err(|error| explain(&error))?.links.contains_key(&source)
            {
                return Ok(Some(at));
            }
        }
        Ok((cursor < token.sequence).then_some(position))
    }

    /// In how many regions, this one included, the writes of the tokens are applied: returns once there are `wanted`, or
    /// there can be no more, or the time is over.
    pub async fn reached(&self, tokens: &Tokens, wanted: usize, most: Duration) -> usize {
        let deadline = Instant::now() + most;
        let mut asked: FuturesUnordered<_> = self
            .questions(tokens)
            .into_iter()
            .map(|(region, tables)| self.has(region, tables, deadline))
            .collect();
        let mut reached = 1;
        while reached < wanted {
            match asked.next().await {
                Some(has) => reached += usize::from(has),
                None => break,
            }
        }
        reached
    }

    /// For each other region that is a replica of all the tokens' tables, what it is to be asked by table.
    fn questions(&self, tokens: &Tokens) -> BTreeMap<Region, BTreeMap<String, Tokens>> {
        let mut tables: BTreeMap<String, (Vec<Region>, Tokens)> = BTreeMap::new();
        for token in tokens.iter() {
            let Ok(table) = self.table_of_token(token) else { continue };
            let document = table.document();
            let replicas = || document.replicas.keys().copied().filter(|region| *region != self.region());
            let entry = tables
                .entry(document.name.clone())
                .or_insert_with(|| (replicas().collect(), Tokens::default()));
            entry.1.add(*token);
        }
        let everywhere = |region: &Region| tables.values().all(|(replicas, _)| replicas.contains(region));
        let regions =
            tables.values().flat_map(|(replicas, _)| replicas).copied().filter(|region| everywhere(region));
        let by_table = || tables.iter().map(|(name, (_, tokens))| (name.clone(), tokens.clone())).collect();
        regions.map(|region| (region, by_table())).collect()
    }

    async fn has(&self, region: Region, tables: BTreeMap<String, Tokens>, deadline: Instant) -> bool {
        for (table, tokens) in tables {
            if !self.has_of_table(region, &table, &tokens, deadline).await {
                return false;
            }
        }
        true
    }

    async fn has_of_table(&self, region: Region, table: &str, tokens: &Tokens, deadline: Instant) -> bool {
        let mut pause = LOOK;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(neighbours) = self.neighbours().filter(|_| !left.is_zero()) else { return false };
            let wait_ms = u64::try_from(left.min(ASKED).as_millis()).unwrap_or(u64::MAX);
            let question = Question::Applied { tokens: tokens.clone(), wait_ms };
            match timeout(left, neighbours.ask(region, table, question)).await {
                Ok(Ok(Reply::Applied(true))) => return true,
                Ok(Ok(_)) => (),
                Ok(Err(_)) => {
                    sleep(pause.min(left)).await;
                    pause *= 2;
                }
                Err(_) => return false,
            }
        }
    }

    /// Whether this region has applied what the tokens name, after waiting for it: another region's question.
    pub(crate) async fn applied(&self, tokens: &Tokens, wait_ms: u64) -> Result<bool, ApiError> {
        self.apply(tokens, Duration::from_millis(wait_ms).min(LONGEST_WAIT)).await
    }
}
