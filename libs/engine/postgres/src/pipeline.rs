//! Several statements on one connection in one flush.
//!
//! A statement is sent when its future is first polled, and the server takes statements in the order in which they were
//! sent; so polling in order, without waiting in between, is a pipeline.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends all, then waits for all; answers are in the order of the steps.
pub async fn pipeline<T>(mut steps: Vec<Step<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = steps.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (step, answer) in steps.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            match step.as_mut().poll(context) {
                Poll::Ready(value) => *answer = Some(value),
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// Sends without waiting. What comes back is read and dropped by the connection.
pub fn send<T>(step: impl Future<Output = T>) {
    let mut step = std::pin::pin!(step);
    _ = step.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}
