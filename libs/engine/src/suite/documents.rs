//! The catalogue: compare-and-set, and nothing lost between two that try at once.

use super::Subject;
use crate::Documents;

pub async fn a_document_is_set_by_who_knows_its_revision(subject: &mut impl Subject) {
    let documents = subject.engine();
    assert_eq!(documents.get("tables", "a").await.expect("reads"), None);
    assert_eq!(set(documents, None, None).await.map(|_| ()), Some(()), "removing what is not there is a set");
    let first = set(documents, None, Some("\"one\"")).await.expect("it did not exist");
    assert_eq!(set(documents, None, Some("\"two\"")).await, None, "it exists");
    assert_eq!(set(documents, Some(first + 1), Some("\"two\"")).await, None);
    let second = set(documents, Some(first), Some("\"two\"")).await.expect("the revision is right");
    assert_eq!(set(documents, Some(first), None).await, None);
    assert_eq!(body(documents).await.as_deref(), Some("\"two\""));

    subject.reopen().await;
    let documents = subject.engine();
    let stored = documents.get("tables", "a").await.expect("reads").expect("it is kept");
    assert_eq!((stored.revision, &stored.body[..]), (second, &b"\"two\""[..]));
    set(documents, Some(second), None).await.expect("the revision is right");
    assert_eq!(body(documents).await, None);
}

async fn set(documents: &impl Documents, expected: Option<u64>, body: Option<&str>) -> Option<u64> {
    documents.compare_and_set("tables", "a", expected, body.map(str::as_bytes)).await.expect("sets")
}

async fn body(documents: &impl Documents) -> Option<String> {
    let document = documents.get("tables", "a").await.expect("reads");
    document.map(|document| String::from_utf8(document.body).expect("as it was set"))
}

pub async fn a_revision_is_never_given_twice(subject: &mut impl Subject) {
    let first = set(subject.engine(), None, Some("\"one\"")).await.expect("sets");
    set(subject.engine(), Some(first), None).await.expect("sets");
    subject.reopen().await;
    let again = set(subject.engine(), None, Some("\"one\"")).await.expect("sets");
    assert!(again > first);
    assert_eq!(set(subject.engine(), Some(first), Some("\"late\"")).await, None);
}

pub async fn a_collection_lists_its_own_by_name(subject: &mut impl Subject) {
    for (collection, name) in
        [("tables", "b"), ("table", "x"), ("tables", ""), ("tables", "a"), ("tablets", "y"), ("tables", "ä")]
    {
        subject.engine().compare_and_set(collection, name, None, Some(b"{}")).await.expect("sets");
    }
    subject.reopen().await;
    let listed = subject.engine().list("tables").await.expect("reads");
    assert!(listed.iter().map(|(name, _)| &name[..]).eq(["", "a", "b", "ä"]), "{listed:?}");
    assert!(listed.iter().all(|(_, document)| document.body == b"{}"));
    assert_eq!(subject.engine().list("none").await.expect("reads"), []);
}

pub async fn of_two_that_set_at_once_one_wins(subject: &mut impl Subject) {
    let documents = subject.engine();
    // Both wait at once, so that an engine that merges writes merges these.
    let first = documents.compare_and_set("tables", "a", None, Some(b"\"first\""));
    let second = documents.compare_and_set("tables", "a", None, Some(b"\"second\""));
    let (second, first) = (second.await.expect("sets"), first.await.expect("sets"));
    assert!(first.is_some() != second.is_some(), "{first:?} {second:?}");
    let winner = if first.is_some() { "\"first\"" } else { "\"second\"" };
    assert_eq!(body(documents).await.as_deref(), Some(winner));
}

pub async fn a_generation_grows_with_every_change(subject: &mut impl Subject) {
    let documents = subject.engine();
    assert_eq!(documents.generation("tables").await.expect("reads"), 0);
    let (mut revision, mut last) = (None, 0);
    for body in [Some("1"), Some("1"), None, Some("2")] {
        revision = set(documents, revision, body).await.filter(|_| body.is_some());
        let generation = documents.generation("tables").await.expect("reads");
        assert!(generation > last, "{generation} after {last}");
        last = generation;
    }
    assert_eq!(set(documents, None, Some("3")).await, None);
    documents.compare_and_set("table", "a", None, Some(b"{}")).await.expect("sets");
    assert_eq!(documents.generation("tables").await.expect("reads"), last, "nothing changed in it");
    documents.compare_and_set("tables", "b", None, Some(b"{}")).await.expect("sets");
    assert!(documents.generation("tables").await.expect("reads") > last, "another document");
    let last = documents.generation("tables").await.expect("reads");
    subject.reopen().await;
    assert_eq!(subject.engine().generation("tables").await.expect("reads"), last);
    set(subject.engine(), revision, None).await.expect("the revision is right");
    assert!(subject.engine().generation("tables").await.expect("reads") > last);
}

/// Also what databases with a JSON type of their own refuse: a zero character, and the stand-in one might choose for it.
pub async fn any_json_comes_back_with_its_meaning(subject: &mut impl Subject) {
    for body in [
        r#"{"a": [1, 2.5, 18446744073709551615, true, null, ""], "ä\"/": {"A": "\u0000 \ue000 \u2028"}}"#,
        "{\"zero\\u0000name\": \"\\u0000\\\\u0000\\\\\\u0000\u{e000}0\u{e000}\u{f8ff}\"}",
    ] {
        let name = "any";
        let expected: serde_json::Value = serde_json::from_str(body).expect("it is JSON");
        let before =
            subject.engine().get("tables", name).await.expect("reads").map(|document| document.revision);
        let set = subject.engine().compare_and_set("tables", name, before, Some(body.as_bytes())).await;
        set.expect("sets").expect("the revision is right");
        let got = subject.engine().get("tables", name).await.expect("reads").expect("it is kept");
        let got: serde_json::Value = serde_json::from_slice(&got.body).expect("it is JSON");
        assert_eq!(got, expected);
        let listed = subject.engine().list("tables").await.expect("reads").remove(0).1;
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&listed.body).expect("it is JSON"), expected);
    }
}
