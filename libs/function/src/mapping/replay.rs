//! Running a part of a stream again: which part, fixed when it is asked for, and how much it is.
//!
//! A replay is a mapping of its own that begins at the oldest record kept (or a sequence) and ends where each shard ended
//! when it was asked for; what lies outside the times asked for is passed over like a filtered record. So it survives
//! restarts, moves between nodes, retries and parks like any mapping, and never touches the checkpoints of the one it
//! repeats. Times are those of the writes. They need not be in the log's order, since changes of other regions come late;
//! that is why a time is no place to begin at.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tradewind_model::{Region, Sequence};

use super::source::{ShardSource, SourceError};
use crate::catalogue::mapping::OriginFilter;
use crate::catalogue::{Mapping, Replay};
use crate::filter::Filters;

/// How far a dry run counts.
const MAX_COUNTED: u64 = 1_000_000;
const MAX_COUNTING: Duration = Duration::from_secs(20);
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// One end of what is to be run again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Unix milliseconds of the write.
    Time(u64),
    /// A record's `SequenceNumber`.
    Sequence(String),
}

/// What somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub from: Option<Place>,
    pub to: Option<Place>,
    /// Only this shard; needed with sequence numbers where the stream has several.
    pub shard: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Where each shard begins, and what ends the replay.
pub async fn plan<S: ShardSource>(
    source: &S,
    mapping: &Mapping,
    wish: &Wish,
) -> Result<(BTreeMap<String, Sequence>, Replay), ReplayError> {
    let mut shards = source.shards(&mapping.stream_arn).await?;
    if let Some(wanted) = &wish.shard {
        shards.retain(|shard| shard.shard_id == *wanted);
        if shards.is_empty() {
            return Err(ReplayError::Refused(format!("the stream has no shard {wanted}")));
        }
    }
    let by_sequence =
        [&wish.from, &wish.to].into_iter().flatten().any(|place| matches!(place, Place::Sequence(_)));
    if by_sequence && shards.len() != 1 {
        let message = "a sequence number is one shard's: name the shard too, or give a time";
        return Err(ReplayError::Refused(message.to_owned()));
    }
    let sequence = |place: &Option<Place>| match place {
        Some(Place::Sequence(text)) => match source.sequence(text) {
            Some(sequence) => Ok(Some(sequence)),
            None => Err(ReplayError::Refused(format!("not a sequence number: {text}"))),
        },
        _ => Ok(None),
    };
    let time = |place: &Option<Place>| match place {
        Some(Place::Time(time_ms)) => Some(*time_ms),
        _ => None,
    };
    let (first, last) = (sequence(&wish.from)?, sequence(&wish.to)?);
    let (from_ms, to_ms) = (time(&wish.from), time(&wish.to));
    let is_empty = matches!((first, last), (Some(first), Some(last)) if first > last)
        || matches!((from_ms, to_ms), (Some(from_ms), Some(to_ms)) if from_ms >= to_ms);
    if is_empty {
        return Err(ReplayError::Refused("--from lies after --to".to_owned()));
    }
    let after = first.map_or(Sequence::ZERO, |first| Sequence(first.0.saturating_sub(1)));
    let start = shards.iter().map(|shard| (shard.shard_id.clone(), after)).collect();
    let until = shards.iter().map(|shard| {
        let end = last.map_or(shard.last, |last| last.min(shard.last));
        (shard.shard_id.clone(), end)
    });
    Ok((start, Replay { of: mapping.uuid.clone(), until: until.collect(), from_ms, to_ms }))
}

/// What a replay would run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Count {
    pub records: u64,
    pub first_ms: Option<u64>,
    pub last_ms: Option<u64>,
    /// Counting ended early: there are at least so many.
    pub is_partial: bool,
}

pub async fn count<S: ShardSource>(
    source: &S,
    mapping: &Mapping,
    start: &BTreeMap<String, Sequence>,
    replay: &Replay,
    region: Region,
) -> Result<Count, ReplayError> {
    let filters = Filters::parse(mapping.knobs.filters.iter().map(String::as_str))
        .map_err(|error| ReplayError::Refused(error.to_string()))?;
    let (mut count, began, mut seen) = (Count::default(), Instant::now(), 0);
    for (shard_id, until) in &replay.until {
        let mut after = start.get(shard_id).copied().unwrap_or_default();
        while after < *until {
            if seen >= MAX_COUNTED || began.elapsed() > MAX_COUNTING {
                count.is_partial = true;
                return Ok(count);
            }
            let page = source.read(&mapping.stream_arn, shard_id, after, PAGE, PAGE_BYTES).await?;
            seen += page.records.len() as u64 + 1;
            for record in page.records.iter().filter(|record| record.sequence <= *until) {
                let is_from_here = record.origin == region;
                let wanted = match mapping.knobs.origin {
                    OriginFilter::All => true,
                    OriginFilter::Local => is_from_here,
                    OriginFilter::Remote => !is_from_here,
                };
                let written_ms = record.approximate_time_ms;
                if wanted && replay.includes(written_ms) && filters.pass(&record.event) {
                    count.records += 1;
                    count.first_ms =
                        Some(count.first_ms.map_or(written_ms, |first_ms| first_ms.min(written_ms)));
                    count.last_ms = count.last_ms.max(Some(written_ms));
                }
            }
            // Nothing more is there, though the shard was said to reach further: it is trimmed, or not shown.
            if page.end || page.through <= after {
                break;
            }
            after = page.through;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{MemoryStream, STREAM_ARN, mapping};

    fn stream() -> MemoryStream {
        let stream = MemoryStream::with_shards(&[("a", None), ("b", None)]);
        for time_ms in [10, 20, 30, 40] {
            stream.append("a", 1, "MODIFY", time_ms);
            stream.append("b", 2, "MODIFY", time_ms + 5);
        }
        stream
    }

    async fn counted(wish: Wish) -> Result<u64, String> {
        let (stream, mapping) = (stream(), mapping("m", STREAM_ARN));
        let (start, replay) = plan(&stream, &mapping, &wish).await.map_err(|error| error.to_string())?;
        let region = Region::new("eu-west-1").unwrap();
        Ok(count(&stream, &mapping, &start, &replay, region).await.unwrap().records)
    }

    #[tokio::test]
    async fn times_and_sequences_choose_what_is_run_again() {
        let number = |number: u64| Some(Place::Sequence(format!("{number:021}")));
        let shard = Some("a".to_owned());
        assert_eq!(counted(Wish::default()).await, Ok(8));
        let times = Wish { from: Some(Place::Time(20)), to: Some(Place::Time(40)), shard: None };
        assert_eq!(counted(times).await, Ok(4), "20, 25, 30, 35");
        let sequences = Wish { from: number(3), to: number(5), shard: shard.clone() };
        assert_eq!(counted(sequences).await, Ok(2));
        assert_eq!(counted(Wish { from: number(3), to: None, shard }).await, Ok(3));
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let place = |text: &str| Some(Place::Sequence(text.to_owned()));
        let several = Wish { from: place("000000000000000000003"), ..Wish::default() };
        assert!(counted(several).await.unwrap_err().contains("name the shard"));
        let unknown = Wish { shard: Some("z".to_owned()), ..Wish::default() };
        assert!(counted(unknown).await.unwrap_err().contains("no shard z"));
        let backwards = Wish { from: Some(Place::Time(5)), to: Some(Place::Time(5)), shard: None };
        assert!(counted(backwards).await.unwrap_err().contains("lies after"));
        let nonsense = Wish { from: place("x"), shard: Some("a".to_owned()), to: None };
        assert!(counted(nonsense).await.unwrap_err().contains("not a sequence number"));
    }
}
