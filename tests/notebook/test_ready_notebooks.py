"""The notebooks in ``examples/`` run from their first cell to their last, with a folder in the Drive's place."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from survivor.store import open_store

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(name, folder, monkeypatch):
    """Execute a notebook as 'run all' does; returns what each code cell printed."""
    monkeypatch.setenv("SURVIVOR_STORE", str(folder / "drive"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [output.get("text", "") for output in cell.outputs if output.output_type == "stream"]
            texts.append("".join(outputs).replace("\r\n", "\n"))
    return texts


@pytest.mark.parametrize(
    ("name", "last_words", "jobs"),
    [
        ("notebook_script.ipynb", "done", ["train"]),
        ("notebook_decorator.ipynb", "fine-tuned to", ["fine-tune", "train"]),
    ],
)
def test_run_all_and_run_all_again(tmp_path, monkeypatch, name, last_words, jobs):
    first = run(name, tmp_path, monkeypatch)
    assert last_words in first[-1]
    assert any("epoch 9: loss" in text for text in first)
    assert sorted(open_store(str(tmp_path / "drive")).folders("")) == jobs
    again = run(name, tmp_path, monkeypatch)
    # what had been done is not done again, and the end is the same
    assert again[-1].splitlines()[-1] == first[-1].splitlines()[-1]
    assert sum(text.count("epoch 0: loss") for text in again) == (1 if name == "notebook_script.ipynb" else 0)
