//! replicator.
