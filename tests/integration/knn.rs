//! The KNN against a brute force, ties included, and against smartcore's own classifier.

use custseg::model::knn::{Knn, Query, rounded};
use custseg::model::points::Points;
use custseg::model::{Balance, Metric, Texts, Vote, Voting, Weights, split};
use proptest::prelude::*;
use rayon::prelude::*;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::neighbors::KNNWeightFunction;
use smartcore::neighbors::knn_classifier::{KNNClassifier, KNNClassifierParameters};

fn voting(weights: Weights, metric: Metric) -> Voting {
    Voting { weights, metric, balance: Balance::None }
}

/// The definition of a distance.
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
            let length = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
            let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            let apart = 1.0 - dot / (length(a) * length(b));
            if length(a) * length(b) == 0.0 {
                1.0
            } else if apart < 1e-15 {
                0.0
            } else {
                apart
            }
        }
    }
}

/// The definition, at length: all distances, sorted by (distance, customer), the customer itself left out.
fn brute_force(
    voting: Voting,
    k: usize,
    points: &[Vec<f64>],
    labels: &[usize],
    train: &[usize],
    query: usize,
) -> (Vec<(f64, usize)>, Vec<f64>) {
    let away = |i: usize| distance(voting.metric, &points[i], &points[query]);
    let mut all: Vec<(f64, usize)> =
        train.iter().filter(|&&i| i != query).map(|&i| (away(i), i)).collect();
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

/// Votes with each label's share.
fn ask(knn: &Knn, queries: &[Query<'_>], k: usize) -> Vec<(Vote, Vec<f64>)> {
    knn.ask(queries.par_iter().copied(), k, |vote, shares| (vote, shares.to_vec()))
}

fn of(points: &[Vec<f64>]) -> Points {
    Points::of(points.iter().map(Vec::as_slice))
}

fn fit(voting: Voting, points: &[Vec<f64>], labels: &[usize], train: &[usize]) -> Knn {
    let points = Points::of(train.iter().map(|&i| points[i].as_slice()));
    let labels: Vec<usize> = train.iter().map(|&i| labels[i]).collect();
    Knn::fit(voting, &points, &labels, 3).unwrap()
}

/// Points on a coarse grid, where ties and equal customers abound, or anywhere.
fn points() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let grid =
        prop::collection::vec(prop::collection::vec((0..4i32).prop_map(f64::from), 3), 12..80);
    let anywhere = prop::collection::vec(prop::collection::vec(-3.0..9.0f64, 3), 12..80);
    // More axes than a kd-tree is made for, too.
    let wide = (4..15usize).prop_flat_map(|n| {
        prop::collection::vec(prop::collection::vec((0..5i32).prop_map(f64::from), n), 12..80)
    });
    let line = prop::collection::vec((0..3i32).prop_map(|x| vec![f64::from(x), 1.0, 1.0]), 12..60);
    let heap = prop::collection::vec(Just(vec![2.0, 2.0, 2.0]), 12..30);
    prop_oneof![grid, anywhere, wide, line, heap]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn neighbours_and_votes_equal_brute_force(
        points in points(),
        k in 1..8usize,
        uniform: bool,
        metric in prop_oneof![Just(Metric::Euclidean), Just(Metric::Manhattan), Just(Metric::Minkowski(3.0)), Just(Metric::Cosine)],
        balance in prop_oneof![Just(Balance::None), Just(Balance::Prior), Just(Balance::SqrtPrior)],
        trained in 9..12usize,
    ) {
        let labels: Vec<usize> = (0..points.len()).map(|i| (i * i + i / 3) % 3).collect();
        let voting = Voting { weights: if uniform { Weights::Uniform } else { Weights::Distance }, metric, balance };
        // Some customers train, some are only asked about.
        let train: Vec<usize> = (0..points.len()).filter(|i| i % trained != 0).collect();
        let knn = fit(voting, &points, &labels, &train);
        let own = |query: usize| train.binary_search(&query).ok();
        let asked: Vec<(&[f64], Option<usize>)> = (0..points.len()).map(|i| (points[i].as_slice(), own(i))).collect();
        for (query, (vote, told)) in ask(&knn, &asked, k).into_iter().enumerate() {
            let (neighbours, shares) = brute_force(voting, k, &points, &labels, &train, query);
            let found = knn.neighbours(&points[query], own(query), k);
            let found: Vec<(f64, usize)> = found.into_iter().map(|(distance, place)| (distance, train[place])).collect();
            prop_assert_eq!(&found, &neighbours);
            prop_assert!(neighbours.iter().all(|(_, i)| *i != query));
            let mut sorted = shares.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            for (found, expected) in told.iter().zip(&shares) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
            prop_assert!((shares[vote.label] - sorted[0]).abs() < 1e-12);
            prop_assert!((vote.margin - (sorted[0] - sorted[1])).abs() < 1e-12);
            prop_assert_eq!(vote.novelty, neighbours.last().unwrap().0);
        }
    }
}

/// Where nothing is tied and nobody asks about a training customer, the answers are smartcore's.
#[test]
fn answers_equal_smartcores_classifier() {
    let point = |i: usize| -> Vec<f64> {
        [3, 7, 11].map(|p| ((i * p * 7919) % 1009) as f64 / 97.0 + (i as f64) * 1e-7).to_vec()
    };
    let (n, held) = (900, 200);
    let all: Vec<Vec<f64>> = (0..n + held).map(point).collect();
    let labels: Vec<usize> = all.iter().map(|p| (p[0] + p[1] * p[2]) as usize % 3).collect();
    let train: Vec<usize> = (0..n).collect();
    let rows = |of: std::ops::Range<usize>| DenseMatrix::from_2d_vec(&all[of].to_vec()).unwrap();
    let y: Vec<i32> = labels[..n].iter().map(|label| *label as i32).collect();
    for (weights, theirs) in [
        (Weights::Uniform, KNNWeightFunction::Uniform),
        (Weights::Distance, KNNWeightFunction::Distance),
    ] {
        let parameters = KNNClassifierParameters::default().with_k(9).with_weight(theirs);
        let classifier = KNNClassifier::fit(&rows(0..n), &y, parameters).unwrap();
        let shares = classifier.predict_proba(&rows(n..n + held)).unwrap();
        let knn = fit(voting(weights, Metric::Euclidean), &all, &labels, &train);
        let votes = ask(
            &knn,
            &all[n..].iter().map(|point| (point.as_slice(), None)).collect::<Vec<_>>(),
            9,
        );
        let mut compared = 0;
        for ((vote, ours), theirs) in votes.iter().zip(&shares) {
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-12);
            }
            compared += usize::from(vote.margin > 1e-9);
        }
        assert!(compared > held / 2, "{compared}");
        let predicted = classifier.predict(&rows(n..n + held)).unwrap();
        for ((vote, _), theirs) in
            votes.iter().zip(predicted).filter(|((vote, _), _)| vote.margin > 1e-9)
        {
            assert_eq!(vote.label as i32, theirs);
        }
    }
}

/// High powers of large and small differences stay within floats.
#[test]
fn high_powers_stay_finite() {
    let points: Vec<Vec<f64>> =
        (0..30).map(|i| vec![1e4 * f64::from(i), 1e-4 * f64::from(i % 7)]).collect();
    let labels: Vec<usize> = (0..30).map(|i| i % 3).collect();
    let knn =
        Knn::fit(voting(Weights::Distance, Metric::Minkowski(100.0)), &of(&points), &labels, 3)
            .unwrap();
    let (vote, shares) = ask(&knn, &[(&points[4], Some(4))], 5).remove(0);
    assert!(
        (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && (vote.novelty - 3e4).abs() < 1e-6,
        "{vote:?}"
    );
}

/// Distances that are the same on paper are ties, whatever their last bit.
#[test]
fn the_last_bit_of_a_distance_prefers_nobody() {
    // 0.1 + 0.2 is a hair more than 0.3; from 0 the second customer is as near as the first.
    let points = [vec![0.1 + 0.2], vec![0.3], vec![5.0]];
    let knn =
        Knn::fit(voting(Weights::Uniform, Metric::Euclidean), &of(&points), &[0, 1, 2], 3).unwrap();
    assert_eq!(knn.neighbours(&[0.0], None, 1)[0].1, 0);
    assert_eq!((rounded(0.0), rounded(1.0), rounded(0.1 + 0.2)), (0.0, 1.0, rounded(0.3)));
    assert!(rounded(1.0 + 1e-11) > rounded(1.0));
}

#[test]
fn a_tied_vote_goes_to_the_nearest_then_to_the_lowest_label() {
    // Two voters a label: of label 1 at distance 1 and 4, of label 0 at 2 and 3; then all at the same distance.
    let at = |xs: [f64; 4], labels: [usize; 4]| {
        let points: Vec<Vec<f64>> = xs.map(|x| vec![x]).to_vec();
        let knn = fit(voting(Weights::Uniform, Metric::Euclidean), &points, &labels, &[0, 1, 2, 3]);
        ask(&knn, &[(&[0.0], None)], 4)[0].0.label
    };
    assert_eq!(at([1.0, 2.0, 3.0, 4.0], [1, 0, 0, 1]), 1);
    // At one distance the nearest is the first by customer_id.
    assert_eq!(at([1.0, 1.0, -1.0, -1.0], [1, 0, 0, 1]), 1);
    assert_eq!(at([1.0, 1.0, -1.0, -1.0], [0, 1, 1, 0]), 0);
}

#[test]
fn the_split_is_stratified_seeded_and_blind_to_order() {
    let ids: Texts = (0..1000).map(|i| format!("customer {i}")).collect();
    let labels: Vec<usize> =
        (0..1000).map(|i| usize::from(i % 10 == 0) + usize::from(i == 5) * 2).collect();
    let found = split::stratified(&ids, &labels, 0.2, 7);
    let held = |label: usize| found.holdout.iter().filter(|&&i| labels[i] == label).count();
    // 899, 100 and 1 customers have the labels 0, 1 and 2; the one alone stays to train.
    assert_eq!((held(0), held(1), held(2)), (180, 20, 0));
    assert_eq!(found.train.len() + found.holdout.len(), 1000);
    assert_eq!(split::majority(&labels), 0);
    let reversed: Texts = (0..1000).rev().map(|i| ids.at(i)).collect();
    let reversed_labels: Vec<usize> = labels.iter().rev().copied().collect();
    let other = split::stratified(&reversed, &reversed_labels, 0.2, 7);
    let mut names: Vec<&str> = found.holdout.iter().map(|&i| ids.at(i)).collect();
    let mut other_names: Vec<&str> = other.holdout.iter().map(|&i| reversed.at(i)).collect();
    names.sort();
    other_names.sort();
    assert_eq!(names, other_names);
    assert_ne!(found, split::stratified(&ids, &labels, 0.2, 8));
    // Folds are of one size, and hold each label alike.
    let folds = split::folds(&ids, &labels, 5, 7);
    for fold in 0..5 {
        let of =
            |label: usize| (0..1000).filter(|&i| folds[i] == fold && labels[i] == label).count();
        assert_eq!(of(1), 20);
        assert!((179..=180).contains(&of(0)));
    }
}
