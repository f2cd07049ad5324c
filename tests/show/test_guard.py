"""The display guard in real kernels."""

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from cobench.show.guard import guard_display, refuse_raw

SECRET = "417263"
SETUP = f"""
import warnings; warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
import matplotlib.pyplot as plt
from IPython.display import display
from cobench.release import release_table
from cobench.show import guard_display, table, paragraph
standing = guard_display()
df = pd.DataFrame({{"score": [{SECRET}, {SECRET}]}})
"""
RAW = {
    "a bare frame": "df",
    "a bare series": "df.score",
    "display": "display(df)",
    "print": "print(df)",
    "an f-string": "print(f'{df}')",
    "frames in a list": "[df, df]",
    "frames in a dict of lists": "{'a': [df.score]}",
    "html made by hand": "from IPython.display import HTML; HTML(df.to_html())",
    "text made by hand": "print(df.to_string())",
    "a styled frame": "df.style",
    "an array": "df.to_numpy()",
    "print of an array": "print(df.to_numpy())",
    "an open figure": f"plt.plot([1, 2]); plt.title('{SECRET}');",
    "plt.show": "plt.plot([1, 2]); plt.show()",
    "a figure as last expression": "fig, ax = plt.subplots(); fig",
    "a refusal that is swallowed": "try:\n    display(df)\nexcept Exception:\n    pass",
    "logging": "import logging; logging.warning('%s', df)",
    "an object whose repr shows a frame": (
        "class Sly:\n    def __repr__(self):\n        return str(df)\nSly()"
    ),
}
ALLOWED = {
    "a released table": (
        "table(release_table(df.assign(n=[50, 60])[['n']], counts='n'), language='zh', caption='x')"
    ),
    "a figure of released data": (
        "from cobench.release import release_aggregate\nfrom cobench.show import love_plot\n"
        "love_plot(release_aggregate(pd.DataFrame({'covariate': ['x'], 'smd_before': [.3], 'smd_after': [.1]}),"
        " about='design'), language='zh')"
    ),
    "a paragraph": "paragraph('text')",
    "a number": "1 + 1",
    "print of text": "print('fine')",
    "arithmetic on frames": "total = df.score.sum(); total > 0",
    "a figure that is closed": "fig, ax = plt.subplots(); plt.close(fig)",
}


@pytest.fixture
def kernel_environment(monkeypatch, tmp_path, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    return monkeypatch


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, *sources)]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    )


def executed(*sources):
    book = notebook(*sources)
    NotebookClient(book, timeout=120, allow_errors=True).execute()
    assert not errors(book.cells[0]), errors(book.cells[0])
    return book.cells[1:]


def errors(cell):
    return [output for output in cell.outputs if output.output_type == "error"]


def test_a_run_refuses_every_way_to_show_raw_data_and_allows_released_objects(kernel_environment):
    kernel_environment.setenv("COBENCH_RUN", "1")
    cells = executed(*RAW.values(), *ALLOWED.values())
    refused, allowed = cells[: len(RAW)], cells[len(RAW) :]
    for name, cell in zip(RAW, refused, strict=True):
        kinds = {output.ename for output in errors(cell)}
        assert "ReleaseError" in kinds, f"{name} was shown: {cell.outputs}"
        shown = [output for output in cell.outputs if output.output_type != "error"]
        assert SECRET not in str(shown), name
        assert "image/png" not in str(shown), name
    for name, cell in zip(ALLOWED, allowed, strict=True):
        assert not errors(cell), f"{name}: {errors(cell)}"
    figure = allowed[list(ALLOWED).index("a figure of released data")].outputs[0]
    assert figure.metadata["image/png"]["alt"].startswith("平衡图")


def test_the_refusal_says_what_to_do_in_both_languages(kernel_environment):
    with pytest.raises(Exception) as caught:
        import pandas as pd

        refuse_raw([pd.Series([1])])
    assert "release_table" in str(caught.value)
    assert "请先用" in str(caught.value)


def test_papermill_stops_at_a_figure_left_open_in_a_run(kernel_environment, tmp_path):
    kernel_environment.setenv("COBENCH_RUN", "1")
    source = tmp_path / "in.ipynb"
    nbformat.write(notebook("plt.plot([1, 2]);", "print('reached')"), source)
    with pytest.raises(papermill.PapermillExecutionError, match="ReleaseError"):
        papermill.execute_notebook(source, tmp_path / "out.ipynb", progress_bar=False)
    assert "reached" not in str(nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs)


def test_outside_a_run_raw_data_are_displayed_as_usual(kernel_environment):
    kernel_environment.delenv("COBENCH_RUN", raising=False)
    cells = executed("standing", "df", "print(df)", "plt.plot([1, 2]);")
    assert [errors(cell) for cell in cells] == [[], [], [], []]
    assert cells[0].outputs[0].data["text/plain"] == "False"
    assert SECRET in str(cells[1].outputs)
    assert "image/png" in cells[3].outputs[0].data


def test_the_guard_does_not_stand_without_the_run_variable(monkeypatch):
    monkeypatch.delenv("COBENCH_RUN", raising=False)
    assert guard_display() is False
