//! Reads before what is in memory: from a mark, or from where the last page ended, forward to the position and on.
//!
//! ```text
//! mark ─ skipped ─► after │ page … │ end, of what fits
//! ```
//!
//! What comes ahead of the position is passed over: it comes again behind what is missing. If nothing follows the
//! position, it was trimmed, or something is missing that has to come.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Mutex;

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tradewind_changelog::{Error, Page};
use tradewind_engine::Documents;
use tradewind_model::{PartitionId, Sequence};

use crate::codec;
use crate::fetch::{FetchError, Fetcher};
use crate::follow::Followed;
use crate::log::unavailable;
use crate::order::Place;
use crate::progress::{Mark, Progress, Store};
use crate::publisher::WINDOW_RECORDS;

/// Readers of one partition that are behind, each at its own place.
const PLACES: usize = 16;

#[derive(Default)]
pub(crate) struct Past {
    /// Where pages ended: the record of this sequence has this offset.
    ends: Mutex<VecDeque<Mark>>,
    /// What the record at the first offset follows, as it was when that was asked last.
    first: Mutex<Option<(i64, Sequence)>>,
}

/// A page that is being gathered.
struct Gather {
    partition: PartitionId,
    page: Page,
    bytes: usize,
    limit: usize,
    max_bytes: usize,
    /// What has to be at the first offset, if it was a mark.
    expected: Option<Sequence>,
    /// The mark was not there.
    foreign: bool,
    first_offset: Option<i64>,
    last_offset: i64,
    /// What the first record that came too early follows, and how many came.
    ahead: Option<(Sequence, usize)>,
    taken: bool,
    corrupt: Option<Sequence>,
}

impl Past {
    pub async fn read<E: Documents>(
        &self,
        fetcher: &Fetcher,
        store: &Store<E>,
        followed: &Followed,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        let partition = followed.partition;
        let progress = load(store, partition).await?;
        if after < progress.begins_after {
            return Err(Error::Trimmed { partition, first: progress.begins_after.next() });
        }
        let begun = Gather::new(partition, after, limit, max_bytes);
        let mut found = None;
        if let Some(mark) = self.place(after).or_else(|| progress.mark_at(after)) {
            found = self.gather(fetcher, followed, Some(mark), begun.again()).await?;
        }
        let from_mark = found.is_some();
        let found = match found {
            Some(found) => found,
            None => self.gather(fetcher, followed, None, begun).await?.ok_or_else(|| missing(after))?,
        };
        self.finish(found, after, from_mark)
    }

    /// `None` if the mark is not in the topic (any more).
    async fn gather(
        &self,
        fetcher: &Fetcher,
        followed: &Followed,
        mark: Option<Mark>,
        mut gather: Gather,
    ) -> Result<Option<Gather>, Error> {
        let at = &followed.at;
        gather.expected = mark.map(|mark| mark.sequence);
        let offset = mark.map(|mark| mark.offset);
        let scanned = fetcher.scan(&at.topic, at.partition, offset, |message| gather.visit(message)).await;
        match scanned {
            Ok(_) if gather.foreign => Ok(None),
            Ok(_) => Ok(Some(gather)),
            Err(FetchError::OutOfRange) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn finish(&self, gather: Gather, after: Sequence, from_mark: bool) -> Result<Page, Error> {
        if gather.taken {
            self.note(Mark { sequence: gather.page.through, offset: gather.last_offset });
            return Ok(gather.page);
        }
        match (gather.corrupt, gather.ahead) {
            (Some(sequence), _) => Err(Error::Corrupt(gather.partition, sequence)),
            (None, None) => Ok(gather.page),
            // The topic begins after the position, not at its own beginning, and nothing that is missing came behind.
            (None, Some((previous, _))) if !from_mark && gather.first_offset > Some(0) => {
                Err(Error::Trimmed { partition: gather.partition, first: previous.next() })
            }
            (None, Some(_)) => Err(missing(after)),
        }
    }

    /// The first sequence that the topic answers for, whose first record is at `offset`.
    pub async fn first(
        &self,
        fetcher: &Fetcher,
        followed: &Followed,
        offset: i64,
    ) -> Result<Sequence, Error> {
        let known = *self.first.lock().expect("no panic while held");
        if let Some((_, previous)) = known.filter(|(at, _)| *at == offset) {
            return Ok(previous.next());
        }
        let mut previous = None;
        let at = &followed.at;
        let scanned = fetcher
            .scan(&at.topic, at.partition, None, |message| {
                previous = codec::span(followed.partition, message).map(|span| span.previous);
                if previous.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await;
        scanned.map_err(unavailable)?;
        let previous = previous.unwrap_or_else(|| followed.lock().end());
        *self.first.lock().expect("no panic while held") = Some((offset, previous));
        Ok(previous.next())
    }

    fn place(&self, after: Sequence) -> Option<Mark> {
        let ends = self.ends.lock().expect("no panic while held");
        ends.iter().find(|mark| mark.sequence == after).copied()
    }

    fn note(&self, mark: Mark) {
        let mut ends = self.ends.lock().expect("no panic while held");
        ends.retain(|known| known.sequence != mark.sequence);
        ends.push_front(mark);
        ends.truncate(PLACES);
    }
}

impl Gather {
    fn new(partition: PartitionId, after: Sequence, limit: usize, max_bytes: usize) -> Gather {
        Gather {
            partition,
            page: Page { changes: Vec::new(), through: after },
            bytes: 0,
            limit,
            max_bytes,
            expected: None,
            foreign: false,
            first_offset: None,
            last_offset: 0,
            ahead: None,
            taken: false,
            corrupt: None,
        }
    }

    fn again(&self) -> Gather {
        Gather::new(self.partition, self.page.through, self.limit, self.max_bytes)
    }

    fn visit(&mut self, message: &BorrowedMessage<'_>) -> ControlFlow<()> {
        self.first_offset.get_or_insert(message.offset());
        let Some(span) = codec::span(self.partition, message) else {
            // A mark's record is one of ours; anything else that somebody wrote is passed over.
            self.foreign |= self.expected.take().is_some();
            return if self.foreign { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        };
        if self.expected.take().is_some_and(|expected| expected != span.sequence) {
            self.foreign = true;
            return ControlFlow::Break(());
        }
        match span.place(self.page.through) {
            Place::Repeated => ControlFlow::Continue(()),
            Place::Ahead => {
                let count = self.ahead.map_or(1, |(_, count)| count + 1);
                let first = self.ahead.map_or(span.previous, |(first, _)| first);
                self.ahead = Some((first, count));
                // What a failed delivery leaves is never longer.
                if count > WINDOW_RECORDS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            Place::Next => self.take(span.sequence, message),
        }
    }

    fn take(&mut self, sequence: Sequence, message: &BorrowedMessage<'_>) -> ControlFlow<()> {
        match codec::decode(message) {
            Some(Some(change)) => self.page.changes.push((sequence, change)),
            Some(None) => {}
            None => {
                self.corrupt = Some(sequence);
                return ControlFlow::Break(());
            }
        }
        self.taken = true;
        self.page.through = sequence;
        self.last_offset = message.offset();
        self.bytes += message.payload_len();
        let full = self.page.changes.len() >= self.limit || self.bytes >= self.max_bytes;
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

async fn load<E: Documents>(store: &Store<E>, partition: PartitionId) -> Result<Progress, Error> {
    let loaded = store.load(partition).await.map_err(|error| Error::Unavailable(error.to_string()))?;
    loaded.map(|(_, progress)| progress).ok_or_else(|| missing(Sequence::ZERO))
}

fn missing(after: Sequence) -> Error {
    Error::Unavailable(format!("what follows {after} is not in the topic yet"))
}
