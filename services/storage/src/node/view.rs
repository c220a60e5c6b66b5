//! A region as a process sees it that owns none of its partitions: a replicator, say, or a streams service. Reads go to the
//! database; what needs an owner goes to the storage nodes, in one hop.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tradewind_changelog::{Log, Polled};
use tradewind_changelog_kafka::KafkaLog;
use tradewind_database::region::Parts;
use tradewind_database::{CATCH_UP_SHARE, Database};
use tradewind_engine::{Documents, Engine, Members};
use tradewind_model::{Clock, Region};
use tradewind_rpc::Identity;

use super::visitor::visit;
use super::{KnownRegions, NodeError};

/// What a view is told.
pub struct ViewSettings {
    pub region: Region,
    /// Twelve digits.
    pub account: String,
    /// The regions beside this one.
    pub peers: BTreeSet<Region>,
    /// Where changes are published; `None`: they are read from the database.
    pub kafka: Option<tradewind_changelog_kafka::Settings>,
}

/// Opens the region's database as one of its readers; what keeps it true runs until `stop`. Must be called inside a Tokio
/// runtime.
///
/// # Errors
/// The database does not answer, or Kafka's settings cannot be used.
pub async fn view<E: Engine + Documents + Members>(
    engine: Arc<E>,
    clock: Arc<dyn Clock>,
    settings: ViewSettings,
    identity: &Identity,
    stop: &CancellationToken,
) -> Result<Arc<Database<E>>, NodeError> {
    let runtime = Handle::current();
    let cluster = visit(engine.clone(), identity, runtime.clone(), stop.clone()).await?;
    let parts = Parts {
        engine: engine.clone(),
        clock,
        region: settings.region,
        settings: tradewind_database::Settings {
            account: settings.account,
            throttle: false,
            catch_up_share: CATCH_UP_SHARE,
        },
        regions: Arc::new(KnownRegions { here: settings.region, peers: settings.peers }),
        data: Arc::from([runtime]),
    };
    let database = Arc::new(Database::open_in(parts, cluster).await?);
    let log = match &settings.kafka {
        Some(settings) => Log::new(KafkaLog::new(settings, engine.clone())?),
        None => Log::new(Polled::new(engine.clone())),
    };
    database.publish_to(log, None);
    tokio::spawn(stop.clone().run_until_cancelled_owned(database.clone().follow()));
    Ok(database)
}
