"""Segments customers at the end of every month with custseg, and at past months in a backfill.

For Airflow 3 with the standard provider. Each snapshot is one task that publishes into its own folder,
so tasks run in parallel and a month can be cleared and rerun separately. A task is skipped (exit code
99) if nothing has changed since its last run. The last line of custseg's output is JSON and becomes the
XCom of the task, which `summary` reads.

A backfill is a run with parameters:

    airflow dags trigger custseg --conf '{"from": "2011-06-01", "until": "2011-12-01"}'

Each folder has one snapshot, so `previous_segment`, `migration` and `drift`, which compare snapshots,
are empty. They need a pipeline with several snapshots (`rfm.snapshots`). If `CUSTSEG_LINEAGE` is set,
custseg sends OpenLineage events. Set `OPENLINEAGE_PARENT_ID` to make the task the parent of the run;
`macros.OpenLineageProviderPlugin.lineage_parent_id(task_instance)` returns it if that provider is
installed.

An invalid pipeline (exit code 2) and failed data checks (3) fail again on retry, so the DAG sets no
retries; Airflow's `default_task_retries` applies.

Environment variables of the worker (`custseg run --help` lists more; credentials of object stores stay
in the worker's environment):

    CUSTSEG_BIN        the program, `custseg` by default
    CUSTSEG_PIPELINE   absolute path of the pipeline file
    CUSTSEG_TO         folder of the results, with one folder a snapshot
"""

import json
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, get_current_context, task

# Values are passed through the environment, never pasted into the command, so no date or path is parsed
# as shell. A retry does not skip: the first try may have published and failed before it returned its
# JSON line.
COMMAND = """
: "${CUSTSEG_PIPELINE:?is not set}" "${CUSTSEG_TO:?is not set}"
"${CUSTSEG_BIN:-custseg}" run "$CUSTSEG_PIPELINE" --as-of "$AS_OF" \
    --set "publish.to=$CUSTSEG_TO/as_of=$AS_OF" --only-new {{ '--skip-code' if ti.try_number == 1 else '' }}
"""

with DAG(
    dag_id="custseg",
    # At 6:00 UTC on the first. Adjust it to the time when the last lines of the month have arrived.
    schedule="0 6 1 * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Two runs of one month would compete for the lock of its folder; the second would fail (exit code 4).
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
        """Snapshot dates as task environments: first days of months, since snapshot dates are exclusive."""
        context = get_current_context()
        params = context["params"]
        end = context.get("data_interval_end") or context["dag_run"].run_after
        if params["until"] and not params["from"]:
            raise ValueError("a backfill needs `from`; `until` defaults to the same month")
        first = datetime.fromisoformat(params["from"] or end.strftime("%Y-%m-01"))
        last = datetime.fromisoformat(params["until"] or first.strftime("%Y-%m-%d"))
        if first > last or first.day != 1:
            raise ValueError(f"expected first days of months, `from` not after `until`: {params}")
        environments = []
        while first <= last:
            environments.append({"AS_OF": first.strftime("%Y-%m-%d")})
            first = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        return environments

    segment = BashOperator.partial(
        task_id="segment",
        bash_command=COMMAND,
        append_env=True,
        skip_on_exit_code=99,
        output_processor=json.loads,
    ).expand(env=snapshots())

    @task(trigger_rule="none_failed")
    def summary(results) -> list[str]:
        """Prints one line for each snapshot that was not skipped."""
        lines = [
            f"{', '.join(result['snapshots'])}: {result['rows']['segments']} customers in {result['path']}"
            for result in results
            if result
        ]
        for line in lines:
            print(line)
        return lines

    summary(segment.output)
