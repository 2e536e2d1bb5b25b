//! KNN against brute force, ties included, and against smartcore's classifier.

use std::ops::Range;

use custseg::model::knn::{Knn, Query, SMARTCORE_LIMIT, rounded};
use custseg::model::point_matrix::PointMatrix;
use custseg::model::{Balance, Metric, Source, StringArena, Vote, Voting, Weights, split};
use proptest::prelude::*;
use rayon::prelude::*;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::neighbors::KNNWeightFunction;
use smartcore::neighbors::knn_classifier::{KNNClassifier, KNNClassifierParameters};

fn voting(weights: Weights, metric: Metric) -> Voting {
    Voting { weights, metric, balance: Balance::None }
}

/// Distance by its definition.
fn distance(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    let d = || a.iter().zip(b).map(|(a, b)| (a - b).abs());
    match metric {
        Metric::Euclidean => d().map(|d| d * d).sum::<f64>().sqrt(),
        Metric::Manhattan => d().sum(),
        Metric::Minkowski(p) => {
            let largest = d().fold(0.0, f64::max);
            if largest == 0.0 {
                0.0
            } else {
                largest * d().map(|d| (d / largest).powf(p)).sum::<f64>().powf(1.0 / p)
            }
        }
        Metric::Cosine => {
            let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
            let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            let cosine_distance = 1.0 - dot / (length(a) * length(b));
            if length(a) * length(b) == 0.0 {
                1.0
            } else if cosine_distance < 1e-15 {
                0.0
            } else {
                cosine_distance
            }
        }
    }
}

/// Neighbours and vote shares by definition: all distances, sorted by (distance, customer), without
/// the customer itself.
fn brute_force(
    voting: Voting,
    k: usize,
    (points, labels): (&[Vec<f64>], &[usize]),
    train: &[usize],
    query: usize,
) -> (Vec<(f64, usize)>, Vec<f64>) {
    let distance_to = |i: usize| distance(voting.metric, &points[i], &points[query]);
    let mut all: Vec<(f64, usize)> =
        train.iter().filter(|&&i| i != query).map(|&i| (distance_to(i), i)).collect();
    all.sort_by(|a, b| rounded(a.0).total_cmp(&rounded(b.0)).then(a.1.cmp(&b.1)));
    all.truncate(k);
    let exact = all.iter().any(|(d, _)| *d == 0.0);
    let mut votes = [0.0; 3];
    for (d, i) in &all {
        votes[labels[*i]] += match voting.weights {
            Weights::Uniform => 1.0,
            Weights::Distance if exact => f64::from(u8::from(*d == 0.0)),
            Weights::Distance => 1.0 / d,
        };
    }
    for (label, vote) in votes.iter_mut().enumerate() {
        let share =
            train.iter().filter(|&&i| labels[i] == label).count() as f64 / train.len() as f64;
        match voting.balance {
            Balance::Prior if share > 0.0 => *vote /= share,
            Balance::SqrtPrior if share > 0.0 => *vote /= share.sqrt(),
            _ => {}
        }
    }
    let total: f64 = votes.iter().sum();
    (all, votes.iter().map(|vote| vote / total).collect())
}

/// Votes with the share of each label.
fn classify(knn: &Knn, queries: &[Query<'_>], k: usize) -> Vec<(Vote, Vec<f64>)> {
    knn.predict(queries.par_iter().cloned(), k, |vote, shares| (vote, shares.to_vec()))
}

fn matrix(points: &[Vec<f64>]) -> PointMatrix {
    PointMatrix::from_rows(points.iter().map(Vec::as_slice))
}

fn fit(voting: Voting, k: usize, points: &[Vec<f64>], labels: &[usize], train: &[usize]) -> Knn {
    let points = PointMatrix::from_rows(train.iter().map(|&i| points[i].as_slice()));
    let labels: Vec<usize> = train.iter().map(|&i| labels[i]).collect();
    Knn::fit(voting, k, &points, &labels, 3).unwrap()
}

/// The same without smartcore.
fn exact(voting: Voting, points: &[Vec<f64>], labels: &[usize], train: &[usize]) -> Knn {
    let points = PointMatrix::from_rows(train.iter().map(|&i| points[i].as_slice()));
    let labels: Vec<usize> = train.iter().map(|&i| labels[i]).collect();
    Knn::exact(voting, &points, &labels, 3).unwrap()
}

/// Points on a coarse grid, with many ties and equal customers, or anywhere.
fn points() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let grid =
        prop::collection::vec(prop::collection::vec((0..4i32).prop_map(f64::from), 3), 12..80);
    let anywhere = prop::collection::vec(prop::collection::vec(-3.0..9.0f64, 3), 12..80);
    // More dimensions than a kd-tree is made for.
    let wide = (4..15usize).prop_flat_map(|n| {
        prop::collection::vec(prop::collection::vec((0..5i32).prop_map(f64::from), n), 12..80)
    });
    let line = prop::collection::vec((0..3i32).prop_map(|x| vec![f64::from(x), 1.0, 1.0]), 12..60);
    let equal = prop::collection::vec(Just(vec![2.0, 2.0, 2.0]), 12..30);
    prop_oneof![grid, anywhere, wide, line, equal]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn neighbours_and_votes_equal_brute_force(
        points in points(),
        k in 1..8usize,
        uniform: bool,
        metric in prop_oneof![
            Just(Metric::Euclidean),
            Just(Metric::Manhattan),
            Just(Metric::Minkowski(3.0)),
            Just(Metric::Cosine),
        ],
        balance in prop_oneof![Just(Balance::None), Just(Balance::Prior), Just(Balance::SqrtPrior)],
        every in 9..12usize,
    ) {
        let labels: Vec<usize> = (0..points.len()).map(|i| (i * i + i / 3) % 3).collect();
        let weights = if uniform { Weights::Uniform } else { Weights::Distance };
        let voting = Voting { weights, metric, balance };
        // Every n-th customer is a query only, the others are training customers.
        let train: Vec<usize> = (0..points.len()).filter(|i| i % every != 0).collect();
        let by_smartcore = fit(voting, k, &points, &labels, &train);
        let by_index = exact(voting, &points, &labels, &train);
        let training_index =
            |query: usize| train.binary_search(&query).map_or(0..0, |row| row..row + 1);
        let queries: Vec<(&[f64], Range<usize>)> =
            (0..points.len()).map(|i| (points[i].as_slice(), training_index(i))).collect();
        let classified = [&by_smartcore, &by_index]
            .into_iter()
            .flat_map(|knn| classify(knn, &queries, k).into_iter().enumerate().map(move |made| (knn, made)));
        for (knn, (query, (vote, found_shares))) in classified {
            let (neighbours, shares) = brute_force(voting, k, (&points, &labels), &train, query);
            let found = knn.neighbours(&points[query], training_index(query), k);
            let found: Vec<(f64, usize)> =
                found.into_iter().map(|(distance, index)| (distance, train[index])).collect();
            prop_assert_eq!(&found, &neighbours);
            prop_assert!(neighbours.iter().all(|(_, i)| *i != query));
            let mut sorted = shares.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            for (found, expected) in found_shares.iter().zip(&shares) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
            prop_assert!((shares[vote.label] - sorted[0]).abs() < 1e-12);
            prop_assert!((vote.margin - (sorted[0] - sorted[1])).abs() < 1e-12);
            prop_assert_eq!(vote.novelty, neighbours.last().unwrap().0);
        }
    }
}

/// Without ties and for customers outside the training set, votes equal those of smartcore.
#[test]
fn votes_equal_smartcore() {
    let point = |i: usize| -> Vec<f64> {
        [3, 7, 11].map(|p| ((i * p * 7919) % 1009) as f64 / 97.0 + (i as f64) * 1e-7).to_vec()
    };
    let n = 900;
    let held_out = 200;
    let all: Vec<Vec<f64>> = (0..n + held_out).map(point).collect();
    let labels: Vec<usize> = all.iter().map(|p| (p[0] + p[1] * p[2]) as usize % 3).collect();
    let train: Vec<usize> = (0..n).collect();
    let rows =
        |range: std::ops::Range<usize>| DenseMatrix::from_2d_vec(&all[range].to_vec()).unwrap();
    let y: Vec<i32> = labels[..n].iter().map(|label| *label as i32).collect();
    for (weights, theirs) in [
        (Weights::Uniform, KNNWeightFunction::Uniform),
        (Weights::Distance, KNNWeightFunction::Distance),
    ] {
        let parameters = KNNClassifierParameters::default().with_k(9).with_weight(theirs);
        let classifier = KNNClassifier::fit(&rows(0..n), &y, parameters).unwrap();
        let shares = classifier.predict_proba(&rows(n..n + held_out)).unwrap();
        let knn = exact(voting(weights, Metric::Euclidean), &all, &labels, &train);
        let queries: Vec<Query<'_>> =
            all[n..].iter().map(|point| (point.as_slice(), 0..0)).collect();
        let votes = classify(&knn, &queries, 9);
        let mut compared = 0;
        for ((vote, ours), theirs) in votes.iter().zip(&shares) {
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-12);
            }
            compared += usize::from(vote.margin > 1e-9);
        }
        assert!(compared > held_out / 2, "{compared}");
        let predicted = classifier.predict(&rows(n..n + held_out)).unwrap();
        for ((vote, _), theirs) in
            votes.iter().zip(predicted).filter(|((vote, _), _)| vote.margin > 1e-9)
        {
            assert_eq!(vote.label as i32, theirs);
        }
    }
}

/// High powers of large and small differences do not overflow or underflow.
#[test]
fn minkowski_with_a_high_power_stays_finite() {
    let points: Vec<Vec<f64>> =
        (0..30).map(|i| vec![1e4 * f64::from(i), 1e-4 * f64::from(i % 7)]).collect();
    let labels: Vec<usize> = (0..30).map(|i| i % 3).collect();
    let voting = voting(Weights::Distance, Metric::Minkowski(100.0));
    let knn = Knn::fit(voting, 5, &matrix(&points), &labels, 3).unwrap();
    let (vote, shares) = classify(&knn, &[(&points[4], 4..5)], 5).remove(0);
    assert!(
        (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && (vote.novelty - 3e4).abs() < 1e-6,
        "{vote:?}"
    );
}

/// Distances that differ by rounding errors only are ties.
#[test]
fn distances_that_differ_by_rounding_tie() {
    // 0.1 + 0.2 is slightly more than 0.3; the tie goes to the first customer.
    let points = [vec![0.1 + 0.2], vec![0.3], vec![5.0]];
    let voting = voting(Weights::Uniform, Metric::Euclidean);
    let knn = Knn::fit(voting, 1, &matrix(&points), &[0, 1, 2], 3).unwrap();
    assert_eq!(knn.neighbours(&[0.0], 0..0, 1)[0].1, 0);
    assert_eq!((rounded(0.0), rounded(1.0), rounded(0.1 + 0.2)), (0.0, 1.0, rounded(0.3)));
    assert!(rounded(1.0 + 1e-11) > rounded(1.0));
}

#[test]
fn tied_vote_goes_to_the_nearest_neighbour() {
    // Label 1 at distances 1 and 4, label 0 at 2 and 3; then all at the same distance.
    let label = |xs: [f64; 4], labels: [usize; 4]| {
        let points: Vec<Vec<f64>> = xs.map(|x| vec![x]).to_vec();
        let voting = voting(Weights::Uniform, Metric::Euclidean);
        let knn = fit(voting, 4, &points, &labels, &[0, 1, 2, 3]);
        classify(&knn, &[(&[0.0], 0..0)], 4)[0].0.label
    };
    assert_eq!(label([1.0, 2.0, 3.0, 4.0], [1, 0, 0, 1]), 1);
    // At equal distances the first customer_id counts as the nearest.
    assert_eq!(label([1.0, 1.0, -1.0, -1.0], [1, 0, 0, 1]), 1);
    assert_eq!(label([1.0, 1.0, -1.0, -1.0], [0, 1, 1, 0]), 0);
}

#[test]
fn split_is_stratified_seeded_and_independent_of_order() {
    let ids: StringArena = (0..1000).map(|i| format!("customer {i}")).collect();
    let labels: Vec<usize> =
        (0..1000).map(|i| usize::from(i % 10 == 0) + usize::from(i == 5) * 2).collect();
    let partition = split::stratified(&ids, &labels, 0.2, 7);
    let held_out = |label: usize| partition.holdout.iter().filter(|&&i| labels[i] == label).count();
    // 899, 100 and 1 customers have the labels 0, 1 and 2. The single one stays in training.
    assert_eq!((held_out(0), held_out(1), held_out(2)), (180, 20, 0));
    assert_eq!(partition.train.len() + partition.holdout.len(), 1000);
    assert_eq!(split::majority(&labels), 0);
    let reversed: StringArena = (0..1000).rev().map(|i| ids.value(i)).collect();
    let reversed_labels: Vec<usize> = labels.iter().rev().copied().collect();
    let other = split::stratified(&reversed, &reversed_labels, 0.2, 7);
    let mut names: Vec<&str> = partition.holdout.iter().map(|&i| ids.value(i)).collect();
    let mut other_names: Vec<&str> = other.holdout.iter().map(|&i| reversed.value(i)).collect();
    names.sort();
    other_names.sort();
    assert_eq!(names, other_names);
    assert_ne!(partition, split::stratified(&ids, &labels, 0.2, 8));
    // Folds have equal sizes and label distributions.
    let folds = split::folds(&ids, &labels, 5, 7);
    for fold in 0..5 {
        let count =
            |label: usize| (0..1000).filter(|&i| folds[i] == fold && labels[i] == label).count();
        assert_eq!(count(1), 20);
        assert!((179..=180).contains(&count(0)));
    }
}

/// smartcore predicts new customers, and finds the neighbours of those that trained. Ties, and
/// large training sets, are left to the exact index.
#[test]
fn smartcore_answers_unless_the_kth_neighbour_is_tied() {
    let points: Vec<Vec<f64>> = [0.0, 1.0, 3.0, 7.0, 7.0].map(|x| vec![x]).to_vec();
    let voting = voting(Weights::Uniform, Metric::Euclidean);
    let knn = Knn::fit(voting, 2, &matrix(&points), &[0, 1, 0, 1, 0], 2).unwrap();
    let source = |point: f64, own: Range<usize>| classify(&knn, &[(&[point], own)], 2)[0].0.source;
    assert_eq!(source(0.2, 0..0), Source::Classifier);
    assert_eq!(source(0.0, 0..1), Source::NeighbourSearch);
    // The second neighbour of 4 is at distance 3, as are three customers.
    assert_eq!(source(4.0, 0..0), Source::Index);
    let many: Vec<Vec<f64>> = (0..=SMARTCORE_LIMIT).map(|i| vec![i as f64]).collect();
    let labels: Vec<usize> = (0..many.len()).map(|i| i % 3).collect();
    let source = |trained: usize, predicted: usize| {
        let knn = Knn::fit(voting, 2, &matrix(&many[..trained]), &labels[..trained], 3).unwrap();
        classify(&knn, &vec![(&[0.2][..], 0..0); predicted], 2)[0].0.source
    };
    assert_eq!(source(SMARTCORE_LIMIT + 1, 1), Source::Index);
    assert_eq!(source(SMARTCORE_LIMIT, 1), Source::Classifier);
    assert_eq!(source(10, SMARTCORE_LIMIT), Source::Classifier);
    assert_eq!(source(10, SMARTCORE_LIMIT + 1), Source::Index);
}

/// All rows of a customer are excluded from its neighbours.
#[test]
fn no_row_of_a_customer_votes_for_it() {
    let points: Vec<Vec<f64>> = [0.0, 0.1, 0.2, 5.0, 6.0].map(|x| vec![x]).to_vec();
    let ids: StringArena = ["a", "a", "a", "b", "c"].into_iter().collect();
    let own = ids.rows_of("a");
    assert_eq!((own.len(), ids.rows_of("b").len(), ids.rows_of("x").len()), (3, 1, 0));
    for knn in [
        Knn::fit(voting(Weights::Uniform, Metric::Euclidean), 1, &matrix(&points), &[0; 5], 1),
        Knn::exact(voting(Weights::Uniform, Metric::Euclidean), &matrix(&points), &[0; 5], 1),
    ] {
        let knn = knn.unwrap();
        assert_eq!(knn.explain(&[0.1], own.clone(), 1).2, [(4.9, 3)]);
    }
}
