//! Silhouette and within-cluster sums against the definitions at length.

use custseg::evaluate::cohesion::{Cloud, silhouette_sums};
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
        let mean = |group: &Vec<[f64; 3]>, n: usize| group.iter().map(|p| distance(point, p)).sum::<f64>() / n as f64;
        let a = mean(&groups[own], groups[own].len() - 1);
        let others = groups.iter().enumerate().filter(|(g, _)| *g != own);
        let b = others.map(|(_, group)| mean(group, group.len())).fold(f64::INFINITY, f64::min);
        if a.max(b) == 0.0 { 0.0 } else { (b - a) / a.max(b) }
    };
    (0..groups.len()).map(|g| (0..groups[g].len()).map(|i| width(g, i)).sum()).collect()
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
        let clouds: Vec<Cloud> = groups.iter().cloned().map(Cloud::of).collect();
        for (found, expected) in silhouette_sums(&clouds).unwrap().iter().zip(brute_force(&groups)) {
            prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
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
    assert_eq!(silhouette_sums(&[Cloud::of(vec![[0.0; 3], [1.0; 3]])]), None);
}

/// Two pairs far apart on a line: a = 1, b = mean(10, 11) or mean(9, 10), by hand.
#[test]
fn two_pairs_by_hand() {
    let clouds = [Cloud::of(vec![[0.0; 3], [1.0, 0.0, 0.0]]), Cloud::of(vec![[10.0, 0.0, 0.0], [11.0, 0.0, 0.0]])];
    let expected = (10.5 - 1.0) / 10.5 + (9.5 - 1.0) / 9.5;
    let found = silhouette_sums(&clouds).unwrap();
    assert!((found[0] - expected).abs() < 1e-12 && (found[1] - expected).abs() < 1e-12, "{found:?}");
    assert_eq!(clouds[0].wcss(), 0.5);
}
