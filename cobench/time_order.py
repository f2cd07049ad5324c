"""The guard of time: covariates before the landmark, outcomes after the exposure window."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cobench.errors import TimeOrderError
from cobench.panel import Panel


def check_time_order(panel: Panel, columns: Iterable[str], outcome: str, *, dates_required: bool) -> None:
    """Refuse covariates measured after the landmark and outcomes measured within the exposure window.

    Parameters
    ----------
    columns : iterable of str
        Covariate columns of one effect.
    outcome : str
        Outcome column.
    dates_required : bool
        A covariate with values that have no date is refused (a study of one table must declare
        ``measured``).

    Raises
    ------
    TimeOrderError
        Naming the columns, when they were measured, and the landmark.
    """
    term = panel.term
    measured = panel.measured.set_index("column")
    n_dated = {name: measured.loc[name, "n_measured"] if name in measured.index else 0 for name in columns}
    n_values = {name: panel.frame[name].notna().sum() if name in panel.frame else 1 for name in n_dated}
    undated = [name for name in n_dated if n_dated[name] < n_values[name]]
    if undated and dates_required:
        raise TimeOrderError(
            en=f"covariates without a date of measurement: {', '.join(undated)}; declare them under "
            f"sources.measured (a date on or before the landmark {term.landmark} makes them usable)",
            zh=f"以下协变量没有测量日期：{', '.join(undated)}；请在 sources.measured 中声明（不晚于基准日 {term.landmark} 才可使用）",
        )
    late = [
        f"{name} ({measured.loc[name, 'last_on']:%Y-%m-%d})"
        for name in columns
        if name in measured.index and measured.loc[name, "last_on"] > pd.Timestamp(term.landmark)
    ]
    if late:
        raise TimeOrderError(
            en=f"post-treatment covariates refused: {', '.join(late)} measured after the landmark {term.landmark}; "
            "drop them, or declare the effect replication_only, which withholds its evidence badge",
            zh=f"拒绝使用干预后的协变量：{', '.join(late)}，测量晚于基准日 {term.landmark}；请删去，"
            "或将该效应声明为 replication_only（将不授予证据等级）",
        )
    if outcome in measured.index and measured.loc[outcome, "first_on"] <= pd.Timestamp(term.exposure_end):
        first = measured.loc[outcome, "first_on"]
        raise TimeOrderError(
            en=f"outcome {outcome} was measured from {first:%Y-%m-%d}, before the exposure window ends "
            f"({term.exposure_end}); move exposure_end or the measurement",
            zh=f"结果 {outcome} 自 {first:%Y-%m-%d} 起测量，早于干预窗口结束日（{term.exposure_end}）；请调整 exposure_end 或测量时间",
        )
