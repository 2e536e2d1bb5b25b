//! Silhouette and within-cluster sums against the definitions at length.

use custseg::evaluate::cloud::{Cloud, Silhouettes, calinski_harabasz, davies_bouldin};
use custseg::model::points::Points;
use proptest::prelude::*;

fn distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// Rousseeuw's definition, one customer at a time.
fn brute_force(groups: &[Vec<[f64; 3]>]) -> Vec<f64> {
    let width = |own: usize, i: usize| -> f64 {
        let point = &groups[own][i];
        if groups[own].len() == 1 {
            return 0.0;
        }
        let mean = |group: &Vec<[f64; 3]>, n: usize| {
            group.iter().map(|p| distance(point, p)).sum::<f64>() / n as f64
        };
        let a = mean(&groups[own], groups[own].len() - 1);
        let others = groups.iter().enumerate().filter(|(g, _)| *g != own);
        let b = others.map(|(_, group)| mean(group, group.len())).fold(f64::INFINITY, f64::min);
        if a.max(b) == 0.0 { 0.0 } else { (b - a) / a.max(b) }
    };
    (0..groups.len()).map(|g| (0..groups[g].len()).map(|i| width(g, i)).sum()).collect()
}

fn cloud(group: &[[f64; 3]]) -> Cloud {
    let points = Points::of(group.iter().map(<[f64; 3]>::as_slice));
    Cloud::all(&points, &points.distinct(), &vec![0; group.len()], 1).remove(0)
}

fn groups() -> impl Strategy<Value = Vec<Vec<[f64; 3]>>> {
    let coordinate = prop_oneof![(0..3i32).prop_map(f64::from), -5.0..5.0f64];
    let point = [coordinate.clone(), coordinate.clone(), coordinate];
    prop::collection::vec(prop::collection::vec(point, 1..60), 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_equal_brute_force(groups in groups()) {
        let points = Points::of(groups.iter().flatten().map(<[f64; 3]>::as_slice));
        let codes: Vec<usize> = groups.iter().enumerate().flat_map(|(code, group)| vec![code; group.len()]).collect();
        let clouds = Cloud::all(&points, &points.distinct(), &codes, groups.len());
        let silhouettes = Silhouettes::of(&clouds).unwrap();
        let expected = brute_force(&groups);
        for (idx, (expected, group)) in expected.iter().zip(&groups).enumerate() {
            let (found, error) = silhouettes.mean(Some(idx));
            prop_assert!((found - expected / group.len() as f64).abs() < 1e-9, "{found} {expected}");
            prop_assert_eq!(error, None);
        }
        let n: usize = groups.iter().map(Vec::len).sum();
        prop_assert!((silhouettes.mean(None).0 - expected.iter().sum::<f64>() / n as f64).abs() < 1e-9);
        // One by one they are what the sums are made of.
        let each = silhouettes.of_points(&clouds, &points, &codes).unwrap();
        for (code, expected) in expected.iter().enumerate() {
            let sum: f64 = each.iter().zip(&codes).filter(|(_, other)| **other == code).map(|(width, _)| width).sum();
            prop_assert!((sum - expected).abs() < 1e-9);
        }
        for (cloud, group) in clouds.iter().zip(&groups) {
            let n = group.len() as f64;
            let centre = [0, 1, 2].map(|axis| group.iter().map(|p| p[axis]).sum::<f64>() / n);
            let expected: f64 = group.iter().map(|p| distance(p, &centre).powi(2)).sum();
            prop_assert_eq!(cloud.len(), group.len());
            prop_assert!((cloud.wcss() - expected).abs() < 1e-9, "{} {expected}", cloud.wcss());
        }
    }
}

#[test]
fn one_group_has_no_silhouette() {
    let alone = [cloud(&[[0.0; 3], [1.0; 3]])];
    assert!(Silhouettes::of(&alone).is_none());
    assert_eq!((davies_bouldin(&alone), calinski_harabasz(&alone)), (None, None));
}

/// Two pairs far apart on a line, by hand: a = 1, b = mean(10, 11) or mean(9, 10); each pair's mean distance to its centroid is 0.5, the
/// centroids are 10 apart; between the clouds 4 · 5², within them 4 · 0.5².
#[test]
fn two_pairs_by_hand() {
    let clouds =
        [cloud(&[[0.0; 3], [1.0, 0.0, 0.0]]), cloud(&[[10.0, 0.0, 0.0], [11.0, 0.0, 0.0]])];
    let expected = ((10.5 - 1.0) / 10.5 + (9.5 - 1.0) / 9.5) / 2.0;
    let found = Silhouettes::of(&clouds).unwrap();
    assert!((found.mean(None).0 - expected).abs() < 1e-12);
    assert_eq!(clouds[0].wcss(), 0.5);
    assert!((davies_bouldin(&clouds).unwrap() - 0.1).abs() < 1e-12);
    assert!((calinski_harabasz(&clouds).unwrap() - 100.0 / (1.0 / 2.0)).abs() < 1e-9);
}

/// Above 50,000 distinct points the mean is that of a sample, close to the true one, with its standard error.
#[test]
fn many_points_are_sampled() {
    // Two lines of points, whose silhouettes can be told by hand from a coarse copy of them.
    let line = |at: f64, n: usize| -> Vec<[f64; 3]> {
        (0..n).map(|i| [at + i as f64 / n as f64, 0.0, 0.0]).collect()
    };
    let of = |n: usize| {
        Silhouettes::of(&[cloud(&line(0.0, n)), cloud(&line(1.5, n))]).unwrap().mean(None)
    };
    let (exact, none) = of(2_000);
    let (sampled, error) = of(26_000);
    assert_eq!(none, None);
    assert!(
        (sampled - exact).abs() < 0.002 && (0.0005..0.01).contains(&error.unwrap()),
        "{exact} {sampled} {error:?}"
    );
}
