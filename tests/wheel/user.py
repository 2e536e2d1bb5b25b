"""What a user writes. Checked with `mypy --strict`, and executed.

python user.py PIPELINE
"""

import datetime
import sys

import polars as pl

import custseg

options = {"models": {}, "score.bins": 5}
run: custseg.Run = custseg.run(sys.argv[1], as_of=datetime.date(1998, 4, 1), set=options, allow_older=True)
champions: int = run.segments().filter(pl.col("segment") == "Champions").collect().height
try:
    custseg.run(sys.argv[1], set={"score.bins": "many"})
except custseg.ConfigurationError as error:
    first: str = error.problems[0]
    code: int = error.exit_code
assert champions > 0 and code == 2, first
