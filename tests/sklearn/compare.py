"""Compares published runs with scikit-learn: neighbours, metrics, cluster quality, K-Means.

Usage: compare.py RUN [RUN …], each the `current` folder of a run of a shipped pipeline. Exits with 1 if a
value differs.
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
failures = 0


def report(name: str, equal: bool, details: str = "") -> None:
    global failures
    failures += not equal
    print(f"  {'ok    ' if equal else 'DIFFERS'} {name} {details}")


def report_close(name: str, ours, theirs, tolerance: float) -> None:
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    worst = float(np.max(np.abs(ours - theirs))) if ours.size else float("nan")
    report(name, ours.size > 0 and worst <= tolerance, f"({ours.size} values, max difference {worst:.2e})")


def newest(run: Path) -> pl.DataFrame:
    folder = sorted((run / "segments").iterdir())[-1]
    return pl.read_parquet(folder / "part-0.parquet")


def space(segments: pl.DataFrame, log: bool) -> np.ndarray:
    values = segments.select(pl.col(RFM).cast(pl.Float64)).to_numpy()
    return StandardScaler().fit_transform(np.log1p(values) if log else values)


def neighbours(segments: pl.DataFrame, k: int) -> None:
    """The model `assign`: k neighbours without the customer itself, weighted by 1/distance."""
    points, truth = space(segments, log=True), segments["segment"].to_numpy()
    model = KNeighborsClassifier(n_neighbors=k, algorithm="kd_tree").fit(points, truth)
    # One more than k for the customer itself, and one more to detect a tie at the k-th distance.
    distances, found = model.kneighbors(points, n_neighbors=k + 2)
    labels, confidences = segments["assign_label"].to_numpy(), segments["assign_confidence"].to_numpy()
    compared = same = 0
    share_differences = []
    names = sorted(set(truth))
    for row in range(len(points)):
        others = found[row] != row
        nearest, near = distances[row][others], found[row][others]
        if abs(nearest[k - 1] - nearest[k]) <= 1e-12 * (1 + nearest[k]):
            continue
        nearest, near = nearest[:k], near[:k]
        exact = nearest == 0
        weights = exact.astype(float) if exact.any() else 1 / nearest
        votes = np.array([weights[truth[near] == name].sum() for name in names])
        votes /= votes.sum()
        order = np.sort(votes)
        if order[-1] - order[-2] <= 1e-12:
            continue
        compared += 1
        same += names[int(votes.argmax())] == labels[row]
        share_differences.append(abs(votes.max() - confidences[row]))
    report("labels of the neighbours", compared > len(points) / 2 and same == compared, f"({same} of {compared} untied)")
    report_close("vote shares", share_differences, np.zeros(len(share_differences)), 1e-12)


def model_metrics(run: Path) -> None:
    """Every metric of every model, from its confusion matrix."""
    metrics, confusion = pl.read_parquet(run / "metrics.parquet"), pl.read_parquet(run / "confusion.parquet")
    for model, protocol in confusion.select("model", "protocol").unique().sort("model").iter_rows():
        cells = confusion.filter((pl.col("model") == model) & (pl.col("protocol") == protocol))
        counts = cells["customers"].to_numpy()
        actual, predicted = (np.repeat(cells[name].to_numpy(), counts) for name in ("actual", "predicted"))
        of_model = metrics.filter((pl.col("model") == model) & (pl.col("protocol") == protocol))

        def ours(metric: str, label: str | None = None) -> float:
            of_label = pl.col("label").is_null() if label is None else pl.col("label") == label
            return of_model.filter((pl.col("metric") == metric) & of_label)["value"].item()

        theirs = [
            ("accuracy", accuracy_score(actual, predicted)),
            ("balanced_accuracy", balanced_accuracy_score(actual, predicted)),
            ("macro_f1", f1_score(actual, predicted, average="macro", zero_division=0)),
            ("weighted_f1", f1_score(actual, predicted, average="weighted", zero_division=0)),
        ]
        report_close(f"{model}.{protocol}", [ours(name) for name, _ in theirs], [value for _, value in theirs], 1e-12)
        labels = sorted(set(actual) | set(predicted))
        by_label = precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
        found = [[ours(name, label) for label in labels] for name in ("precision", "recall", "f1", "support")]
        report_close(f"{model}.{protocol} by label", found, by_label, 1e-12)


def cluster_quality(run: Path, segments: pl.DataFrame) -> None:
    table = pl.read_parquet(run / "cluster_quality.parquet")
    table = table.filter(pl.col("snapshot") == pl.col("snapshot").max())
    for grouping in table["grouping"].unique(maintain_order=True):
        rows = table.filter(pl.col("grouping") == grouping)
        of_segments = grouping == "segment"
        points = space(segments, log=of_segments)
        labels = segments["segment" if of_segments else f"{grouping}_label"].to_numpy()
        widths = silhouette_samples(points, labels)
        names = rows["segment"].drop_nulls().to_list()
        means = [widths.mean()] + [widths[labels == name].mean() for name in names]
        report_close(f"silhouettes of {grouping}", rows["silhouette"], means, 1e-9)
        whole = rows.filter(pl.col("segment").is_null())
        report_close(f"Davies-Bouldin of {grouping}", whole["davies_bouldin"], [davies_bouldin_score(points, labels)], 1e-9)
        score = calinski_harabasz_score(points, labels)
        report_close(f"Calinski-Harabasz of {grouping}", whole["calinski_harabasz"] / score, [1.0], 1e-9)


def kmeans(run: Path, segments: pl.DataFrame) -> None:
    """The sum of squares is at most 0.1 % above that of scikit-learn with ten starts, for every k."""
    sweep = pl.read_parquet(run / "k_sweep.parquet").filter((pl.col("model") == "groups") & (pl.col("metric") == "wcss"))
    points = space(segments, log=False)
    ratios = {}
    for k, ours in sweep.select("k", "value").iter_rows():
        ratios[k] = ours / KMeans(k, n_init=10, random_state=42).fit(points).inertia_
    low, high = min(ratios.values()), max(ratios.values())
    report("K-Means sum of squares", high <= 1.001, f"(k = 1..{max(ratios)}, ratios {low:.4f} to {high:.4f})")


for run in map(Path, sys.argv[1:]):
    segments = newest(run)
    print(f"{run}: {segments.height} customers")
    neighbours(segments, k=5)
    model_metrics(run)
    cluster_quality(run, segments)
    if (run / "k_sweep.parquet").exists():
        kmeans(run, segments)
sys.exit(1 if failures or len(sys.argv) < 2 else 0)
