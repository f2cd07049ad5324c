"""During a run nothing unreleased can be displayed: raw frames, arrays and figures fail their cell.

IPython swallows the exceptions of formatters and prints a traceback instead, so the check stands before the
formatters, and a refusal that somebody swallowed still fails the cell when it ends.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable, Iterable

from cobench.errors import ReleaseError

RUN_VARIABLE = "COBENCH_RUN"

# By module and name, so that nothing is imported only to be refused.
_RAW = {
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("pandas", "Index"),
    ("pandas", "Styler"),
    ("numpy", "ndarray"),
    ("matplotlib", "Figure"),
    ("matplotlib", "FigureBase"),
    ("seaborn", "Grid"),
    ("seaborn", "Plot"),
    ("great_tables", "GT"),
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
    ("pyarrow", "ChunkedArray"),
    ("polars", "DataFrame"),
    ("polars", "Series"),
    ("polars", "LazyFrame"),
    ("duckdb", "DuckDBPyRelation"),
    ("_duckdb", "DuckDBPyRelation"),
}
_RENDERERS = ("__repr__", "__str__", "_repr_html_", "_repr_latex_", "to_string", "to_html", "to_markdown")
_DEPTH = 3


class _State:
    installed = False
    refusal: ReleaseError | None = None


def guard_display() -> bool:
    """Refuse raw output in this kernel from now on, if it belongs to a run.

    A run sets the environment variable ``COBENCH_RUN=1``; without it (JupyterLab) nothing changes.

    Returns
    -------
    bool
        Whether the guard stands.
    """
    if os.environ.get(RUN_VARIABLE) != "1":
        return False
    if not _State.installed:
        from IPython.core.getipython import get_ipython

        _guard_pandas()
        _guard_print()
        shell = get_ipython()
        if shell is not None:
            _guard_shell(shell)
        _State.installed = True
    return True


def refuse_raw(thing: object) -> None:
    """Raise if ``thing`` is, or holds, something unreleased.

    Raises
    ------
    ReleaseError
        Naming the type and the way out.
    """
    name = _raw_type(thing, _DEPTH)
    if name:
        en = (
            f"a run shows released objects only, and this is a raw {name}. Pass a table through "
            "release_table, release_counts or release_estimates and show.table; a figure through one of "
            "cobench.show's figures"
        )
        zh = (
            f"运行报告时只能显示已发布的对象，而这是原始的 {name}。表格请先用 release_table、release_counts "
            "或 release_estimates 处理，再用 show.table 显示；图请用 cobench.show 中的作图函数"
        )
        _State.refusal = ReleaseError(en=f"{en} / {zh}", zh=zh)
        raise _State.refusal


def _raw_type(thing: object, depth: int) -> str | None:
    for kind in type(thing).__mro__:
        if (kind.__module__.partition(".")[0], kind.__name__) in _RAW:
            return type(thing).__name__
    if depth and isinstance(thing, dict | list | tuple | set | frozenset):
        inside: Iterable = [*thing.keys(), *thing.values()] if isinstance(thing, dict) else thing
        return next((name for each in inside if (name := _raw_type(each, depth - 1))), None)
    return None


def _guard_pandas() -> None:
    """Make every textual form of a frame or series raise: ``print``, f-strings, logging, ``to_html``."""
    import pandas as pd

    for kind in (pd.DataFrame, pd.Series):
        for name in _RENDERERS:
            if hasattr(kind, name):
                setattr(kind, name, _refusing(name))


def _refusing(name: str) -> Callable:
    def render(self, *args, **kwargs):
        refuse_raw(self)

    render.__name__ = name
    return render


def _guard_print() -> None:
    plain = builtins.print

    def print(*values, **options):
        refuse_raw(values)
        plain(*values, **options)

    builtins.print = print


def _guard_shell(shell) -> None:
    formatter = shell.display_formatter
    plain_format = formatter.format

    def format(thing, include=None, exclude=None):
        refuse_raw(thing)
        return plain_format(thing, include=include, exclude=exclude)

    # traitlets objects take instance attributes; displayhook and display() both call .format on this one
    formatter.format = format
    shell.events.register("pre_run_cell", _forget)
    shell.events.register("post_run_cell", _fail_cell)


def _forget(info=None) -> None:
    _State.refusal = None


def _fail_cell(result) -> None:
    """Fail a cell whose refusal was swallowed, and one that leaves an open figure to be shown."""
    if result is None or not result.success:
        return
    if _State.refusal is None:
        _refuse_open_figures()
    if _State.refusal is not None:
        _report(result, _State.refusal)


def _refuse_open_figures() -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None or not pyplot.get_fignums():
        return
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    pyplot.close("all")
    try:
        refuse_raw(figures)
    except ReleaseError:
        return


def _report(result, refusal: ReleaseError) -> None:
    from IPython.core.getipython import get_ipython

    result.error_in_exec = refusal
    shell = get_ipython()
    shell.showtraceback((type(refusal), refusal, refusal.__traceback__))
