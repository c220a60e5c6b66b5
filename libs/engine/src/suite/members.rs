//! Leases: who is alive, and one life per name.

use std::time::Duration;

use uuid::Uuid;

use super::Subject;
use crate::{Member, Members, MembersError};

const TTL: Duration = Duration::from_millis(500);

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(600);

fn member(name: &str, life: u128) -> Member {
    Member { name: name.to_owned(), id: Uuid::from_u128(life), address: format!("{name}:{life}") }
}

pub async fn the_living_are_listed_by_name(subject: &mut impl Subject<Engine: Members>) {
    let (b, a) = (member("b", 1), member("a", 2));
    let engine = subject.engine();
    assert_eq!(engine.renew("storage", &b, LONG).await.expect("renews"), std::slice::from_ref(&b));
    assert_eq!(engine.renew("storage", &a, LONG).await.expect("renews"), [a.clone(), b.clone()]);
    assert_eq!(engine.renew("storage", &b, LONG).await.expect("renews"), [a.clone(), b.clone()]);
    let moved = Member { address: "elsewhere".to_owned(), ..b };
    assert_eq!(engine.renew("storage", &moved, LONG).await.expect("renews"), [a.clone(), moved.clone()]);
    assert_eq!(engine.members("storage").await.expect("reads"), [a, moved]);
    assert_eq!(engine.members("streams").await.expect("reads"), []);
}

pub async fn a_lease_ends_by_itself(subject: &mut impl Subject<Engine: Members>) {
    let (short, long) = (member("a", 1), member("b", 2));
    subject.engine().renew("storage", &short, TTL).await.expect("renews");
    let both = subject.engine().renew("storage", &long, LONG).await.expect("renews");
    assert_eq!(both, [short.clone(), long.clone()]);
    subject.pass(TTL).await;
    let engine = subject.engine();
    assert_eq!(engine.members("storage").await.expect("reads"), std::slice::from_ref(&long));
    assert_eq!(engine.renew("storage", &long, LONG).await.expect("renews"), std::slice::from_ref(&long));
    assert_eq!(engine.renew("storage", &short, LONG).await.expect("nobody took its name"), [short, long]);
}

pub async fn a_name_has_one_life_at_a_time(subject: &mut impl Subject<Engine: Members>) {
    let (first, second) = (member("a", 1), member("a", 2));
    subject.engine().renew("storage", &first, TTL).await.expect("renews");
    let refused = subject.engine().renew("storage", &second, LONG).await;
    let named = |refused: &Result<_, MembersError>, life: &Member| matches!(refused, Err(MembersError::NameTaken { name, address }) if *name == life.name && *address == life.address);
    assert!(named(&refused, &first), "{refused:?}");
    subject.pass(TTL).await;
    let engine = subject.engine();
    assert_eq!(
        engine.renew("storage", &second, LONG).await.expect("the first expired"),
        std::slice::from_ref(&second)
    );
    let refused = engine.renew("storage", &first, LONG).await;
    assert!(named(&refused, &second), "{refused:?}");
    engine.leave("storage", &first).await.expect("leaves nothing");
    assert_eq!(engine.renew("storage", &second, LONG).await.expect("it did not leave"), [second]);
}

pub async fn who_leaves_is_gone_at_once(subject: &mut impl Subject<Engine: Members>) {
    let (a, b, again) = (member("a", 1), member("b", 2), member("a", 3));
    let engine = subject.engine();
    engine.renew("storage", &a, LONG).await.expect("renews");
    engine.leave("storage", &a).await.expect("leaves");
    assert_eq!(engine.renew("storage", &b, LONG).await.expect("renews"), std::slice::from_ref(&b));
    assert_eq!(engine.renew("storage", &again, LONG).await.expect("the name is free"), [again, b]);
}

pub async fn groups_are_apart(subject: &mut impl Subject<Engine: Members>) {
    let (one, other) = (member("a", 1), member("a", 2));
    let engine = subject.engine();
    assert_eq!(engine.renew("storage", &one, LONG).await.expect("renews"), std::slice::from_ref(&one));
    assert_eq!(engine.renew("streams", &other, LONG).await.expect("renews"), std::slice::from_ref(&other));
    engine.leave("storage", &one).await.expect("leaves");
    assert_eq!(engine.renew("streams", &other, LONG).await.expect("renews"), [other]);
}
