"""Tests the installed wheel: the binary, and the Python module over the pipeline that `custseg demo` writes.

Expected figures are those of data/raw/README.md, or come from another reader.
"""

import datetime
import importlib.metadata
import json
import logging
import pickle
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import custseg

ROOT = Path(__file__).parent.parent.parent
BINARY = Path(sysconfig.get_path("scripts"), "custseg")
TOOLS = Path(sys.executable).parent


def output(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline of the example, in a folder that was empty. Its results are in `results`."""
    folder = tmp_path_factory.mktemp("demo")
    summary = json.loads(output(BINARY, "demo", folder / "custseg-demo"))
    assert summary["rows"]["raw"] == 69_659, summary
    return folder / "custseg-demo" / "cdnow.yaml"


@pytest.fixture(scope="module")
def run(pipeline: Path) -> custseg.Run:
    return custseg.open(pipeline.parent / "results")


def test_binary_and_module_have_the_version_of_cargo() -> None:
    cargo = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert cargo is not None
    assert custseg.__version__ == cargo[1]
    assert output(BINARY, "--version") == f"custseg {cargo[1]}\n"
    assert output(sys.executable, "-m", "custseg", "--version") == f"custseg {cargo[1]}\n"


def test_wheel_has_only_the_binary_the_module_and_the_licences() -> None:
    files = [file for file in importlib.metadata.files("custseg") or [] if "__pycache__" not in str(file)]
    names = {file.name for file in files if "dist-info" not in str(file)}
    assert names == {"custseg", "__init__.py", "__main__.py", "_process.py", "py.typed"}
    assert {file.name for file in files} >= {"LICENSE-MIT", "LICENSE-APACHE"}


def test_module_exits_with_the_code_of_the_binary() -> None:
    assert subprocess.run([sys.executable, "-m", "custseg", "run", "--nope"], capture_output=True).returncode == 2


def test_missing_binary_is_reported(monkeypatch: pytest.MonkeyPatch, pipeline: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda *_, **__: "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="no `custseg` binary in /nowhere or on PATH"):
        custseg.run(pipeline)


def test_open_reads_the_newest_run(pipeline: Path, run: custseg.Run) -> None:
    assert run.path == (pipeline.parent / "results" / "current").resolve()
    assert run == custseg.open(run.path)
    assert run.run_id == run.path.name == run.manifest["run_id"]
    assert run.report_path.read_text().lower().startswith("<!doctype html>")
    with pytest.raises(FileNotFoundError, match="no run in"):
        custseg.open(pipeline.parent / "none")


def test_run_publishes_and_logs(pipeline: Path, run: custseg.Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="custseg"):
        again = custseg.run(pipeline, threads=1)
    # 69,659 rows, of which 80 have no positive amount.
    assert again.summary["rows"]["raw"] == 69_659
    assert again.summary["rows"]["accepted"] == 69_579
    assert "run published" in caplog.text
    assert again.path == run.path
    assert not again.up_to_date
    assert custseg.run(pipeline, only_new=True).up_to_date


def test_warnings_reach_the_logger(pipeline: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = (pipeline.parent / "cdnow.csv").read_text()
    bad = pipeline.with_name("one_bad.csv")
    bad.write_text(lines + "00001,1997-01-01,1,ten\n")
    results = pipeline.with_name("one_bad")
    custseg.run(pipeline, set={"ingest.transactions.paths": [bad], "models": {}, "publish.to": results})
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "ten" in warnings[0] or "amount" in warnings[0]


def test_options_are_python_values(pipeline: Path) -> None:
    # Neither the key in the folder's name nor the quotes may change the tables.
    results = pipeline.parent / "year=1998" / 'l\'été "x"'
    dates = [datetime.date(1998, 1, 1), datetime.date(1998, 4, 1)]
    options = {"publish.to": results, "rfm.snapshots": dates, "models": {}, "segment.why": True, "score.bins": 5}
    run = custseg.run(pipeline, set=options)
    assert run.path.parent.parent == results
    for table in (run.segments(), run.to_duckdb().pl().lazy(), pl.from_pandas(run.to_pandas()).lazy()):
        assert table.collect_schema().names() == run.segments().collect_schema().names()
        assert table.select(pl.col("snapshot").unique().sort()).collect().to_series().to_list() == dates
    with pytest.raises(custseg.ConfigurationError, match="allow-older"):
        custseg.run(pipeline, set=options, as_of=dates[0])
    older = custseg.run(pipeline, set=options, as_of=dates[0], allow_older=True)
    assert older.summary["snapshots"] == ["1998-01-01"]
    other = pipeline.with_name("other.yaml")
    other.write_text(pipeline.read_text().replace("name: cdnow", "name: other"))
    with pytest.raises(custseg.ConfigurationError, match="--force"):
        custseg.run(other, set=options)
    assert custseg.run(other, set=options, force=True).summary["pipeline"] == "other"
    with pytest.raises(TypeError, match="cannot write object as YAML"):
        custseg.run(pipeline, set={"score.bins": object()})


def test_every_table_is_equal_in_all_readers(run: custseg.Run) -> None:
    assert set(run.tables) >= {"ledger", "rejects", "segment_profile", "segments"}
    for name in run.tables:
        table = run.table(name).collect()
        frame = run.to_pandas(name)
        relation = run.to_duckdb(name)
        assert table.columns == list(frame.columns) == relation.columns, name
        files = run.path.glob("segments/*/*.parquet" if name == "segments" else f"{name}.parquet")
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        assert table.height == len(frame) == relation.shape[0] == rows, name
    with pytest.raises(LookupError, match=r"no table `leger` in .*; it has .*, ledger, "):
        run.table("leger")


def test_pandas_filters_and_joins(run: custseg.Run) -> None:
    frame = run.to_pandas()
    champions = run.segments().filter(pl.col("segment") == "Champions").collect().height
    assert len(frame[frame.segment == "Champions"]) == champions > 0
    assert frame.segment.map(type).eq(str).all()
    assert not isinstance(frame.segment.dtype, pd.CategoricalDtype)
    assert frame.snapshot.map(type).eq(datetime.date).all()
    joined = frame.merge(run.to_pandas("segment_profile"), on=["snapshot", "segment"])
    assert len(joined) == len(frame)
    sizes = joined.groupby("segment").size()
    assert (joined.groupby("segment").customers.first() == sizes).all()


def test_duckdb_queries(run: custseg.Run) -> None:
    segments = run.to_duckdb()
    query = "select count(*) from segments where segment = 'Champions' and snapshot < current_date"
    champions = run.segments().filter(pl.col("segment") == "Champions").collect().height
    assert duckdb.sql(query).fetchall() == [(champions,)], segments
    with duckdb.connect() as connection:
        ledger = run.to_duckdb("ledger", connection)
        assert ledger.filter("step = 'raw'").project("rows_left").fetchall() == [(69_659,)]


def test_wrong_options_raise_configuration_error(pipeline: Path) -> None:
    with pytest.raises(custseg.ConfigurationError) as caught:
        custseg.run(pipeline, set={"rfm.snapsots": 1, "score.bins": "x"})
    error = caught.value
    assert error.exit_code == 2
    assert error.json is not None and error.json["exit_code"] == 2
    assert len(error.problems) == 2
    assert error.problems[0].startswith("unknown key `snapsots`")
    assert error.problems[1].startswith("expected a whole number, found the text `x`")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.problems == error.problems
    # The parser of the command line writes no JSON.
    with pytest.raises(custseg.ConfigurationError, match="soon"):
        custseg.run(pipeline, as_of="soon")


def test_wrong_yaml_raises_configuration_error(pipeline: Path) -> None:
    wrong = pipeline.with_name("wrong.yaml")
    wrong.write_text(pipeline.read_text().replace("frequency: orders", "frequency: order"))
    with pytest.raises(custseg.ConfigurationError, match=r"wrong\.yaml") as caught:
        custseg.run(wrong)
    assert caught.value.exit_code == 2
    assert len(caught.value.problems) == 1


def test_bad_data_raise_data_error(pipeline: Path, run: custseg.Run) -> None:
    header = "customer_id,date,number_of_cds,dollar_value\n"
    bad = pipeline.with_name("bad.csv")
    bad.write_text(header + "1,1997-01-01,1,ten\n" * 50)
    with pytest.raises(custseg.DataError, match="ten") as caught:
        custseg.run(pipeline, set={"ingest.transactions.paths": [bad]})
    assert caught.value.exit_code == 3
    with pytest.raises(custseg.DataError, match="row_count: 69659"):
        custseg.run(pipeline, set={"checks": [{"row_count": {"min": 10**6}}]})
    assert custseg.open(pipeline.parent / "results") == run


def test_failed_gate_raises_gate_error(pipeline: Path) -> None:
    snapshots = [datetime.date(1998, 1, 1), datetime.date(1998, 4, 1)]
    options = {"models": {}, "publish.to": pipeline.with_name("gated"), "rfm.snapshots": snapshots}
    gates = {"evaluate.gates": {"drift.segment.moved": "<= 0"}}
    with pytest.raises(custseg.GateError, match=r"drift\.segment\.moved") as caught:
        custseg.run(pipeline, set=options | gates)
    assert caught.value.exit_code == 1
    (failed,) = pipeline.parent.glob("gated/runs/*.failed")
    assert "drift" in custseg.open(failed).tables
    run = custseg.run(pipeline, set=options | gates, publish_anyway=True)
    assert run.summary["snapshots"] == ["1998-01-01", "1998-04-01"]


def test_missing_file_raises_execution_error(pipeline: Path) -> None:
    with pytest.raises(custseg.ExecutionError, match=r"none\.yaml") as caught:
        custseg.run(pipeline.with_name("none.yaml"))
    assert caught.value.exit_code == 4


def test_package_and_user_script_are_typed(pipeline: Path, tmp_path: Path) -> None:
    package = ROOT / "python" / "custseg"
    script = Path(__file__).with_name("user.py")
    for path in (package, script):
        output(TOOLS / "mypy", "--strict", "--cache-dir", tmp_path, path)
    for command in (["check"], ["format", "--check"]):
        output(TOOLS / "ruff", *command, "--no-cache", "--config", ROOT / "pyproject.toml", package)
    output(sys.executable, script, pipeline)
