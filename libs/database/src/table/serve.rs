//! What a table does for other nodes, in the partitions that this node owns, and nowhere else: one hop.

use tradewind_engine::{Documents, Engine};
use tradewind_model::{Change, Sequence};

use super::{Table, Unowned, gone};
use crate::cluster::{Done, ForwardError, Inquiry, Outcome, RequestId};
use crate::partition::group::{Answer, Op, Written};
use crate::partition::owner::Unanswered;
use crate::partition::state::State;

/// Changes that are searched for a request, and how many at a time.
const SEARCHED: usize = 200_000;
const STEP: usize = 2_000;
const STEP_BYTES: usize = 4 * 1024 * 1024;

impl<E: Engine + Documents> Table<E> {
    /// Carries an operation out, if the partition is owned here.
    pub(crate) async fn carry_out(&self, position: usize, op: Op) -> Result<Done, ForwardError> {
        let owner = self.own(position).await?;
        match owner.submit(Box::new(op)).await {
            Ok(answer) => {
                let state = owner.state();
                Ok(Done { answer, next: state.next, epoch: state.epoch })
            }
            Err(Unanswered::Returned(_)) => Err(ForwardError::Moved),
            Err(Unanswered::Unknown(_, error)) => Err(ForwardError::Unknown(error.message)),
            Err(Unanswered::Failed(error)) => Err(ForwardError::Refused(error)),
        }
    }

    /// What became of a write whose answer was lost.
    pub(crate) async fn look_for(&self, position: usize, inquiry: &Inquiry) -> Result<Outcome, ForwardError> {
        let requests = &self.shared.requests;
        let forgotten = requests.has_forgotten();
        match requests.answer(inquiry.request).await {
            Some(Ok(done)) => return Ok(Outcome::Answered(Ok(done))),
            Some(Err(ForwardError::Refused(error))) => return Ok(Outcome::Answered(Err(error))),
            Some(Err(_)) => return self.look_in_log(position, inquiry).await,
            None => (),
        }
        if inquiry.only_you && !forgotten {
            // It has not come here, or could not be carried out. If it comes late, it meets itself.
            let under = self.own(position).await?.state().epoch;
            return Ok(Outcome::NotDone { under });
        }
        self.look_in_log(position, inquiry).await
    }

    /// The log has everything that owners before this one did: the partition is opened first.
    async fn look_in_log(&self, position: usize, inquiry: &Inquiry) -> Result<Outcome, ForwardError> {
        let owner = self.own(position).await?;
        let under = owner.state().epoch;
        if !self.logs_since(position, inquiry.after) {
            return Ok(Outcome::Undecidable);
        }
        match self.find(position, inquiry.request, inquiry.after).await? {
            Found::Change(change) => Ok(answered(*change, &owner.state())),
            Found::Nothing => Ok(Outcome::NotDone { under }),
            Found::TooMuch => Ok(Outcome::Undecidable),
        }
    }

    /// Whether every write after the sequence has left a change.
    fn logs_since(&self, position: usize, after: Sequence) -> bool {
        let document = self.document();
        let number = document.partitions[position].number;
        let stream = document.stream();
        stream.is_some_and(|stream| stream.begins_after.get(&number).copied().unwrap_or_default() <= after)
    }

    async fn find(
        &self,
        position: usize,
        request: RequestId,
        after: Sequence,
    ) -> Result<Found, ForwardError> {
        let (id, mut after, mut searched) = (self.partition_id(position), after, 0);
        while searched < SEARCHED {
            let read = self.shared.engine.changes(id, after, STEP, STEP_BYTES).await;
            let changes = read.map_err(|error| ForwardError::Unknown(error.to_string()))?;
            let Some((last, _)) = changes.last() else { return Ok(Found::Nothing) };
            after = *last;
            searched += changes.len();
            let decoded = changes.iter().filter_map(|(_, bytes)| Change::decode(bytes));
            let mut same = decoded.filter(|change| change.request == Some(request));
            if let Some(change) = same.next() {
                return Ok(Found::Change(Box::new(change)));
            }
        }
        Ok(Found::TooMuch)
    }
}

enum Found {
    Change(Box<Change>),
    Nothing,
    TooMuch,
}

/// The answer to a write from the change it became, if that has its images.
fn answered(change: Change, state: &State) -> Outcome {
    let whole = change.existed == change.old.is_some() && change.exists == change.new.is_some();
    if !whole {
        return Outcome::Undecidable;
    }
    let sequence = Sequence(state.next.0.saturating_sub(1));
    let written = Written { sequence, old: change.old, new: change.new };
    let answer = Answer::Written(Ok(written));
    Outcome::Answered(Ok(Done { answer, next: state.next, epoch: state.epoch }))
}

impl From<Unowned> for ForwardError {
    fn from(unowned: Unowned) -> ForwardError {
        match unowned {
            Unowned::Seat => ForwardError::Moved,
            Unowned::Closed(error) => ForwardError::NotSent(error.to_string()),
            Unowned::Gone => ForwardError::Refused(gone()),
        }
    }
}
