//! One page of a query or scan: rows of one key range, up to the limit or 1 MB, filtered and projected.
//!
//! What counts towards both bounds are the rows evaluated, before the filter. A page costs what it reads, not what is
//! left behind it.

use std::ops::Range;

use bytes::Bytes;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_expression::{Condition, Projection};
use tradewind_model::{Item, ItemRef, StoredItem};
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{Select, TableRef};
use tradewind_wire::request::table::IndexProjection;
use tradewind_wire::response::item::{Capacity, PageOutput, Units};

use crate::capacity::{self, Reading};
use crate::item;
use crate::partition::owner::explain;
use crate::read::project;
use crate::region::Database;
use crate::table::document::{self, Index, TableDocument};

/// The row that passes this is the page's last.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;

/// What to read and how to show it.
pub(crate) struct PageRequest<'a> {
    pub table: &'a TableDocument,
    pub index: Option<&'a Index>,
    pub keys: Range<Bytes>,
    pub reverse: bool,
    pub limit: Option<usize>,
    pub filter: Option<&'a Condition>,
    pub projection: Option<&'a Projection>,
    pub select: Option<Select>,
    pub consistent: bool,
    /// Not from a standby, also where no strong read is asked for.
    pub fresh: bool,
}

/// The rows of a page, before what a local index does not project is fetched.
#[derive(Default)]
struct Evaluated {
    items: Vec<Item>,
    count: usize,
    scanned: usize,
    bytes: usize,
    last: Option<Item>,
}

impl<E: Engine + Documents> Database<E> {
    pub(crate) async fn page(&self, request: &PageRequest<'_>) -> Result<PageOutput, ApiError> {
        let fetches = request.must_fetch();
        self.admit_read(request.table, request.index)?;
        let evaluated = self.evaluate(request, fetches).await?;
        let reading = Reading::of(request.consistent);
        let mut used = Capacity::default();
        let units = capacity::read_units(evaluated.bytes, reading);
        match request.index {
            None => used.read = units,
            Some(index) => {
                let of = if index.local { &mut used.local_indexes } else { &mut used.global_indexes };
                of.insert(index.name.clone(), Units { read: units, write: 0.0 });
            }
        }
        let evaluated =
            if fetches { self.fetch(request, evaluated, reading, &mut used).await? } else { evaluated };
        self.charge(request.table, || used.clone());
        let shown = request.select != Some(Select::Count);
        Ok(PageOutput {
            items: shown.then_some(evaluated.items),
            count: evaluated.count,
            scanned: evaluated.scanned,
            last_key: evaluated.last,
            capacity: Some(used),
        })
    }

    async fn evaluate(&self, request: &PageRequest<'_>, fetches: bool) -> Result<Evaluated, ApiError> {
        let space = if request.index.is_some() { Space::Index } else { Space::Items };
        let mut page = Evaluated::default();
        let keys = &request.keys.start[..]..&request.keys.end[..];
        if keys.start >= keys.end {
            return Ok(page);
        }
        let (engine, reverse) = (&self.shared.engine, request.reverse);
        let take = |_: &[u8], value: &[u8]| page.take(request, value, fetches);
        let read = match request.consistent || request.fresh {
            true => engine.range(space, keys, reverse, take).await,
            false => engine.range_eventual(space, keys, reverse, take).await,
        };
        read.map_err(|error| explain(&error))?;
        Ok(page)
    }

    /// Reads the whole items of local index rows, and filters and projects those. The items are bounded like the rows: the
    /// page ends with the one that passes the bound.
    async fn fetch(
        &self,
        request: &PageRequest<'_>,
        rows: Evaluated,
        reading: Reading,
        used: &mut Capacity,
    ) -> Result<Evaluated, ApiError> {
        let mut page = Evaluated { bytes: rows.bytes, last: rows.last, ..Evaluated::default() };
        let mut fetched = 0;
        for row in &rows.items {
            let Ok(key) = item::key_of_item(request.table, row.as_ref()) else { continue };
            page.scanned += 1;
            let stored = self
                .rows_as(request.consistent || request.fresh, &[&key.stored(request.table.incarnation)])
                .await?
                .pop()
                .flatten();
            let Some(item) = stored.as_ref().and_then(StoredItem::item_shared) else { continue };
            used.read += capacity::read_units(item.size(), reading);
            fetched += item.size();
            if request.filter.is_none_or(|filter| filter.holds(Some(item.as_ref()))) {
                page.items.push(project(item, request.projection));
            }
            if fetched > PAGE_BYTES && page.scanned < rows.items.len() {
                page.last = Some(request.position(row.as_ref()));
                break;
            }
        }
        page.count = page.items.len();
        Ok(page)
    }
}

impl Evaluated {
    /// Whether to go on after this row.
    fn take(&mut self, request: &PageRequest<'_>, value: &[u8], fetches: bool) -> bool {
        let item = if request.index.is_some() { ItemRef::new(value) } else { StoredItem::item_of(value) };
        let Some(item) = item else { return true }; // a tombstone
        self.scanned += 1;
        self.bytes += item.size();
        if fetches {
            self.items.push(item.to_item());
        } else if request.filter.is_none_or(|filter| filter.holds(Some(item))) {
            self.count += 1;
            if request.select != Some(Select::Count) {
                let shown = |projection: &Projection| projection.project(item);
                self.items.push(request.projection.map_or_else(|| item.to_item(), shown));
            }
        }
        let full = self.bytes > PAGE_BYTES || request.limit.is_some_and(|limit| self.scanned >= limit);
        if full {
            self.last = Some(request.position(item));
        }
        !full
    }
}

impl PageRequest<'_> {
    /// The keys by which the next page continues after `item`.
    fn position(&self, item: ItemRef<'_>) -> Item {
        let table = self.table.keys.attributes();
        let index = self.index.into_iter().flat_map(|index| index.keys());
        item::only(item, table.chain(index).map(|key| key.name.as_str()))
    }

    /// Whether a local index is asked for more than it projects.
    fn must_fetch(&self) -> bool {
        let Some(index) = self.index.filter(|index| index.local) else { return false };
        match self.select {
            Some(Select::Count | Select::AllProjectedAttributes) => false,
            Some(Select::AllAttributes) => index.projection != IndexProjection::All,
            _ => self.asks_beyond(index),
        }
    }

    fn asks_beyond(&self, index: &Index) -> bool {
        let projected = |name: &str| projects(self.table, index, name);
        self.projection.is_some_and(|projection| !projection.attribute_names().all(projected))
    }
}

/// Whether an index row has the attribute, where the item does.
pub(crate) fn projects(table: &TableDocument, index: &Index, name: &str) -> bool {
    let is_key = table.keys.contains(name) || index.keys().any(|key| key.name == name);
    is_key
        || match &index.projection {
            IndexProjection::All => true,
            IndexProjection::KeysOnly => false,
            IndexProjection::Include(names) => names.iter().any(|included| included == name),
        }
}

/// The index a query or scan names, and whether it may be read as asked.
pub(crate) fn find_index<'a>(
    table: &'a TableDocument,
    name: Option<&str>,
    consistent: bool,
) -> Result<Option<&'a Index>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    let index =
        table.index(name).filter(|index| index.status != document::IndexStatus::Deleting).ok_or_else(
            || ApiError::validation(format!("The table does not have the specified index: {name}")),
        )?;
    if index.status == document::IndexStatus::Backfilling {
        return Err(ApiError::validation(format!(
            "Cannot read from backfilling global secondary index: {name}"
        )));
    }
    if consistent && !index.local {
        return Err(ApiError::validation("Consistent reads are not supported on global secondary indexes"));
    }
    Ok(Some(index))
}

/// Whether what is asked for can be answered from the index.
pub(crate) fn check_select(
    table: &TableDocument,
    index: Option<&Index>,
    select: Option<Select>,
    projection: Option<&Projection>,
) -> Result<(), ApiError> {
    let Some(index) = index else {
        return match select {
            Some(Select::AllProjectedAttributes) => Err(ApiError::invalid_value(
                "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
            )),
            _ => Ok(()),
        };
    };
    if index.local {
        return Ok(());
    }
    let name = &index.name;
    if select == Some(Select::AllAttributes) && index.projection != IndexProjection::All {
        return Err(ApiError::invalid_value(format!(
            "Select type ALL_ATTRIBUTES is not supported for global secondary index {name} because its projection type \
             is not ALL"
        )));
    }
    let beyond: Vec<_> = projection
        .into_iter()
        .flat_map(Projection::attribute_names)
        .filter(|attribute| !projects(table, index, attribute))
        .collect();
    match beyond.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid_value(format!(
            "Global secondary index {name} does not project [{}]",
            beyond.join(", ")
        ))),
    }
}

/// The page's capacity, named as the caller named the table, if it asked.
pub(crate) fn name_capacity(
    mut output: PageOutput,
    table: &TableRef,
    asked: tradewind_wire::request::item::ReturnCapacity,
) -> PageOutput {
    output.capacity = output.capacity.and_then(|used| capacity::named(table, asked, used));
    output
}
