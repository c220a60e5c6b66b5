//! Where a partition's publishing goes on: what is kept with the engine says how far it was at least, the topic how far it
//! is, the engine's log whether both are of one history.

use std::ops::ControlFlow;

use rdkafka::Message;
use tradewind_changelog::ChangeLog;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Sequence;

use crate::codec;
use crate::fetch::FetchError;
use crate::order::Place;
use crate::progress::{Mark, Progress};
use crate::publisher::partition::{Stop, Task};
use crate::topic::{TopicError, count};

/// How far a topic goes.
enum Reached {
    /// To this record, or nowhere yet.
    To(Option<Mark>),
    /// The record that was published last is not in it: it was deleted and made anew.
    Elsewhere,
}

impl From<TopicError> for Stop {
    fn from(error: TopicError) -> Stop {
        match error {
            TopicError::Foreign { .. } => Stop::Refused(error.to_string()),
            TopicError::Unavailable(_) => Stop::again(error),
        }
    }
}

impl<E: Engine + Documents> Task<E> {
    /// The last sequence that need not be published any more. Earlier owners are fenced from keeping progress.
    pub(super) async fn start(&self) -> Result<Sequence, Stop> {
        let topic = self.shared.topics.ensure(&self.published.topic).await?;
        let kept = self.shared.log.kept(self.published.partition).await.map_err(Stop::again)?;
        let before_kept = Sequence(kept.start.0.saturating_sub(1));
        let (revision, mut progress) = self.claim(&topic, before_kept).await?;
        let mut reached = match self.reached(&progress).await? {
            Reached::To(reached) => reached,
            Reached::Elsewhere => {
                tracing::warn!(topic, partition = %self.published.partition, "the topic was made anew; it is filled again");
                progress = Progress::new(self.published.epoch, topic.clone(), before_kept);
                None
            }
        };
        let position = reached.map_or(progress.published(), |mark| mark.sequence);
        if position >= kept.end {
            return Err(Stop::Refused(format!(
                "the topic {topic} has changes up to {position}, the database's log ends before {}: it was restored \
                 from a backup; delete the topic",
                kept.end
            )));
        }
        if position < before_kept {
            let lost = before_kept.0 - position.0;
            tracing::error!(topic, lost, "the engine's log was trimmed before its changes were published");
            let marks = Vec::new();
            progress = Progress { begins_after: before_kept, marks, ..progress };
            reached = None;
        }
        let revision = self.keep(Some(revision), &progress).await?;
        self.published.begin(revision, progress, reached, kept.end);
        Ok(position.max(before_kept))
    }

    /// Reads the partition's progress, and makes it this epoch's.
    async fn claim(&self, topic: &str, before_kept: Sequence) -> Result<(u64, Progress), Stop> {
        let epoch = self.published.epoch;
        let loaded = self.published.store.load(self.published.partition).await.map_err(Stop::again)?;
        let Some((revision, mut progress)) = loaded else {
            self.must_be_empty(topic).await?;
            let progress = Progress::new(epoch, topic.to_owned(), before_kept);
            return Ok((self.keep(None, &progress).await?, progress));
        };
        if progress.epoch > epoch.0 {
            return Err(Stop::Fenced);
        }
        if progress.topic != topic {
            // Published under another prefix before.
            progress = Progress::new(epoch, topic.to_owned(), before_kept);
        }
        progress.epoch = epoch.0;
        Ok((self.keep(Some(revision), &progress).await?, progress))
    }

    async fn keep(&self, revision: Option<u64>, progress: &Progress) -> Result<u64, Stop> {
        let kept = self.published.store.save(self.published.partition, revision, progress).await;
        kept.map_err(Stop::again)?.ok_or_else(|| Stop::again("another owner keeps progress"))
    }

    /// A topic that has records is of a history this database knows.
    async fn must_be_empty(&self, topic: &str) -> Result<(), Stop> {
        let partition = self.published.partition;
        let mut found = false;
        let scanned = self.shared.fetcher.scan(topic, count(partition.number), None, |_| {
            found = true;
            ControlFlow::Break(())
        });
        scanned.await.map_err(Stop::again)?;
        if found {
            return Err(Stop::Refused(format!(
                "the topic {topic} has records that this database knows nothing of; delete it, or choose another prefix"
            )));
        }
        Ok(())
    }

    async fn reached(&self, progress: &Progress) -> Result<Reached, Stop> {
        match progress.marks.last() {
            None => self.scan(progress, None).await,
            Some(mark) => match self.scan(progress, Some(*mark)).await? {
                Reached::To(None) => Ok(Reached::Elsewhere),
                reached => Ok(reached),
            },
        }
    }

    /// Follows the records from a mark's on, or from the first.
    async fn scan(&self, progress: &Progress, from: Option<Mark>) -> Result<Reached, Stop> {
        let partition = self.published.partition;
        let (mut position, mut last, mut foreign) = (progress.begins_after, None, false);
        let mut expected = from;
        let offset = from.map(|mark| mark.offset);
        let scanned = self
            .shared
            .fetcher
            .scan(&progress.topic, count(partition.number), offset, |message| {
                let span = codec::span(partition, message);
                if let Some(mark) = expected.take() {
                    foreign = span.is_none_or(|span| span.sequence != mark.sequence);
                    (position, last) = (mark.sequence, Some(mark));
                }
                if let Some(span) = span
                    && span.place(position) == Place::Next
                {
                    position = span.sequence;
                    last = Some(Mark { sequence: position, offset: message.offset() });
                }
                if foreign { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await;
        match scanned {
            Ok(_) if foreign => Ok(Reached::Elsewhere),
            Ok(_) => Ok(Reached::To(last)),
            Err(FetchError::OutOfRange) => self.beyond(progress, from).await,
            Err(error) => Err(Stop::again(error)),
        }
    }

    /// The mark's offset is not there: retention passed it, and perhaps more, or the topic is another.
    async fn beyond(&self, progress: &Progress, mark: Option<Mark>) -> Result<Reached, Stop> {
        let Some(mark) = mark else { return Ok(Reached::Elsewhere) };
        let partition = self.published.partition;
        let (mut last, mut first_offset) = (mark, None);
        let scanned = self
            .shared
            .fetcher
            .scan(&progress.topic, count(partition.number), None, |message| {
                first_offset.get_or_insert(message.offset());
                if let Some(span) = codec::span(partition, message)
                    && span.sequence > last.sequence
                {
                    last = Mark { sequence: span.sequence, offset: message.offset() };
                }
                ControlFlow::Continue(())
            })
            .await;
        scanned.map_err(Stop::again)?;
        match first_offset {
            Some(first) if first > mark.offset => Ok(Reached::To(Some(last))),
            _ => Ok(Reached::Elsewhere),
        }
    }
}
