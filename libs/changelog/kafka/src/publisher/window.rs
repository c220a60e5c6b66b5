//! What of one partition is on its way to the broker, in order.

use std::collections::VecDeque;

use rdkafka::error::KafkaError;
use rdkafka::message::ToBytes;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::OwnedSemaphorePermit;
use tradewind_model::Sequence;
use tradewind_telemetry::trace::Span;

use crate::codec::Encoded;
use crate::progress::Mark;
use crate::publisher::WINDOW_RECORDS;
use crate::settings::Told;

struct Sent {
    sequence: Sequence,
    created_ms: Option<u64>,
    delivery: DeliveryFuture,
    _permit: OwnedSemaphorePermit,
    _traced: Option<Span>,
}

#[derive(Default)]
pub(crate) struct Window(VecDeque<Sent>);

impl Window {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.0.len() < WINDOW_RECORDS
    }

    pub fn send(
        &mut self,
        producer: &FutureProducer<Told>,
        topic: &str,
        partition: i32,
        record: Encoded,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), KafkaError> {
        let traced = record.traced;
        let (sequence, created_ms) = (record.span.sequence, record.created_ms);
        let (key, value) = record.body.map_or((None, None), |(key, value)| (Some(key), Some(value)));
        let produced = FutureRecord {
            topic,
            partition: Some(partition),
            payload: value.as_ref().map(ToBytes::to_bytes),
            key: key.as_ref().map(ToBytes::to_bytes),
            timestamp: None,
            headers: Some(record.headers),
        };
        let delivery = producer.send_result(produced).map_err(|(error, _)| error)?;
        self.0.push_back(Sent { sequence, created_ms, delivery, _permit: permit, _traced: traced });
        Ok(())
    }

    /// When the first change on its way was made.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.0.iter().find_map(|sent| sent.created_ms)
    }

    /// The next record's fate. May be dropped and asked again. Never ends while there is none.
    pub async fn next(&mut self) -> Result<Mark, String> {
        let Some(first) = self.0.front_mut() else { return std::future::pending().await };
        let delivered = (&mut first.delivery).await;
        let sequence = first.sequence;
        self.0.pop_front();
        match delivered {
            Ok(Ok(delivery)) => Ok(Mark { sequence, offset: delivery.offset }),
            Ok(Err((error, _))) => Err(error.to_string()),
            Err(_) => Err("the producer ended".to_owned()),
        }
    }

    /// Waits until nothing is on its way. Bounded by the producer's time-out.
    pub async fn settle(&mut self) {
        while !self.is_empty() {
            let _ = self.next().await;
        }
    }
}
