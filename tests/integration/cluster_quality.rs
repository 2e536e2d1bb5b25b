//! Silhouette and within-cluster sums against their definitions.

use custseg::evaluate::cluster_geometry::{
    ClusterGeometry, SilhouetteMode, Silhouettes, calinski_harabasz, davies_bouldin,
};
use custseg::model::point_matrix::PointMatrix;
use proptest::prelude::*;

fn distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// Sums of silhouettes a group, by Rousseeuw's definition.
fn brute_force(groups: &[Vec<[f64; 3]>]) -> Vec<f64> {
    let silhouette = |group: usize, i: usize| -> f64 {
        let point = &groups[group][i];
        if groups[group].len() == 1 {
            return 0.0;
        }
        let mean = |group: &Vec<[f64; 3]>, n: usize| {
            group.iter().map(|p| distance(point, p)).sum::<f64>() / n as f64
        };
        let a = mean(&groups[group], groups[group].len() - 1);
        let others = groups.iter().enumerate().filter(|(g, _)| *g != group);
        let b = others.map(|(_, group)| mean(group, group.len())).fold(f64::INFINITY, f64::min);
        if a.max(b) == 0.0 { 0.0 } else { (b - a) / a.max(b) }
    };
    (0..groups.len()).map(|g| (0..groups[g].len()).map(|i| silhouette(g, i)).sum()).collect()
}

fn geometry(group: &[[f64; 3]]) -> ClusterGeometry {
    let points = PointMatrix::from_rows(group.iter().map(<[f64; 3]>::as_slice));
    ClusterGeometry::all(&points, &points.distinct(), &vec![0; group.len()], 1).remove(0)
}

fn groups() -> impl Strategy<Value = Vec<Vec<[f64; 3]>>> {
    let coordinate = prop_oneof![(0..3i32).prop_map(f64::from), -5.0..5.0f64];
    let point = [coordinate.clone(), coordinate.clone(), coordinate];
    prop::collection::vec(prop::collection::vec(point, 1..60), 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn silhouettes_and_wcss_equal_brute_force(groups in groups()) {
        let points = PointMatrix::from_rows(groups.iter().flatten().map(<[f64; 3]>::as_slice));
        let codes: Vec<usize> = groups
            .iter()
            .enumerate()
            .flat_map(|(code, group)| vec![code; group.len()])
            .collect();
        let geometries = ClusterGeometry::all(&points, &points.distinct(), &codes, groups.len());
        let silhouettes = Silhouettes::of(&geometries, SilhouetteMode::Exact).unwrap();
        let expected = brute_force(&groups);
        for (idx, (expected, group)) in expected.iter().zip(&groups).enumerate() {
            let (found, error) = silhouettes.mean(Some(idx));
            let expected = expected / group.len() as f64;
            prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            prop_assert_eq!(error, None);
        }
        let n: usize = groups.iter().map(Vec::len).sum();
        let mean = expected.iter().sum::<f64>() / n as f64;
        prop_assert!((silhouettes.mean(None).0 - mean).abs() < 1e-9);
        // The silhouettes of the points add up to the sums.
        let widths = silhouettes.of_points(&geometries, &points, &codes).unwrap();
        for (code, expected) in expected.iter().enumerate() {
            let of_group = widths.iter().zip(&codes).filter(|(_, other)| **other == code);
            let sum: f64 = of_group.map(|(width, _)| width).sum();
            prop_assert!((sum - expected).abs() < 1e-9);
        }
        for (geometry, group) in geometries.iter().zip(&groups) {
            let n = group.len() as f64;
            let centre = [0, 1, 2].map(|axis| group.iter().map(|p| p[axis]).sum::<f64>() / n);
            let expected: f64 = group.iter().map(|p| distance(p, &centre).powi(2)).sum();
            prop_assert_eq!(geometry.len(), group.len());
            let wcss = geometry.wcss();
            prop_assert!((wcss - expected).abs() < 1e-9, "{wcss} {expected}");
        }
    }
}

#[test]
fn single_cluster_has_no_silhouette() {
    let single = [geometry(&[[0.0; 3], [1.0; 3]])];
    assert!(Silhouettes::of(&single, SilhouetteMode::Exact).is_none());
    assert_eq!((davies_bouldin(&single), calinski_harabasz(&single)), (None, None));
}

/// Two pairs on a line. Silhouettes: a = 1, b = mean(10, 11) or mean(9, 10). Davies-Bouldin: mean
/// distances to the centroids 0.5, centroids 10 apart. Calinski-Harabasz: 4 · 5² between the
/// clusters, 4 · 0.5² within them.
#[test]
fn indices_of_two_pairs_equal_hand_computed_values() {
    let geometries =
        [geometry(&[[0.0; 3], [1.0, 0.0, 0.0]]), geometry(&[[10.0, 0.0, 0.0], [11.0, 0.0, 0.0]])];
    let expected = ((10.5 - 1.0) / 10.5 + (9.5 - 1.0) / 9.5) / 2.0;
    let found = Silhouettes::of(&geometries, SilhouetteMode::Exact).unwrap();
    assert!((found.mean(None).0 - expected).abs() < 1e-12);
    assert_eq!(geometries[0].wcss(), 0.5);
    assert!((davies_bouldin(&geometries).unwrap() - 0.1).abs() < 1e-12);
    assert!((calinski_harabasz(&geometries).unwrap() - 100.0 / (1.0 / 2.0)).abs() < 1e-9);
}

/// Above 10,000 customers the mean silhouette comes from a sample, with a standard error.
#[test]
fn silhouette_of_many_points_is_sampled() {
    // Two lines of points: a coarse copy, computed exactly, has nearly the same silhouettes.
    let line = |start: f64, n: usize| -> Vec<[f64; 3]> {
        (0..n).map(|i| [start + i as f64 / n as f64, 0.0, 0.0]).collect()
    };
    let mean_silhouette = |n: usize| {
        let geometries = [geometry(&line(0.0, n)), geometry(&line(1.5, n))];
        Silhouettes::of(&geometries, SilhouetteMode::Sample).unwrap().mean(None)
    };
    let (exact, no_error) = mean_silhouette(2_000);
    let (sampled, error) = mean_silhouette(26_000);
    assert_eq!(no_error, None);
    assert!(
        (sampled - exact).abs() < 0.002 && (0.0005..0.01).contains(&error.unwrap()),
        "{exact} {sampled} {error:?}"
    );
}
