//! The contract, on the simulator's engine.

#[path = "subjects/memory.rs"]
mod subject;

use tradewind_engine::suite;

#[tokio::test]
async fn the_memory_engine_keeps_the_contract() {
    suite::run_all(async || subject::MemorySubject::new()).await;
}

#[tokio::test]
async fn the_memory_engine_keeps_leases() {
    suite::run_members(async || subject::MemorySubject::new()).await;
}
