//! Reading and writing the parts that rows and changes share. A reader answers `None` where bytes end too early.

use crate::id::Region;
use crate::version::{Hlc, Vector, Version};

pub(crate) fn put_region(out: &mut Vec<u8>, region: Region) {
    let name = region.as_str().as_bytes();
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

pub(crate) fn put_vector(out: &mut Vec<u8>, vector: &Vector) {
    // Regions are few: more than 255 in one vector cannot come about, as each is a replica of the table.
    out.push(vector.iter().count() as u8);
    for (region, hlc) in vector.iter() {
        put_region(out, region);
        out.extend(hlc.0.to_be_bytes());
    }
}

pub(crate) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(|_| ())
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// A run behind its length in one byte.
    pub fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    pub fn skip_short(&mut self) -> Option<()> {
        self.short().map(|_| ())
    }

    /// A run behind its length in four bytes.
    pub fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }

    pub fn region(&mut self) -> Option<Region> {
        Region::new(std::str::from_utf8(self.short()?).ok()?).ok()
    }

    pub fn version(&mut self) -> Option<Version> {
        let hlc = Hlc(self.u64()?);
        Some(Version { hlc, origin: self.region()? })
    }

    pub fn vector(&mut self) -> Option<Vector> {
        let count = self.u8()?;
        (0..count).map(|_| Some((self.region()?, Hlc(self.u64()?)))).collect()
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
