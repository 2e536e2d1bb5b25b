"""Customer segmentation from raw transactions, for notebooks and schedulers.

>>> import custseg, polars as pl
>>> run = custseg.run("orders.yaml", as_of="2024-07-01")
>>> run.segments().filter(pl.col("segment") == "Champions").collect()
>>> run.to_pandas("ledger")

Progress and warnings go to the logger `custseg`.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ._process import ConfigurationError, CustsegError, DataError, ExecutionError, GateError, execute

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["ConfigurationError", "CustsegError", "DataError", "ExecutionError", "GateError", "Run", "open", "run"]
__version__ = version("custseg")

SEGMENTS = "segments"


@dataclass(frozen=True)
class Run:
    """A published run. Returned by `run` and `open`.

    Attributes:
        location: Folder of the run, or its URL in an object store.
        summary: What `custseg run` prints: snapshots, rows, seconds, names of the outputs. Empty after `open`.
    """

    location: str
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Folder of the run."""
        if "://" in self.location:
            raise ValueError(f"the run is in an object store: {self.location}")
        return Path(self.location)

    @property
    def run_id(self) -> str:
        """Hash of inputs and definition."""
        return str(self.summary.get("run_id") or self.manifest["run_id"])

    @property
    def up_to_date(self) -> bool:
        """Whether there was nothing new, with `only_new`."""
        return bool(self.summary.get("nothing_new"))

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest: inputs, definition, cut points, metrics and outputs, with hashes."""
        manifest: dict[str, Any] = json.loads((self.path / "manifest.json").read_bytes())
        return manifest

    @property
    def report_path(self) -> Path:
        """The page of the run, `report.html`."""
        return self.path / "report.html"

    @property
    def tables(self) -> list[str]:
        """Names of the tables of the run."""
        if "://" in self.location:
            outputs = self.summary["outputs"]
        else:
            outputs = [file.relative_to(self.path).as_posix() for file in self.path.glob("**/*.parquet")]
        files = {output for output in outputs if output.endswith(".parquet")}
        names = {file.removesuffix(".parquet") for file in files if "/" not in file}
        return sorted(names | {SEGMENTS for file in files if file.startswith(f"{SEGMENTS}/")})

    def segments(self) -> pl.LazyFrame:
        """Return one row per customer and snapshot: R, F, M, scores, segment, predictions.

        >>> run.segments().group_by("segment").len().collect()
        """
        return self.table(SEGMENTS)

    def table(self, name: str) -> pl.LazyFrame:
        """Return a table. `custseg inspect --columns` describes every column.

        >>> run.table("ledger").collect()

        Raises:
            LookupError: The run has no such table. The message lists the tables.
        """
        if name not in self.tables:
            raise LookupError(f"no table `{name}` in {self.location}; it has {', '.join(self.tables)}")
        if name != SEGMENTS:
            return pl.scan_parquet(f"{self.location}/{name}.parquet", glob=False, hive_partitioning=False)
        folder = f"{self.location}/{SEGMENTS}/"
        return pl.scan_parquet(folder, glob=False, hive_partitioning=True, hive_schema={"snapshot": pl.Date})

    def to_pandas(self, name: str = SEGMENTS) -> pd.DataFrame:
        """Return a table for pandas. Text is `str`, dates are `datetime.date`.

        Needs `pip install custseg[pandas]`.

        >>> df = run.to_pandas()
        >>> df[df.segment == "Champions"].merge(run.to_pandas("segment_profile"), on=["snapshot", "segment"])
        """
        return self.table(name).collect().to_pandas(date_as_object=True)

    def to_duckdb(
        self, name: str = SEGMENTS, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Return a table as a lazy DuckDB relation, of the default connection if none is given.

        Needs `pip install custseg[duckdb]`.

        >>> segments = run.to_duckdb()
        >>> duckdb.sql("select segment, count(*) from segments group by segment")
        """
        import duckdb

        columns = self.table(name).collect_schema().names()
        files = f"{self.location}/{SEGMENTS}/*/*.parquet" if name == SEGMENTS else f"{self.location}/{name}.parquet"
        read_parquet = connection.read_parquet if connection else duckdb.read_parquet
        relation = read_parquet(files, hive_partitioning=name == SEGMENTS)
        return relation.project(", ".join(f'"{column}"' for column in columns))


def run(
    pipeline: str | os.PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,
    as_of: str | datetime.date | None = None,
    only_new: bool = False,
    publish_anyway: bool = False,
    allow_older: bool = False,
    force: bool = False,
    threads: int | None = None,
    env_file: str | os.PathLike[str] | None = None,
) -> Run:
    """Run a pipeline, publish its results, and return the run.

    >>> run = custseg.run("orders.yaml", set={"score.bins": 4, "publish.to": "/tmp/out"})
    >>> run = custseg.run("orders.yaml", as_of=datetime.date(2024, 7, 1))

    Args:
        pipeline: The YAML file.
        set: Options that override the YAML, by dotted name. Values are bool, int, float, str, date, list, dict
            or None. Relative paths start at the working directory.
        as_of: Snapshot date (exclusive) or `last`. Overrides `rfm.snapshots`.
        only_new: Compute only snapshots that have changed since the published run.
        publish_anyway: Publish even if a gate fails.
        allow_older: Replace current results of a later snapshot.
        force: Replace current results of another pipeline.
        threads: Number of threads. Default: all cores. Results do not depend on it.
        env_file: Dotenv file of variables of the YAML.

    Raises:
        CustsegError: The run failed. The subclass depends on the exit code.
    """
    arguments = ["run"]
    arguments += [f"--set={name}={_to_yaml(value)}" for name, value in (set or {}).items()]
    values = {"--as-of": as_of, "--threads": threads, "--env-file": env_file and os.fspath(env_file)}
    arguments += [f"{option}={value}" for option, value in values.items() if value is not None]
    switches = {
        "--only-new": only_new,
        "--publish-anyway": publish_anyway,
        "--allow-older": allow_older,
        "--force": force,
    }
    arguments += [option for option, is_on in switches.items() if is_on]
    summary = execute([*arguments, "--", os.fspath(pipeline)])
    return Run(summary["run_path"], summary)


def open(path: str | os.PathLike[str]) -> Run:
    """Return the newest run of a results folder (`publish.to`), or the run in a folder.

    >>> custseg.open("orders-results").segments().collect()

    Raises:
        FileNotFoundError: There is no run in the folder.
    """
    folder = Path(path)
    # A run that is published later does not change what this object reads.
    folder = (folder / "current" if (folder / "current").exists() else folder).resolve()
    found = Run(str(folder))
    if not found.tables:
        raise FileNotFoundError(f"no run in {os.fspath(path)}: expected the folder of `publish.to` or of a run")
    return found


def _to_yaml(value: Any) -> str:
    """Return a value as JSON, which is YAML."""

    def convert(item: Any) -> str:
        if isinstance(item, (datetime.date, os.PathLike)):
            return str(item)
        raise TypeError(f"cannot write {type(item).__name__} as YAML: {item!r}")

    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=convert)
