//! Changing one top-level attribute: in its stored form where it is replaced as a whole, else as a tree.

use std::borrow::Cow;

use tradewind_model::{Tree, ValueRef, Writer};

use crate::error::UpdateError;
use crate::path::{Path, Step};

/// One path's change, evaluated.
#[derive(Debug)]
pub(super) struct Edit<'a> {
    pub path: &'a Path,
    pub change: Change<'a>,
}

#[derive(Debug)]
pub(super) enum Change<'a> {
    /// The new stored value.
    Put(Cow<'a, [u8]>),
    Remove,
}

impl Edit<'_> {
    /// At most what it adds to the stored item.
    pub fn stored_len(&self) -> usize {
        match &self.change {
            // Names have five more bytes for their length at most.
            Change::Put(stored) => stored.len() + self.path.name.len() + 5,
            Change::Remove => 0,
        }
    }
}

/// Writes one attribute's entry after its edits, which all begin at it and are sorted by path.
pub(super) fn edit_value(
    name: &str,
    old: Option<ValueRef<'_>>,
    edits: &[Edit<'_>],
    out: &mut Writer,
) -> Result<(), UpdateError> {
    if let [Edit { path, change }] = edits
        && path.steps.is_empty()
    {
        if let Change::Put(stored) = change {
            out.name(name);
            out.value(ValueRef::new(stored));
        }
        return Ok(());
    }
    let mut tree = Tree::from(old.ok_or(UpdateError::InvalidPath)?);
    edit_tree(&mut tree, edits, 0)?;
    out.name(name);
    tree.write(out);
    Ok(())
}

/// `depth`: of the steps that lead to `tree`.
fn edit_tree(tree: &mut Tree, edits: &[Edit<'_>], depth: usize) -> Result<(), UpdateError> {
    let mut removed = Vec::new();
    let length = if let Tree::L(elements) = tree { elements.len() } else { 0 };
    for group in edits.chunk_by(|a, b| a.path.steps.get(depth) == b.path.steps.get(depth)) {
        let first = &group[0];
        match (first.path.steps.get(depth), &mut *tree) {
            // Only of paths that overlap, which no parser lets through.
            (None, tree) => put_whole(tree, first),
            (Some(Step::Name(name)), Tree::M(entries)) if ends(first, depth) => match &first.change {
                Change::Put(stored) => drop(entries.insert(name.clone(), Tree::from(ValueRef::new(stored)))),
                Change::Remove => drop(entries.remove(name)),
            },
            (Some(Step::Name(name)), Tree::M(entries)) => {
                let inner = entries.get_mut(name).ok_or(UpdateError::InvalidPath)?;
                edit_tree(inner, group, depth + 1)?;
            }
            (Some(Step::Index(index)), Tree::L(elements)) if ends(first, depth) => match &first.change {
                // Ascending, so that what lies beyond the end is appended in the order of the indexes.
                Change::Put(stored) => put_element(elements, *index, Tree::from(ValueRef::new(stored))),
                Change::Remove => removed.extend(Some(*index).filter(|index| *index < length)),
            },
            (Some(Step::Index(index)), Tree::L(elements)) => {
                let inner = elements.get_mut(*index).ok_or(UpdateError::InvalidPath)?;
                edit_tree(inner, group, depth + 1)?;
            }
            _ => return Err(UpdateError::InvalidPath),
        }
    }
    if let Tree::L(elements) = tree {
        remove_elements(elements, &removed);
    }
    Ok(())
}

fn ends(edit: &Edit<'_>, depth: usize) -> bool {
    edit.path.steps.len() == depth + 1
}

fn put_whole(tree: &mut Tree, edit: &Edit<'_>) {
    if let Change::Put(stored) = &edit.change {
        *tree = Tree::from(ValueRef::new(stored));
    }
}

fn put_element(elements: &mut Vec<Tree>, index: usize, value: Tree) {
    match elements.get_mut(index) {
        Some(element) => *element = value,
        None => elements.push(value),
    }
}

/// By the indexes that elements had before any was removed; `removed` ascends.
fn remove_elements(elements: &mut Vec<Tree>, removed: &[usize]) {
    if removed.is_empty() {
        return;
    }
    let mut index = 0;
    elements.retain(|_| {
        let keep = removed.binary_search(&index).is_err();
        index += 1;
        keep
    });
}
