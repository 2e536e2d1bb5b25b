"""Runs the code blocks of README.md and of the pages of docs, as CONTRIBUTING.md describes them.

    python tests/docs/python.py --binary custseg [--all] [PAGE...]

By default only pages with `python` blocks: `cargo test` runs the others. Each page has a process and a folder
of its own. Blocks run in order; the `python` blocks of a page share their variables.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve()
ROOT = SCRIPT.parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.\w+)\n")


def pages():
    return [ROOT / "README.md", ROOT / "SKILL.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page):
    """Language, text and line of each fenced block."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        yield match[1], match[2], text.count("\n", 0, match.start()) + 2


def prepare(folder):
    """Copies the files that the pages read."""
    shutil.copy(ROOT / "data/raw/cdnow.csv", folder)
    shutil.copy(ROOT / "tests/fixtures/docs/orders.csv", folder)
    shutil.copytree(ROOT / "tests/fixtures/recipes", folder / "exports")
    (folder / "maps").mkdir()
    shutil.copy(ROOT / "config/segments/default.yaml", folder / "maps")


def install_module(folder):
    """Copies the module of the wheel. It finds the program in PATH, and its version in the metadata."""
    shutil.copytree(ROOT / "python/custseg", folder / "custseg")
    metadata = folder / "custseg-0.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: custseg\nVersion: 0\n")


def write(name, text):
    file = pathlib.Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def run_page(page):
    """Runs a page in the working directory."""
    variables = {"__name__": "__main__"}
    for language, text, line in blocks(page):
        named = NAMED.match(text)
        if language in ("yaml", "csv", "text", "sql") and named:
            write(named[1], text[named.end() :])
        elif language == "sh":
            done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{page}:{line}: exit code {done.returncode}\n{text}\n{done.stderr}")
        elif language == "python":
            code = compile("\n" * (line - 1) + text, str(page), "exec")
            exec(code, variables)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=pathlib.Path, required=True, help="the program custseg")
    parser.add_argument("--all", action="store_true", help="pages without Python, too")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("pages", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    if args.here:
        run_page(args.pages[0])
        return
    chosen = [page.resolve() for page in args.pages]
    chosen = chosen or [page for page in pages() if args.all or any(language == "python" for language, _, _ in blocks(page))]
    binary = args.binary.resolve()
    failed = []
    with tempfile.TemporaryDirectory() as modules:
        install_module(pathlib.Path(modules))
        path = f"{binary.parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": modules}
        for page in chosen:
            with tempfile.TemporaryDirectory() as folder:
                prepare(pathlib.Path(folder))
                command = [sys.executable, SCRIPT, "--binary", binary, "--here", page]
                done = subprocess.run(command, cwd=folder, env=environment)
            name = str(page.relative_to(ROOT))
            failed += [name] * (done.returncode != 0)
            print(f"{'failed' if done.returncode else 'ok'}: {name}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
