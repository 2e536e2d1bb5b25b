"""Compares custseg with DuckDB, Polars from Python, pandas and scikit-learn on the same simulated lines.

Checks that all results are equal and writes benches/RESULTS.md: medians of five runs, and ratios.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from sklearn.cluster import KMeans
from sklearn.neighbors import KNeighborsClassifier

HERE = Path(__file__).resolve().parent
RUNS = 5
FORECAST = ("models={forecast: {target: {segment_in: 90d}, k: 51, class_balance: sqrt_prior, features: "
            "[{column: r_score, log1p: false}, {column: f_score, log1p: false}, {column: m_score, log1p: false}]}}")
CLUSTERS = ("models={clusters: {kmeans: {k: 5, restarts: 10}, features: [recency_days, frequency, monetary]}}")
CLEAN = "CustomerID is not null and InvoiceNo not like 'C%' and Quantity > 0 and UnitPrice > 0"


def custseg(binary, *args):
    """Runs the program. Returns seconds and peak anonymous memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([binary, "-q", *args], stdout=subprocess.DEVNULL)
    return measured(process, start)


def measured(process, start):
    """Waits for a process. Returns seconds since the start and peak anonymous memory in MiB."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            sizes = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
            peak = max(peak, int(sizes[0]) if sizes else 0)
        except (OSError, IndexError):
            pass
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    assert process.returncode == 0, process.args
    return seconds, peak / 1024


def duck(source, rejects=False):
    read = f"'{source}'"
    if source.suffix == ".csv":
        columns = "{'InvoiceNo': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR', 'Quantity': 'BIGINT', "
        columns += "'InvoiceDate': 'TIMESTAMP', 'UnitPrice': 'DOUBLE', 'CustomerID': 'BIGINT', 'Country': 'VARCHAR'}"
        store = ", store_rejects = true" if rejects else ""
        read = f"read_csv('{source}', header = true, columns = {columns}, timestampformat = '%m/%d/%Y %H:%M'{store})"
    connection = duckdb.connect()
    start = time.perf_counter()
    rows = connection.sql(
        f"""select CustomerID, max(InvoiceDate)::date as last, count(distinct InvoiceNo) as orders,
        sum((round(UnitPrice * 100) * Quantity)::bigint) as money from {read} where {CLEAN} group by CustomerID"""
    ).fetchnumpy()
    seconds = time.perf_counter() - start
    return seconds, (len(rows["orders"]), int(rows["orders"].sum()), int(rows["money"].sum()))


POLARS = """
import sys, time
import polars as pl
source = sys.argv[1]
start = time.perf_counter()
if source.endswith(".csv"):
    lines = pl.scan_csv(source, schema_overrides={"InvoiceNo": pl.String, "InvoiceDate": pl.String, "CustomerID": pl.Int64})
    lines = lines.with_columns(pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %H:%M"))
else:
    lines = pl.scan_parquet(source)
lines = lines.filter(pl.col("CustomerID").is_not_null() & ~pl.col("InvoiceNo").str.starts_with("C") & (pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0))
rfm = lines.group_by("CustomerID").agg(
    pl.col("InvoiceDate").max().alias("last"), pl.col("InvoiceNo").n_unique().alias("orders"),
    ((pl.col("UnitPrice") * 100).round().cast(pl.Int64) * pl.col("Quantity")).sum().alias("money")).collect(engine="streaming")
print(time.perf_counter() - start, rfm.height, rfm["orders"].sum(), rfm["money"].sum())
"""

PANDAS = f"""
import sys, time
sys.path.insert(0, {str(HERE)!r})
from notebook import accepted_lines
start = time.perf_counter()
lines = accepted_lines(sys.argv[1])
lines["money"] = (lines["UnitPrice"] * 100).round().astype("int64") * lines["Quantity"]
rfm = lines.groupby("CustomerID").agg(last=("InvoiceDate", "max"), orders=("InvoiceNo", "nunique"), money=("money", "sum"))
print(time.perf_counter() - start, len(rfm), rfm["orders"].sum(), rfm["money"].sum())
"""


def script(text, source):
    """Runs a script in its own process. Returns the seconds that it measured, and its results."""
    output = subprocess.run([sys.executable, "-c", text, str(source)], check=True, capture_output=True, text=True).stdout.split()
    return float(output[0]), tuple(int(float(number)) for number in output[1:4])


def medians(measures):
    """Medians of the measures, taken in turns so that other load on the machine affects all of them."""
    taken = {name: [] for name in measures}
    for _ in range(RUNS):
        for name, measure in measures.items():
            taken[name].append(measure())
    first = lambda runs: [run[0] if isinstance(run, tuple) else run for run in runs]
    return {name: statistics.median(first(runs)) for name, runs in taken.items()}, taken


def compare_at_size(binary, lines, folder, out):
    csv, parquet = folder / f"{lines}.csv", folder / f"{lines}.parquet"
    for path in (csv, parquet):
        subprocess.run([binary, "-q", "simulate", "--customers", str(lines // 66), "--lines", str(lines), "--to", str(path)],
                       check=True, stdout=subprocess.DEVNULL)
    out.append(f"\n## {lines:,} lines ({csv.stat().st_size / 1e6:,.0f} MB CSV, {parquet.stat().st_size / 1e6:,.0f} MB Parquet)\n")
    pipeline = str(HERE / "pipeline.yaml")
    to = folder / "out"
    options = lambda source: ["--set", f"ingest.transactions.paths=[{source}]", "--set", f"publish.to={to}"]
    results = {}
    out.append("| RFM | CSV | | Parquet | |\n|---|---|---|---|---|\n")
    columns = {}
    subprocess.run(["cat", str(csv), str(parquet)], check=True, stdout=subprocess.DEVNULL)
    for source in (csv, parquet):
        rfm = ["peek", pipeline, "rfm", "--rows", "1", *options(source)]
        measures = {
            "custseg, whole process": lambda: custseg(binary, *rfm),
            "DuckDB": lambda: duck(source),
            "Polars from Python": lambda: script(POLARS, source),
            "pandas": lambda: script(PANDAS, source),
        }
        if source is csv:
            measures["DuckDB, store_rejects"] = lambda: duck(source, rejects=True)
        columns[source], taken = medians(measures)
        results[source] = {name: runs[0][1] for name, runs in taken.items() if not name.startswith("custseg")}
    cell = lambda column, name: (f"{column[name]:.2f} s | {column['custseg, whole process'] / column[name]:.2f}" if name in column else "|")
    for name in columns[csv]:
        out.append(f"| {name} | {cell(columns[csv], name)} | {cell(columns[parquet], name)} |\n")
    out.append("\nThe second number is the time of custseg divided by that of the tool. Other tools are timed within a running process, custseg from its start.\n")

    out.append("\n| full pipeline | CSV | Parquet | MiB (CSV) | MiB (Parquet) |\n|---|---|---|---|---|\n")
    whole, memory = {}, {}
    for source in (csv, parquet):
        notebook = [sys.executable, str(HERE / "notebook.py"), str(source), str(folder / "notebook.parquet")]
        quiet = {"stdout": subprocess.DEVNULL}
        whole[source], taken = medians({
            "custseg: assign, every table": lambda: custseg(binary, "run", pipeline, *options(source)),
            "custseg: no model": lambda: custseg(binary, "run", pipeline, *options(source), "--set", "models={}"),
            "custseg: forecast in place of assign": lambda: custseg(binary, "run", pipeline, *options(source), "--set", FORECAST),
            "custseg: clusters (k = 5) in place of assign": lambda: custseg(binary, "run", pipeline, *options(source), "--set", CLUSTERS),
            "pandas and scikit-learn": lambda: measured(subprocess.Popen(notebook, **quiet), time.perf_counter()),
        })
        memory[source] = {name: statistics.median(run[1] for run in runs) for name, runs in taken.items()}
    for name in whole[csv]:
        times = " | ".join(f"{whole[source][name]:.2f} s" for source in (csv, parquet))
        out.append(f"| {name} | {times} | {memory[csv][name]:,.0f} | {memory[parquet][name]:,.0f} |\n")
    ours, theirs = "custseg: assign, every table", "pandas and scikit-learn"
    for source, kind in ((csv, "CSV"), (parquet, "Parquet")):
        bare = columns[source]["custseg, whole process"]
        out.append(f"\n- {kind}: {whole[source][theirs] / whole[source][ours]:.1f} times as fast as the notebook, with "
                   f"{memory[source][ours] / memory[source][theirs]:.2f} of its memory. It takes {whole[source][ours] / bare:.2f} times as long as RFM alone.")
    out.append("\n")
    segments = duckdb.sql(f"select count(*), sum(frequency), round(sum(monetary) * 100) from '{to}/current/segments/*/*.parquet'").fetchall()[0]
    expected = tuple(int(number) for number in segments)
    for source, by_tool in results.items():
        assert all(numbers == expected for numbers in by_tool.values()), (source, expected, by_tool)
    out.append(f"\nAll tools found {expected[0]:,} customers, {expected[1]:,} orders and {expected[2] / 100:,.2f} in money.\n")

    distinct = f"select count(*) from (select distinct * from '{parquet}')"
    seconds, _ = medians({
        "exact": lambda: custseg(binary, "run", pipeline, *options(parquet), "--set", "models={}", "--set", "clean.3={drop_duplicates: exact}"),
        "distinct": lambda: timed(lambda: duckdb.connect().sql(distinct).fetchall()),
    })
    out.append(f"\nWith `drop_duplicates: exact` (Parquet) the run takes {seconds['exact']:.2f} s, DuckDB's `SELECT DISTINCT` {seconds['distinct']:.2f} s: "
               f"{seconds['exact'] / seconds['distinct']:.2f}.\n")


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def neighbours(folder, out):
    environment = {**os.environ, "CUSTSEG_BENCH": str(folder)}
    subprocess.run(["cargo", "bench", "--locked", "--bench", "neighbours"], check=True, env=environment, cwd=HERE.parent, stdout=subprocess.DEVNULL)
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "criterion/neighbours"
    ours = lambda name: json.loads((target / name / "new/estimates.json").read_text())["median"]["point_estimate"] / 1e9
    out.append("\n## Neighbours and clusters\n\n| | custseg | scikit-learn | times as fast | equal |\n|---|---|---|---|---|\n")
    for width in (3, 8):
        train, queries = (np.loadtxt(folder / f"{name}_{width}.csv", delimiter=",") for name in ("train", "queries"))
        model = KNeighborsClassifier(15, algorithm="kd_tree", n_jobs=-1).fit(train[:, :-1], train[:, -1])
        theirs = statistics.median(timed(lambda: model.predict(queries[:, :-1])) for _ in range(RUNS))
        shares = model.predict_proba(queries[:, :-1])
        # Ties in votes or distances are resolved differently, so they are excluded.
        top = np.sort(shares, axis=1)
        distances, _ = model.kneighbors(queries[:, :-1], 16)
        clear = (top[:, -1] > top[:, -2]) & (distances[:, 14] < distances[:, 15] * (1 - 1e-9))
        equal = (model.predict(queries[:, :-1]) == queries[:, -1])[clear]
        assert equal.all()
        out.append(f"| 20,000 × 15 neighbours among 20,000, {width} features | {20_000 / ours(f'knn_{width}'):,.0f}/s | {20_000 / theirs:,.0f}/s | "
                   f"{theirs / ours(f'knn_{width}'):.1f} | {equal.sum():,} of {clear.sum():,} untied |\n")
    points = np.loadtxt(folder / "kmeans.csv", delimiter=",")[:, :-1]
    sweep = lambda: [KMeans(k, n_init=10, random_state=1).fit(points).inertia_ for k in range(2, 9)]
    theirs = statistics.median(timed(sweep) for _ in range(RUNS))
    wcss = np.loadtxt(folder / "wcss.csv", delimiter=",")[:, 1]
    worst = (wcss / np.array(sweep())).max()
    out.append(f"| K-Means, k = 2 to 8, 10 starts, 20,000 × 3 | {ours('kmeans_sweep'):.2f} s | {theirs:.2f} s | "
               f"{theirs / ours('kmeans_sweep'):.2f} | sums of squares at most {worst:.4f} times theirs |\n")


def machine():
    model = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{model[0] if model else platform.processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--lines", type=int, nargs="+", default=[1_000_000, 10_000_000])
    args = parser.parse_args()
    out = ["# Benchmark results\n\nWritten by `make bench`: medians of five runs in turns on one machine.\n\n"
           f"{machine()}; DuckDB {duckdb.__version__}, Polars {pl.__version__}.\n"]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for lines in args.lines:
            compare_at_size(args.binary, lines, Path(folder), out)
            (HERE / "RESULTS.md").write_text("".join(out))
        neighbours(Path(folder), out)
    seconds = statistics.median(timed(lambda: subprocess.run(
        [args.binary, "-q", "check", str(HERE.parent / "pipelines/cdnow.yaml")], check=True, stdout=subprocess.DEVNULL)) for _ in range(RUNS))
    out.append(f"\n`custseg check` on a pipeline: {seconds * 1000:.0f} ms.\n")
    (HERE / "RESULTS.md").write_text("".join(out))
    print("".join(out))


main()
