//! ClientRequestTokens: what a transaction was that is known for ten minutes.
//!
//! ```text
//! key    time:8 (in ten minutes)  token        value   time:8 (Unix ms)  digest:16
//! ```
//!
//! A token that is known lies in this piece of time or the one before; older pieces go as a whole.
//!
//! Of two requests with one token only one commits, whatever partitions they are about: each commit also takes the next
//! sequence of a partition that only tokens have, which it read before it looked for the token. The second finds that
//! sequence taken, and looks again. Nobody owns these partitions; they never move and have no log.

use bytes::Bytes;
use tradewind_engine::{Documents, Engine, Opened, PartitionCommit, Row, Space};
use tradewind_model::{Epoch, Incarnation, PartitionId, Sequence};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::cluster::RequestId;
use crate::partition::owner::explain;
use crate::region::Database;

/// A repeated ClientRequestToken is known for this long. (API reference, TransactWriteItems.)
const TOKEN_MS: u64 = 10 * 60 * 1000;

/// The partitions of tokens: as many as make it unlikely that two transactions of one moment meet.
const TOKENS: Incarnation = Incarnation(uuid::Uuid::from_bytes(*b"tradewind tokens"));
const PARTITIONS: u64 = 1024;

/// A ClientRequestToken and what it was used for.
pub(crate) struct Token {
    pub name: String,
    pub digest: u128,
}

/// What a commit must find unchanged.
pub(super) struct Turn {
    partition: PartitionId,
    opened: Opened,
}

impl Token {
    fn partition(&self) -> PartitionId {
        let number = xxh3_64(self.name.as_bytes()) % PARTITIONS;
        PartitionId { incarnation: TOKENS, number: number as u32 }
    }

    /// A request that is repeated while it is under way is the same transaction: it waits for itself.
    pub(super) fn request(&self) -> RequestId {
        (xxh3_128(self.name.as_bytes()) ^ self.digest).to_be_bytes()
    }

    fn key(&self, at_ms: u64) -> Bytes {
        [&piece(at_ms)[..], self.name.as_bytes()].concat().into()
    }

    fn row(&self, now_ms: u64) -> Row {
        let value = [&now_ms.to_be_bytes()[..], &self.digest.to_be_bytes()].concat();
        Row { space: Space::Tokens, key: self.key(now_ms), value: Some(value.into()) }
    }

    /// The token's part of a transaction's commit.
    pub(super) fn commit(&self, turn: &Turn, now_ms: u64) -> PartitionCommit {
        PartitionCommit {
            partition: turn.partition,
            epoch: turn.opened.epoch,
            first: turn.opened.next,
            next: Sequence(turn.opened.next.0 + 1),
            max_hlc: turn.opened.max_hlc,
            rows: vec![self.row(now_ms)],
            changes: Vec::new(),
        }
    }
}

pub(super) fn is_of_tokens(partition: PartitionId) -> bool {
    partition.incarnation == TOKENS
}

/// What the keys of tokens begin with that were used at this time.
fn piece(at_ms: u64) -> [u8; 8] {
    (at_ms / TOKEN_MS).to_be_bytes()
}

fn decode(value: &[u8]) -> Option<(u64, u128)> {
    let at_ms = u64::from_be_bytes(value.get(..8)?.try_into().ok()?);
    Some((at_ms, u128::from_be_bytes(value.get(8..24)?.try_into().ok()?)))
}

impl<E: Engine + Documents> Database<E> {
    /// To be taken before the token is looked for.
    pub(super) async fn turn(&self, token: &Token) -> Result<Turn, ApiError> {
        let (engine, partition) = (&self.shared.engine, token.partition());
        let mut opened = engine.peek(partition).await.map_err(|error| explain(&error))?;
        if opened.epoch == Epoch(0) {
            opened = engine.open(partition).await.map_err(|error| explain(&error))?;
        }
        Ok(Turn { partition, opened })
    }

    /// Whether a request with this token has been carried out.
    pub(crate) async fn known_token(&self, token: &Token) -> Result<bool, ApiError> {
        let now_ms = self.shared.clock.now_ms();
        let (key, before) = (token.key(now_ms), token.key(now_ms.saturating_sub(TOKEN_MS)));
        let rows = self.shared.engine.read(Space::Tokens, &[&key, &before]).await;
        let rows = rows.map_err(|error| explain(&error))?;
        let Some((at_ms, digest)) = rows.into_iter().flatten().find_map(|row| decode(&row)) else {
            return Ok(false);
        };
        if at_ms + TOKEN_MS < now_ms {
            return Ok(false);
        }
        if digest != token.digest {
            return Err(ApiError::new(
                Code::IdempotentParameterMismatch,
                "The request uses the same client token as a previous, but non-identical request. Do not reuse a client \
                 token with different requests, unless the requests are identical",
            ));
        }
        Ok(true)
    }

    /// Removes tokens that nobody asks for any more, in whole pieces.
    pub(crate) async fn trim_tokens(&self) -> Result<(), ApiError> {
        let kept_from = piece(self.shared.clock.now_ms().saturating_sub(TOKEN_MS));
        loop {
            let mut oldest = None;
            let first = |key: &[u8], _: &[u8]| {
                oldest = key.get(..8).map(<[u8]>::to_vec);
                false
            };
            let read = self.shared.engine.range(Space::Tokens, &[0][..]..&kept_from[..], false, first).await;
            read.map_err(|error| explain(&error))?;
            let Some(oldest) = oldest else { return Ok(()) };
            self.shared.engine.clear(Space::Tokens, &oldest).await.map_err(|error| explain(&error))?;
        }
    }
}
