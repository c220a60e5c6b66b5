//! Applying an update to an item: pure, and every right-hand side reads the item as it was.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tradewind_model::number::Number;
use tradewind_model::{Item, ItemRef, SetRef, Type, ValueRef, View, Writer};

use crate::error::UpdateError;
use crate::path::{Path, Step};
use crate::update::edit::{Change, Edit, edit_value};
use crate::update::{Action, Operand, Update, Value};

/// Stored bytes beyond which an item is surely larger than DynamoDB allows, however small its parts: a few bytes of
/// an expression can name a large attribute hundreds of times, and nothing as large must be built.
const MAX_STORED: usize = 4 << 20;

impl Update {
    /// The item after the update. `old` is the item as it is; where there is none, `key` holds the key attributes
    /// that the new one starts from. `None`: there is still no item, because nothing was to be added to it.
    ///
    /// The caller checks the result's size and depth.
    pub fn apply(&self, key: ItemRef<'_>, old: Option<ItemRef<'_>>) -> Result<Option<Item>, UpdateError> {
        let nothing_added = !self.actions.is_empty() && self.actions.iter().all(Action::only_takes);
        if old.is_none() && nothing_added {
            return Ok(None);
        }
        let image = old.unwrap_or(key);
        let mut edits = Vec::with_capacity(self.actions.len());
        for action in &self.actions {
            // What is not there is already gone, also where the way to it would not be one.
            if old.is_some() || !action.only_takes() {
                edits.extend(self.edit(action, image)?);
            }
        }
        edits.sort_by_key(|edit| edit.path);
        write(image, &edits).map(Some)
    }

    /// What an action changes, given the item as it was. `None`: nothing.
    fn edit<'a>(&'a self, action: &'a Action, image: ItemRef<'a>) -> Result<Option<Edit<'a>>, UpdateError> {
        let path = action.path();
        let change = match action {
            Action::Set(_, value) => Some(Change::Put(value.find(image)?)),
            Action::Remove(_) => Some(Change::Remove),
            Action::Add(_, constant) => Some(Change::Put(self.sum(path.resolve(image), constant.value())?)),
            Action::Delete(_, constant) => self.without(path, image, constant.value())?,
        };
        Ok(change.map(|change| Edit { path, change }))
    }

    fn sum<'a>(
        &self,
        present: Option<ValueRef<'a>>,
        added: ValueRef<'a>,
    ) -> Result<Cow<'a, [u8]>, UpdateError> {
        let Some(present) = present else { return Ok(Cow::Borrowed(added.as_bytes())) };
        match (present.view(), added.view()) {
            (View::N(_), View::N(_)) => number(number_of(present)?.checked_add(number_of(added)?)?),
            (View::Ss(a), View::Ss(b)) | (View::Ns(a), View::Ns(b)) | (View::Bs(a), View::Bs(b)) => {
                Ok(set(present.kind(), a.iter().chain(b.iter())))
            }
            (View::L(_), View::L(_)) if self.legacy => appended(present, added),
            _ => Err(self.type_error()),
        }
    }

    /// `None`: the set does not exist and nothing changes.
    fn without<'a>(
        &self,
        path: &Path,
        image: ItemRef<'a>,
        taken: ValueRef<'a>,
    ) -> Result<Option<Change<'a>>, UpdateError> {
        let Some(present) = path.resolve(image) else {
            return if parent_exists(path, image) { Ok(None) } else { Err(UpdateError::InvalidPath) };
        };
        let rest = |a: SetRef<'a>, b: SetRef<'a>| {
            let taken: BTreeSet<&[u8]> = b.iter().collect();
            let mut rest = a.iter().filter(|element| !taken.contains(element)).peekable();
            match rest.peek() {
                None => Change::Remove,
                Some(_) => Change::Put(set(present.kind(), rest)),
            }
        };
        match (present.view(), taken.view()) {
            (View::Ss(a), View::Ss(b)) | (View::Ns(a), View::Ns(b)) | (View::Bs(a), View::Bs(b)) => {
                Ok(Some(rest(a, b)))
            }
            _ => Err(self.type_error()),
        }
    }

    fn type_error(&self) -> UpdateError {
        if self.legacy { UpdateError::TypeMismatch } else { UpdateError::OperandType }
    }
}

/// Whether what holds the path's last step is there and of the right shape.
fn parent_exists(path: &Path, image: ItemRef<'_>) -> bool {
    let Some((last, before)) = path.steps.split_last() else { return true };
    let parent = Path { name: path.name.clone(), steps: before.to_vec() };
    let kind = parent.resolve(image).map(|value| value.kind());
    match last {
        Step::Name(_) => kind == Some(Type::M),
        Step::Index(_) => kind == Some(Type::L),
    }
}

impl Value {
    fn find<'a>(&'a self, image: ItemRef<'a>) -> Result<Cow<'a, [u8]>, UpdateError> {
        match self {
            Value::Of(operand) => operand.find(image),
            Value::Sum(a, b) => number(a.number(image)?.checked_add(b.number(image)?)?),
            Value::Difference(a, b) => number(a.number(image)?.checked_sub(b.number(image)?)?),
        }
    }
}

impl Operand {
    fn find<'a>(&'a self, image: ItemRef<'a>) -> Result<Cow<'a, [u8]>, UpdateError> {
        match self {
            Operand::Value(constant) => Ok(Cow::Borrowed(constant.as_bytes())),
            Operand::Path(path) => present(path, image).ok_or(UpdateError::MissingAttribute),
            Operand::IfNotExists(path, otherwise) => {
                present(path, image).map_or_else(|| otherwise.find(image), Ok)
            }
            Operand::ListAppend(a, b) => {
                let (a, b) = (a.find(image)?, b.find(image)?);
                appended(ValueRef::new(&a), ValueRef::new(&b))
            }
        }
    }

    fn number(&self, image: ItemRef<'_>) -> Result<Number, UpdateError> {
        number_of(ValueRef::new(&self.find(image)?))
    }
}

fn present<'a>(path: &Path, image: ItemRef<'a>) -> Option<Cow<'a, [u8]>> {
    path.resolve(image).map(|value| Cow::Borrowed(value.as_bytes()))
}

fn number_of(value: ValueRef<'_>) -> Result<Number, UpdateError> {
    value.as_number().ok_or(UpdateError::OperandType)
}

fn number(number: Number) -> Result<Cow<'static, [u8]>, UpdateError> {
    let mut out = Writer::with_capacity(24);
    out.number(number);
    Ok(Cow::Owned(out.finish()))
}

fn set<'a>(kind: Type, elements: impl Iterator<Item = &'a [u8]>) -> Cow<'static, [u8]> {
    let mut out = Writer::default();
    let mark = out.begin(kind);
    elements.for_each(|element| out.element(element));
    out.end_set(mark);
    Cow::Owned(out.finish())
}

fn appended(first: ValueRef<'_>, second: ValueRef<'_>) -> Result<Cow<'static, [u8]>, UpdateError> {
    let (View::L(a), View::L(b)) = (first.view(), second.view()) else {
        return Err(UpdateError::OperandType);
    };
    let mut out = Writer::with_capacity(first.as_bytes().len() + second.as_bytes().len());
    let mark = out.begin(Type::L);
    a.iter().chain(b.iter()).for_each(|value| out.value(value));
    out.end_list(mark, a.len() + b.len());
    Ok(Cow::Owned(out.finish()))
}

/// The image with all edits, which are sorted by path: both sides ascend by top-level name.
fn write(image: ItemRef<'_>, edits: &[Edit<'_>]) -> Result<Item, UpdateError> {
    let size = image.as_bytes().len() + edits.iter().map(Edit::stored_len).sum::<usize>();
    if size > MAX_STORED {
        return Err(UpdateError::TooLarge);
    }
    let mut out = Writer::with_capacity(size);
    let mark = out.begin(Type::M);
    let mut groups = edits.chunk_by(|a, b| a.path.name == b.path.name).peekable();
    for (name, value) in image.attributes().iter() {
        while let Some(group) = groups.next_if(|group| group[0].path.name.as_str() < name) {
            edit_value(&group[0].path.name, None, group, &mut out)?;
        }
        match groups.next_if(|group| group[0].path.name == name) {
            Some(group) => edit_value(name, Some(value), group, &mut out)?,
            None => {
                out.name(name);
                out.value(value);
            }
        }
    }
    for group in groups {
        edit_value(&group[0].path.name, None, group, &mut out)?;
    }
    out.end_map(mark);
    Ok(Item::from_bytes(out.finish()).expect("a map was written"))
}
