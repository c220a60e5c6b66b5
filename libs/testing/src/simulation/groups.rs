//! One group of a partition, as its owner runs it: read, decide, commit, answer; with everything that may go wrong in
//! between, and the history's judgement of what it did.

use std::collections::{BTreeMap, HashMap};

use tradewind_database::partition::arrival::Arrived;
use tradewind_database::partition::group::{Answer, Group, Op};
use tradewind_database::partition::rows::read_items;
use tradewind_database::partition::state::State;
use tradewind_database::table::document::{Replica, ReplicaStatus, TableDocument};
use tradewind_engine::faults::WriteFault;
use tradewind_engine::{Engine, Error, PartitionCommit};
use tradewind_model::{Change, Hlc, ItemKey, Sequence, StoredItem, Version};

use super::broken::Broken;
use super::expected::Expected;
use super::history::{Past, WriteId, write_of};
use super::node::{From, Job, Logged, Node, ready};
use super::violation::{Property, Violation};
use super::world::{Place, World};

/// A group that is decided, and what it must have done.
struct Decided {
    commit: PartitionCommit,
    next: State,
    log: Vec<Logged>,
    known: BTreeMap<usize, Past>,
    written: Vec<(WriteId, Version, Past)>,
    rows: BTreeMap<usize, Option<WriteId>>,
    losers: Vec<WriteId>,
}

impl World {
    /// Decides and commits what waits for a partition, if it lives.
    pub fn step(&mut self, place: Place) -> Result<(), Violation> {
        let partition = &self.nodes[place.region].partitions[place.partition];
        let Some(state) = partition.live.clone() else { return Ok(()) };
        let jobs = self.gather(place);
        if jobs.is_empty() {
            return Ok(());
        }
        let (ops, from): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.op, job.from)).unzip();
        let (answers, decided) = self.decide(place, &state, ops)?;
        let Some(decided) = decided else {
            self.note(format!("{place} group of {} commits nothing", answers.len()));
            self.answer(from, answers);
            return Ok(());
        };
        self.commit(place, decided, from, answers)
    }

    /// What is decided together; nothing follows a prune, so that it is clear which rows it met.
    fn gather(&mut self, place: Place) -> Vec<Job> {
        let most = if self.weather.steps == 0 { usize::MAX } else { 1 + self.choices.below(8) };
        let waiting = &mut self.nodes[place.region].partitions[place.partition].waiting;
        let prune =
            waiting.iter().position(|job| matches!(job.op, Op::Prune(_))).map_or(usize::MAX, |at| at + 1);
        waiting.drain(..most.min(prune).min(waiting.len())).collect()
    }

    fn decide(
        &mut self,
        place: Place,
        state: &State,
        ops: Vec<Op>,
    ) -> Result<(Vec<Answer>, Option<Decided>), Violation> {
        let node = &self.nodes[place.region];
        let before = ready(read_items(&*node.engine, &node.table, &ops)).expect("reads do not fail");
        let mut acting = state.clone();
        let acted: Vec<_> = ops.iter().map(|op| self.act_on(op.clone(), &mut acting, &before)).collect();
        let now_ms = self.now_ms(place.region);
        let table = self.table_of(node);
        let mut group = Group::new(&table, node.region, now_ms, &acting, before.clone());
        let answers: Vec<_> = acted.iter().map(|op| group.take(op)).collect();
        let (commit, next) = group.finish();
        let versions = commit.as_ref().map(|commit| self.versions(commit)).unwrap_or_default();
        let mut expected =
            Expected::new(&self.history, place.region, (state, &next), &before, versions, &self.seeds)?;
        ops.iter().zip(&answers).try_for_each(|(op, answer)| expected.take(op, answer))?;
        let Some(mut commit) = commit else {
            Property::EveryWriteIsAChange
                .check(next == *state, || format!("{place} changed its state without a commit"))?;
            return Ok((answers, None));
        };
        if let Some(broken) = self.broken {
            broken.commit(&mut commit, &before);
        }
        let losers = self.check_conflicts(&commit, &expected)?;
        let log = self.check_log(place, &commit, &next)?;
        let Expected { known, written, rows, .. } = expected;
        Ok((answers, Some(Decided { commit, next, log, known, written, rows, losers })))
    }

    fn act_on(&self, op: Op, state: &mut State, before: &HashMap<ItemKey, Option<StoredItem>>) -> Op {
        match self.broken {
            Some(broken) => broken.op(op, state, before),
            None => op,
        }
    }

    fn table_of(&self, node: &Node) -> TableDocument {
        let mut table = node.table.clone();
        if self.broken == Some(Broken::JoinerIsNotCounted) {
            let here = node.region;
            let counts = |replica: &Replica| replica.status != ReplicaStatus::Creating;
            table.replicas.retain(|region, replica| *region == here || counts(replica));
        }
        table
    }

    /// The versions that this commit gives to writes of its own region.
    fn versions(&self, commit: &PartitionCommit) -> BTreeMap<WriteId, Version> {
        let changes = changes(commit).filter(|change| {
            let write = change.request.map(write_of);
            write.is_some_and(|id| self.history.writes[id].version.is_none())
        });
        changes.filter_map(|change| Some((write_of(change.request?), change.version))).collect()
    }

    /// Sequences go on where the log ends; local versions lie above all that was there.
    fn check_log(
        &self,
        place: Place,
        commit: &PartitionCommit,
        next: &State,
    ) -> Result<Vec<Logged>, Violation> {
        let partition = &self.nodes[place.region].partitions[place.partition];
        let durable = &partition.durable;
        let first = commit.first.0;
        let gapless = (first..).zip(&commit.changes).all(|(expected, (sequence, _))| sequence.0 == expected);
        let ends = commit.next == Sequence(first + commit.changes.len() as u64) && next.next == commit.next;
        Property::Gapless.check(commit.first == durable.next && gapless && ends, || {
            format!("{place} commits {}..{} after {}", commit.first, commit.next, durable.next)
        })?;
        let mut greatest = durable.max_hlc;
        let here = self.nodes[place.region].region;
        let mut log = Vec::new();
        for change in changes(commit) {
            let write = self.history.id_of(&change).expect("every write of the simulation has its id");
            // A row of a snapshot may have been written by a former life of this region.
            let new = self.history.writes[write].version.is_none();
            let grows = change.version.origin != here || !new || change.version.hlc > greatest;
            Property::VersionsGrow
                .check(grows, || format!("{place} gives {} above {greatest}", change.version))?;
            greatest = greatest.max(change.version.hlc);
            log.push(Logged { version: change.version, write });
        }
        Property::VersionsGrow.check(next.max_hlc >= greatest, || {
            format!("{place} has {greatest}, its clock is {}", next.max_hlc)
        })?;
        Ok(log)
    }

    fn commit(
        &mut self,
        place: Place,
        decided: Decided,
        from: Vec<From>,
        answers: Vec<Answer>,
    ) -> Result<(), Violation> {
        let fault = self.fault(place.region);
        let node = &self.nodes[place.region];
        node.faults.plan_commits([fault]);
        let outcome = ready(node.engine.commit(vec![decided.commit.clone()]));
        self.note(format!(
            "{place} commits {}..{} of {} jobs, {fault:?}, max {} stable {}",
            decided.commit.first,
            decided.commit.next,
            from.len(),
            decided.next.max_hlc,
            decided.next.stable,
        ));
        self.count(place, &decided, fault);
        let next = decided.next.clone();
        if matches!(fault, WriteFault::None | WriteFault::AnswerLost) {
            self.happened(place, decided)?;
        }
        match outcome {
            Ok(()) => self.committed(place, next, from, answers),
            Err(Error::Unavailable(_)) => {}
            Err(Error::Unknown(_)) => self.reopen_partition(place)?,
            Err(error) => return Property::Reopened.check(false, || format!("{place}: {error}")),
        }
        Ok(())
    }

    fn count(&mut self, place: Place, decided: &Decided, fault: WriteFault) {
        let durable = &self.nodes[place.region].partitions[place.partition].durable;
        let reached = [
            ("stable rises", decided.next.stable > durable.stable),
            ("a conflict is logged", !decided.losers.is_empty()),
            (
                "a tombstone goes",
                decided.next.tombstones < durable.tombstones && decided.next.next == durable.next,
            ),
            ("an outcome is unknown", matches!(fault, WriteFault::AnswerLost | WriteFault::RequestLost)),
            (
                "a write knows what stable hides",
                decided.next.stable > Hlc::ZERO && !decided.written.is_empty(),
            ),
        ];
        reached.iter().filter(|(_, reached)| *reached).for_each(|(what, _)| self.trace.count(what));
    }

    fn fault(&mut self, region: usize) -> WriteFault {
        if self.refused.take_if(|refused| *refused == region).is_some() {
            return WriteFault::Refused;
        }
        if !self.choices.percent(self.weather.commit_fault) {
            return WriteFault::None;
        }
        self.choices.pick(&[WriteFault::Refused, WriteFault::AnswerLost, WriteFault::RequestLost])
    }

    /// The owner hears of its commit, or dies before it can answer.
    fn committed(&mut self, place: Place, next: State, from: Vec<From>, answers: Vec<Answer>) {
        self.nodes[place.region].partitions[place.partition].live = Some(next);
        if self.choices.permille(self.weather.crash) {
            self.crash(place.region);
        } else {
            self.answer(from, answers);
        }
    }

    /// The commit is durable, whoever knows of it.
    fn happened(&mut self, place: Place, decided: Decided) -> Result<(), Violation> {
        let Decided { next, log, known, written, rows, losers, .. } = decided;
        for (id, version, past) in written {
            self.history.commit(id, version, past);
        }
        for (key, known) in known {
            self.history.set_known(place.region, key, known);
        }
        for loser in losers {
            self.history.writes[loser].logged = true;
        }
        let partition = &mut self.nodes[place.region].partitions[place.partition];
        partition.log.extend(log.iter().copied());
        let before = std::mem::replace(&mut partition.durable, next);
        self.check_rows(place, &rows)?;
        self.check_links(place, &before)?;
        self.check_announced(place, &log)?;
        self.check_stable(place, &before)
    }

    fn answer(&mut self, from: Vec<From>, answers: Vec<Answer>) {
        for (from, answer) in from.into_iter().zip(answers) {
            match (from, answer) {
                (From::Client(ids), Answer::Written(Ok(_)) | Answer::Transacted(Ok(_))) => {
                    ids.into_iter().for_each(|id| self.history.writes[id].acknowledged = true);
                }
                (From::Life(token), answer) => {
                    self.answered.insert(token);
                    self.late = if let Answer::Late(late) = answer { late.len() } else { 0 };
                }
                (From::Batch(number), Answer::Arrived(arrived)) => {
                    match arrived {
                        Arrived::Gap { .. } => self.trace.count("a gap is refused"),
                        Arrived::Ahead { .. } => self.trace.count("a version is from the future"),
                        Arrived::Stranger { .. } => self.trace.count("a stranger is refused"),
                        Arrived::Through { .. } => (),
                    }
                    self.arrived(number, arrived);
                }
                _ => (),
            }
        }
    }
}

/// The changes of a commit, as readers of the log see them.
pub fn changes(commit: &PartitionCommit) -> impl Iterator<Item = Change> {
    commit.changes.iter().map(|(_, bytes)| Change::decode(bytes).expect("a group encodes what it commits"))
}
