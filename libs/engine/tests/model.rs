//! Both engines of this crate against a model of plain maps.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "subjects/fjall.rs"]
mod fjall;
#[path = "subjects/memory.rs"]
mod memory;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use tradewind_engine::suite::Subject;
use tradewind_engine::suite::model::{self, PARTITIONS, Part, Step};

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let len = prop_oneof![8 => 0..40_usize, 1 => 1000..20_000_usize];
    let rows = vec((any::<u8>(), option::weighted(0.7, len)), 0..12);
    vec((0..PARTITIONS, rows, 0..4_u64), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => parts().prop_map(Step::Commit),
        2 => parts().prop_map(Step::StaleCommit),
        2 => (0..PARTITIONS).prop_map(Step::TakeOver),
        1 => Just(Step::Reopen),
        3 => (0..6_u64).prop_map(Step::SetHour),
        1 => (0..6_u64).prop_map(Step::TrimBefore),
    ]
}

fn run(mut subject: impl Subject, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(model::run(&mut subject, steps));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_fjall_engine_is_like_the_model(steps in vec(step(), 0..60)) {
        run(fjall::FjallSubject::new(), &steps);
    }

    #[test]
    fn the_memory_engine_is_like_the_model(steps in vec(step(), 0..60)) {
        run(memory::MemorySubject::new(), &steps);
    }
}
