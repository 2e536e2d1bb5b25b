"""Executes the committed notebook, which has no outputs, over a published run.

    python execute.py RUN
"""

import os
import pathlib
import sys

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = pathlib.Path(__file__).parent.parent.parent / "notebooks"


def main() -> None:
    os.environ["CUSTSEG_RUN"] = str(pathlib.Path(sys.argv[1]).resolve())
    notebook = nbformat.read(NOTEBOOKS / "segments.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "commit the notebook without outputs"
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}).execute()
    # Every code cell has an output.
    silent = [cell.source for cell in code if not cell.outputs]
    assert not silent, silent
    for cell in code:
        for output in cell.outputs:
            print(output.get("text") or output["data"]["text/plain"])
    print("notebook: ok")


if __name__ == "__main__":
    main()
