//! The tensors of a batch: shapes with padding, regions of memory, heads and records, handed out while a schedule is
//! built. Pure arithmetic; nothing here touches a device.

use super::layout::{NONE, RECORD_WORDS};
use super::memory::{MemoryLimits, Region, SlabPlan};

/// Sizes are padded to whole 8 x 8 blocks.
pub fn padded(size: u32) -> u32 {
    size.next_multiple_of(8)
}

/// Number of strips of 32 columns.
pub fn strips(columns: u32) -> u32 {
    padded(columns).div_ceil(32)
}

/// A tensor of every network, [network, padded rows, padded columns].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub region: Region,
    pub rows: u32,
    pub columns: u32,
    /// Its scale; one head per version that is written.
    pub head: u32,
    /// Gradients have an exponent a row: which of the two sets behind the elements this version uses.
    pub slot: Option<u32>,
}

impl Tensor {
    pub fn row_pad(&self) -> u32 {
        padded(self.rows)
    }
    pub fn column_pad(&self) -> u32 {
        padded(self.columns)
    }
    /// Padded elements of one network.
    pub fn stride(&self) -> u64 {
        u64::from(self.row_pad()) * u64::from(self.column_pad())
    }
}

/// What a record holds and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Word offset of the first network's first item.
    pub offset: u32,
    /// Words per network.
    pub stride: u32,
    /// Items per network and words of each.
    pub items: u32,
    pub words: u32,
    /// Networks 0..n, in the schedule's order.
    pub networks: u32,
    pub row: RowSlot,
    pub what: What,
}

/// The row of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSlot {
    Layer(u32),
    Readout,
    /// The last hidden layer of each network.
    Last,
}

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Moments of a quantity, by the kernel that writes it.
    Moments {
        quantity: crate::stats::Quantity,
    },
    Cosines {
        quantity: crate::stats::Quantity,
    },
    /// <W, dW> in words 11 and 14 as well.
    WeightGrad,
    Phi,
    Residual,
    MeanSquared,
    CrossEntropy,
    Spread,
    PathsAboveOne,
    Quantiles {
        quantity: crate::stats::Quantity,
    },
}

/// Hands out memory, heads and records.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub slabs: SlabPlan,
    pub heads: u32,
    pub record_words: u64,
    pub expected: Vec<Expected>,
}

impl Ledger {
    pub fn new(limits: MemoryLimits) -> Self {
        Ledger { slabs: SlabPlan::new(limits), heads: 0, record_words: 0, expected: Vec::new() }
    }

    /// A region of `count` 32-bit words.
    pub fn words(&mut self, count: u64) -> Region {
        self.slabs.take(4 * count)
    }

    pub fn head(&mut self) -> u32 {
        self.heads += 1;
        self.heads - 1
    }

    /// A new tensor of `networks` networks, with a head.
    pub fn tensor(&mut self, rows: u32, columns: u32, networks: u32) -> Tensor {
        let elements = u64::from(padded(rows)) * u64::from(padded(columns)) * u64::from(networks);
        let region = self.words(elements);
        Tensor { region, rows, columns, head: self.head(), slot: None }
    }

    /// The same memory with the shape given and a fresh head.
    pub fn version(&mut self, region: Region, rows: u32, columns: u32) -> Tensor {
        Tensor { region, rows, columns, head: self.head(), slot: None }
    }

    /// Memory of a gradient of at most this shape: the elements, and two sets of row exponents.
    pub fn gradient_words(&mut self, rows: u32, columns: u32, networks: u32) -> Region {
        self.words(u64::from(padded(rows)) * (u64::from(padded(columns)) + 2) * u64::from(networks))
    }

    /// A version of a gradient; one that replaces `old` keeps its row exponents apart from the old ones.
    pub fn gradient(&mut self, region: Region, rows: u32, columns: u32, old: Option<Tensor>) -> Tensor {
        let slot = Some(old.and_then(|t| t.slot).map_or(0, |slot| 1 - slot));
        Tensor { slot, ..self.version(region, rows, columns) }
    }

    /// Room for `items` items of `words` words per network; the offset and the words per network.
    pub fn record(&mut self, row: RowSlot, what: What, items: u32, words: u32, networks: u32) -> (u32, u32) {
        let stride = items * words;
        let offset = self.reserve(stride, networks);
        self.expect(row, what, offset, stride, (items, words), networks);
        (offset, stride)
    }

    /// The same for items of several records side by side, RECORD_WORDS each; the words of `None` are not read.
    pub fn records(&mut self, list: &[Option<(RowSlot, What)>], items: u32, networks: u32) -> (u32, u32) {
        let words = list.len() as u32 * RECORD_WORDS;
        let offset = self.reserve(items * words, networks);
        for (i, &(row, what)) in list.iter().enumerate().filter_map(|(i, entry)| Some((i as u32, entry.as_ref()?))) {
            self.expect(row, what, offset + i * RECORD_WORDS, items * words, (items, words), networks);
        }
        (offset, items * words)
    }

    /// Words without an expectation.
    pub fn reserve(&mut self, stride: u32, networks: u32) -> u32 {
        let offset = self.record_words;
        self.record_words += u64::from(stride) * u64::from(networks);
        // Beyond 2^32 words the region fits no binding, and the batch is refused.
        offset as u32
    }

    pub fn expect(
        &mut self,
        row: RowSlot,
        what: What,
        offset: u32,
        stride: u32,
        (items, words): (u32, u32),
        networks: u32,
    ) {
        self.expected.push(Expected { offset, stride, items, words, networks, row, what });
    }
}

/// `Params::slots` of tensors by their bit.
pub fn slots(list: &[(u32, Option<Tensor>)]) -> u32 {
    list.iter().map(|(bit, tensor)| tensor.and_then(|t| t.slot).unwrap_or(0) << bit).sum()
}

/// The head of a tensor that may be absent.
pub fn head(tensor: Option<Tensor>) -> u32 {
    tensor.map_or(NONE, |t| t.head)
}
