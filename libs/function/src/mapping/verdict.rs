//! What a function's answer means for its batch, by Lambda's rules.
//!
//! With ReportBatchItemFailures the least reported record is where the rest begins; a report that is not understood
//! fails the whole batch, and no report at all is a success. See "Reporting batch item failures" in the Lambda developer
//! guide.

use serde_json::Value;
use tradewind_model::Sequence;

use super::shard::{Batch, Verdict};
use crate::catalogue::mapping::Knobs;
use crate::invoke::{InvokeError, Outcome};

pub fn verdict(knobs: &Knobs, batch: &Batch, result: &Result<Outcome, InvokeError>) -> Verdict {
    match result {
        Err(InvokeError::TooLarge { .. }) => Verdict::TooLarge,
        Err(InvokeError::Throttled) => Verdict::Throttled,
        Err(_) => Verdict::NotRun,
        Ok(outcome) if outcome.function_error.is_some() => Verdict::Failed,
        Ok(outcome) => answered(knobs, batch, &outcome.payload),
    }
}

fn answered(knobs: &Knobs, batch: &Batch, payload: &[u8]) -> Verdict {
    if !knobs.report_batch_item_failures && batch.window.is_none() {
        return Verdict::Success(None);
    }
    let answer = match payload {
        b"" => Value::Null,
        payload => match serde_json::from_slice(payload) {
            Ok(answer) => answer,
            Err(_) => return Verdict::Failed,
        },
    };
    if knobs.report_batch_item_failures {
        match reported(batch, &answer) {
            Report::None => {}
            // Half of a batch in a window's state and half of it not: nobody could go on from there.
            Report::From(_) if batch.window.is_some() => return Verdict::Failed,
            Report::From(sequence) => return Verdict::FailedFrom(sequence),
            Report::Nonsense => return Verdict::Failed,
        }
    }
    match (&batch.window, answer.get("state")) {
        (Some(_), Some(state @ Value::Object(_))) => Verdict::Success(Some(state.clone())),
        (Some(_), _) if !batch.is_final => Verdict::Failed,
        _ => Verdict::Success(None),
    }
}

enum Report {
    None,
    From(Sequence),
    Nonsense,
}

fn reported(batch: &Batch, answer: &Value) -> Report {
    let failures = match (answer, answer.get("batchItemFailures")) {
        (Value::Null, _) | (Value::Object(_), None | Some(Value::Null)) => return Report::None,
        (Value::Object(_), Some(Value::Array(failures))) => failures,
        _ => return Report::Nonsense,
    };
    let sequences = failures.iter().map(|failure| {
        let identifier = failure.get("itemIdentifier")?.as_str()?;
        let named = batch.records.iter().find(|record| record.sequence_number == identifier);
        named.map(|record| record.sequence)
    });
    match sequences.collect::<Option<Vec<_>>>() {
        None => Report::Nonsense,
        Some(sequences) => sequences.into_iter().min().map_or(Report::None, Report::From),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use tradewind_model::Region;

    use super::*;
    use crate::invoke::FunctionError;
    use crate::mapping::source::StreamRecord;

    fn batch() -> Batch {
        let record = |sequence: u64| {
            Arc::new(StreamRecord {
                sequence: Sequence(sequence),
                sequence_number: format!("{sequence:021}"),
                key_hash: 0,
                event: Bytes::from_static(b"{}"),
                approximate_time_ms: 0,
                origin: Region::new("r").unwrap(),
                trace: None,
            })
        };
        Batch { records: (5..9).map(record).collect(), window: None, is_final: false }
    }

    fn judge(report: bool, payload: &str, function_error: Option<FunctionError>) -> Verdict {
        let knobs = Knobs { report_batch_item_failures: report, ..Knobs::default() };
        let outcome = Outcome {
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            function_error,
            log_tail: Bytes::new(),
            executed_version: String::new(),
            duration: Duration::ZERO,
            cold_start: false,
        };
        verdict(&knobs, &batch(), &Ok(outcome))
    }

    #[test]
    fn answers_are_read_by_lambdas_rules() {
        let id = |sequence: u64| format!(r#"{{"itemIdentifier": "{sequence:021}"}}"#);
        let several = format!(r#"{{"batchItemFailures": [{}, {}]}}"#, id(7), id(6));
        let cases = [
            ("", Verdict::Success(None)),
            ("null", Verdict::Success(None)),
            ("{}", Verdict::Success(None)),
            (r#"{"batchItemFailures": null}"#, Verdict::Success(None)),
            (r#"{"batchItemFailures": []}"#, Verdict::Success(None)),
            (several.as_str(), Verdict::FailedFrom(Sequence(6))),
            (r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": [{"wrong": "6"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": [{"itemIdentifier": "99"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": 1}"#, Verdict::Failed),
            ("\"text\"", Verdict::Failed),
            ("not json", Verdict::Failed),
        ];
        for (payload, expected) in cases {
            assert_eq!(judge(true, payload, None), expected, "{payload}");
            assert_eq!(judge(false, payload, None), Verdict::Success(None), "{payload}");
        }
        assert_eq!(judge(true, "{}", Some(FunctionError::Unhandled)), Verdict::Failed);
    }

    #[test]
    fn what_did_not_run_is_no_failure_of_the_function() {
        let refused = |error| verdict(&Knobs::default(), &batch(), &Err(error));
        assert_eq!(refused(InvokeError::Throttled), Verdict::Throttled);
        assert_eq!(refused(InvokeError::Service(String::new())), Verdict::NotRun);
        assert_eq!(refused(InvokeError::TooLarge { size: 1, limit: 0 }), Verdict::TooLarge);
    }
}
