"""Segments customers at the end of every month with custseg, and at past months for a backfill.

For Airflow 3 with the standard provider. One task a snapshot: each looks back from its date and publishes into a folder of its own, so that tasks run side by side
and a month can be cleared and run again by itself. What has not changed since the last try is skipped (exit code 99). The last line
that custseg prints is one line of JSON, which becomes the task's XCom; `summary` reads those.

A backfill is a run with parameters:

    airflow dags trigger custseg --conf '{"from": "2011-06-01", "until": "2011-12-01"}'

Each folder has one snapshot, so `previous_segment`, `migration` and `drift`, which look from one to the next, are empty there: they
come of a pipeline with several snapshots (`rfm.snapshots`). With `CUSTSEG_LINEAGE` set, custseg tells a catalogue of its runs;
`OPENLINEAGE_PARENT_ID`, which `macros.OpenLineageProviderPlugin.lineage_parent_id(task_instance)` gives where that provider is
installed, makes the task their parent.

A wrong pipeline (exit code 2) or data that break their contract (3) fail again when they are tried again, so retries are left to
Airflow's `default_task_retries`.

The worker needs these variables (`custseg run --help` tells of more; credentials of object stores stay in the worker's environment):

    CUSTSEG_BIN        the program; `custseg` where it is not set
    CUSTSEG_PIPELINE   the pipeline file, by its full path
    CUSTSEG_TO         folder of the results, one folder a snapshot within it
"""

import json
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, get_current_context, task

# Values come by the environment, never pasted into the command, so that no date or path is ever read as shell. A second try does not
# skip: the first may have published and died before its last line was heard.
COMMAND = """
: "${CUSTSEG_PIPELINE:?is not set}" "${CUSTSEG_TO:?is not set}"
"${CUSTSEG_BIN:-custseg}" run "$CUSTSEG_PIPELINE" --as-of "$AS_OF" \
    --set "publish.to=$CUSTSEG_TO/as_of=$AS_OF" --only-new {{ '--skip-code' if ti.try_number == 1 else '' }}
"""

with DAG(
    dag_id="custseg",
    # Six in the morning of the first, in UTC: say when the month's last lines have arrived, in the shop's own time zone.
    schedule="0 6 1 * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Two runs over one month would meet at the lock of its folder, and the second fail (exit code 4).
    max_active_runs=1,
    max_active_tasks=2,
    params={
        "from": Param(None, type=["null", "string"], format="date", description="First snapshot of a backfill"),
        "until": Param(None, type=["null", "string"], format="date", description="Last snapshot of a backfill"),
    },
    doc_md=__doc__,
    tags=["custseg", "segmentation"],
) as dag:

    @task
    def snapshots() -> list[dict[str, str]]:
        """The dates to look back from, as the environments of the tasks: first days of months, since a date is exclusive."""
        context = get_current_context()
        asked = context["params"]
        end = context.get("data_interval_end") or context["dag_run"].run_after
        if asked["until"] and not asked["from"]:
            raise ValueError("a backfill needs `from`; `until` is the same month where it is left out")
        first = datetime.fromisoformat(asked["from"] or end.strftime("%Y-%m-01"))
        last = datetime.fromisoformat(asked["until"] or first.strftime("%Y-%m-%d"))
        if first > last or first.day != 1:
            raise ValueError(f"expected first days of months, the first not after the last: {asked}")
        found = []
        while first <= last:
            found.append({"AS_OF": first.strftime("%Y-%m-%d")})
            first = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        return found

    segment = BashOperator.partial(
        task_id="segment",
        bash_command=COMMAND,
        append_env=True,
        skip_on_exit_code=99,
        output_processor=json.loads,
    ).expand(env=snapshots())

    @task(trigger_rule="none_failed")
    def summary(results) -> list[str]:
        """One line a snapshot that something was new for."""
        lines = [
            f"{', '.join(result['snapshots'])}: {result['rows']['segments']} customers in {result['path']}"
            for result in results
            if result
        ]
        for line in lines:
            print(line)
        return lines

    summary(segment.output)
