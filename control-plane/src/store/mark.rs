//! Up to where the writes of a log were acknowledged.
//!
//! ```text
//! mark = MAGIC, checksum of the log's first frame: u32, length of the log: u64, revision: u64,
//!        CRC-32 of all before: u32
//! ```
//!
//! All numbers are little-endian. A mark of another log, with another first frame, says nothing of
//! this one.

/// Bytes of a mark. A disk writes so few in one step.
pub(super) const SIZE: usize = 28;

const MAGIC: [u8; 4] = [0xFF, 0xC5, 0xFE, 0xAC];

/// Up to where the writes of a log were acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The checksum of the log's first frame.
    pub(super) base: u32,
    /// Bytes of the log that were durable.
    pub(super) length: u64,
    /// The revision of the last write in them.
    pub(super) revision: u64,
}

impl Mark {
    pub(super) fn bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.base.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.revision.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// None if these bytes are no mark, or a damaged one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let mark = Self {
            base: u32::from_le_bytes(*bytes[4..].first_chunk()?),
            length: u64::from_le_bytes(*bytes[8..].first_chunk()?),
            revision: u64::from_le_bytes(*bytes[16..].first_chunk()?),
        };
        (mark.bytes() == *bytes).then_some(mark)
    }
}
