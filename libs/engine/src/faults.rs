//! An engine that fails where a test says so: every way in which a commit or a read can go wrong, in a fixed order.
//!
//! The three ways of a write are those that the [`Error`](crate::Error) tells apart, and the two of them that look the
//! same from outside: after an unknown outcome the caller must find out by itself whether it happened.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tradewind_model::{Incarnation, PartitionId, Sequence};

use crate::{Batch, Document, Documents, Engine, Error, Member, Members, MembersError, Opened, Space};

/// What happens to one write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteFault {
    /// It goes through.
    None,
    /// It does not happen, and the answer says so.
    Refused,
    /// It happens, and the answer is lost.
    AnswerLost,
    /// It does not happen, and the answer is lost.
    RequestLost,
}

/// What the wrapper will do; tests hold a clone. Without a plan everything goes through.
#[derive(Clone, Default, Debug)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Default, Debug)]
struct Plan {
    commits: VecDeque<WriteFault>,
    opens: VecDeque<WriteFault>,
    documents: VecDeque<WriteFault>,
    reads_fail: bool,
    members_fail: bool,
}

impl Faults {
    /// The fates of the next commits, in the order in which they are called; appended to those planned before.
    pub fn plan_commits(&self, faults: impl IntoIterator<Item = WriteFault>) {
        self.plan().commits.extend(faults);
    }

    /// The same for openings of partitions.
    pub fn plan_opens(&self, faults: impl IntoIterator<Item = WriteFault>) {
        self.plan().opens.extend(faults);
    }

    /// The same for compare-and-sets of documents.
    pub fn plan_documents(&self, faults: impl IntoIterator<Item = WriteFault>) {
        self.plan().documents.extend(faults);
    }

    /// While set, every read, range, list, `peek`, `changes`, `kept` and `generation` is unavailable.
    pub fn fail_reads(&self, fail: bool) {
        self.plan().reads_fail = fail;
    }

    /// While set, no lease can be renewed or given up.
    pub fn fail_members(&self, fail: bool) {
        self.plan().members_fail = fail;
    }

    /// True when every planned fault has happened.
    pub fn are_spent(&self) -> bool {
        let plan = self.plan();
        plan.commits.is_empty() && plan.opens.is_empty() && plan.documents.is_empty()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, of: impl FnOnce(&mut Plan) -> &mut VecDeque<WriteFault>) -> WriteFault {
        of(&mut self.plan()).pop_front().unwrap_or(WriteFault::None)
    }

    fn check_read(&self) -> Result<(), Error> {
        if self.plan().reads_fail { Err(refused()) } else { Ok(()) }
    }

    fn check_members(&self) -> Result<(), Error> {
        if self.plan().members_fail { Err(refused()) } else { Ok(()) }
    }
}

/// The wrapper.
pub struct Faulty<E> {
    inner: E,
    faults: Faults,
}

impl<E> Faulty<E> {
    pub fn new(inner: E, faults: Faults) -> Faulty<E> {
        Faulty { inner, faults }
    }

    pub fn inner(&self) -> &E {
        &self.inner
    }
}

fn refused() -> Error {
    Error::Unavailable("as planned".to_owned())
}

fn lost() -> Error {
    Error::Unknown("as planned".to_owned())
}

/// Calls `write` now or not at all, so that the order of calls stays the order of commits.
fn inject<T, F: Future<Output = Result<T, Error>> + Send>(
    fault: WriteFault,
    write: impl FnOnce() -> F,
) -> impl Future<Output = Result<T, Error>> + Send {
    let written = matches!(fault, WriteFault::None | WriteFault::AnswerLost).then(write);
    async move {
        let answer = match written {
            Some(written) => written.await,
            None if fault == WriteFault::Refused => return Err(refused()),
            None => return Err(lost()),
        };
        if fault == WriteFault::AnswerLost { Err(lost()) } else { answer }
    }
}

impl<E: Engine> Engine for Faulty<E> {
    fn open(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        inject(self.faults.next(|plan| &mut plan.opens), move || self.inner.open(partition))
    }

    async fn peek(&self, partition: PartitionId) -> Result<Opened, Error> {
        self.faults.check_read()?;
        self.inner.peek(partition).await
    }

    async fn read(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        self.faults.check_read()?;
        self.inner.read(space, keys).await
    }

    async fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> Result<(), Error> {
        self.faults.check_read()?;
        self.inner.range(space, keys, reverse, visit).await
    }

    async fn troubles(&self) -> Vec<String> {
        self.inner.troubles().await
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send {
        inject(self.faults.next(|plan| &mut plan.commits), move || self.inner.commit(batch))
    }

    async fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Sequence, Bytes)>, Error> {
        self.faults.check_read()?;
        self.inner.changes(partition, after, limit, max_bytes).await
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        self.faults.check_read()?;
        self.inner.kept(partition).await
    }

    fn committed_before(
        &self,
        partition: PartitionId,
        unix_ms: u64,
    ) -> impl Future<Output = Result<Sequence, Error>> + Send {
        self.inner.committed_before(partition, unix_ms)
    }

    fn trim(&self, before_ms: u64) -> impl Future<Output = Result<(), Error>> + Send {
        self.inner.trim(before_ms)
    }

    fn place(&self, incarnation: Incarnation, last_hashes: &[(u32, u64)]) {
        self.inner.place(incarnation, last_hashes);
    }

    fn clear(&self, space: Space, prefix: &[u8]) -> impl Future<Output = Result<(), Error>> + Send {
        self.inner.clear(space, prefix)
    }
}

impl<E: Documents> Documents for Faulty<E> {
    async fn get(&self, collection: &str, name: &str) -> Result<Option<Document>, Error> {
        self.faults.check_read()?;
        self.inner.get(collection, name).await
    }

    async fn list(&self, collection: &str) -> Result<Vec<(String, Document)>, Error> {
        self.faults.check_read()?;
        self.inner.list(collection).await
    }

    fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send {
        let fault = self.faults.next(|plan| &mut plan.documents);
        inject(fault, move || self.inner.compare_and_set(collection, name, expected, body))
    }

    async fn generation(&self, collection: &str) -> Result<u64, Error> {
        self.faults.check_read()?;
        self.inner.generation(collection).await
    }
}

impl<E: Members> Members for Faulty<E> {
    async fn renew(&self, group: &str, member: &Member, ttl: Duration) -> Result<Vec<Member>, MembersError> {
        self.faults.check_members()?;
        self.inner.renew(group, member, ttl).await
    }

    async fn members(&self, group: &str) -> Result<Vec<Member>, Error> {
        self.faults.check_members()?;
        self.inner.members(group).await
    }

    async fn leave(&self, group: &str, member: &Member) -> Result<(), Error> {
        self.faults.check_members()?;
        self.inner.leave(group, member).await
    }
}
