"""Executes the notebook over new runs of several pipelines, and compares it with DuckDB.

Usage: execute.py --binary CUSTSEG [--write]

For each run, every code cell must have an output, and the numbers in the outputs must equal those
that DuckDB computes from `data/raw/cdnow.csv` and from the published tables. For the shipped
pipeline, the outputs must also equal the stored ones. `--write` stores new outputs instead.
"""

import argparse
import base64
import csv
import difflib
import io
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import duckdb
# Builds the font cache, which the kernel would otherwise report on standard error.
import matplotlib.font_manager  # noqa: F401
import matplotlib.image
import nbformat
import numpy as np
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "segments.ipynb"
SOURCE = ROOT / "data" / "raw" / "cdnow.csv"
MAX_BYTES = 400_000

# CDNOW without currency, cleaning or models.
PLAIN = f"""
name: plain
ingest:
  transactions:
    paths: ["{SOURCE}"]
    csv: {{ datetime_formats: ["%Y-%m-%d"] }}
    columns: {{ customer_id: customer_id, ordered_at: date, amount: dollar_value }}
segment: {{ map: default }}
publish: {{ to: out }}
"""

FORECASTS = """{
    buys: { target: { buys_in: 90d }, features: [recency_days, frequency], k: 51 },
    later: { target: { segment_in: 90d }, features: [r_score, f_score, m_score], k: 51 },
    rhythm: { target: segment, features: [tenure_days, mean_gap_days], k: 15 } }"""


@dataclass
class Case:
    """A run of the notebook. The scores `quiet` and `valuable` select the win-back list."""

    name: str
    settings: list[str] = field(default_factory=list)
    pipeline: str | None = None  # text of a pipeline, or the shipped one
    currency: str = "USD"
    window: int = 100_000  # days before the newest snapshot that count
    quiet: int = 2  # highest recency score
    valuable: int = 4  # lowest frequency and monetary score


CASES = [
    Case("shipped"),
    Case("no_models", ["models={}"]),
    Case("snapshots", ["rfm.snapshots={every: 3mo, from: 1997-07-01}"]),
    Case(
        "other_map",
        [f"segment.map={ROOT}/config/segments/klaviyo.yaml", "score={compat: klaviyo}"],
        quiet=1,
        valuable=3,
    ),
    Case("no_currency", pipeline=PLAIN, currency=""),
    Case("clusters", ["models={groups: {features: [recency_days, monetary], kmeans: {k: 4}}}"]),
    Case(
        "window",
        ["models={}", "rfm.snapshots=[1997-02-15, 1997-03-15]", "rfm.window=45d"],
        window=45,
    ),
    Case("forecasts", [f"models={FORECASTS}", "rfm.features=[tenure_days, mean_gap_days]"]),
    Case("means", ["models={}", "rfm.monetary=mean_per_order"]),
]


def publish(case: Case, binary: Path, folder: Path) -> Path:
    """Runs the pipeline of a case. The shipped one goes where the notebook looks by default."""
    results = folder / "data" / "output" / "cdnow"
    pipeline = ROOT / "pipelines" / "cdnow.yaml"
    if case.pipeline:
        pipeline = folder / "plain.yaml"
        pipeline.write_text(case.pipeline)
    command = [binary, "-q", "run", pipeline, "--set", f"publish.to={results}"]
    for setting in case.settings:
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return results / "current"


def execute(folder: Path, run: Path | None) -> nbformat.NotebookNode:
    """Executes the notebook in `folder/notebooks`, over `run` or the default run."""
    os.environ.pop("CUSTSEG_LISTS", None)
    os.environ.pop("CUSTSEG_RUN", None)
    if run:
        os.environ["CUSTSEG_RUN"] = str(run)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    cwd = folder / "notebooks"
    cwd.mkdir()
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        # The kernel warns that local ports are not encrypted.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        record_timing=False,
        resources={"metadata": {"path": cwd}},
    )
    client.execute()
    # Executed in another Python, the metadata would name that version.
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(outputs: list[nbformat.NotebookNode]) -> str:
    """The text of outputs as a reader sees it, without images."""
    parts = []
    for output in outputs:
        data = output.get("data", {})
        parts.append(output.get("text") or data.get("text/plain", ""))
        parts.append(data.get("text/html", ""))
    return "\n".join(part for part in parts if part)


def images(outputs: list[nbformat.NotebookNode]) -> list[np.ndarray]:
    encoded = [output.get("data", {}).get("image/png") for output in outputs]
    return [matplotlib.image.imread(io.BytesIO(base64.b64decode(png))) for png in encoded if png]


def check_outputs(notebook: nbformat.NotebookNode, folder: Path) -> dict[str, str]:
    """Returns the text of each code cell by its id."""
    texts = {}
    for cell in code_cells(notebook):
        assert cell.outputs, f"cell `{cell.id}` has no output"
        for output in cell.outputs:
            assert output.get("name") != "stderr", f"cell `{cell.id}`: {output.text}"
        texts[cell.id] = text(cell.outputs)
    shown = "\n".join(texts.values())
    machine = [str(folder), str(ROOT), str(Path.home()) + "/", tempfile.gettempdir() + "/"]
    for path in machine:
        assert path not in shown, f"an output names the path {path}"
    assert not re.search(r"\b\d\d:\d\d:\d\d\b", shown), "an output has a time of day"
    return texts


class Oracle:
    """The expected numbers, by DuckDB from the source and the published tables."""

    def __init__(self, case: Case, run: Path) -> None:
        self.case = case
        self.run = run
        positive = "true" if case.pipeline else "dollar_value > 0"
        self.db = duckdb.connect()
        self.db.execute(f"""
            create table lines as
            select * from read_csv('{SOURCE}', types = {{
                'customer_id': 'VARCHAR', 'date': 'DATE', 'dollar_value': 'DECIMAL(12, 2)'
            }});
            create table segments as
            from read_parquet('{run}/segments/*/*.parquet', hive_partitioning = true);
            create table newest as
            from segments where snapshot = (select max(snapshot) from segments);
            set variable newest = (select max(snapshot) from segments);
            create table spenders as
            select customer_id, sum(dollar_value) as money, count(distinct date) as orders
            from lines
            where {positive} and date < getvariable('newest')
                and date >= getvariable('newest') - {case.window}
            group by customer_id;
        """)

    def rows(self, query: str) -> list[tuple]:
        return self.db.sql(query).fetchall()

    def money(self, value: Decimal) -> str:
        return f"{value:,.0f} {self.case.currency}".strip()

    def snapshots(self) -> int:
        return self.rows("select count(distinct snapshot) from segments")[0][0]


def expect(texts: dict[str, str], cell: str, *expected: str) -> None:
    for part in expected:
        assert part in texts[cell], f"cell `{cell}` lacks `{part}`:\n{texts[cell]}"


def check_customers(oracle: Oracle, texts: dict[str, str]) -> None:
    [(customers, revenue)] = oracle.rows("select count(*), sum(money) from spenders")
    expect(texts, "load", f"{customers:,} customers, {oracle.money(revenue)} revenue")
    expect(texts, "load", f"{oracle.snapshots()} snapshot(s)")
    expect(texts, "best-segments", "money (USD)" if oracle.case.currency else "<th>money</th>")

    # The segments are published, their money is from the source.
    segments = oracle.rows("""
        select segment, count(*) as customers, sum(money) as money
        from newest join spenders using (customer_id)
        group by segment order by money desc
    """)
    name, count, money = segments[0]
    expect(texts, "best-chart", f"{name}: {count / customers:.1%} of the customers, ")
    expect(texts, "best-chart", f"{money / revenue:.1%} of the revenue")
    expect(texts, "best-segments", *(f"{count:,}" for _, count, _ in segments))

    for part in (Decimal("0.01"), Decimal("0.1"), Decimal("0.2"), Decimal("0.5")):
        [(top, money)] = oracle.rows(f"""
            select count(*), sum(money) from (
                select money from spenders order by money desc
                limit (select ceil(count(*) * {part})::bigint from spenders)
            )
        """)
        line = f"{top:7,} customers, {oracle.money(money)}, {money / revenue:.1%} of the revenue"
        expect(texts, "concentration-chart", f"top {part:4.0%}: {line}")


def check_win_back(oracle: Oracle, texts: dict[str, str], folder: Path) -> None:
    valuable = oracle.case.valuable
    expected = oracle.rows(f"""
        select customer_id, segment, recency_days::varchar, orders::varchar, monetary
        from newest join spenders using (customer_id)
        where r_score <= {oracle.case.quiet} and f_score >= {valuable} and m_score >= {valuable}
        order by monetary desc, customer_id
    """)
    assert expected, "the list is empty, so the test has no power"
    with open(folder / "data/output/lists/win_back.csv", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    columns = ["customer_id", "segment", "recency_days", "frequency"]
    assert [tuple(row[name] for name in columns) for row in rows] == [row[:4] for row in expected]
    assert [row["monetary"] for row in rows] == [f"{row[4]:.2f}" for row in expected]
    assert all(row["action"] for row in rows)
    expect(texts, "win-back-list", f"{len(expected):,} customers to win back")
    expect(texts, "csv-write", f"win_back.csv: {len(expected):,} customers")


def check_changes(oracle: Oracle, texts: dict[str, str]) -> None:
    if oracle.snapshots() == 1:
        expect(texts, "changes-table", "this run has one snapshot")
        return
    [(stayed, moved, came, left)] = oracle.rows("""
        with days as (select distinct snapshot from segments order by snapshot desc limit 2),
        before as (from segments where snapshot = (select min(snapshot) from days))
        select
            count(*) filter (newest.segment = before.segment),
            count(*) filter (newest.segment <> before.segment),
            count(*) filter (before.segment is null),
            count(*) filter (newest.segment is null)
        from newest full join before using (customer_id)
    """)
    expect(texts, "changes-table", f"{stayed:,} customers stayed in their segment")
    expect(texts, "changes-table", f"\n{moved:,} moved, ")
    expect(texts, "changes-table", f"\n{came:,} are new, {left:,} are no longer counted")
    if oracle.case.name == "window":
        assert came and left, "the run has no change, so the test has no power"
    causes = re.findall(r"([\d,]+) by (?:their own|cut)", texts["changes-table"])
    assert sum(int(number.replace(",", "")) for number in causes) == moved
    expect(texts, "changes-chart", "<Figure size")


def check_models(oracle: Oracle, texts: dict[str, str]) -> None:
    # Balanced accuracy is the mean recall of the labels that occur.
    models = oracle.rows(f"""
        select model, protocol, avg(recall) from (
            select
                model, protocol, actual,
                sum(customers) filter (actual = predicted) / sum(customers) as recall
            from read_parquet('{oracle.run}/confusion.parquet')
            group by all having sum(customers) > 0
        )
        group by all order by all
    """)
    for model, protocol, recall in models:
        line = f"{model}, {protocol}: balanced accuracy {recall:.3f}, "
        expect(texts, "models-chart", line)
        is_verdict = "reproduces the rules" in texts["models-chart"].split(line)[1].splitlines()[0]
        assert is_verdict == (protocol == "recovery"), texts["models-chart"]
    if not models:
        expect(texts, "models-chart", "this run has no model with metrics")
    if oracle.case.name == "forecasts":
        assert {protocol for _, protocol, _ in models} == {"out_of_time", "holdout"}

    if oracle.case.name == "clusters":
        sizes = oracle.rows("select groups_label, count(*) from newest group by all")
        assert len(sizes) == 4
        expect(texts, "models-clusters", *(f"{count:,}" for _, count in sizes))
    else:
        expect(texts, "models-clusters", "this run has no clustering")


def check_cleaning(oracle: Oracle, texts: dict[str, str]) -> None:
    [(raw, unpaid)] = oracle.rows("select count(*), count(*) filter (dollar_value <= 0) from lines")
    rejected = 0 if oracle.case.pipeline else unpaid
    expect(texts, "cleaning-ledger", f"{rejected:,} of {raw:,} rows were rejected")
    expect(texts, "cleaning-rejects", "amount not positive" if rejected else "no row was rejected")


def check_stored(executed: nbformat.NotebookNode) -> None:
    """The stored outputs are those of the shipped pipeline."""
    hint = "run tests/notebook/execute.py with --write, and commit the notebook"
    stored = nbformat.read(NOTEBOOK, as_version=4)
    size = NOTEBOOK.stat().st_size
    assert size <= MAX_BYTES, f"the notebook has {size:,} bytes, at most {MAX_BYTES:,} are allowed"
    for number, (old, new) in enumerate(zip(code_cells(stored), code_cells(executed)), start=1):
        assert old.execution_count == number, f"cell `{old.id}` is out of order: {hint}"
        before, after = text(old.outputs).splitlines(), text(new.outputs).splitlines()
        lines = difflib.unified_diff(before, after, "stored", "new", lineterm="", n=1)
        difference = "\n".join(lines)
        assert not difference, f"cell `{old.id}` is stale: {hint}\n{difference}"
        charts = list(zip(images(old.outputs), images(new.outputs), strict=True))
        for one, other in charts:
            # Fonts are rendered alike on all machines, up to the smoothing of edges.
            same = one.shape == other.shape and np.abs(one - other).mean() < 0.005
            assert same, f"the chart of cell `{old.id}` is stale: {hint}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Executes the notebook over new runs.")
    parser.add_argument("--binary", type=Path, required=True, help="the program custseg")
    parser.add_argument("--write", action="store_true", help="store new outputs in the notebook")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve(strict=True)

    for case in CASES[:1] if arguments.write else CASES:
        with tempfile.TemporaryDirectory() as temp:
            folder = Path(temp).resolve()
            run = publish(case, binary, folder)
            notebook = execute(folder, None if case.name == "shipped" else run)
            texts = check_outputs(notebook, folder)
            oracle = Oracle(case, run)
            check_customers(oracle, texts)
            check_win_back(oracle, texts, folder)
            check_changes(oracle, texts)
            check_models(oracle, texts)
            check_cleaning(oracle, texts)
            if arguments.write:
                nbformat.write(notebook, NOTEBOOK)
            if case.name == "shipped":
                check_stored(notebook)
        print(f"{case.name}: ok")


if __name__ == "__main__":
    main()
