//! What is made to go wrong between the regions of this process, on purpose: by POST, JSON.
//!
//! ```text
//! chaos         {}                                                       what is wrong now; by GET as well
//! chaos/link    { from, to, one_way?, cut?, paused?, delay_ms? }         nothing of the three: as it should be
//! chaos/clock   { region, skew_ms }
//! chaos/reset   {}
//! ```
//!
//! Nothing of it outlives the process. Only `tradewind dev` answers this: nobody else has links and clocks to disturb.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tradewind_model::Region;
use tradewind_replication::Trouble;
use tradewind_wire::ApiError;

use super::global::read;
use super::regions::RegionSet;

/// Longer than any line delays anything.
const MAX_DELAY_MS: u64 = 60_000;
/// A clock that is further off would let changes go before their time.
const MAX_SKEW_MS: i64 = 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    from: Region,
    to: Region,
    #[serde(default)]
    one_way: bool,
    #[serde(default)]
    cut: bool,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    region: Region,
    skew_ms: i64,
}

impl RegionSet {
    /// Answers with what is wrong now.
    pub fn disturb(&self, order: &str, body: &[u8]) -> Result<Value, ApiError> {
        match order {
            "" => (),
            "link" => self.disturb_link(&read(body)?)?,
            "clock" => self.skew_clock(&read(body)?)?,
            "reset" => self.undisturb(),
            _ => return Err(ApiError::resource_not_found("there is no such trouble")),
        }
        Ok(self.trouble())
    }

    fn disturb_link(&self, link: &Link) -> Result<(), ApiError> {
        self.known(link.from)?;
        self.known(link.to)?;
        if link.from == link.to {
            return Err(ApiError::validation("a link is between two regions"));
        }
        if link.delay_ms > MAX_DELAY_MS {
            return Err(ApiError::validation(format!("a link delays by at most {MAX_DELAY_MS} ms")));
        }
        let delay = Duration::from_millis(link.delay_ms);
        let trouble = Trouble { cut: link.cut, paused: link.paused, delay };
        self.chaos.set(link.from, link.to, trouble);
        if !link.one_way {
            self.chaos.set(link.to, link.from, trouble);
        }
        Ok(())
    }

    fn skew_clock(&self, clock: &Clock) -> Result<(), ApiError> {
        let process = self.known(clock.region)?;
        if clock.skew_ms.abs() > MAX_SKEW_MS {
            return Err(ApiError::validation(format!("a clock is off by at most {MAX_SKEW_MS} ms")));
        }
        process.clock.set_skew_ms(clock.skew_ms);
        Ok(())
    }

    fn undisturb(&self) {
        self.chaos.heal();
        for process in self.all() {
            process.clock.set_skew_ms(0);
        }
    }

    fn known(&self, region: Region) -> Result<std::sync::Arc<super::region::RegionProcess>, ApiError> {
        let unknown = || ApiError::validation(format!("there is no region {region} in this process"));
        self.get(region).ok_or_else(unknown)
    }

    fn trouble(&self) -> Value {
        let links = self.chaos.all().into_iter().map(|(from, to, trouble)| {
            json!({
                "from": from,
                "to": to,
                "cut": trouble.cut,
                "paused": trouble.paused,
                "delay_ms": trouble.delay.as_millis() as u64,
            })
        });
        let clocks = self.all().into_iter().filter(|process| process.clock.skew_ms() != 0);
        let clocks = clocks.map(
            |process| json!({ "region": process.database.region(), "skew_ms": process.clock.skew_ms() }),
        );
        json!({ "links": links.collect::<Vec<_>>(), "clocks": clocks.collect::<Vec<_>>() })
    }
}
