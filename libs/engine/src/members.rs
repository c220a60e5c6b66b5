//! Leases of nodes by the clock of what they share: who is alive, and which name is taken.
//!
//! A lease gives liveness only: it says whom to send work to. That a node which lost its lease writes nothing is the
//! epoch's doing, in [`Engine::commit`](crate::Engine::commit).

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use crate::Error;

/// One life of a node. A node that starts again has the same name and another id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Member {
    pub name: String,
    pub id: Uuid,
    /// Where the others reach it; the engine only hands it on.
    pub address: String,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum MembersError {
    /// Another life of this name holds a lease that has not expired: either it is starting again and the old lease has to
    /// expire first, or two nodes were given one name.
    #[error("{name} is already alive at {address}")]
    NameTaken { name: String, address: String },
    #[error(transparent)]
    Storage(#[from] Error),
}

/// The living members of named groups.
///
/// - All times are measured by one clock, the store's; a caller counts its own lease from before it called, by its own
///   monotonic clock, and so never believes in it longer than the others do.
/// - A name has one living member in a group; names of different groups have nothing to do with each other.
/// - Neither groups nor members have a zero byte in their names or addresses.
pub trait Members: Send + Sync + 'static {
    /// Takes or renews the member's lease for `ttl` from now, and answers all living members of the group by name, the
    /// caller among them. The lease of a life that expired can be renewed while nobody took its name.
    fn renew(
        &self,
        group: &str,
        member: &Member,
        ttl: Duration,
    ) -> impl Future<Output = Result<Vec<Member>, MembersError>> + Send;

    /// The living members of a group by name, for whoever is none of them.
    fn members(&self, group: &str) -> impl Future<Output = Result<Vec<Member>, Error>> + Send;

    /// Ends the lease of this life at once; another life's lease of the same name stays.
    fn leave(&self, group: &str, member: &Member) -> impl Future<Output = Result<(), Error>> + Send;
}
