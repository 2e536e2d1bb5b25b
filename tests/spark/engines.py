"""Compares runs on a cluster with local runs: segments, ledger, cut points, model metrics.

    python engines.py --engine sail --venv .venv/sail --binary target/release/custseg

Starts the engine. The binary needs the feature `spark`.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time

import polars as pl

import server

ROOT = pathlib.Path(__file__).parent.parent.parent
BY_SCORES = (
    "models={by_scores: {target: segment, k: 15, features: "
    "[{column: r_score, log1p: false}, {column: f_score, log1p: false}, {column: m_score, log1p: false}]}}"
)
BY_VALUES = "models={assign: {target: segment, k: 5, weights: distance, features: [recency_days, frequency, monetary]}}"
NONE = "models={}"
CDNOW = ["pipelines/cdnow.yaml", "--set", "ingest.transactions.csv.on_bad_row=fail"]
RETAIL = "pipelines/online_retail.yaml"
# Steps, policies, features and weights that the default pipelines do not use.
OTHER_OPTIONS = {
    "clean": "[{drop_missing: [customer_id], max_share: 0.5}, {cancellations: {order_id_prefix: C, policy: separate}}, "
    "{keep_positive: [quantity, unit_price]}, {drop_duplicates: exact}, "
    "{non_product_lines: {codes: [POST, M], pattern: '^(D|BANK CHARGES)$'}}, {date_range: {from: 2010-12-05}}]",
    "checks": "[{row_count: {min: 1000}}]",
    "rfm.snapshots": "{every: 1mo, from: 2011-03-01}",
    "rfm.features": "[tenure_days, mean_gap_days, average_order_value]",
    "rfm.ratios": "[{of: monetary, recent: 30d, over: 180d}, {of: frequency, recent: 30d, over: 180d}]",
    "score.weights": "{recency: 0.2, frequency: 0.3, monetary: 0.5}",
}
NET_RETURNS = {
    "clean": "[{cancellations: {order_id_prefix: C, policy: net}}]",
    "rfm.snapshots": "[2011-06-01, 2011-12-10]",
    "rfm.features": "[]",
    "rfm.window": "200d",
    "rfm.min_history_days": "30",
    "rfm.frequency": "units",
}
R_PACKAGE = {
    "score": "{compat: r_rfm}",
    "rfm.snapshots": "{every: 45d, from: 1997-03-01, until: 1998-05-01}",
    "rfm.monetary": "mean_per_order",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True, choices=["sail", "spark"])
    parser.add_argument("--venv", required=True, type=pathlib.Path)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        start = getattr(server, args.engine)
        with start(args.venv.resolve(), folder / "server.log") as remote:
            Engine(args, folder, remote).test()
    print(f"{args.engine}: ok")


def sets(options):
    return [word for key, value in options.items() for word in ("--set", f"{key}={value}")]


class Engine:
    """A running server and the tests against it."""

    def __init__(self, args, folder, remote):
        self.name, self.venv, self.binary = args.engine, args.venv.resolve(), args.binary.resolve()
        self.folder, self.remote = folder, remote

    def test(self):
        simulated_lines = self.folder / "simulated.parquet"
        simulated = ["simulate", "--customers", "120000", "--lines", "10000000", "--to", simulated_lines]
        subprocess.run([self.binary, "-q", *simulated], check=True)
        lines = [RETAIL, *sets({"ingest.transactions.paths": f"[{simulated_lines}]"})]

        self.assert_equal("cdnow", [*CDNOW, "--set", BY_SCORES])
        self.assert_equal("cdnow as the R package", [*CDNOW, "--set", NONE, *sets(R_PACKAGE)])
        reference = pathlib.Path(os.environ.get("CUSTSEG_REFERENCE_DATA", "nowhere"))
        source = (ROOT / reference / "online-retail/online_retail.parquet").resolve()
        if source.exists():
            retail = [RETAIL, *sets({"ingest.transactions.paths": f"[{source}]"})]
            self.assert_equal("online retail", [*retail, "--set", BY_SCORES])
            self.assert_equal("online retail, other options", [*retail, "--set", NONE, *sets(OTHER_OPTIONS)])
            self.assert_equal("online retail, net of returns", [*retail, "--set", NONE, *sets(NET_RETURNS)])
        else:
            print("skipped: CUSTSEG_REFERENCE_DATA has no online-retail")
        self.assert_equal("odd lines", odd_lines(self.folder))
        folder = self.folder / "months/"
        simulated = ["simulate", "--customers", "9000", "--lines", "300000", "--to", f"{folder}/"]
        subprocess.run([self.binary, "-q", *simulated], check=True)
        months = [RETAIL, *sets({"ingest.transactions.paths": f"[{folder}]", "models": "{}"})]
        self.assert_equal("a folder a month", months)
        self.assert_equal("ten million lines", [*lines, "--set", BY_SCORES])
        self.test_models_over_values()
        self.test_failures()
        self.test_interrupt(lines)
        if self.name == "spark":
            self.test_lost_executor(lines)
            self.test_printed_sql()

    def run(self, args, *more, code=0):
        command = [self.binary, "run", *args, *more]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        assert process.returncode == code, (command, process.returncode, process.stderr)
        return process.stdout, process.stderr

    def destinations(self, name):
        name = name.replace(" ", "_").replace(",", "")
        return self.folder / "local" / name, self.folder / "cluster" / name

    def cluster(self, to, sample=1_000_000):
        return [
            *sets({"publish.to": to, "engine.spark.sample": sample, "engine.spark.binary": self.binary}),
            *("--engine", self.remote),
        ]

    def assert_equal(self, name, args, during=None):
        """Runs locally and on the cluster and compares the results; models train on all customers."""
        local, cluster = self.destinations(name)
        began = time.monotonic()
        self.run(args, *sets({"publish.to": local}))
        here = time.monotonic() - began
        # A relative path: the working directory of the server is another one.
        command = [self.binary, "run", *args, *self.cluster(os.path.relpath(cluster, ROOT))]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if during:
            during()
        _, err = process.communicate()
        assert process.returncode == 0, err
        there = time.monotonic() - began - here
        rows = assert_equal_runs(local / "current", cluster / "current")
        diff = subprocess.run([self.binary, "diff", local, cluster, "--json"], capture_output=True, text=True)
        assert diff.returncode == 0 and json.loads(diff.stdout)["customers"]["moved"] == 0, (diff.stdout, diff.stderr)
        left = [path.name for path in (cluster / "runs").iterdir() if path.name.startswith(".")]
        assert not left, left
        print(f"{self.name}: {name}: {rows} rows equal; {here:.1f} s locally, {there:.1f} s on the cluster")

    def test_models_over_values(self):
        """Models over raw values pipe customers through the program, which Sail does not support."""
        args = [*CDNOW, "--set", BY_VALUES]
        if self.name == "spark":
            return self.assert_equal("cdnow through the nodes", args)
        _, err = self.run(args, *self.cluster(self.folder / "piped"), code=4)
        assert "model: models with features other than scores need TRANSFORM" in err, err

    def test_failures(self):
        """A missing server fails at connect. Server errors are reported with their stage."""
        _, err = self.run([*CDNOW, "--set", NONE], *sets({"publish.to": self.folder / "x"}), "--engine", "sc://127.0.0.1:1", code=4)
        assert "error: spark: no server at 127.0.0.1:1: Connection refused" in err, err
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            url = f"sc://127.0.0.1:{mute.getsockname()[1]}"
            _, err = self.run([*CDNOW, "--set", NONE], *sets({"publish.to": self.folder / "x"}), "--engine", url, code=4)
        assert "did not respond within" in err, err
        ragged = self.folder / "ragged.csv"
        paths = sets({"ingest.transactions.paths": f"[{ragged}]"})
        head = "customer_id,date,number_of_cds,dollar_value,remark\n1,1997-01-01,1,2.00,none\n"
        for broken in ["2,1997-01-02", "2,1997-01-02,1,2.00", "2,1997-01-02,1,2.00,none,more"]:
            ragged.write_text(f"{head}{broken}\n")
            _, err = self.run([*CDNOW, "--set", NONE, *paths], *self.cluster(self.folder / "x"), code=4)
            last = err.strip().splitlines()[-1]
            assert last.startswith("error: orders: "), err
        ragged.write_text(f"{head}2,1997-02-30,1,3.00,none\n")
        _, err = self.run([*CDNOW, "--set", NONE, *paths], *self.cluster(self.folder / "x"), code=3)
        assert "1 rows: ingest: ordered_at not in any declared format" in err, err
        ragged.write_bytes(head.encode() + b"2,1997-01-02,1,3.00,caf\xe9\n")
        _, err = self.run([*CDNOW, "--set", NONE, *paths], *self.cluster(self.folder / "x"), code=3)
        assert "1 rows: ingest: not in the declared encoding" in err, err
        ragged.write_text(head.splitlines()[0] + "\n")
        _, err = self.run([*CDNOW, "--set", NONE, *paths], *self.cluster(self.folder / "x"), code=3)
        assert "rfm: no line is left to measure: the source has no rows" in err, err
        for window, snapshots in [(30, "[1997-02-01, 1998-12-01]"), (30, "[1998-12-01]"), (300, "[1997-02-01, 1999-12-01]")]:
            late = sets({"rfm.window": f"{window}d", "rfm.snapshots": snapshots})
            _, err = self.run([*CDNOW, "--set", NONE, *late], *self.cluster(self.folder / "x"), code=3)
            assert "no customer is left within `rfm.window`" in err, err
        limit = sets({"clean": "[{keep_positive: [amount], max_share: 0.0001}]"})
        _, err = self.run([*CDNOW, "--set", NONE, *limit], *self.cluster(self.folder / "x"), code=3)
        assert "80 of 69659 lines; expected a share of at most 0.0001 rejected" in err, err

    def test_interrupt(self, lines):
        """A signal also stops the job on the cluster and leaves no files; the next run succeeds."""
        to = self.folder / "stopped"
        command = [self.binary, "run", *lines, "--set", NONE, *self.cluster(to)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "custseg_orders" in line:
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
        assert process.wait() == 130, err
        assert "interrupt sent to the cluster" in err and "stopped=true" in err, err
        assert not list((to / "runs").iterdir())
        self.run([*CDNOW, "--set", NONE], *self.cluster(to))

    def test_lost_executor(self, lines):
        """A killed executor does not change the result."""
        before = server.executors()
        assert len(before) == 2, before

        def kill():
            time.sleep(6)
            os.kill(before[0], signal.SIGKILL)

        self.assert_equal("ten million lines, an executor killed", [*lines, "--set", BY_SCORES], kill)
        assert before[0] not in server.executors()

    def test_printed_sql(self):
        """The printed SQL, run with spark-sql, gives the same segments and ledger."""
        to, script = self.folder / "printed_sql", self.folder / "cdnow.sql"
        plan = [self.binary, "plan", *CDNOW, "--set", NONE, "--engine", "spark", "--format", "sql", "--to", to]
        script.write_text(subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        server.spark_sql(self.venv, script, self.folder)
        local = self.folder / "local/printed_sql"
        self.run([*CDNOW, "--set", NONE], *sets({"publish.to": local}))
        here, there = segments(local / "current", "1998-07-01"), segments(to, "1998-07-01")
        assert here.equals(there.cast(here.schema))
        ledger = pl.read_parquet(to / "ledger/*.parquet").sort("outcome").drop("outcome")
        assert ledger.equals(pl.read_parquet(local / "current/ledger.parquet")), ledger
        print("spark: cdnow by spark-sql -f: equal")


def odd_lines(folder):
    """A pipeline over lines with every kind of fault, timestamps in UTC, and float ids with nulls."""
    rng, n = random.Random(7), 20_000
    start = datetime.datetime(2023, 1, 1, tzinfo=datetime.timezone.utc)

    def sometimes(value, others, share=0.03):
        return rng.choice(others) if rng.random() < share else value

    lines = {
        "who": [sometimes(float(rng.randint(1, 900)), [None, -3.0]) for _ in range(n)],
        "order": [sometimes(f"{rng.choice('ABC')}{rng.randint(1, 4000)}", [None, "", "C"]) for _ in range(n)],
        "at": [
            sometimes(start + datetime.timedelta(seconds=rng.randint(0, 2 * 365 * 86400)), [None, start.replace(year=1850)], 0.01)
            for _ in range(n)
        ],
        "units": [sometimes(float(rng.randint(-3, 40)), [None, 0.0, 1.5, 1e16, float("nan"), float("inf")]) for _ in range(n)],
        "price": [sometimes(rng.randint(-50, 5000) / 100, [None, 0.0, 1.005, 0.00000001, 1e14, float("nan")]) for _ in range(n)],
        "it's": [sometimes(f"P{rng.randint(1, 50)}", [None, "", "POST"]) for _ in range(n)],
    }
    dtypes = {"at": pl.Datetime("us", "UTC")}
    pl.DataFrame(lines, schema_overrides=dtypes).write_parquet(folder / "odd.parquet")
    segments = (ROOT / "config/segments/default.yaml").resolve()
    (folder / "odd.yaml").write_text(f"""
name: odd
ingest:
  transactions:
    paths: [odd.parquet]
    columns: {{ customer_id: who, order_id: order, ordered_at: at, quantity: units, unit_price: price, product_id: "it's" }}
  timezone: America/New_York
  money: {{ scale: 2 }}
  max_rejected: 1
clean:
  - cancellations: {{ order_id_prefix: C, policy: separate }}
  - keep_positive: [quantity, unit_price]
  - non_product_lines: {{ codes: [POST, "O'Hara"] }}
  - drop_missing: [product_id]
rfm: {{ snapshots: {{ every: 1mo, from: 2023-02-28 }}, window: 400d, features: [average_order_value, mean_gap_days], monetary: mean_per_day, frequency: units, negative_orders: count }}
score: {{ bins: 5, frequency: {{ separate_zeros: true }}, recency: {{ method: fixed, cut_points: [7, 30, 90, 180] }} }}
segment: {{ map: "{segments}" }}
publish: {{ to: out }}
""")
    return [folder / "odd.yaml"]


def assert_equal_runs(local, cluster):
    """Compares the published files of two runs; returns the number of segment rows."""
    one, other = (json.loads((run / "manifest.json").read_text()) for run in (local, cluster))
    for key in ["definition_hash", "snapshots", "rows", "cut_points", "metrics", "checks"]:
        assert one[key] == other[key], (key, one[key], other[key])
    tables = {output["path"] for output in one["outputs"]} & {output["path"] for output in other["outputs"]}
    tables = {path for path in tables if path.endswith(".parquet") and "/" not in path}
    assert {"ledger.parquet", "score_bins.parquet"} <= tables, tables
    for path in tables:
        assert pl.read_parquet(local / path).equals(pl.read_parquet(cluster / path)), path
    assert sum(output["rows"] or 0 for output in other["outputs"] if output["path"].startswith("segments/")) == other["rows"]["segments"]
    for snapshot in one["snapshots"]:
        here, there = (segments(run, snapshot) for run in (local, cluster))
        assert here.columns == there.columns, (here.columns, there.columns)
        # Spark has no unsigned integers; all other types are equal.
        there = there.cast(here.schema)
        assert here.equals(there), (snapshot, here.join(there, on=here.columns, how="anti", nulls_equal=True))
    return other["rows"]["segments"]


def segments(run, snapshot):
    files = sorted((run / "segments" / f"snapshot={snapshot}").glob("*.parquet"))
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files]).sort("customer_id")


if __name__ == "__main__":
    main()
