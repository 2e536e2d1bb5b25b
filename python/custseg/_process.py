"""Run the `custseg` binary, log its messages, and raise its failures as exceptions."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

LOGGER = logging.getLogger("custseg")


class CustsegError(Exception):
    """A command of custseg failed.

    >>> try:
    ...     custseg.run("orders.yaml")
    ... except custseg.CustsegError as error:
    ...     print(error.exit_code, error.problems)

    Attributes:
        exit_code: Exit code of the process. Negative if a signal ended it.
        problems: One text per problem, with file, line and column if it is about YAML.
        json: Record of the failure in the JSON log, or None if there is none.
    """

    def __init__(self, exit_code: int, message: str, json: dict[str, Any] | None = None) -> None:
        super().__init__(exit_code, message, json)
        self.exit_code = exit_code
        self.json = json
        reports = re.sub(r"\n\n\d+ problems?$", "", message)
        self.problems = [problem.strip() for problem in reports.split("\n\nerror: ")]

    def __str__(self) -> str:
        return str(self.args[1])


class GateError(CustsegError):
    """A gate failed (exit code 1). The run before stays current."""


class ConfigurationError(CustsegError):
    """The options, the YAML or a segment map are wrong (exit code 2)."""


class DataError(CustsegError):
    """The data break an expectation, or a check failed (exit code 3)."""


class ExecutionError(CustsegError):
    """Input, output, the lock or the engine failed (exit code 4). A retry may help."""


ERRORS = {1: GateError, 2: ConfigurationError, 3: DataError, 4: ExecutionError}


def find_binary() -> str:
    """Return the path of the `custseg` binary: of this installation, otherwise the first on PATH."""
    user_scheme = "osx_framework_user" if sys.platform == "darwin" and sys._framework else "posix_user"
    folders = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", scheme=user_scheme),
        # `pip install --target`
        str(Path(__file__).parent.parent / "bin"),
        os.environ.get("PATH", os.defpath),
    ]
    binary = shutil.which("custseg", path=os.pathsep.join(folders))
    if binary is None:
        raise FileNotFoundError(f"no `custseg` binary in {folders[0]} or on PATH: reinstall the package `custseg`")
    return binary


def execute(arguments: Sequence[str]) -> dict[str, Any]:
    """Run a command and return the line of JSON that it prints.

    Raises:
        CustsegError: The exit code is not 0.
    """
    command = [find_binary(), "--log-format", "json", *arguments]
    with tempfile.TemporaryFile() as stdout:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
        )
        assert process.stderr is not None
        try:
            with process.stderr as stderr:
                failure, text = _read_log(stderr)
            exit_code = process.wait()
        except BaseException:
            # The binary removes its partial output.
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        if exit_code != 0:
            message = failure.get("message") or text.strip() or f"custseg ended with exit code {exit_code}"
            raise ERRORS.get(exit_code, CustsegError)(exit_code, message.removeprefix("error: "), failure or None)
        stdout.seek(0)
        result: dict[str, Any] = json.loads(stdout.read())
        return result


def _read_log(lines: Iterable[str]) -> tuple[dict[str, Any], str]:
    """Log the lines of the JSON log, and return the failure and the lines that are not JSON."""
    failure: dict[str, Any] = {}
    text = ""
    for line in lines:
        try:
            record = json.loads(line)
            fields = dict(record["fields"])
            level = logging.getLevelName(record["level"])
        except (ValueError, KeyError, TypeError):
            text += line
            continue
        if "exit_code" in fields:
            failure = fields
            continue
        message = fields.pop("message", "")
        details = "".join(f" {name}={value}" for name, value in fields.items())
        LOGGER.log(level if isinstance(level, int) else logging.DEBUG, "%s%s", message, details)
    return failure, text
