//! What this node answers the others: each question goes to the database as it is, and its answer back.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tradewind_database::Database;
use tradewind_database::cluster::ForwardError;
use tradewind_engine::{Documents, Engine};
use tradewind_rpc::{Answering, CallError, Node, Question};
use uuid::Uuid;

use super::roster::Roster;
use super::together::{decode, encode};

pub struct Answers<E: 'static> {
    pub database: Arc<Database<E>>,
    pub roster: Arc<Roster>,
}

impl<E: Engine + Documents> Answers<E> {
    async fn answer(&self, question: Question, body: &[u8]) -> Result<Bytes, CallError> {
        // A node of another version asks what this one does not understand: nothing was done.
        let unread = |_| CallError::Moved;
        match question {
            Question::Submit => sent(self.database.serve_submit(decode(body).map_err(unread)?).await),
            Question::Hold => sent(self.database.serve_hold(decode(body).map_err(unread)?).await),
            Question::Release => {
                self.database.serve_release(decode(body).map_err(unread)?);
                Ok(Bytes::new())
            }
            Question::Inquire => sent(self.database.serve_inquiry(decode(body).map_err(unread)?).await),
            Question::Spend => {
                self.database.serve_spent(&decode(body).map_err(unread)?);
                Ok(Bytes::new())
            }
            Question::Announce => {
                self.roster.suspect();
                if let Err(error) = self.database.refresh_catalogue().await {
                    return Err(CallError::Unknown(error.to_string()));
                }
                Ok(Bytes::new())
            }
            Question::Lambda => Err(CallError::Moved),
            // Asked of replicators.
            Question::Replicate => Err(CallError::Moved),
        }
    }
}

impl<E: Engine + Documents> Node for Answers<E> {
    fn id(&self) -> Uuid {
        self.roster.me.id
    }

    fn answer(&self, question: Question, body: Bytes) -> Answering<'_> {
        Box::pin(async move { Answers::answer(self, question, &body).await })
    }
}

fn sent(answer: Result<impl Serialize, ForwardError>) -> Result<Bytes, CallError> {
    match answer {
        Ok(answer) => encode(&answer).map_err(CallError::Unknown),
        Err(ForwardError::Moved) => Err(CallError::Moved),
        Err(ForwardError::NotSent(why)) => Err(CallError::NotSent(why)),
        Err(ForwardError::Unknown(why)) => Err(CallError::Unknown(why)),
        Err(ForwardError::Refused(error)) => match encode(&error) {
            Ok(error) => Err(CallError::Refused(error)),
            Err(why) => Err(CallError::Unknown(why)),
        },
    }
}
