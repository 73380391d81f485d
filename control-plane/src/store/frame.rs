//! How the log is written: frames, each with a checksum.
//!
//! ```text
//! log    = frame*
//! frame  = MAGIC, length of the entries: u32, CRC-32 of length and entries: u32, entries
//! entry  = tag: u8, revision: u64, resource, path, json     (put: 1, delete: 2, without json)
//!        | tag: u8, revision: u64, count: u64               (base: 0)
//! text   = length: u32, bytes
//! ```
//!
//! All numbers are little-endian. The first entry is a base: the next `count` entries put every
//! object that there was at its revision. After those, each entry has the next revision.
//!
//! One frame holds the writes that were made durable together, so a frame that a crash cut short
//! holds nothing that was acknowledged, and nothing follows it. `MAGIC` is not UTF-8: it can't
//! stand in an object.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::event::{Change, Event};
use super::object::{Object, Place};

const MAGIC: [u8; 4] = [0xFF, 0xC5, 0xFE, 0xD5];
const HEADER: usize = 12;

/// Bytes of an entry that puts an object, but for its texts.
const PUT_SIZE: usize = 1 + 8 + 3 * 4;

const BASE: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// A frame that is being written.
pub(super) struct Frame(Vec<u8>);

impl Frame {
    pub(super) fn new() -> Self {
        Self(vec![0; HEADER])
    }

    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    pub(super) fn base(&mut self, revision: u64, count: usize) {
        self.tag(BASE, revision);
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    pub(super) fn put(&mut self, place: &Place, object: &Object) {
        self.tag(PUT, object.revision());
        self.place(place);
        self.text(object.json());
    }

    pub(super) fn event(&mut self, event: &Event) {
        if event.change == Change::Deleted {
            self.tag(DELETE, event.revision);
            self.place(&event.place);
        } else {
            self.put(&event.place, &event.object);
        }
    }

    /// The bytes; none if they are too many for a frame (4 GiB).
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.0.len() - HEADER).ok()?;
        let (header, entries) = self.0.split_at_mut(HEADER);
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..].copy_from_slice(&checksum(length, entries).to_le_bytes());
        Some(self.0)
    }

    fn tag(&mut self, tag: u8, revision: u64) {
        self.0.push(tag);
        self.0.extend_from_slice(&revision.to_le_bytes());
    }

    fn place(&mut self, place: &Place) {
        self.text(&place.resource);
        self.text(&place.path);
    }

    /// A text of 4 GiB makes the frame too long, so its cut length is never read.
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Bytes of an entry that puts an object of so many bytes of JSON.
pub(super) fn put_size(place: &Place, json: usize) -> u64 {
    let texts = place.resource.len() + place.path.len() + json;
    (texts + PUT_SIZE) as u64
}

/// The checksum that the first frame says; zero if there is none.
pub(super) fn first_checksum(log: &[u8]) -> u32 {
    let sum = log.get(HEADER - 4..HEADER).and_then(<[u8]>::first_chunk);
    sum.copied().map_or(0, u32::from_le_bytes)
}

fn checksum(length: u32, entries: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(entries);
    hasher.finalize()
}

/// What a log says.
#[derive(Default)]
pub(super) struct Read {
    pub(super) revision: u64,
    /// Where the JSON of each object is, and its revision.
    pub(super) objects: BTreeMap<Place, (u64, Range<usize>)>,
    /// Where the last whole frame ends.
    pub(super) end: usize,
    /// Entries of the base that are still to come; none before the base.
    missing: Option<u64>,
}

/// The log is damaged here.
pub(super) struct Damaged(pub(super) usize);

/// Reads a log up to where a crash has cut it.
pub(super) fn read(log: &[u8]) -> Result<Read, Damaged> {
    let mut read = Read::default();
    while let Some(entries) = frame_at(log, read.end) {
        let mut reader = Reader {
            log,
            at: entries.start,
            end: entries.end,
        };
        while reader.at < reader.end {
            let at = reader.at;
            read.take(&mut reader).ok_or(Damaged(at))?;
        }
        read.end = entries.end;
    }
    let is_whole = read.missing == Some(0);
    // A base was durable before it was the log, and a frame before the next one was written.
    if !is_whole || has_frame(&log[read.end..]) {
        return Err(Damaged(read.end));
    }
    Ok(read)
}

/// Where the entries of the frame are that begins here, if it is whole.
fn frame_at(log: &[u8], at: usize) -> Option<Range<usize>> {
    let header = log.get(at..at + HEADER)?;
    let number = |at: usize| {
        header
            .get(at..)?
            .first_chunk()
            .copied()
            .map(u32::from_le_bytes)
    };
    let (length, sum) = (number(4)?, number(8)?);
    let start = at + HEADER;
    let range = start..start.checked_add(usize::try_from(length).ok()?)?;
    let entries = log.get(range.clone())?;
    (header.starts_with(&MAGIC) && checksum(length, entries) == sum).then_some(range)
}

/// Whether a whole frame begins anywhere.
fn has_frame(bytes: &[u8]) -> bool {
    let mut starts = bytes.windows(MAGIC.len()).enumerate();
    starts.any(|(at, window)| window == MAGIC && frame_at(bytes, at).is_some())
}

impl Read {
    /// Takes the next entry; none if it makes no sense.
    fn take(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let tag = reader.bytes::<1>()?[0];
        let revision = u64::from_le_bytes(reader.bytes()?);
        match (tag, self.missing) {
            (BASE, None) => {
                self.revision = revision;
                self.missing = Some(u64::from_le_bytes(reader.bytes()?));
                return Some(());
            }
            (PUT, Some(missing)) if missing > 0 && revision <= self.revision => {
                self.missing = Some(missing - 1);
            }
            (PUT | DELETE, Some(0)) if revision == self.revision + 1 => self.revision = revision,
            _ => return None,
        }
        let place = Place {
            resource: Arc::from(reader.text()?),
            path: Arc::from(reader.text()?),
        };
        if tag == PUT {
            let json = reader.range()?;
            self.objects.insert(place, (revision, json));
        } else {
            self.objects.remove(&place);
        }
        Some(())
    }
}

/// Reads the entries of a frame.
struct Reader<'a> {
    log: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.log.get(self.at..self.end)?.first_chunk()?;
        self.at += N;
        Some(*bytes)
    }

    fn range(&mut self) -> Option<Range<usize>> {
        let length = u32::from_le_bytes(self.bytes()?);
        let start = self.at;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        if end > self.end {
            return None;
        }
        self.at = end;
        Some(start..end)
    }

    fn text(&mut self) -> Option<&'a str> {
        let range = self.range()?;
        std::str::from_utf8(self.log.get(range)?).ok()
    }
}
