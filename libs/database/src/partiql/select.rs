//! SELECT: the pages of a query where the WHERE pins the partition key, once for each of its values, else of a scan.
//!
//! The whole WHERE is the filter of what is read; what it says of keys only narrows the rows.

use tradewind_engine::{Documents, Engine};
use tradewind_expression::Projection;
use tradewind_expression::partiql::Select;
use tradewind_model::Item;
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{ReturnCapacity, TableRef};
use tradewind_wire::response::item::{Capacity, PageOutput, StatementPageOutput};

use crate::capacity::{self, Reading};
use crate::page::{PAGE_BYTES, PageRequest, check_select, find_index};
use crate::partiql::plan::Plan;
use crate::partiql::token::{self, Start};
use crate::query::start_position;
use crate::region::Database;
use crate::table::document::{Index, TableDocument};

/// Which page, and what is asked to be told.
pub(super) struct PageOfStatement {
    pub fingerprint: u128,
    pub next_token: Option<String>,
    pub limit: Option<usize>,
    pub consistent: bool,
    pub fresh: bool,
    pub capacity: ReturnCapacity,
}

impl<E: Engine + Documents> Database<E> {
    pub(super) async fn select(
        &self,
        select: &Select,
        page: PageOfStatement,
    ) -> Result<StatementPageOutput, ApiError> {
        let named = TableRef::parse(&select.table);
        let table = self.find(&named)?.document();
        let index = find_index(&table, select.index.as_deref(), page.consistent)?;
        let projection = select
            .columns
            .as_ref()
            .map(|columns| Projection::from_names(columns.attribute_names().map(str::to_owned).collect()));
        check_select(&table, index, None, projection.as_ref())?;
        let plan = Plan::of(&table, index, select)?;
        let start = match &page.next_token {
            Some(token) => token::decode(token, page.fingerprint)?,
            None => Start::default(),
        };
        let reader = Reader { table: &table, index, plan, select, projection, page };
        let (mut output, used) = self.read_ranges(&reader, start).await?;
        output.capacity = capacity::named(&named, reader.page.capacity, used);
        Ok(output)
    }

    /// One page over as many ranges as fit.
    async fn read_ranges(
        &self,
        reader: &Reader<'_>,
        mut start: Start,
    ) -> Result<(StatementPageOutput, Capacity), ApiError> {
        let mut output = StatementPageOutput::default();
        let mut used = Capacity::default();
        let mut limit = reader.page.limit;
        loop {
            let request = reader.request(&start, limit)?;
            let page = self.page(&request).await?;
            capacity::add(&mut used, page.capacity.as_ref().unwrap_or(&Capacity::default()));
            limit = limit.map(|limit| limit.saturating_sub(page.scanned));
            let next = reader.next(&start, &page, &used)?;
            output.items.extend(page.items.into_iter().flatten().map(|item| reader.shown(item)));
            match next {
                Next::Range => start = Start { range: start.range + 1, position: None },
                Next::Page(next) => {
                    output.next_token = Some(token::encode(reader.page.fingerprint, &next));
                    output.last_key = page.last_key;
                    return Ok((output, used));
                }
                Next::End => return Ok((output, used)),
            }
        }
    }
}

/// How a statement goes on behind what was read last.
enum Next {
    /// In this page, with the next range.
    Range,
    /// With another page that begins there.
    Page(Start),
    End,
}

struct Reader<'a> {
    table: &'a TableDocument,
    index: Option<&'a Index>,
    plan: Plan,
    select: &'a Select,
    /// The attributes that the columns are parts of.
    projection: Option<Projection>,
    page: PageOfStatement,
}

impl Reader<'_> {
    fn request(&self, start: &Start, limit: Option<usize>) -> Result<PageRequest<'_>, ApiError> {
        let mut keys = self.plan.ranges.get(start.range).cloned().ok_or_else(token::invalid)?;
        if let Some(position) = &start.position {
            if !keys.contains(position) {
                return Err(token::invalid());
            }
            match self.plan.reverse {
                true => keys.end = position.clone(),
                false => keys.start = [&position[..], &[0]].concat().into(),
            }
        }
        Ok(PageRequest {
            table: self.table,
            index: self.index,
            keys,
            reverse: self.plan.reverse,
            limit,
            filter: self.select.condition.as_ref(),
            projection: self.projection.as_ref(),
            select: None,
            consistent: self.page.consistent,
            fresh: self.page.fresh,
        })
    }

    fn next(&self, start: &Start, page: &PageOutput, used: &Capacity) -> Result<Next, ApiError> {
        if let Some(last) = &page.last_key {
            let position = Some(start_position(self.table, self.index, last)?);
            return Ok(Next::Page(Start { range: start.range, position }));
        }
        if start.range + 1 >= self.plan.ranges.len() {
            return Ok(Next::End);
        }
        // Each range alone may hold as much as a page does.
        let full = used.total() >= capacity::read_units(PAGE_BYTES, Reading::of(self.page.consistent));
        Ok(if full { Next::Page(Start { range: start.range + 1, position: None }) } else { Next::Range })
    }

    fn shown(&self, item: Item) -> Item {
        match &self.select.columns {
            Some(columns) => columns.flat(item.as_ref()),
            None => item,
        }
    }
}
