"""Runs the DAG of config/airflow with Airflow over CDNOW.

A backfill of four months, the same again, which is skipped, and an invalid pipeline, which fails.

    python dag.py --binary target/release/custseg
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent.parent
MONTHS = ["1997-10-01", "1997-11-01", "1997-12-01", "1998-01-01"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    binary = parser.parse_args().binary.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        environment = os.environ | {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "config/airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "CUSTSEG_BIN": str(binary),
            "CUSTSEG_PIPELINE": str(ROOT / "pipelines/cdnow.yaml"),
            "CUSTSEG_TO": str(folder / "out"),
        }
        airflow(environment, "db", "migrate")

        states, output = run(environment)
        assert states == {"success": 6}, states
        for month in MONTHS:
            manifest = json.loads((folder / f"out/as_of={month}/current/manifest.json").read_text())
            assert manifest["snapshots"] == [month], manifest["snapshots"]
            # `summary` receives the JSON line through XCom.
            assert f"{month}: {manifest['rows']['segments']} customers in" in output, output

        states, _ = run(environment)
        assert states == {"success": 2, "skipped": 4}, states

        invalid = environment | {"CUSTSEG_PIPELINE": str(ROOT / "tests/fixtures/bad_yaml/bad_name.yaml")}
        states, _ = run(invalid, succeeds=False)
        assert states["success"] == 1 and states["failed"] == 4 and "skipped" not in states, states
    print("airflow: ok")


def airflow(environment, *args, succeeds=True) -> str:
    command = [pathlib.Path(sys.executable).parent / "airflow", *args]
    folder = pathlib.Path(environment["CUSTSEG_TO"]).parent
    process = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    output = process.stdout + process.stderr
    assert (process.returncode == 0) == succeeds, output
    return output


def run(environment, succeeds=True):
    """Runs the DAG once. Returns the number of task instances by final state, and the output."""
    dag = ROOT / "config/airflow/custseg_dag.py"
    conf = json.dumps({"from": MONTHS[0], "until": MONTHS[-1]})
    output = airflow(environment, "dags", "test", "custseg", "--conf", conf, "-f", str(dag), succeeds=succeeds)
    states = {}
    for line in output.splitlines():
        if "Task instance state updated" in line and "new_state=" in line:
            state = line.split("new_state=")[1].split(" ")[0]
            states[state] = states.get(state, 0) + 1
    return states, output


if __name__ == "__main__":
    main()
