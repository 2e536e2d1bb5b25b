//! Points side by side in one array, and who stands on them.

use rayon::prelude::*;

/// Points with so many axes each, one after another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    axes: usize,
    values: Vec<f64>,
    len: usize,
}

/// Where customers stand; some of them nowhere, for want of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The points of those who stand somewhere, in their order.
    pub points: Points,
    /// Whether each customer stands somewhere.
    pub placed: Vec<bool>,
}

impl Points {
    /// From one point after another, all with so many axes.
    pub fn new(axes: usize, len: usize, mut values: Vec<f64>) -> Self {
        debug_assert_eq!(values.len(), axes * len);
        // Zero has two signs, which mean one place.
        values.iter_mut().for_each(|x| *x += 0.0);
        Self { axes, values, len }
    }

    /// Of points that stand elsewhere, all of one length.
    pub fn of<'a>(points: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let (mut axes, mut len, mut values) = (0, 0, Vec::new());
        for point in points {
            (axes, len) = (point.len(), len + 1);
            values.extend_from_slice(point);
        }
        Self::new(axes, len, values)
    }

    /// Number of axes.
    pub fn axes(&self) -> usize {
        self.axes
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One of the points.
    #[inline]
    pub fn at(&self, place: usize) -> &[f64] {
        &self.values[place * self.axes..(place + 1) * self.axes]
    }

    /// The points, one after another.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        (0..self.len).map(|place| self.at(place))
    }

    /// All values, point by point.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The places of the points by their values, axis by axis, with those of each distinct point together, ascending.
    pub fn distinct(&self) -> Distinct {
        let first = |place: usize| self.at(place).first().copied().unwrap_or_default();
        // The first axis stands beside the place, since it mostly decides.
        let mut sorted: Vec<(f64, u32)> =
            (0..self.len).map(|place| (first(place), place as u32)).collect();
        let order = |a: &(f64, u32), b: &(f64, u32)| {
            let rest = || {
                let [a, b] = [a, b].map(|(_, place)| self.at(*place as usize));
                let axes = a.iter().zip(b).map(|(x, y)| x.total_cmp(y));
                axes.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
            };
            a.0.total_cmp(&b.0).then_with(rest).then(a.1.cmp(&b.1))
        };
        sorted.par_sort_unstable_by(order);
        let places: Vec<u32> = sorted.into_iter().map(|(_, place)| place).collect();
        let mut starts: Vec<u32> = Vec::new();
        for (idx, place) in places.iter().enumerate() {
            if idx == 0 || self.at(*place as usize) != self.at(places[idx - 1] as usize) {
                starts.push(idx as u32);
            }
        }
        starts.push(places.len() as u32);
        Distinct { places, starts }
    }
}

/// Which points are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Distinct {
    /// Places of the points, equal ones together.
    places: Vec<u32>,
    /// Where each distinct point begins among them, and their end.
    starts: Vec<u32>,
}

impl Distinct {
    /// How many distinct points there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The places of one distinct point, ascending.
    #[inline]
    pub fn members(&self, of: usize) -> &[u32] {
        &self.places[self.starts[of] as usize..self.starts[of + 1] as usize]
    }

    /// The places of every distinct point.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|of| self.members(of))
    }
}

impl Standing {
    /// Where each customer stands.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[f64]>> {
        let mut points = self.points.iter();
        self.placed.iter().map(move |placed| if *placed { points.next() } else { None })
    }
}
