"""Fits the forecasts of a run again with scikit-learn, from the published snapshots, and compares.

Usage: forecast.py RUN [RUN …], each the `current` folder of a run of a shipped pipeline with the models
`forecast` and `buys` and with every snapshot that they need. Exits with 1 if a value differs.
"""

import datetime
import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)
from sklearn.neighbors import NearestNeighbors

RFM = ["recency_days", "frequency", "monetary"]
DAYS = 90
WEIGHTS = [1, 2, 0.5]
K = 151
FREQUENT = 30
failures = 0


def report(name: str, ok: bool, details: str) -> None:
    global failures
    failures += not ok
    print(f"  {'ok    ' if ok else 'DIFFERS'} {name} {details}")


def report_close(name: str, ours: float, theirs: float, tolerance: float) -> None:
    report(name, abs(ours - theirs) <= tolerance, f"ours {ours:.4f}, scikit-learn {theirs:.4f}")


class Run:
    def __init__(self, folder: Path):
        self.folder = folder
        paths = (folder / "segments").glob("snapshot=*")
        days = (path.name.removeprefix("snapshot=") for path in paths)
        self.snapshots = {datetime.date.fromisoformat(day): folder / "segments" / f"snapshot={day}" for day in days}
        self.newest = max(self.snapshots)
        metrics = pl.read_parquet(folder / "metrics.parquet")
        self.metrics = metrics.filter((pl.col("snapshot") == self.newest) & pl.col("label").is_null())

    def value(self, model: str, metric: str) -> float:
        return self.metrics.filter((pl.col("model") == model) & (pl.col("metric") == metric))["value"].item()

    def snapshot(self, day: datetime.date) -> pl.DataFrame:
        return pl.read_parquet(self.snapshots[day])

    def pair(self, day: datetime.date, target: str):
        """Percentiles of R, F and M at a day, the labels 90 days later, those if nothing changes, and the ids."""
        then, later = self.snapshot(day), self.snapshot(day + datetime.timedelta(DAYS))
        ranks = [rankdata(then[name].to_numpy()) / len(then) for name in RFM]
        features, ids = np.column_stack(ranks) * WEIGHTS, then["customer_id"].to_numpy()
        if target == "forecast":
            labels = then.select("customer_id").join(later.select("customer_id", "segment"), on="customer_id", how="left")
            return features, labels["segment"].fill_null("inactive").to_numpy(), then["segment"].to_numpy(), ids
        # A customer bought in between if their last purchase is at most 90 days before the later snapshot.
        recency = then.select("customer_id").join(later.select("customer_id", "recency_days"), on="customer_id", how="left")
        bought = np.where(recency["recency_days"].to_numpy() <= DAYS, "yes", "no")
        return features, bought, np.where(then["recency_days"].to_numpy() <= DAYS, "yes", "no"), ids

    def data(self, target: str):
        train = self.pair(self.newest - datetime.timedelta(2 * DAYS), target)
        return train, self.pair(self.newest - datetime.timedelta(DAYS), target)


def markov(train, test) -> np.ndarray:
    _, later, today, _ = train
    table = pl.DataFrame({"today": today, "later": later}).group_by("today", "later").len()
    table = table.sort("len", "later", descending=[True, False]).unique("today", keep="first")
    most = dict(table.select("today", "later").iter_rows())
    return np.array([most.get(label, label) for label in test[2]])


def frequent(actual, predicted) -> tuple[float, float]:
    """Balanced accuracy and macro F1 over the labels of at least 30 customers."""
    labels = [label for label in sorted(set(actual)) if (actual == label).sum() >= FREQUENT]
    recalls = [(predicted[actual == label] == label).mean() for label in labels]
    return float(np.mean(recalls)), f1_score(actual, predicted, labels=labels, average="macro", zero_division=0)


def shares(train, test) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and each label's share of the votes, without the customer's own row of the training set."""
    (features, labels, _, ids), (test_features, _, _, test_ids) = train, test
    model = NearestNeighbors(n_neighbors=K + 1, algorithm="kd_tree").fit(features)
    distances, found = model.kneighbors(test_features)
    names, codes = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(test_features), len(names)))
    for row in range(len(test_features)):
        others = ids[found[row]] != test_ids[row]
        near, nearest = found[row][others][:K], distances[row][others][:K]
        exact = nearest == 0
        weights = exact.astype(float) if exact.any() else 1 / nearest
        np.add.at(votes[row], codes[near], weights)
    return names, votes / votes.sum(axis=1, keepdims=True)


def forecast(run: Run) -> None:
    train, test = run.data("forecast")
    (features, labels, *_), (test_features, actual, today, _) = train, test
    names, votes = shares(train, test)
    prior = np.array([(labels == name).mean() for name in names])
    predicted = names[(votes / np.sqrt(prior)).argmax(axis=1)]
    # Ties at the last neighbour are decided by customer id there, by position here.
    for name, theirs in [
        ("accuracy", accuracy_score(actual, predicted)),
        ("balanced_accuracy_frequent", frequent(actual, predicted)[0]),
        ("macro_f1_frequent", frequent(actual, predicted)[1]),
    ]:
        report_close(f"forecast.{name}", run.value("forecast", name), theirs, 0.005)
    for baseline, labels_of in [("persistence", today), ("markov", markov(train, test))]:
        ours = run.value(f"forecast:{baseline}", "accuracy")
        report_close(f"forecast:{baseline}.accuracy", ours, accuracy_score(actual, labels_of), 1e-12)
    forest = RandomForestClassifier(300, min_samples_leaf=5, random_state=7, n_jobs=2).fit(features, labels)
    theirs = accuracy_score(actual, forest.predict(test_features))
    ours = run.value("forecast", "accuracy")
    report("accuracy beside a random forest", ours >= theirs - 0.05, f"{ours:.3f}, forest {theirs:.3f}")


def buys(run: Run) -> None:
    train, test = run.data("buys")
    names, votes = shares(train, test)
    bought = test[1] == "yes"
    probability = votes[:, list(names).index("yes")]
    for name, theirs in [
        ("accuracy", accuracy_score(bought, probability > 0.5)),
        ("log_loss", log_loss(bought, np.column_stack([1 - probability, probability]))),
        # Ours is the sum over both labels.
        ("brier", 2 * brier_score_loss(bought, probability)),
        ("auc", roc_auc_score(bought, probability)),
        ("average_precision", average_precision_score(bought, probability)),
    ]:
        report_close(f"buys.{name}", run.value("buys", name), theirs, 0.005)


for run in map(Run, map(Path, sys.argv[1:])):
    print(f"{run.folder}: forecasts at {run.newest}")
    forecast(run)
    buys(run)
sys.exit(1 if failures or len(sys.argv) < 2 else 0)
