//! The wire format: numbered fields, one after the other.

/// What a field holds, as far as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Number(i64),
    Eight(u64),
    Bytes(&'a [u8]),
    /// Four bytes, which nothing uses.
    Four,
}

/// The fields of a message, by number; ends with none where the bytes are damaged.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Wire<'_>)>> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest.filter(|bytes| !bytes.is_empty())?;
        let read = field(bytes);
        rest = read.map(|(_, rest)| rest);
        Some(read.map(|(field, _)| field))
    })
}

type Read<'a, T> = Option<(T, &'a [u8])>;

fn field(bytes: &[u8]) -> Read<'_, (u64, Wire<'_>)> {
    let (tag, bytes) = varint(bytes)?;
    let (wire, bytes) = match tag & 7 {
        0 => {
            let (number, bytes) = varint(bytes)?;
            (Wire::Number(number.cast_signed()), bytes)
        }
        1 => {
            let (eight, bytes) = bytes.split_first_chunk()?;
            (Wire::Eight(u64::from_le_bytes(*eight)), bytes)
        }
        2 => {
            let (length, bytes) = varint(bytes)?;
            let (held, bytes) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            (Wire::Bytes(held), bytes)
        }
        5 => (Wire::Four, bytes.get(4..)?),
        _ => return None,
    };
    Some(((tag >> 3, wire), bytes))
}

/// Numbers that follow each other.
pub(super) fn varints(mut bytes: &[u8]) -> Option<Vec<i64>> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let (number, rest) = varint(bytes)?;
        numbers.push(number.cast_signed());
        bytes = rest;
    }
    Some(numbers)
}

fn varint(bytes: &[u8]) -> Read<'_, u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}
