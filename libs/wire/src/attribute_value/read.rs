//! JSON to the stored form, in one pass and without a tree.
//!
//! A value of a wrong JSON type is a problem of the whole request. What DynamoDB itself refuses (numbers, sets, nesting)
//! is a fault of this value, to be told later; reading goes on over both. Nothing here costs more than its input: what
//! lies too deep is skipped without recursion, and numbers are bounded before they are looked at.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use tradewind_model::{Item, Number, NumberError, Type, Writer};

use crate::json::{Expect, Found, Known, Name, Seed, skip_array, skip_object};
use crate::shape::node::{Fault, NESTING};
use crate::shape::read::{Problems, mismatch_text};

/// Lists and maps inside each other, the item itself being the first.
const MAX_LEVELS: usize = 32;
pub(crate) const MAX_NAME_BYTES: usize = 65_535;
/// How much of a text that is no number is repeated in the message.
const MAX_QUOTED: usize = 4096;

const EMPTY: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
pub(crate) const TWO_TYPES: &str = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
const NULL_NOT_TRUE: &str =
    "One or more parameter values were invalid: Null attribute value types must have the value of true";
const NULL_MEMBER: &str =
    "One or more parameter values were invalid: An string set may not have a null string as a member";
pub(crate) const NULL_VALUE: &str = "The supplied Item contains a null AttributeValue";
pub(crate) const EMPTY_NAME: &str = "Empty attribute name";
pub(crate) const LARGE_NAME: &str = "Attribute name is too large, must be less than 65536 bytes";

/// Where the value stands, which decides the framework's complaint about one that is no object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Element,
    Member,
}

/// Reads one AttributeValue, an object with a single member, into the writer.
pub(crate) struct ReadValue<'w> {
    pub out: &'w mut Writer,
    pub problems: &'w mut Problems,
    /// Of this value; its item is at the first.
    pub level: usize,
    pub place: Place,
}

impl<'de> Expect<'de> for ReadValue<'_> {
    type Out = ();

    fn mismatch(self, found: Found) {
        let text = match (found, self.place) {
            (Found::Array, _) => {
                "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"
            }
            (_, Place::Element) => "Unexpected value type in payload",
            (_, Place::Member) => "Unexpected field type",
        };
        self.problems.wrong_type(|| text.into());
        self.out.null();
    }

    fn null(self) {
        self.problems.fault(NULL_VALUE);
        self.out.null();
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut found = 0;
        while let Some(kind) = entries.next_key_seed(Known(kind_of))? {
            let Some(kind) = kind else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            // A second payload is checked, but has no place in the item.
            let mut aside = Writer::default();
            let out = if found == 0 { &mut *self.out } else { &mut aside };
            let read = Payload { kind, out, problems: self.problems, level: self.level };
            found += usize::from(entries.next_value_seed(Seed(read))?);
        }
        match found {
            0 => {
                self.problems.fault(EMPTY);
                self.out.null();
            }
            1 => {}
            _ => self.problems.fault(TWO_TYPES),
        }
        Ok(())
    }
}

/// [`Type::from_name`], the most frequent first.
fn kind_of(name: &str) -> Option<Type> {
    match name {
        "S" => Some(Type::S),
        "N" => Some(Type::N),
        "B" => Some(Type::B),
        _ => Type::from_name(name),
    }
}

/// Reads what stands behind "S", "N" and so on; answers whether there was anything but null.
struct Payload<'w> {
    kind: Type,
    out: &'w mut Writer,
    problems: &'w mut Problems,
    level: usize,
}

impl Payload<'_> {
    fn java(&self) -> &'static str {
        match self.kind {
            Type::S | Type::N => "String",
            Type::B => "Blob",
            Type::Null | Type::Bool => "Boolean",
            Type::Ss | Type::Ns | Type::Bs | Type::L => "List",
            Type::M => "Map",
        }
    }

    fn boolean(self, value: bool) -> bool {
        if self.kind == Type::Bool {
            self.out.bool(value);
            return true;
        }
        if !value {
            self.problems.fault(NULL_NOT_TRUE);
        }
        self.out.null();
        true
    }
}

impl<'de> Expect<'de> for Payload<'_> {
    type Out = bool;

    fn mismatch(self, found: Found) -> bool {
        let java = self.java();
        self.problems.wrong_type(|| mismatch_text(java, found));
        self.out.null();
        true
    }

    fn null(self) -> bool {
        false
    }

    fn bool(self, value: bool) -> bool {
        match self.kind {
            Type::Bool | Type::Null => self.boolean(value),
            _ => self.mismatch(Found::Bool(value)),
        }
    }

    fn text(self, text: Cow<'de, str>) -> bool {
        match self.kind {
            Type::S => self.out.string(&text),
            Type::N => match number(&text) {
                Ok(number) => self.out.number(number),
                Err(fault) => {
                    self.problems.fault(fault);
                    self.out.null();
                }
            },
            Type::B => match bytes(&text) {
                Ok(bytes) => self.out.binary(&bytes),
                Err(problem) => {
                    self.problems.wrong_type(|| problem);
                    self.out.null();
                }
            },
            Type::Bool | Type::Null => match truth(&text) {
                Some(value) => return self.boolean(value),
                None => {
                    self.problems.wrong_type(|| NO_TRUTH.into());
                    self.out.null();
                }
            },
            _ => return self.mismatch(Found::Text),
        }
        true
    }

    fn array<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<bool, A::Error> {
        match self.kind {
            Type::L if self.level > MAX_LEVELS => {
                self.problems.fault(NESTING);
                self.out.null();
                skip_array(elements)?;
            }
            Type::L => {
                let mark = self.out.begin(Type::L);
                let mut count = 0;
                while elements.next_element_seed(Seed(self.element()))?.is_some() {
                    count += 1;
                }
                self.out.end_list(mark, count);
            }
            Type::Ss | Type::Ns | Type::Bs => self.set(elements)?,
            _ => {
                skip_array(elements)?;
                return Ok(self.mismatch(Found::Array));
            }
        }
        Ok(true)
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<bool, A::Error> {
        if self.kind != Type::M {
            skip_object(entries)?;
            return Ok(self.mismatch(Found::Object));
        }
        if self.level > MAX_LEVELS {
            self.problems.fault(NESTING);
            self.out.null();
            return skip_object(entries).map(|()| true);
        }
        let mark = self.out.begin(Type::M);
        read_entries(&mut entries, self.out, self.problems, self.level + 1)?;
        self.out.end_map(mark);
        Ok(true)
    }
}

impl Payload<'_> {
    fn element(&mut self) -> ReadValue<'_> {
        ReadValue { out: self.out, problems: self.problems, level: self.level + 1, place: Place::Element }
    }

    fn set<'de, A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut members = Vec::new();
        while let Some(member) =
            elements.next_element_seed(Seed(SetMember { kind: self.kind, problems: self.problems }))?
        {
            members.extend(member);
        }
        let mark = self.out.begin(self.kind);
        members.iter().for_each(|member| self.out.element(member.stored()));
        let distinct = self.out.end_set(mark);
        if members.is_empty() {
            self.problems.fault(empty_set(self.kind));
        } else if !distinct {
            self.problems.fault(duplicates(self.kind, &members));
        }
        Ok(())
    }
}

fn empty_set(kind: Type) -> &'static str {
    match kind {
        Type::Ss => "One or more parameter values were invalid: An string set  may not be empty",
        Type::Ns => "One or more parameter values were invalid: An number set  may not be empty",
        _ => "One or more parameter values were invalid: Binary sets should not be empty",
    }
}

fn duplicates(kind: Type, members: &[Member<'_>]) -> Cow<'static, str> {
    let all = || members.iter().map(Member::text).collect::<Vec<_>>().join(", ");
    match kind {
        Type::Ns => "Input collection contains duplicates".into(),
        Type::Ss => format!(
            "One or more parameter values were invalid: Input collection [{}] contains duplicates.",
            all()
        )
        .into(),
        _ => format!(
            "One or more parameter values were invalid: Input collection [{}]of type BS contains duplicates.",
            all()
        )
        .into(),
    }
}

/// One member of a set, as it came and as it is stored.
enum Member<'de> {
    Text(Cow<'de, str>),
    Number(Vec<u8>),
    Bytes(Cow<'de, str>, Vec<u8>),
}

impl Member<'_> {
    fn stored(&self) -> &[u8] {
        match self {
            Member::Text(text) => text.as_bytes(),
            Member::Number(stored) => stored,
            Member::Bytes(_, bytes) => bytes,
        }
    }

    fn text(&self) -> &str {
        match self {
            Member::Text(text) | Member::Bytes(text, _) => text,
            Member::Number(_) => "",
        }
    }
}

struct SetMember<'w> {
    kind: Type,
    problems: &'w mut Problems,
}

impl<'de> Expect<'de> for SetMember<'_> {
    type Out = Option<Member<'de>>;

    fn mismatch(self, found: Found) -> Option<Member<'de>> {
        let java = if self.kind == Type::Bs { "Blob" } else { "String" };
        self.problems.wrong_type(|| mismatch_text(java, found));
        None
    }

    fn null(self) -> Option<Member<'de>> {
        self.problems.fault(NULL_MEMBER);
        None
    }

    fn text(self, text: Cow<'de, str>) -> Option<Member<'de>> {
        match self.kind {
            Type::Ss => Some(Member::Text(text)),
            Type::Ns => match number(&text) {
                Ok(number) => {
                    let mut stored = Vec::with_capacity(24);
                    number.encode(&mut stored);
                    Some(Member::Number(stored))
                }
                Err(fault) => {
                    self.problems.fault(fault);
                    None
                }
            },
            _ => match bytes(&text) {
                Ok(bytes) => Some(Member::Bytes(text, bytes)),
                Err(problem) => {
                    self.problems.wrong_type(|| problem);
                    None
                }
            },
        }
    }
}

/// Reads a map's names and values; the caller has begun the map, and ends it.
pub(crate) fn read_entries<'de, A: MapAccess<'de>>(
    entries: &mut A,
    out: &mut Writer,
    problems: &mut Problems,
    level: usize,
) -> Result<(), A::Error> {
    while let Some(name) = entries.next_key_seed(Name)? {
        if name.is_empty() {
            problems.fault(EMPTY_NAME);
        } else if name.len() > MAX_NAME_BYTES {
            problems.fault(LARGE_NAME);
        }
        out.name(&name);
        entries.next_value_seed(Seed(ReadValue { out, problems, level, place: Place::Element }))?;
    }
    Ok(())
}

fn number(text: &str) -> Result<Number, Cow<'static, str>> {
    Number::parse(text).map_err(|error| match error {
        NumberError::NotANumber if !text.is_empty() => {
            let end = text.floor_char_boundary(MAX_QUOTED);
            format!("{error}: {}", &text[..end]).into()
        }
        _ => error.to_string().into(),
    })
}

/// Padded base64, strictly.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(4) {
        return Err(format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            text.len()
        ));
    }
    BASE64.decode(text).map_err(|_| "Invalid last non-pad Base64 character dectected".to_owned())
}

pub(crate) const NO_TRUTH: &str = "Unexpected token received from parser";

/// The texts that the framework takes for booleans.
pub(crate) fn truth(text: &str) -> Option<bool> {
    let is = |known: &[&str]| known.iter().any(|known| text.eq_ignore_ascii_case(known));
    if is(&["true", "1", "yes"]) {
        Some(true)
    } else if is(&["false", "0", "no"]) {
        Some(false)
    } else {
        None
    }
}

/// One value on its own, `{"S":"…"}`, in its stored form; `None` if it is no sound value.
pub fn read_value(json: &str) -> Option<Vec<u8>> {
    let (mut out, mut problems) = (Writer::default(), Problems::default());
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = ReadValue { out: &mut out, problems: &mut problems, level: 2, place: Place::Element };
    Seed(read).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    problems.is_clean().then(|| out.finish())
}

/// One item on its own, `{"name":{"S":"…"},…}`; `None` if it is no sound item.
pub fn read_item(json: &str) -> Option<Item> {
    Item::from_bytes(read_value(&format!("{{\"M\":{json}}}"))?)
}

impl From<&'static str> for Fault {
    fn from(text: &'static str) -> Fault {
        Fault(text.into())
    }
}

impl From<Cow<'static, str>> for Fault {
    fn from(text: Cow<'static, str>) -> Fault {
        Fault(text)
    }
}
