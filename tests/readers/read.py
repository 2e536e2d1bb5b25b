"""Opens, filters, sorts and joins every published Parquet file of a run in pandas with pyarrow, and in DuckDB and
Polars if they are installed. All readers must see the same segments."""

import sys
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.dataset as ds
import pyarrow.parquet as pq

run = Path(sys.argv[1])
tables = sorted(run.glob("**/*.parquet"))
assert tables, run

for path in tables:
    assert b"ARROW:schema" not in (pq.read_metadata(path).metadata or {}), path
    frame = pd.read_parquet(path)
    table = ds.dataset(path).to_table()
    assert table.num_rows == len(frame), path
    if not len(frame):
        continue
    for name in frame.columns:
        field = table.schema.field(name)
        if pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type):
            value = frame[name].dropna().head(1)
            if len(value):
                found = pd.read_parquet(path, filters=[(name, "==", value.iloc[0])])
                assert len(found) == (frame[name] == value.iloc[0]).sum() > 0, (path, name)
        frame.sort_values(name)

segments = pd.read_parquet(run / "segments", filters=[("segment", "==", "Champions")])
everyone = pd.read_parquet(run / "segments")
assert len(segments) == (everyone["segment"] == "Champions").sum() > 0
profile = pd.read_parquet(run / "segment_profile.parquet")
joined = everyone.merge(profile[["segment", "customers"]].drop_duplicates("segment"), on="segment")
assert len(joined) == len(everyone)
print(f"pyarrow {pyarrow.__version__}, pandas {pd.__version__}: {len(tables)} files, {len(segments)} Champions")

try:
    import duckdb
    import polars as pl
except ImportError:
    sys.exit()
query = f"from read_parquet('{run}/segments/*/*.parquet') where segment = 'Champions' order by customer_id"
assert len(duckdb.sql(query).fetchall()) == len(segments)
lazy = pl.scan_parquet(f"{run}/segments/**/*.parquet").filter(pl.col("segment") == "Champions").sort("customer_id")
assert lazy.collect().height == len(segments)
for path in tables:
    rows = pq.read_metadata(path).num_rows
    assert duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0][0] == rows == pl.read_parquet(path).height
print(f"duckdb {duckdb.__version__}, polars {pl.__version__}: equal")
