"""Holds published runs against scikit-learn: neighbours, figures, cohesion, K-Means.

Usage: compare.py RUN [RUN …], each the `current` folder of a run of a shipped pipeline. Exits with 1 where anything differs.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.cluster import KMeans
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    f1_score,
    precision_recall_fscore_support,
    silhouette_samples,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

RFM = ["recency_days", "frequency", "monetary"]
faults = 0


def hold(what: str, holds: bool, words: str = "") -> None:
    global faults
    faults += not holds
    print(f"  {'ok    ' if holds else 'DIFFERS'} {what} {words}")


def close(what: str, ours, theirs, tolerance: float) -> None:
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    worst = float(np.max(np.abs(ours - theirs))) if ours.size else float("nan")
    hold(what, ours.size > 0 and worst <= tolerance, f"({ours.size} values, at most {worst:.2e} apart)")


def newest(run: Path) -> pl.DataFrame:
    folder = sorted((run / "segments").iterdir())[-1]
    return pl.read_parquet(folder / "part-0.parquet")


def space(segments: pl.DataFrame, log: bool) -> np.ndarray:
    values = segments.select(pl.col(RFM).cast(pl.Float64)).to_numpy()
    return StandardScaler().fit_transform(np.log1p(values) if log else values)


def neighbours(segments: pl.DataFrame, k: int) -> None:
    """The model `assign`: k neighbours without the customer itself, weighed by 1/distance."""
    points, truth = space(segments, log=True), segments["segment"].to_numpy()
    model = KNeighborsClassifier(n_neighbors=k, algorithm="kd_tree").fit(points, truth)
    # One more than k for the customer itself, one more to see a tie at the k-th distance.
    distances, found = model.kneighbors(points, n_neighbors=k + 2)
    labels, confidences = segments["assign_label"].to_numpy(), segments["assign_confidence"].to_numpy()
    compared = same = 0
    shares_apart = []
    names = sorted(set(truth))
    for row in range(len(points)):
        others = found[row] != row
        away, near = distances[row][others], found[row][others]
        if abs(away[k - 1] - away[k]) <= 1e-12 * (1 + away[k]):
            continue
        away, near = away[:k], near[:k]
        exact = away == 0
        weights = exact.astype(float) if exact.any() else 1 / away
        votes = np.array([weights[truth[near] == name].sum() for name in names])
        votes /= votes.sum()
        order = np.sort(votes)
        if order[-1] - order[-2] <= 1e-12:
            continue
        compared += 1
        same += names[int(votes.argmax())] == labels[row]
        shares_apart.append(abs(votes.max() - confidences[row]))
    hold("neighbours' answers", compared > len(points) / 2 and same == compared, f"({same} of {compared} untied)")
    close("shares of the vote", shares_apart, np.zeros(len(shares_apart)), 1e-12)


def figures(run: Path) -> None:
    """Every figure of every model, from its confusion matrix."""
    metrics, confusion = pl.read_parquet(run / "metrics.parquet"), pl.read_parquet(run / "confusion.parquet")
    for model, protocol in confusion.select("model", "protocol").unique().sort("model").iter_rows():
        cells = confusion.filter((pl.col("model") == model) & (pl.col("protocol") == protocol))
        repeats = cells["customers"].to_numpy()
        actual, predicted = (np.repeat(cells[name].to_numpy(), repeats) for name in ("actual", "predicted"))
        own = metrics.filter((pl.col("model") == model) & (pl.col("protocol") == protocol))

        def ours(metric: str, label: str | None = None) -> float:
            of_label = pl.col("label").is_null() if label is None else pl.col("label") == label
            return own.filter((pl.col("metric") == metric) & of_label)["value"].item()

        theirs = [
            ("accuracy", accuracy_score(actual, predicted)),
            ("balanced_accuracy", balanced_accuracy_score(actual, predicted)),
            ("macro_f1", f1_score(actual, predicted, average="macro", zero_division=0)),
            ("weighted_f1", f1_score(actual, predicted, average="weighted", zero_division=0)),
        ]
        close(f"{model}.{protocol}", [ours(name) for name, _ in theirs], [value for _, value in theirs], 1e-12)
        labels = sorted(set(actual) | set(predicted))
        each = precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
        found = [[ours(name, label) for label in labels] for name in ("precision", "recall", "f1", "support")]
        close(f"{model}.{protocol} by label", found, each, 1e-12)


def cohesion(run: Path, segments: pl.DataFrame) -> None:
    table = pl.read_parquet(run / "cohesion.parquet")
    table = table.filter(pl.col("snapshot") == pl.col("snapshot").max())
    for grouping in table["grouping"].unique(maintain_order=True):
        own = table.filter(pl.col("grouping") == grouping)
        of_segments = grouping == "segment"
        points = space(segments, log=of_segments)
        labels = segments["segment" if of_segments else f"{grouping}_label"].to_numpy()
        widths = silhouette_samples(points, labels)
        names = own["segment"].drop_nulls().to_list()
        means = [widths.mean()] + [widths[labels == name].mean() for name in names]
        close(f"silhouettes of {grouping}", own["silhouette"], means, 1e-9)
        whole = own.filter(pl.col("segment").is_null())
        close(f"Davies-Bouldin of {grouping}", whole["davies_bouldin"], [davies_bouldin_score(points, labels)], 1e-9)
        score = calinski_harabasz_score(points, labels)
        close(f"Calinski-Harabasz of {grouping}", whole["calinski_harabasz"] / score, [1.0], 1e-9)


def kmeans(run: Path, segments: pl.DataFrame) -> None:
    """The sweep is no worse than scikit-learn's ten starts, and where it is tight, within a hundredth of a per cent of the best."""
    sweep = pl.read_parquet(run / "k_sweep.parquet").filter((pl.col("model") == "groups") & (pl.col("metric") == "wcss"))
    points = space(segments, log=False)
    ratios = {}
    for k, ours in sweep.select("k", "value").iter_rows():
        ratios[k] = ours / KMeans(k, n_init=10, random_state=42).fit(points).inertia_
    hold("K-Means beside scikit-learn's", max(ratios.values()) <= 1.001, f"(k = 1..{max(ratios)}, ratios {min(ratios.values()):.4f} to {max(ratios.values()):.4f})")


for run in map(Path, sys.argv[1:]):
    segments = newest(run)
    print(f"{run}: {segments.height} customers")
    neighbours(segments, k=5)
    figures(run)
    cohesion(run, segments)
    if (run / "k_sweep.parquet").exists():
        kmeans(run, segments)
sys.exit(1 if faults or len(sys.argv) < 2 else 0)
