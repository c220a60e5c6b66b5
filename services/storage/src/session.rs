//! The headers by which a client reads its own writes in any region, and waits for regions.
//!
//! ```text
//! x-tradewind-token       request   what the region has to have applied first: tokens, separated by commas
//!                         answer    of a write: its token, or those of its partitions
//! x-tradewind-wait-ms     request   for how long either wait may last; 5000 at most and by default
//! x-tradewind-wait-for    request   of a write: answer when so many regions have it, this one included
//! x-tradewind-regions     answer    how many had it when the write was answered
//! ```

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tradewind_database::Database;
use tradewind_database::session::{LONGEST_WAIT, MAX_TOKENS, from_text, to_text};
use tradewind_engine::{Documents, Engine};
use tradewind_model::Tokens;
use tradewind_wire::{Answer, ApiError, Request};

const TOKEN: HeaderName = HeaderName::from_static("x-tradewind-token");
const WAIT_MS: HeaderName = HeaderName::from_static("x-tradewind-wait-ms");
const WAIT_FOR: HeaderName = HeaderName::from_static("x-tradewind-wait-for");
const REGIONS: HeaderName = HeaderName::from_static("x-tradewind-regions");
/// More regions than one table has replicas.
const MAX_REGIONS: usize = 100;

/// What a request says of its session.
pub struct Session {
    tokens: Tokens,
    wait: Duration,
    wait_for: Option<usize>,
}

impl Session {
    pub fn read(headers: &HeaderMap) -> Result<Session, ApiError> {
        let wait_ms = number(headers, &WAIT_MS)?.unwrap_or(usize::MAX);
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(u64::MAX)).min(LONGEST_WAIT);
        let wait_for = number(headers, &WAIT_FOR)?;
        if wait_for.is_some_and(|regions| regions == 0 || regions > MAX_REGIONS) {
            return Err(ApiError::validation(format!(
                "{WAIT_FOR} is a number of regions, 1 to {MAX_REGIONS}"
            )));
        }
        Ok(Session { tokens: tokens(headers)?, wait, wait_for })
    }

    /// Before the request is carried out.
    pub async fn begin<E: Engine + Documents>(
        &self,
        database: &Database<E>,
        request: &mut Request,
    ) -> Result<(), ApiError> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        // A standby may not have yet what this region has applied.
        request.make_fresh();
        // In a box, as few requests wait and all would carry the room for it.
        Box::pin(database.wait_for(&self.tokens, self.wait)).await
    }

    /// After it: what the answer says of it. The write stands, whoever has it.
    pub async fn end<E: Engine + Documents>(
        &self,
        database: &Database<E>,
        answer: &Answer,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let Some(tokens) = answer.tokens().filter(|tokens| !tokens.is_empty()) else { return Vec::new() };
        let mut text = String::new();
        for token in tokens.iter() {
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(&to_text(token));
        }
        let text = HeaderValue::try_from(text).expect("base64 and commas can be a header");
        let mut headers = vec![(TOKEN, text)];
        if let Some(wanted) = self.wait_for {
            let reached = Box::pin(database.reached(tokens, wanted, self.wait)).await;
            headers.push((REGIONS, HeaderValue::from(reached)));
        }
        headers
    }
}

fn tokens(headers: &HeaderMap) -> Result<Tokens, ApiError> {
    let invalid = || ApiError::validation(format!("{TOKEN} is no token that a write was answered with"));
    let mut tokens = Tokens::default();
    let mut count = 0;
    for header in headers.get_all(&TOKEN) {
        let text = header.to_str().map_err(|_| invalid())?;
        for text in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            count += 1;
            if count > MAX_TOKENS {
                return Err(ApiError::validation(format!("{TOKEN} has more than {MAX_TOKENS} tokens")));
            }
            tokens.add(from_text(text).ok_or_else(invalid)?);
        }
    }
    Ok(tokens)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<usize>, ApiError> {
    let Some(header) = headers.get(name) else { return Ok(None) };
    let number = header.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| ApiError::validation(format!("{name} is a number")))
}
