//! The KNN against a brute force, ties included, and against smartcore's own classifier.

use custseg::model::knn::Knn;
use custseg::model::scale::Standardiser;
use custseg::model::{ModelParams, Samples, Vote, Weights, split};
use proptest::prelude::*;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::neighbors::KNNWeightFunction;
use smartcore::neighbors::knn_classifier::{KNNClassifier, KNNClassifierParameters};

fn params(k: usize, weights: Weights) -> ModelParams {
    let features = ["recency_days", "frequency", "monetary"].map(str::to_owned).to_vec();
    ModelParams { name: "near".into(), features, k, weights, holdout: 0.2, seed: 7 }
}

fn samples(points: Vec<Vec<f64>>, labels: Vec<usize>) -> Samples {
    let ids = (0..points.len()).map(|i| format!("{i:05}")).collect();
    let names = (0..labels.iter().max().map_or(0, |max| max + 1)).map(|i| format!("label {i}")).collect();
    Samples { ids, points, labels, names }
}

/// Fits to some of the samples.
fn fit<'a>(params: &'a ModelParams, samples: &Samples, train: &[usize]) -> (Knn<'a>, Standardiser) {
    let train = samples.at(train);
    let scale = Standardiser::fit(train.points.iter().map(Vec::as_slice));
    (Knn::fit(params, &scale.all(&train.points), &train.labels, samples.names.len()).unwrap(), scale)
}

/// What a model that is fitted to some samples says of others.
fn strangers(params: &ModelParams, samples: &Samples, train: &[usize], queries: &[usize]) -> Vec<Vote> {
    let (knn, scale) = fit(params, samples, train);
    let points = scale.all(&samples.at(queries).points);
    knn.ask(&points.iter().map(|point| (point.as_slice(), None)).collect::<Vec<_>>())
}

/// The definition, at length: all distances, sorted by (distance, customer), the customer itself left out.
fn brute_force(
    params: &ModelParams,
    samples: &Samples,
    train: &[usize],
    query: usize,
) -> (Vec<(f64, usize)>, Vec<f64>) {
    let scale = Standardiser::fit(train.iter().map(|&i| samples.points[i].as_slice()));
    let at = scale.apply(&samples.points[query]);
    let distance = |i: usize| -> f64 {
        let there = scale.apply(&samples.points[i]);
        at.iter().zip(&there).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    };
    let mut all: Vec<(f64, usize)> = train.iter().filter(|&&i| i != query).map(|&i| (distance(i), i)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.truncate(params.k);
    let exact = all.iter().any(|(d, _)| *d == 0.0);
    let mut votes = vec![0.0; samples.names.len()];
    for (d, i) in &all {
        votes[samples.labels[*i]] += match params.weights {
            Weights::Uniform => 1.0,
            Weights::Distance if exact => {
                if *d == 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Weights::Distance => 1.0 / d,
        };
    }
    let total: f64 = votes.iter().sum();
    (all, votes.iter().map(|vote| vote / total).collect())
}

/// Points on a coarse grid, where ties and equal customers abound, or anywhere.
fn points() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let grid = prop::collection::vec(prop::collection::vec((0..4i32).prop_map(f64::from), 3), 12..80);
    let anywhere = prop::collection::vec(prop::collection::vec(-3.0..9.0f64, 3), 12..80);
    let line = prop::collection::vec((0..3i32).prop_map(|x| vec![f64::from(x), 1.0, 1.0]), 12..60);
    let heap = prop::collection::vec(Just(vec![2.0, 2.0, 2.0]), 12..30);
    prop_oneof![grid, anywhere, line, heap]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn neighbours_and_votes_equal_brute_force(points in points(), k in 1..8usize, uniform: bool, trained in 9..12usize) {
        let labels: Vec<usize> = (0..points.len()).map(|i| (i * i + i / 3) % 3).collect();
        let params = params(k, if uniform { Weights::Uniform } else { Weights::Distance });
        let samples = samples(points, labels);
        // Some customers train, some are only asked about.
        let train: Vec<usize> = (0..samples.ids.len()).filter(|i| i % trained != 0).collect();
        let (knn, scale) = fit(&params, &samples, &train);
        let everyone: Vec<usize> = (0..samples.ids.len()).collect();
        let points = scale.all(&samples.points);
        let own = |query: &usize| train.binary_search(query).ok();
        let asked: Vec<(&[f64], Option<usize>)> = everyone.iter().map(|i| (points[*i].as_slice(), own(i))).collect();
        let votes = knn.ask(&asked);
        for (query, vote) in everyone.iter().zip(votes) {
            let (neighbours, shares) = brute_force(&params, &samples, &train, *query);
            let found = knn.neighbours(&points[*query], own(query));
            let found: Vec<(f64, usize)> = found.into_iter().map(|(distance, place)| (distance, train[place])).collect();
            prop_assert_eq!(found, neighbours.clone());
            prop_assert!(neighbours.iter().all(|(_, i)| i != query));
            let mut sorted = shares.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(shares[vote.label], sorted[0]);
            prop_assert!((vote.confidence - sorted[0]).abs() < 1e-12);
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
    let labels: Vec<usize> = all.iter().map(|p| (p[0] + p[1] * p[2]) as usize % 4).collect();
    let samples = samples(all, labels);
    let train: Vec<usize> = (0..n).collect();
    let queries: Vec<usize> = (n..n + held).collect();
    let scale = Standardiser::fit(train.iter().map(|&i| samples.points[i].as_slice()));
    let rows = |of: &[usize]| -> DenseMatrix<f64> {
        let rows: Vec<Vec<f64>> = of.iter().map(|&i| scale.apply(&samples.points[i])).collect();
        DenseMatrix::from_2d_vec(&rows).unwrap()
    };
    let y: Vec<i32> = train.iter().map(|&i| samples.labels[i] as i32).collect();
    for (weights, theirs) in
        [(Weights::Uniform, KNNWeightFunction::Uniform), (Weights::Distance, KNNWeightFunction::Distance)]
    {
        let params = params(9, weights);
        let parameters = KNNClassifierParameters::default().with_k(9).with_weight(theirs);
        let classifier = KNNClassifier::fit(&rows(&train), &y, parameters).unwrap();
        let shares = classifier.predict_proba(&rows(&queries)).unwrap();
        let votes = strangers(&params, &samples, &train, &queries);
        let mut compared = 0;
        for (vote, share) in votes.iter().zip(&shares) {
            let best = share.iter().copied().fold(0.0, f64::max);
            assert!((vote.confidence - best).abs() < 1e-12);
            assert!((share[vote.label] - best).abs() < 1e-12);
            compared += usize::from(vote.margin > 1e-9);
        }
        assert!(compared > held / 2, "{compared}");
        let predicted = classifier.predict(&rows(&queries)).unwrap();
        for ((vote, theirs), _) in votes.iter().zip(predicted).zip(&queries).filter(|((vote, _), _)| vote.margin > 1e-9)
        {
            assert_eq!(vote.label as i32, theirs);
        }
    }
}

#[test]
fn a_tied_vote_goes_to_the_nearest_then_to_the_lowest_label() {
    // Two voters a label: of label 1 at distance 1 and 4, of label 0 at 2 and 3; then all at the same distance.
    let at = |xs: [f64; 5], labels: [usize; 5]| {
        let samples = samples(xs.map(|x| vec![x]).to_vec(), labels.to_vec());
        let params = params(4, Weights::Uniform);
        let train: Vec<usize> = (1..5).collect();
        strangers(&params, &samples, &train, &[0])[0].label
    };
    assert_eq!(at([0.0, 1.0, 2.0, 3.0, 4.0], [0, 1, 0, 0, 1]), 1);
    assert_eq!(at([0.0, 1.0, 1.0, -1.0, -1.0], [0, 1, 0, 0, 1]), 1);
}

#[test]
fn the_split_is_stratified_seeded_and_blind_to_order() {
    let ids: Vec<String> = (0..1000).map(|i| format!("customer {i}")).collect();
    let labels: Vec<usize> = (0..1000).map(|i| usize::from(i % 10 == 0) + usize::from(i == 5) * 2).collect();
    let split = split::stratified(&ids, &labels, 0.2, 7);
    let held = |label: usize| split.holdout.iter().filter(|&&i| labels[i] == label).count();
    // 899, 100 and 1 customers have the labels 0, 1 and 2; the one alone stays to train.
    assert_eq!((held(0), held(1), held(2)), (180, 20, 0));
    assert_eq!(split.train.len() + split.holdout.len(), 1000);
    assert_eq!(split.majority, 0);
    let reversed: Vec<String> = ids.iter().rev().cloned().collect();
    let reversed_labels: Vec<usize> = labels.iter().rev().copied().collect();
    let other = split::stratified(&reversed, &reversed_labels, 0.2, 7);
    let mut names: Vec<&String> = split.holdout.iter().map(|&i| &ids[i]).collect();
    let mut other_names: Vec<&String> = other.holdout.iter().map(|&i| &reversed[i]).collect();
    names.sort();
    other_names.sort();
    assert_eq!(names, other_names);
    assert_ne!(split, split::stratified(&ids, &labels, 0.2, 8));
}
