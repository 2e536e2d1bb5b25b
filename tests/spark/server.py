"""Context managers that run Sail, or Spark with two executor processes."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

# Sail runs its workers as threads of one process, Spark runs each executor as a process.
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
    """A Sail server from a venv; yields its URL."""
    port = free_port()
    command = [venv / "bin/sail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    # Sail finds the module `pyspark` through the first Python in PATH.
    path = f"{venv / 'bin'}:{os.environ['PATH']}"
    with running(command, os.environ | SAIL | {"PATH": path}, log):
        wait(port, log)
        yield f"sc://127.0.0.1:{port}"


@contextlib.contextmanager
def spark(venv, log):
    """A Spark Connect server with two executors from a venv; yields its URL."""
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
    """Runs a SQL file with spark-sql in the folder, which receives its files."""
    home = next((venv / "lib").glob("python3*/site-packages/pyspark"))
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [home / "bin/spark-sql", "--conf", "spark.ui.enabled=false", "-f", script]
    process = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]


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
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


def executors():
    """Process ids of the Spark executors."""
    pids = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"CoarseGrainedExecutorBackend" in path.read_bytes():
                pids.append(int(path.parent.name))
    return sorted(pids)
