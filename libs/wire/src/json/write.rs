//! Writing JSON: members and elements with their commas, straight into the answer.

use tradewind_model::ItemRef;

use crate::attribute_value::render_item;

/// Appends a JSON string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a vector takes all, and a string is always JSON");
}

/// An object that is being written; closed by [`Object::end`].
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    pub fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, empty: true }
    }

    pub fn end(self) {
        self.out.push(b'}');
    }

    /// Begins a member, whose value the caller writes.
    pub fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub fn text(&mut self, name: &str, text: &str) {
        string(text, self.member(name));
    }

    pub fn maybe_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub fn bool(&mut self, name: &str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.member(name).extend_from_slice(text);
    }

    pub fn whole(&mut self, name: &str, value: u64) {
        whole(value, self.member(name));
    }

    /// Always with a fraction: `1.0`.
    pub fn double(&mut self, name: &str, value: f64) {
        double(value, self.member(name));
    }

    /// Epoch seconds with a fraction, as the API gives times.
    pub fn time(&mut self, name: &str, epoch_ms: u64) {
        let out = self.member(name);
        whole(epoch_ms / 1000, out);
        out.push(b'.');
        let ms = epoch_ms % 1000;
        out.extend([b'0' + (ms / 100) as u8, b'0' + (ms / 10 % 10) as u8, b'0' + (ms % 10) as u8]);
    }

    pub fn item(&mut self, name: &str, item: ItemRef<'_>) {
        render_item(item, self.member(name));
    }

    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::begin(self.member(name));
        write(&mut object);
        object.end();
    }

    pub fn array<T>(
        &mut self,
        name: &str,
        elements: impl IntoIterator<Item = T>,
        write: impl FnMut(T, &mut Vec<u8>),
    ) {
        array(elements, self.member(name), write);
    }

    pub fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        self.array(name, texts, string);
    }

    /// An array of objects.
    pub fn objects<T>(
        &mut self,
        name: &str,
        elements: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Object<'_>),
    ) {
        self.array(name, elements, |element, out| object(out, |object| write(element, object)));
    }
}

pub(crate) fn object(out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object::begin(out);
    write(&mut object);
    object.end();
}

pub(crate) fn array<T>(
    elements: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (i, element) in elements.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(element, out);
    }
    out.push(b']');
}

pub(crate) fn whole(value: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("a vector takes all");
}

pub(crate) fn double(value: f64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("a vector takes all");
}
