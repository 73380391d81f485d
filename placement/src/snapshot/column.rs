//! Small numbers by node, and which of them hold.

/// Nothing there.
pub(super) const ABSENT: u32 = 0;

/// Numbers by node; shorter than the table where later nodes have none. A byte each while
/// there are few numbers, as for most labels: a quarter of the memory to walk along.
#[derive(Clone)]
pub(super) enum Values {
    Narrow(Vec<u8>),
    Wide(Vec<u32>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    pub(super) fn at(&self, node: usize) -> u32 {
        match self {
            Self::Narrow(values) => values.get(node).copied().map(u32::from),
            Self::Wide(values) => values.get(node).copied(),
        }
        .unwrap_or(ABSENT)
    }

    pub(super) fn put(&mut self, node: usize, number: u32) {
        if node >= self.len() && number == ABSENT {
            return;
        }
        if let (Self::Narrow(values), Err(_)) = (&*self, u8::try_from(number)) {
            *self = Self::Wide(values.iter().copied().map(u32::from).collect());
        }
        match self {
            Self::Narrow(values) => set(values, node, number as u8),
            Self::Wide(values) => set(values, node, number),
        }
    }

    /// Clears the mask of the nodes whose number is none of those that hold, of 0 to the largest.
    pub(super) fn keep(&self, mask: &mut [u8], holding: &[u32], largest: usize) {
        let (known, beyond) = mask.split_at_mut(self.len().min(mask.len()));
        if !holding.contains(&ABSENT) {
            beyond.fill(0);
        }
        match self {
            Self::Narrow(values) => {
                let holding: Vec<u8> = holding.iter().map(|number| *number as u8).collect();
                keep_those(known, values, &holding, largest);
            }
            Self::Wide(values) => keep_those(known, values, holding, largest),
        }
    }
}

/// Clears the mask where the value is none of those that hold.
#[allow(
    clippy::needless_bitwise_bool,
    reason = "branches would keep the loops narrow"
)]
fn keep_those<T: Copy + Eq + Into<u32>>(
    mask: &mut [u8],
    values: &[T],
    holding: &[T],
    largest: usize,
) {
    // The usual: few values. These loops run as wide as the processor does.
    match *holding {
        [] => mask.fill(0),
        [a] => each(mask, values, |value| value == a),
        [a, b] => each(mask, values, |value| (value == a) || (value == b)),
        [a, b, c] => each(mask, values, |value| {
            (value == a) || (value == b) || (value == c)
        }),
        _ => {
            let mut holds = vec![false; largest + 1];
            for number in holding {
                holds[(*number).into() as usize] = true;
            }
            each(mask, values, |value| holds[value.into() as usize]);
        }
    }
}

fn each<T: Copy>(mask: &mut [u8], values: &[T], holds: impl Fn(T) -> bool) {
    mask.iter_mut()
        .zip(values)
        .for_each(|(one, value)| *one &= u8::from(holds(*value)));
}

fn set<T: Copy + Default>(values: &mut Vec<T>, node: usize, value: T) {
    if node >= values.len() {
        values.resize(node + 1, T::default());
    }
    values[node] = value;
}
