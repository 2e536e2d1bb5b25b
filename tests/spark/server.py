"""Sail, and Spark with two executor processes, started for as long as they are needed."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

# Sail's workers are threads of one process; what Spark calls an executor is a process of its own.
SAIL = {
    "SAIL_MODE": "local-cluster",
    "SAIL_CLUSTER__WORKER_INITIAL_COUNT": "2",
    "SAIL_CLUSTER__WORKER_MAX_COUNT": "2",
    "SAIL_CLUSTER__WORKER_TASK_SLOTS": "8",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def sail(venv, log):
    """A Sail server from a venv; gives its URL."""
    port = free_port()
    command = [venv / "bin/sail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    # Sail looks for the module `pyspark` by the Python that it finds.
    path = f"{venv / 'bin'}:{os.environ['PATH']}"
    with running(command, os.environ | SAIL | {"PATH": path}, log):
        wait(port, log)
        yield f"sc://127.0.0.1:{port}"


@contextlib.contextmanager
def spark(venv, log):
    """A Spark Connect server with two executors from a venv; gives its URL."""
    port = free_port()
    home = next((venv / "lib").glob("python3*/site-packages/pyspark"))
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": 4,
    }
    command = [home / "bin/spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += ["--master", "local-cluster[2,1,1024]", "--driver-memory", "1g", "--executor-memory", "1g"]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
    with running([*command, "spark-internal"], environment, log):
        wait(port, log)
        yield f"sc://127.0.0.1:{port}"


def spark_sql(venv, script, folder):
    """Runs a file of SQL by Spark's own shell; what it keeps goes into the folder."""
    home = next((venv / "lib").glob("python3*/site-packages/pyspark"))
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [home / "bin/spark-sql", "--conf", "spark.ui.enabled=false", "-f", script]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@contextlib.contextmanager
def running(command, environment, log):
    with log.open("w") as out:
        folder = log.parent
        process = subprocess.Popen(
            command, env=environment, stdout=out, stderr=out, cwd=folder, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait(port, log):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise SystemExit(f"no server came up:\n{log.read_text()[-2000:]}")


def executors():
    """Process ids of Spark's executors."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"CoarseGrainedExecutorBackend" in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(found)
