//! Row-major matrix of feature vectors, and which customers have a row in it.

use std::cmp::Ordering;

use rayon::prelude::*;

/// One row a point, all with the same number of axes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PointMatrix {
    axes: usize,
    values: Vec<f64>,
    len: usize,
}

/// Feature vectors of customers. Customers dropped for a missing value have no point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projection {
    /// In the order of the customers.
    pub points: PointMatrix,
    pub has_point: Vec<bool>,
}

impl PointMatrix {
    /// `values` are row-major, `axes * len` of them.
    pub fn new(axes: usize, len: usize, mut values: Vec<f64>) -> Self {
        debug_assert_eq!(values.len(), axes * len);
        // -0.0 becomes 0.0: they are one point but differ in `total_cmp`.
        values.iter_mut().for_each(|x| *x += 0.0);
        Self { axes, values, len }
    }

    /// All rows must have the same length.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let (mut axes, mut len, mut values) = (0, 0, Vec::new());
        for row in rows {
            (axes, len) = (row.len(), len + 1);
            values.extend_from_slice(row);
        }
        Self::new(axes, len, values)
    }

    pub fn axes(&self) -> usize {
        self.axes
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn row(&self, idx: usize) -> &[f64] {
        &self.values[idx * self.axes..(idx + 1) * self.axes]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        (0..self.len).map(|idx| self.row(idx))
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// At most `len` rows, evenly spread.
    pub(super) fn spread(&self, len: usize) -> Self {
        let len = len.min(self.len);
        Self::from_rows((0..len).map(|idx| self.row(idx * self.len / len)))
    }

    /// Groups equal rows. Groups are in lexicographic order of their values.
    pub fn distinct(&self) -> Distinct {
        // Sorted by the first axis beside the index: it decides most comparisons.
        let first_axis = |idx: usize| self.row(idx).first().copied().unwrap_or(0.0);
        let mut sorted: Vec<(f64, u32)> =
            (0..self.len).map(|idx| (first_axis(idx), idx as u32)).collect();
        sorted.par_sort_unstable_by(|(x, a), (y, b)| {
            x.total_cmp(y).then_with(|| self.compare_rows(*a, *b)).then(a.cmp(b))
        });
        let rows: Vec<u32> = sorted.into_iter().map(|(_, row)| row).collect();
        let mut starts: Vec<u32> = vec![0];
        for group in rows.chunk_by(|a, b| self.row(*a as usize) == self.row(*b as usize)) {
            starts.push(starts[starts.len() - 1] + group.len() as u32);
        }
        Distinct { rows, starts }
    }

    fn compare_rows(&self, a: u32, b: u32) -> Ordering {
        let axes = self.row(a as usize).iter().zip(self.row(b as usize));
        axes.map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Groups of equal rows of a [`PointMatrix`].
#[derive(Debug, Clone, PartialEq)]
pub struct Distinct {
    /// Row indices, grouped.
    rows: Vec<u32>,
    /// Start of each group in `rows`, and the end of the last.
    starts: Vec<u32>,
}

impl Distinct {
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Row indices of one distinct point, ascending.
    #[inline]
    pub fn members(&self, id: usize) -> &[u32] {
        &self.rows[self.starts[id] as usize..self.starts[id + 1] as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.count()).map(|id| self.members(id))
    }
}

impl Projection {
    /// One item a customer: `None` without a point. `items` has one item a point.
    pub fn for_customers<T>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> impl Iterator<Item = Option<T>> {
        let mut items = items.into_iter();
        self.has_point.iter().map(move |has| if *has { items.next() } else { None })
    }

    /// Keeps the items of customers that have a point. `items` has one item a customer.
    pub fn with_point<T>(&self, items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        items.into_iter().zip(&self.has_point).filter(|(_, has)| **has).map(|(item, _)| item)
    }
}
