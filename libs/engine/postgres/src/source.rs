//! A server to read from: a pool of sessions, and the readers that gather point reads.

use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tradewind_engine::Error;

use crate::connect::Connector;
use crate::error::{reason, refused};
use crate::read::Reader;
use crate::settings::{PATIENCE, Settings};

/// How long before a failed connection or read is tried again.
pub const RETRY: Duration = Duration::from_millis(100);

pub struct Source {
    pub connector: Connector,
    pub pool: Pool,
    pub reader: Reader,
}

impl Source {
    pub fn new(connector: Connector, settings: &Settings) -> Source {
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(),
            connector.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size)
            .runtime(Runtime::Tokio1)
            .timeouts(timeouts)
            .build()
            .expect("a runtime is given, as time-outs need");
        let reader = Reader::start(connector.clone(), settings.read_connections);
        Source { connector, pool, reader }
    }

    /// A session of the pool. While the server does not let anybody in it is asked again, within the caller's patience.
    pub async fn session(&self) -> Result<Object, Error> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.pool.get().await {
                Ok(session) => return Ok(session),
                Err(PoolError::Backend(error)) if tokio::time::Instant::now() + RETRY >= patience => {
                    return Err(refused(&error));
                }
                Err(PoolError::Backend(error)) => {
                    tracing::debug!("no session yet: {}", reason(&error));
                    tokio::time::sleep(RETRY).await;
                }
                Err(PoolError::Timeout(_)) => {
                    return Err(Error::Unavailable("no free connection to PostgreSQL".to_owned()));
                }
                Err(error) => return Err(Error::Unavailable(error.to_string())),
            }
        }
    }
}
