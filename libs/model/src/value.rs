//! The stored form of attribute values: one compact run of bytes, read in place.
//!
//! It is canonical: two values are equal in DynamoDB's sense exactly when their bytes are. Maps are sorted by name,
//! sets are sorted, numbers have one spelling ([`crate::number`]).
//!
//! ```text
//! value   tag:1 payload
//! S N B   length:varint bytes
//! NULL, BOOL (two tags)  nothing
//! L       bytes:u32 count:u32 value*
//! M       bytes:u32 count:u32 (length:varint name value)*      names ascending, no two equal
//! SS NS BS  bytes:u32 count:u32 (length:varint element)*       elements ascending by their bytes, no two equal
//! ```
//!
//! Integers are little-endian; `bytes` counts what follows `count`. Engines check their blocks' sums; a reader that
//! meets bytes of another shape all the same sees an end where they stop making sense, and never panics.

use bytes::Bytes;

use crate::number::Number;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Type {
    S = 1,
    N = 2,
    B = 3,
    Null = 4,
    Bool = 5,
    Ss = 7,
    Ns = 8,
    Bs = 9,
    L = 10,
    M = 11,
}

/// `true` has a tag of its own, next to [`Type::Bool`] for `false`.
const TAG_TRUE: u8 = 6;
/// Bytes before the body of a list, map or set: tag, length, count.
const CONTAINER_HEAD: usize = 9;

impl Type {
    /// The name on the wire and in `attribute_type`.
    pub fn name(self) -> &'static str {
        match self {
            Type::S => "S",
            Type::N => "N",
            Type::B => "B",
            Type::Null => "NULL",
            Type::Bool => "BOOL",
            Type::Ss => "SS",
            Type::Ns => "NS",
            Type::Bs => "BS",
            Type::L => "L",
            Type::M => "M",
        }
    }

    pub fn from_name(name: &str) -> Option<Type> {
        use Type::{B, Bool, Bs, L, M, N, Ns, Null, S, Ss};
        [S, N, B, Null, Bool, Ss, Ns, Bs, L, M].into_iter().find(|kind| kind.name() == name)
    }

    fn from_tag(tag: u8) -> Option<Type> {
        Some(match tag {
            1 => Type::S,
            2 => Type::N,
            3 => Type::B,
            4 => Type::Null,
            5 | TAG_TRUE => Type::Bool,
            7 => Type::Ss,
            8 => Type::Ns,
            9 => Type::Bs,
            10 => Type::L,
            11 => Type::M,
            _ => return None,
        })
    }
}

/// One stored value. Equality is DynamoDB's equality by value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueRef<'a>(&'a [u8]);

/// A stored value, taken apart one level deep.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    S(&'a str),
    /// The number's stored form.
    N(&'a [u8]),
    B(&'a [u8]),
    Null,
    Bool(bool),
    Ss(SetRef<'a>),
    Ns(SetRef<'a>),
    Bs(SetRef<'a>),
    L(ListRef<'a>),
    M(MapRef<'a>),
}

impl<'a> ValueRef<'a> {
    /// `bytes` are one value as this module writes it.
    pub fn new(bytes: &'a [u8]) -> ValueRef<'a> {
        ValueRef(bytes)
    }

    /// The same of bytes from elsewhere; `None` if they are no value.
    pub fn checked(bytes: &'a [u8]) -> Option<ValueRef<'a>> {
        take_value(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
    }

    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    pub fn kind(&self) -> Type {
        self.0.first().and_then(|tag| Type::from_tag(*tag)).unwrap_or(Type::Null)
    }

    pub fn view(&self) -> View<'a> {
        match self.kind() {
            Type::S => View::S(std::str::from_utf8(self.scalar()).unwrap_or_default()),
            Type::N => View::N(self.scalar()),
            Type::B => View::B(self.scalar()),
            Type::Null => View::Null,
            Type::Bool => View::Bool(self.0[0] == TAG_TRUE),
            Type::Ss => View::Ss(SetRef(Body::of(self.0))),
            Type::Ns => View::Ns(SetRef(Body::of(self.0))),
            Type::Bs => View::Bs(SetRef(Body::of(self.0))),
            Type::L => View::L(ListRef(Body::of(self.0))),
            Type::M => View::M(MapRef(Body::of(self.0))),
        }
    }

    pub fn as_map(&self) -> Option<MapRef<'a>> {
        if let View::M(map) = self.view() { Some(map) } else { None }
    }

    pub fn as_str(&self) -> Option<&'a str> {
        if let View::S(text) = self.view() { Some(text) } else { None }
    }

    pub fn as_number(&self) -> Option<Number> {
        if let View::N(stored) = self.view() { Number::decode(stored) } else { None }
    }

    /// The bytes of S, N or B that keys are made of: they sort as DynamoDB sorts the values.
    pub fn key_bytes(&self) -> Option<&'a [u8]> {
        matches!(self.kind(), Type::S | Type::N | Type::B).then(|| self.scalar())
    }

    fn scalar(&self) -> &'a [u8] {
        self.0.get(1..).and_then(take_run).map_or(&[], |(run, _)| run)
    }

    /// What DynamoDB counts for the value. (Developer guide, "Item sizes and formats".)
    pub fn size(&self) -> usize {
        match self.view() {
            View::S(text) => text.len(),
            View::N(bytes) | View::B(bytes) => bytes.len(),
            View::Null | View::Bool(_) => 1,
            View::Ss(set) | View::Ns(set) | View::Bs(set) => set.iter().map(<[u8]>::len).sum(),
            View::L(list) => 3 + list.iter().map(|value| 1 + value.size()).sum::<usize>(),
            View::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + value.size()).sum::<usize>(),
        }
    }

    /// Levels of nesting: none for a scalar or set, and one for each list or map around it.
    pub fn depth(&self) -> usize {
        match self.view() {
            View::L(list) => 1 + list.iter().map(|value| value.depth()).max().unwrap_or(0),
            View::M(map) => 1 + map.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl std::fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.view() {
            View::S(text) => write!(f, "{text:?}"),
            View::N(stored) => write!(f, "{:?}", Number::decode(stored)),
            View::B(bytes) => write!(f, "b{bytes:?}"),
            View::Null => f.write_str("null"),
            View::Bool(value) => write!(f, "{value}"),
            View::Ss(set) | View::Bs(set) | View::Ns(set) => f.debug_set().entries(set.iter()).finish(),
            View::L(list) => f.debug_list().entries(list.iter()).finish(),
            View::M(map) => f.debug_map().entries(map.iter()).finish(),
        }
    }
}

/// The inside of a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Body<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    fn of(value: &'a [u8]) -> Body<'a> {
        let Some(head) = value.get(1..CONTAINER_HEAD) else { return Body { count: 0, bytes: &[] } };
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let count = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let bytes = value.get(CONTAINER_HEAD..CONTAINER_HEAD + length).unwrap_or_default();
        Body { count, bytes }
    }
}

/// A list's elements, in order.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a>(Body<'a>);

impl<'a> ListRef<'a> {
    pub fn len(&self) -> usize {
        self.0.count
    }

    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
        let mut rest = self.0.bytes;
        std::iter::from_fn(move || {
            let (value, after) = take_value(rest)?;
            rest = after;
            Some(value)
        })
    }

    pub fn get(&self, index: usize) -> Option<ValueRef<'a>> {
        self.iter().nth(index)
    }
}

/// A map's entries, by name.
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'a>(Body<'a>);

impl<'a> MapRef<'a> {
    pub fn len(&self) -> usize {
        self.0.count
    }

    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        let mut rest = self.0.bytes;
        std::iter::from_fn(move || {
            let (name, value, after) = take_entry(rest)?;
            rest = after;
            Some((std::str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    pub fn get(&self, name: &str) -> Option<ValueRef<'a>> {
        let mut rest = self.0.bytes;
        while let Some((found, value, after)) = take_entry(rest) {
            if found == name.as_bytes() {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

/// A set's elements, ascending: UTF-8 of strings, stored forms of numbers, or bytes.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a>(Body<'a>);

impl<'a> SetRef<'a> {
    pub fn len(&self) -> usize {
        self.0.count
    }

    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.0.bytes;
        std::iter::from_fn(move || {
            let (element, after) = take_run(rest)?;
            rest = after;
            Some(element)
        })
    }

    pub fn contains(&self, element: &[u8]) -> bool {
        self.iter().any(|found| found == element)
    }
}

fn take_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

fn take_run(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = take_varint(bytes)?;
    rest.split_at_checked(length)
}

fn take_value(bytes: &[u8]) -> Option<(ValueRef<'_>, &[u8])> {
    let length = match Type::from_tag(*bytes.first()?)? {
        Type::S | Type::N | Type::B => {
            let (run, rest) = take_varint(&bytes[1..])?;
            bytes.len() - rest.len() + run
        }
        Type::Null | Type::Bool => 1,
        _ => CONTAINER_HEAD + u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    Some((ValueRef(value), rest))
}

fn take_entry(bytes: &[u8]) -> Option<(&[u8], ValueRef<'_>, &[u8])> {
    let (name, rest) = take_run(bytes)?;
    let (value, rest) = take_value(rest)?;
    Some((name, value, rest))
}

/// Writes values in one pass, depth first.
///
/// A container is begun, its parts are written, and it is ended with the mark of its beginning; a map's entries are
/// each a [`Writer::name`] followed by a value. Ending a map or set puts it in order.
#[derive(Default, Debug, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// Where a container began.
#[derive(Clone, Copy, Debug)]
#[must_use = "a container that was begun has to be ended"]
pub struct Mark(usize);

impl Writer {
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { bytes: Vec::with_capacity(bytes) }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn string(&mut self, text: &str) {
        self.scalar(Type::S, text.as_bytes());
    }

    pub fn number(&mut self, number: Number) {
        // A stored number has at most 22 bytes: its length is one byte, known only afterwards.
        self.bytes.extend([Type::N as u8, 0]);
        let start = self.bytes.len();
        number.encode(&mut self.bytes);
        self.bytes[start - 1] = (self.bytes.len() - start) as u8;
    }

    pub fn binary(&mut self, bytes: &[u8]) {
        self.scalar(Type::B, bytes);
    }

    /// S, N or B from its key bytes (a number's stored form).
    pub fn scalar(&mut self, kind: Type, bytes: &[u8]) {
        debug_assert!(matches!(kind, Type::S | Type::N | Type::B));
        self.bytes.push(kind as u8);
        self.run(bytes);
    }

    pub fn null(&mut self) {
        self.bytes.push(Type::Null as u8);
    }

    pub fn bool(&mut self, value: bool) {
        self.bytes.push(if value { TAG_TRUE } else { Type::Bool as u8 });
    }

    /// A value that is stored already.
    pub fn value(&mut self, value: ValueRef<'_>) {
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn name(&mut self, name: &str) {
        self.run(name.as_bytes());
    }

    /// A member of a set: UTF-8, a number's stored form, or bytes.
    pub fn element(&mut self, bytes: &[u8]) {
        self.run(bytes);
    }

    /// Begins an L, M, SS, NS or BS.
    pub fn begin(&mut self, kind: Type) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.push(kind as u8);
        self.bytes.extend([0; CONTAINER_HEAD - 1]);
        mark
    }

    pub fn end_list(&mut self, mark: Mark, count: usize) {
        self.close(mark, count);
    }

    /// Of entries with one name the last counts, as in JSON.
    pub fn end_map(&mut self, mark: Mark) {
        let (count, sorted) = scan_runs(&self.bytes[mark.0 + CONTAINER_HEAD..], |bytes| {
            take_entry(bytes).map(|(name, _, rest)| (name, rest))
        });
        let count = if sorted { count } else { self.sort_map(mark) };
        self.close(mark, count);
    }

    /// Answers whether the elements were all different; equal ones are kept once.
    pub fn end_set(&mut self, mark: Mark) -> bool {
        let (count, sorted) = scan_runs(&self.bytes[mark.0 + CONTAINER_HEAD..], take_run);
        let kept = if sorted { count } else { self.sort_set(mark) };
        self.close(mark, kept);
        kept == count
    }

    /// Forgets all from `mark` on.
    pub fn discard(&mut self, mark: Mark) {
        self.bytes.truncate(mark.0);
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn run(&mut self, bytes: &[u8]) {
        let mut length = bytes.len();
        while length >= 0x80 {
            self.bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(bytes);
    }

    fn sort_map(&mut self, mark: Mark) -> usize {
        let body = self.bytes.split_off(mark.0 + CONTAINER_HEAD);
        let mut entries = Vec::new();
        let mut rest = body.as_slice();
        while let Some((name, _, after)) = take_entry(rest) {
            entries.push((name, &rest[..rest.len() - after.len()]));
            rest = after;
        }
        // Stable, and the later of two equal names first: dedup keeps the first.
        entries.reverse();
        entries.sort_by_key(|(name, _)| *name);
        entries.dedup_by_key(|(name, _)| *name);
        entries.iter().for_each(|(_, entry)| self.bytes.extend_from_slice(entry));
        entries.len()
    }

    fn sort_set(&mut self, mark: Mark) -> usize {
        let body = self.bytes.split_off(mark.0 + CONTAINER_HEAD);
        let mut elements = Vec::new();
        let mut rest = body.as_slice();
        while let Some((element, after)) = take_run(rest) {
            elements.push(element);
            rest = after;
        }
        elements.sort_unstable();
        elements.dedup();
        elements.iter().for_each(|element| self.run(element));
        elements.len()
    }

    fn close(&mut self, mark: Mark, count: usize) {
        // Items have at most 400 KB and requests 16 MB, so both fit 32 bits.
        let length = self.bytes.len() - mark.0 - CONTAINER_HEAD;
        self.bytes[mark.0 + 1..mark.0 + 5].copy_from_slice(&(length as u32).to_le_bytes());
        self.bytes[mark.0 + 5..mark.0 + 9].copy_from_slice(&(count as u32).to_le_bytes());
    }
}

/// How many parts there are, and whether they strictly ascend.
fn scan_runs<'a>(
    mut bytes: &'a [u8],
    take: impl Fn(&'a [u8]) -> Option<(&'a [u8], &'a [u8])>,
) -> (usize, bool) {
    let (mut count, mut sorted, mut last) = (0, true, None);
    while let Some((run, rest)) = take(bytes) {
        sorted &= last.is_none_or(|last| last < run);
        last = Some(run);
        count += 1;
        bytes = rest;
    }
    (count, sorted)
}

/// An item, or any map of attributes: a stored M that is kept. A copy shares its bytes: a write hands its item from the request to
/// the row, the change and the answer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Item(Bytes);

impl Item {
    pub fn empty() -> Item {
        Item::build(|_| ())
    }

    /// `entries` writes names and values, in any order.
    pub fn build(entries: impl FnOnce(&mut Writer)) -> Item {
        let mut writer = Writer::default();
        let mark = writer.begin(Type::M);
        entries(&mut writer);
        writer.end_map(mark);
        Item(writer.finish().into())
    }

    /// `bytes` are a stored M; `None` if they are not.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Option<Item> {
        let bytes = bytes.into();
        let whole =
            take_value(&bytes).is_some_and(|(value, rest)| rest.is_empty() && value.kind() == Type::M);
        whole.then_some(Item(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes, to be kept.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    pub fn as_ref(&self) -> ItemRef<'_> {
        ItemRef(ValueRef(&self.0))
    }

    pub fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        self.as_ref().get(name)
    }

    pub fn size(&self) -> usize {
        self.as_ref().size()
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().0.fmt(f)
    }
}

/// A borrowed [`Item`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ItemRef<'a>(ValueRef<'a>);

impl<'a> ItemRef<'a> {
    /// `bytes` are a stored M; `None` if they do not begin as one.
    pub fn new(bytes: &'a [u8]) -> Option<ItemRef<'a>> {
        let value = ValueRef(bytes);
        (value.kind() == Type::M).then_some(ItemRef(value))
    }

    pub fn as_bytes(&self) -> &'a [u8] {
        self.0.as_bytes()
    }

    pub fn attributes(&self) -> MapRef<'a> {
        MapRef(Body::of(self.0.as_bytes()))
    }

    pub fn get(&self, name: &str) -> Option<ValueRef<'a>> {
        self.attributes().get(name)
    }

    /// Names and values, without a map's own overhead.
    pub fn size(&self) -> usize {
        self.attributes().iter().map(|(name, value)| name.len() + value.size()).sum()
    }

    pub fn to_item(self) -> Item {
        Item(Bytes::copy_from_slice(self.as_bytes()))
    }
}
