//! Static kd-tree (Bentley 1975) with a bounding box per node, built once and queried often.

use std::array::from_fn;

use rayon::prelude::*;
use wide::f64x4;

use super::index::{PointDistance, widened};

/// Maximum number of points in a leaf.
const LEAF: usize = LANES * LANES_OF_LEAF;
const LANES: usize = 4;
const LANES_OF_LEAF: usize = 6;

/// Nodes split at the median of their widest axis until at most [`LEAF`] points are left.
///
/// A leaf stores its points by column, so distances are computed with SIMD. On correlated axes its
/// box is much smaller than its cell, which prunes more. Two splits make one node of four children,
/// whose boxes are tested with SIMD too.
pub(super) struct KdTree<const K: usize> {
    /// Inner nodes by level from the root. The children of node n are the nodes (or leaves) 4n to
    /// 4n + 3 of the next level.
    levels: Vec<Vec<ChildBoxes<K>>>,
    leaves: Vec<Leaf<K>>,
}

/// A point and its id.
type IndexedPoint<const K: usize> = ([f64; K], u32);

/// One number a point of a leaf.
type Squares = [f64x4; LANES_OF_LEAF];

/// Bounding box of a node.
struct Bounds<const K: usize> {
    low: [f64; K],
    high: [f64; K],
}

/// The bounds of four children by axis. An absent child is infinitely far away.
struct ChildBoxes<const K: usize> {
    low: [f64x4; K],
    high: [f64x4; K],
}

/// Points by axis. Unused slots are infinitely far away.
struct Leaf<const K: usize> {
    axes: [Squares; K],
    ids: [u32; LEAF],
}

impl<const K: usize> Bounds<K> {
    const EMPTY: Self = Self { low: [f64::INFINITY; K], high: [f64::NEG_INFINITY; K] };

    fn enclosing(points: &[IndexedPoint<K>]) -> Self {
        points.iter().fold(Self::EMPTY, |mut bounds, (point, _)| {
            bounds.low.iter_mut().zip(point).for_each(|(low, x)| *low = low.min(*x));
            bounds.high.iter_mut().zip(point).for_each(|(high, x)| *high = high.max(*x));
            bounds
        })
    }

    /// Splits points at the median of the widest axis.
    fn split<'a>(&self, points: &'a mut [IndexedPoint<K>]) -> [&'a mut [IndexedPoint<K>]; 2] {
        let width = |axis: &usize| self.high[*axis] - self.low[*axis];
        let axis = (0..K).max_by(|a, b| width(a).total_cmp(&width(b))).unwrap_or(0);
        let middle = points.len() / 2;
        if middle < points.len() {
            points.select_nth_unstable_by(middle, |a, b| a.0[axis].total_cmp(&b.0[axis]));
        }
        points.split_at_mut(middle).into()
    }
}

impl<const K: usize> ChildBoxes<K> {
    fn new(children: &[Bounds<K>]) -> Self {
        let child = |idx: usize| children.get(idx).unwrap_or(&Bounds::EMPTY);
        Self {
            low: from_fn(|axis| f64x4::new(from_fn(|idx| child(idx).low[axis]))),
            high: from_fn(|axis| f64x4::new(from_fn(|idx| child(idx).high[axis]))),
        }
    }

    /// Squared distances from a point to the box of each child.
    #[inline]
    fn squared_distances(&self, point: &[f64x4; K]) -> [f64; LANES] {
        let mut squares = f64x4::ZERO;
        for ((low, high), x) in self.low.iter().zip(&self.high).zip(point) {
            let outside = (*low - *x).fast_max(*x - *high).fast_max(f64x4::ZERO);
            squares += outside * outside;
        }
        squares.to_array()
    }
}

impl<const K: usize> KdTree<K> {
    /// The id of a point is its index.
    pub(super) fn new(points: &[[f64; K]]) -> Self {
        let leaves = points.len().div_ceil(LEAF).next_power_of_two();
        let mut indexed: Vec<IndexedPoint<K>> = points.iter().copied().zip(0..).collect();
        let mut parts: Vec<&mut [IndexedPoint<K>]> = vec![&mut indexed];
        let mut levels = Vec::new();
        // The root has two children if the number of splits is odd.
        let mut splits = if leaves.trailing_zeros() % 2 == 1 { 1 } else { 2 };
        while parts.len() < leaves {
            for _ in 0..splits {
                parts = parts
                    .into_par_iter()
                    .flat_map_iter(|part| Bounds::enclosing(part).split(part))
                    .collect();
            }
            let bounds: Vec<Bounds<K>> =
                parts.par_iter().map(|part| Bounds::enclosing(part)).collect();
            levels.push(bounds.chunks(1 << splits).map(ChildBoxes::new).collect());
            splits = 2;
        }
        Self { levels, leaves: parts.into_par_iter().map(|part| Leaf::new(part)).collect() }
    }

    /// Adds the hits of every leaf whose box is closer than the search limit.
    fn visit(&self, level: usize, node: usize, point: &[f64x4; K], search: &mut Search<'_>) {
        let Some(nodes) = self.levels.get(level) else {
            return search.add_leaf(&self.leaves[node], point);
        };
        let squares = nodes[node].squared_distances(point);
        let mut order = [0, 1, 2, 3];
        // A sorting network: the nearest child is visited first.
        for (a, b) in [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)] {
            if squares[order[b]] < squares[order[a]] {
                order.swap(a, b);
            }
        }
        for child in order {
            if squares[child] < search.limit {
                self.visit(level + 1, LANES * node + child, point, search);
            }
        }
    }
}

pub(super) trait EuclideanTree: Send + Sync {
    /// Appends the points within `radius`, or the `wanted` nearest of them, in any order. Points
    /// just beyond the radius may be included.
    fn search(&self, point: &[f64], radius: f64, wanted: usize, hits: &mut Vec<PointDistance>);
}

impl<const K: usize> EuclideanTree for KdTree<K> {
    fn search(&self, point: &[f64], radius: f64, wanted: usize, hits: &mut Vec<PointDistance>) {
        let Some(point) = point.first_chunk::<K>() else { return };
        let mut search = Search { wanted, limit: widened(radius * radius).next_up(), hits };
        self.visit(0, 0, &point.map(f64x4::splat), &mut search);
        search.truncate();
        search.hits.iter_mut().for_each(|(distance, _)| *distance = distance.sqrt());
    }
}

/// A running search, in squared distances.
struct Search<'a> {
    wanted: usize,
    /// Points at or beyond it are not added. Shrinks once there are `wanted` hits.
    limit: f64,
    hits: &'a mut Vec<PointDistance>,
}

impl Search<'_> {
    #[inline]
    fn add_leaf<const K: usize>(&mut self, leaf: &Leaf<K>, point: &[f64x4; K]) {
        let mut squares: Squares = [f64x4::ZERO; LANES_OF_LEAF];
        for (axis, x) in leaf.axes.iter().zip(point) {
            for (square, y) in squares.iter_mut().zip(axis) {
                let difference = *y - *x;
                *square += difference * difference;
            }
        }
        let before = self.hits.len();
        let limit = f64x4::splat(self.limit);
        for (squares, ids) in squares.iter().zip(leaf.ids.as_chunks::<LANES>().0) {
            let mut closer = squares.simd_lt(limit).to_bitmask();
            let squares = squares.to_array();
            while closer != 0 {
                let lane = closer.trailing_zeros() as usize % LANES;
                self.hits.push((squares[lane], ids[lane]));
                closer &= closer - 1;
            }
        }
        // With a quarter more than wanted, so that few truncations are needed.
        let spare = if before < self.wanted { 0 } else { (self.wanted / 4).max(1) };
        if self.hits.len() >= self.wanted.saturating_add(spare) {
            self.truncate();
        }
    }

    fn truncate(&mut self) {
        if self.hits.len() >= self.wanted {
            let (_, worst, _) =
                self.hits.select_nth_unstable_by(self.wanted - 1, |a, b| a.0.total_cmp(&b.0));
            self.limit = worst.0;
            self.hits.truncate(self.wanted);
        }
    }
}

impl<const K: usize> Leaf<K> {
    fn new(points: &[IndexedPoint<K>]) -> Self {
        let mut axes = [[f64::INFINITY; LEAF]; K];
        let mut ids = [0; LEAF];
        for (slot, (point, id)) in points.iter().enumerate() {
            ids[slot] = *id;
            (0..K).for_each(|axis| axes[axis][slot] = point[axis]);
        }
        let lanes = |axis: [f64; LEAF]| from_fn(|idx| f64x4::new(axis.as_chunks().0[idx]));
        Self { axes: axes.map(lanes), ids }
    }
}
