//! A kd-tree that is built once and asked often, after Bentley (1975), with the bounding box of every node.
//!
//! Points are halved at the median of the axis on which they reach farthest, until [`LEAF`] of them are left. A leaf holds its points
//! column by column, so that its distances are computed side by side; its box, which is much smaller than its share of the space where
//! axes are correlated, tells whether it can hold anything that is near enough. Two halvings make one node of four children, whose boxes
//! are looked at side by side, too.

use rayon::prelude::*;
use wide::f64x4;

/// Points of a leaf at most.
const LEAF: usize = LANES * LANES_OF_LEAF;
/// What is computed side by side.
const LANES: usize = 4;
const LANES_OF_LEAF: usize = 6;

/// Points with a number of axes.
pub(super) struct KdTree<const K: usize> {
    /// Inner nodes, a level after another from the root. The children of the nth node of a level are the nodes, or leaves, 4n to 4n + 3
    /// of the next.
    levels: Vec<Vec<Boxes<K>>>,
    leaves: Vec<Leaf<K>>,
}

/// A point with its place.
type Placed<const K: usize> = ([f64; K], u32);

/// Squared distances of the points of a leaf.
type Squares = [f64x4; LANES_OF_LEAF];

/// Where the points of a node lie.
#[derive(Clone, Copy)]
struct Bounds<const K: usize> {
    low: [f64; K],
    high: [f64; K],
}

/// The bounds of four children, axis by axis; a child that is not there is infinitely far.
struct Boxes<const K: usize> {
    low: [f64x4; K],
    high: [f64x4; K],
}

/// Points of a leaf; where it is not full, points that are infinitely far.
struct Leaf<const K: usize> {
    axes: [Squares; K],
    places: [u32; LEAF],
}

impl<const K: usize> Bounds<K> {
    const NOTHING: Self = Self { low: [f64::INFINITY; K], high: [f64::NEG_INFINITY; K] };

    fn of(part: &[Placed<K>]) -> Self {
        part.iter().fold(Self::NOTHING, |mut of, (point, _)| {
            of.low.iter_mut().zip(point).for_each(|(low, x)| *low = low.min(*x));
            of.high.iter_mut().zip(point).for_each(|(high, x)| *high = high.max(*x));
            of
        })
    }

    /// Halves points at the median of the axis on which they reach farthest.
    fn halve<'a>(&self, part: &'a mut [Placed<K>]) -> [&'a mut [Placed<K>]; 2] {
        let reach = |axis: &usize| self.high[*axis] - self.low[*axis];
        let axis = (0..K).max_by(|a, b| reach(a).total_cmp(&reach(b))).unwrap_or(0);
        let middle = part.len() / 2;
        if middle < part.len() {
            part.select_nth_unstable_by(middle, |a, b| a.0[axis].total_cmp(&b.0[axis]));
        }
        part.split_at_mut(middle).into()
    }
}

impl<const K: usize> Boxes<K> {
    fn of(children: &[Bounds<K>]) -> Self {
        let child = |idx: usize| children.get(idx).unwrap_or(&Bounds::NOTHING);
        let four =
            |of: &dyn Fn(&Bounds<K>) -> f64| f64x4::new([0, 1, 2, 3].map(|idx| of(child(idx))));
        Self {
            low: std::array::from_fn(|axis| four(&|bounds| bounds.low[axis])),
            high: std::array::from_fn(|axis| four(&|bounds| bounds.high[axis])),
        }
    }

    /// The squared distances from a point to the nearest place of each child's box.
    #[inline]
    fn squared(&self, point: &[f64x4; K]) -> [f64; LANES] {
        let mut squares = f64x4::ZERO;
        for ((low, high), x) in self.low.iter().zip(&self.high).zip(point) {
            let beside = (*low - *x).fast_max(*x - *high).fast_max(f64x4::ZERO);
            squares += beside * beside;
        }
        squares.to_array()
    }
}

impl<const K: usize> KdTree<K> {
    /// Over points, which are known by their places.
    pub(super) fn new(points: &[[f64; K]]) -> Self {
        let leaves = points.len().div_ceil(LEAF).next_power_of_two();
        let mut placed: Vec<Placed<K>> = points.iter().copied().zip(0..).collect();
        let mut parts: Vec<&mut [Placed<K>]> = vec![&mut placed];
        let mut levels = Vec::new();
        // Where the number of halvings is odd, the root has two children.
        let mut halvings = if leaves.trailing_zeros() % 2 == 1 { 1 } else { 2 };
        while parts.len() < leaves {
            for _ in 0..halvings {
                parts = parts
                    .into_par_iter()
                    .flat_map_iter(|part| Bounds::of(part).halve(part))
                    .collect();
            }
            let bounds: Vec<Bounds<K>> = parts.par_iter().map(|part| Bounds::of(part)).collect();
            levels.push(bounds.chunks(1 << halvings).map(Boxes::of).collect());
            halvings = 2;
        }
        Self { levels, leaves: parts.into_par_iter().map(|part| Leaf::of(part)).collect() }
    }

    /// Adds the nearest points, of which there are at least so many, in any order: squared distances and places.
    pub(super) fn nearest(&self, point: &[f64; K], wanted: usize, found: &mut Vec<(f64, u32)>) {
        let mut nearest = Nearest { wanted, found, worst: f64::INFINITY };
        self.visit(0, 0, &point.map(f64x4::splat), &mut nearest);
        nearest.cut();
    }

    /// Adds all points within a squared distance, with their own.
    pub(super) fn within(&self, point: &[f64; K], squared: f64, found: &mut Vec<(f64, u32)>) {
        self.visit(0, 0, &point.map(f64x4::splat), &mut Within { limit: squared.next_up(), found });
    }

    /// Shows the points of every leaf that may hold something near enough.
    fn visit(&self, level: usize, node: usize, point: &[f64x4; K], seeker: &mut impl Seeker) {
        let Some(nodes) = self.levels.get(level) else {
            let Leaf { axes, places } = &self.leaves[node];
            let mut squares: Squares = [f64x4::ZERO; LANES_OF_LEAF];
            for (axis, x) in axes.iter().zip(point) {
                for (square, y) in squares.iter_mut().zip(axis) {
                    let apart = *y - *x;
                    *square += apart * apart;
                }
            }
            seeker.see(&squares, places);
            return;
        };
        let squares = nodes[node].squared(point);
        let mut order = [0, 1, 2, 3];
        // The nearest child first.
        for (a, b) in [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)] {
            if squares[order[b]] < squares[order[a]] {
                order.swap(a, b);
            }
        }
        for child in order {
            if squares[child] < seeker.limit() {
                self.visit(level + 1, LANES * node + child, point, seeker);
            }
        }
    }
}

/// Who looks for points.
trait Seeker {
    /// The squared distance at and beyond which nothing is of interest.
    fn limit(&self) -> f64;
    /// Takes the points of a leaf that are of interest.
    fn see(&mut self, squares: &Squares, places: &[u32; LEAF]);
}

/// Looks for so many points.
struct Nearest<'a> {
    wanted: usize,
    found: &'a mut Vec<(f64, u32)>,
    /// The worst of those that were wanted when last they were put in order.
    worst: f64,
}

impl Nearest<'_> {
    /// Leaves as many as are wanted.
    fn cut(&mut self) {
        if self.found.len() >= self.wanted {
            let (_, worst, _) =
                self.found.select_nth_unstable_by(self.wanted - 1, |a, b| a.0.total_cmp(&b.0));
            self.worst = worst.0;
            self.found.truncate(self.wanted);
        }
    }
}

/// Adds the points of a leaf that are nearer than a limit.
#[inline]
fn add_nearer(squares: &Squares, places: &[u32; LEAF], limit: f64, found: &mut Vec<(f64, u32)>) {
    let (limit, places) = (f64x4::splat(limit), places.as_chunks::<LANES>().0);
    for (squares, places) in squares.iter().zip(places) {
        let mut near = squares.simd_lt(limit).to_bitmask();
        let squares = squares.to_array();
        while near != 0 {
            let lane = near.trailing_zeros() as usize % LANES;
            found.push((squares[lane], places[lane]));
            near &= near - 1;
        }
    }
}

impl Seeker for Nearest<'_> {
    #[inline]
    fn limit(&self) -> f64 {
        self.worst
    }

    #[inline]
    fn see(&mut self, squares: &Squares, places: &[u32; LEAF]) {
        let before = self.found.len();
        add_nearer(squares, places, self.worst, self.found);
        if self.found.len() > before {
            self.cut();
        }
    }
}

/// Looks for all points within a distance.
struct Within<'a> {
    limit: f64,
    found: &'a mut Vec<(f64, u32)>,
}

impl Seeker for Within<'_> {
    fn limit(&self) -> f64 {
        self.limit
    }

    fn see(&mut self, squares: &Squares, places: &[u32; LEAF]) {
        add_nearer(squares, places, self.limit, self.found);
    }
}

impl<const K: usize> Leaf<K> {
    fn of(part: &[Placed<K>]) -> Self {
        let mut axes = [[f64::INFINITY; LEAF]; K];
        let mut places = [0; LEAF];
        for (slot, (point, place)) in part.iter().enumerate() {
            places[slot] = *place;
            (0..K).for_each(|axis| axes[axis][slot] = point[axis]);
        }
        let lanes =
            |axis: [f64; LEAF]| std::array::from_fn(|idx| f64x4::new(axis.as_chunks().0[idx]));
        Self { axes: axes.map(lanes), places }
    }
}
