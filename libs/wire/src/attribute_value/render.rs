//! The stored form to JSON, in one pass into the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io::Write;
use tradewind_model::{ItemRef, MapRef, Number, SetRef, ValueRef, View};

use crate::json::write::string;

/// Appends `{"name":{"S":"…"},…}`.
pub fn render_item(item: ItemRef<'_>, out: &mut Vec<u8>) {
    map(item.attributes(), out);
}

/// Appends one AttributeValue, `{"S":"…"}`.
pub fn render_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value.view() {
        View::S(text) => {
            out.extend_from_slice(b"{\"S\":");
            string(text, out);
        }
        View::N(stored) => {
            out.extend_from_slice(b"{\"N\":");
            number(stored, out);
        }
        View::B(bytes) => {
            out.extend_from_slice(b"{\"B\":");
            base64(bytes, out);
        }
        View::Null => out.extend_from_slice(b"{\"NULL\":true"),
        View::Bool(true) => out.extend_from_slice(b"{\"BOOL\":true"),
        View::Bool(false) => out.extend_from_slice(b"{\"BOOL\":false"),
        View::Ss(members) => {
            set(b"{\"SS\":[", members, out, |member, out| {
                string(std::str::from_utf8(member).unwrap_or_default(), out);
            });
        }
        View::Ns(members) => set(b"{\"NS\":[", members, out, number),
        View::Bs(members) => set(b"{\"BS\":[", members, out, base64),
        View::L(list) => {
            out.extend_from_slice(b"{\"L\":[");
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                render_value(value, out);
            }
            out.push(b']');
        }
        View::M(entries) => {
            out.extend_from_slice(b"{\"M\":");
            map(entries, out);
        }
    }
    out.push(b'}');
}

fn map(entries: MapRef<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        render_value(value, out);
    }
    out.push(b'}');
}

fn set(head: &[u8], members: SetRef<'_>, out: &mut Vec<u8>, render: impl Fn(&[u8], &mut Vec<u8>)) {
    out.extend_from_slice(head);
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        render(member, out);
    }
    out.push(b']');
}

fn number(stored: &[u8], out: &mut Vec<u8>) {
    let number = Number::decode(stored).unwrap_or(Number::ZERO);
    write!(out, "\"{number}\"").expect("a vector takes all");
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    BASE64.encode_slice(bytes, &mut out[start..]).expect("the room is what base64 takes");
    out.push(b'"');
}
