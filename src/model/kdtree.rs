//! A kd-tree that is built once and asked often, after Bentley (1975), with the bounding box of every node.
//!
//! Points are halved at the median of the axis on which they reach farthest, until [`LEAF`] of them are left. A leaf holds its points
//! column by column, so that its distances are computed side by side; its box, which is much smaller than its share of the space where
//! axes are correlated, tells whether it can hold anything that is near enough.

/// Points of a leaf at most.
const LEAF: usize = 24;

/// Points with a number of axes.
pub(super) struct KdTree<const K: usize> {
    /// Inner nodes level by level, two children after another; the leaves are the last level.
    boxes: Vec<Bounds<K>>,
    leaves: Vec<Leaf<K>>,
}

/// Where the points of a node lie.
#[derive(Clone, Copy)]
struct Bounds<const K: usize> {
    low: [f64; K],
    high: [f64; K],
}

/// Points of a leaf; where it is not full, points that are infinitely far.
struct Leaf<const K: usize> {
    axes: [[f64; LEAF]; K],
    places: [u32; LEAF],
}

impl<const K: usize> Bounds<K> {
    fn of<'a>(points: impl Iterator<Item = &'a [f64; K]>) -> Self {
        let none = Self { low: [f64::INFINITY; K], high: [f64::NEG_INFINITY; K] };
        points.fold(none, |mut of, point| {
            of.low.iter_mut().zip(point).for_each(|(low, x)| *low = low.min(*x));
            of.high.iter_mut().zip(point).for_each(|(high, x)| *high = high.max(*x));
            of
        })
    }

    /// The squared distance from a point to the nearest place of the box.
    #[inline]
    fn squared(&self, point: &[f64; K]) -> f64 {
        let reach = self.low.iter().zip(&self.high).zip(point);
        let beside = reach.map(|((low, high), x)| (low - x).max(x - high).max(0.0));
        beside.map(|beside| beside * beside).sum()
    }
}

impl<const K: usize> KdTree<K> {
    /// Over points, which are known by their places.
    pub(super) fn new(points: &[[f64; K]]) -> Self {
        let leaves = points.len().div_ceil(LEAF).next_power_of_two();
        let mut places: Vec<u32> = (0..points.len() as u32).collect();
        let mut tree = Self { boxes: Vec::with_capacity(2 * leaves), leaves: Vec::with_capacity(leaves) };
        let mut level: Vec<&mut [u32]> = vec![&mut places];
        loop {
            tree.boxes.extend(level.iter().map(|part| Bounds::of(part.iter().map(|&place| &points[place as usize]))));
            if level.len() == leaves {
                tree.leaves.extend(level.into_iter().map(|part| Leaf::of(part, points)));
                return tree;
            }
            let first = tree.boxes.len() - level.len();
            let halves = level.into_iter().zip(&tree.boxes[first..]).map(|(part, within)| {
                let reach = |axis: &usize| within.high[*axis] - within.low[*axis];
                let axis = (0..K).max_by(|a, b| reach(a).total_cmp(&reach(b))).unwrap_or(0);
                let middle = part.len() / 2;
                if middle < part.len() {
                    let coordinate = |place: &u32| points[*place as usize][axis];
                    part.select_nth_unstable_by(middle, |a, b| coordinate(a).total_cmp(&coordinate(b)));
                }
                part.split_at_mut(middle)
            });
            level = halves.flat_map(|(left, right)| [left, right]).collect();
        }
    }

    /// The nearest points, of which there are at least so many: squared distances and places, nearest first.
    pub(super) fn nearest(&self, point: &[f64; K], wanted: usize) -> Vec<(f64, u32)> {
        let mut found = Vec::with_capacity(wanted + 1);
        self.visit(0, point, f64::INFINITY, &mut |worst, squared, place| {
            let at = found.partition_point(|(known, _): &(f64, u32)| *known <= squared);
            if found.len() == wanted {
                found.pop();
            }
            found.insert(at, (squared, place));
            match found.last() {
                Some((last, _)) if found.len() == wanted => *last,
                _ => worst,
            }
        });
        found
    }

    /// All points within a squared distance, with their own.
    pub(super) fn within(&self, point: &[f64; K], squared: f64) -> Vec<(f64, u32)> {
        let mut found = Vec::new();
        self.visit(0, point, squared.next_up(), &mut |worst, squared, place| {
            found.push((squared, place));
            worst
        });
        found
    }

    /// Calls with every point that is nearer than the worst distance of interest, squared, which the call returns anew.
    fn visit(
        &self,
        node: usize,
        point: &[f64; K],
        mut worst: f64,
        found: &mut impl FnMut(f64, f64, u32) -> f64,
    ) -> f64 {
        let inner = self.leaves.len() - 1;
        let Some(leaf) = node.checked_sub(inner) else {
            // Children of node n are 2n + 1 and 2n + 2.
            let children = [2 * node + 1, 2 * node + 2].map(|child| (self.boxes[child].squared(point), child));
            let [near, far] = if children[1].0 < children[0].0 { [children[1], children[0]] } else { children };
            for (squared, child) in [near, far] {
                if squared < worst {
                    worst = self.visit(child, point, worst, found);
                }
            }
            return worst;
        };
        let Leaf { axes, places } = &self.leaves[leaf];
        let mut squares = [0.0; LEAF];
        for (axis, x) in axes.iter().zip(point) {
            for (square, y) in squares.iter_mut().zip(axis) {
                *square += (y - x) * (y - x);
            }
        }
        for (square, place) in squares.iter().zip(places) {
            if *square < worst {
                worst = found(worst, *square, *place);
            }
        }
        worst
    }
}

impl<const K: usize> Leaf<K> {
    fn of<const N: usize>(part: &[u32], points: &[[f64; N]]) -> Self {
        let mut leaf = Self { axes: [[f64::INFINITY; LEAF]; K], places: [0; LEAF] };
        for (slot, &place) in part.iter().enumerate() {
            leaf.places[slot] = place;
            (0..K).for_each(|axis| leaf.axes[axis][slot] = points[place as usize][axis]);
        }
        leaf
    }
}
