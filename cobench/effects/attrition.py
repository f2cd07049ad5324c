"""Who was lost after assignment: by arm against the boundaries of WWC, by reason, and as a flow for a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.effects.effect_sizes import Attrition, attrition
from cobench.effects.imputation import reasons_of
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import as_level, levels_of, require_columns, select_rows

ARMS = [
    "arm",
    "n_assigned",
    "n_kept",
    "n_lost",
    "percent_lost",
    "n_groups",
    "n_groups_lost",
    "percent_groups_lost",
]
VERDICTS = [
    "contrast", "reference", "overall", "differential", "cautious_limit", "optimistic_limit", "cautious", "optimistic",
]  # fmt: skip
BY_REASON = ["reason", "arm", "n_lost", "percent_of_assigned"]
FLOW_BY_ARM = ["order", "step", "text_zh", "text_en", "reason", "arm", "n", "dropped"]
UNKNOWN = "not_stated"


@dataclass(frozen=True)
class AttritionTable:
    """Losses after assignment.

    Attributes
    ----------
    by_arm : DataFrame
        Columns :data:`ARMS`, one row an arm, the reference first, and ``all``. Groups (of ``cluster``) are lost when
        nobody in them was kept.
    verdicts : DataFrame
        Columns :data:`VERDICTS`, one row a level against the reference: percent and points, and whether attrition is
        low under the cautious and the optimistic boundary (WWC 4.1).
    by_reason : DataFrame
        Columns :data:`BY_REASON`; ``not_stated`` where no reason is known.
    """

    by_arm: pd.DataFrame
    verdicts: pd.DataFrame
    by_reason: pd.DataFrame


def attrition_table(
    frame: pd.DataFrame,
    assigned: str,
    outcome: str,
    *,
    observed: str | None = None,
    cluster: str | None = None,
    reference: object = None,
    reasons: pd.DataFrame | None = None,
) -> AttritionTable:
    """Overall and differential attrition of everybody who was assigned.

    Parameters
    ----------
    frame : DataFrame
        One row a student assigned, the lost ones included.
    assigned : str
        Column of the arm as drawn, not of what was taken up. Rows without it are not counted.
    observed : str, optional
        Flag column of those kept; by default those with an outcome.
    cluster : str, optional
        Groups: how many were lost as a whole.
    reasons : DataFrame, optional
        As in :func:`cobench.effects.imputation.impute`.

    Raises
    ------
    NotEstimableError
        When an arm is empty.
    """
    require_columns(frame, [assigned, outcome, *filter(None, [observed, cluster])])
    levels, base = levels_of(frame, assigned, reference)
    arm = as_level(frame[assigned])
    kept = _kept(frame, outcome, observed)
    for level in (base, *levels):
        if not (arm == level).any():
            raise not_estimable("no_treated", level=f"{assigned} = {level}")
    arms = [(level, (arm == level).to_numpy()) for level in (base, *levels)]
    arms.append(("all", np.logical_or.reduce([rows for _, rows in arms])))
    groups = as_level(frame[cluster]) if cluster else None
    by_arm = pd.DataFrame([_arm_row(name, rows, kept, groups) for name, rows in arms], columns=ARMS)
    counts = by_arm.set_index("arm")[["n_assigned", "n_kept"]]
    found = [(level, attrition(*map(int, (*counts.loc[level], *counts.loc[base])))) for level in levels]
    verdicts = pd.DataFrame([_verdict(level, base, each) for level, each in found], columns=VERDICTS)
    why = reasons_of(frame, [outcome], reasons)[outcome].replace("", UNKNOWN)
    return AttritionTable(by_arm, verdicts, _by_reason(why, arms, kept))


def sample_flow(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str] = (),
    *,
    cluster: str | None = None,
    within: Sequence[str] = (),
    reference: object = None,
    reasons: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """From everybody given to those analysed: who leaves at each step, by arm and reason.

    The steps are those by which every estimator leaves rows out (:func:`cobench.effects.sample.select_rows`), so the
    last row counts their sample before common support.

    Returns
    -------
    DataFrame
        Columns :data:`FLOW_BY_ARM`. A step that drops students has a row an arm and reason, with ``dropped`` and no
        ``n``; ``given`` and ``analysed`` have a row an arm with ``n``. The arm of students whose exposure isn't known
        is empty.
    """
    levels, base = levels_of(frame, treatment, reference)
    steps = []
    groups = [*within, *filter(None, [cluster])]
    keep, flow = select_rows(
        frame,
        outcome=outcome,
        treatment=treatment,
        levels=[base, *levels],
        covariates=covariates,
        groups=groups,
    )
    why = reasons_of(frame, [outcome, treatment, *covariates], reasons)
    arm = as_level(frame[treatment]).fillna("")
    before = np.ones(len(frame), dtype=bool)
    for order, row in enumerate(flow.to_dict("records")):
        text = (order, row["step"], row["text_zh"], row["text_en"])
        if row["step"] == "given":
            steps += [(*text, "", name, n, 0) for name, n in _counts(arm, before)]
            continue
        column = {"exposure_unknown": treatment, "outcome_missing": outcome}.get(
            row["step"], row["step"].partition(":")[2]
        )
        left = before & frame[column].isna().to_numpy(dtype=bool)
        cause = why[column].replace("", UNKNOWN) if column in why else pd.Series(UNKNOWN, index=frame.index)
        for reason in sorted(cause[left].unique()):
            own = left & (cause == reason).to_numpy(dtype=bool)
            steps += [(*text, reason, name, None, n) for name, n in _counts(arm, own)]
        before &= ~left
    zh, en = "进入分析", "analysed"
    steps += [(len(flow), "analysed", zh, en, "", name, n, 0) for name, n in _counts(arm, keep)]
    return pd.DataFrame(steps, columns=FLOW_BY_ARM).astype({"n": "Int64"})


def _counts(arm: pd.Series, rows: np.ndarray) -> list[tuple[str, int]]:
    return [(str(name), int(n)) for name, n in arm[rows].value_counts(sort=False).sort_index().items()]


def _kept(frame: pd.DataFrame, outcome: str, observed: str | None) -> np.ndarray:
    if observed is None:
        return frame[outcome].notna().to_numpy(dtype=bool)
    return frame[observed].fillna(0).astype("bool").to_numpy()


def _arm_row(name: str, rows: np.ndarray, kept: np.ndarray, groups: pd.Series | None) -> tuple:
    n, left = int(rows.sum()), int((rows & kept).sum())
    if groups is None:
        whole, gone = None, None
    else:
        whole = int(groups[rows].nunique())
        gone = whole - int(groups[rows & kept].nunique())
    share = None if not whole else 100 * gone / whole
    return name, n, left, n - left, 100 * (1 - left / n), whole, gone, share


def _verdict(level: str, base: str, found: Attrition) -> tuple:
    return (
        level, base, found.overall, found.differential, found.cautious_limit, found.optimistic_limit, found.cautious,
        found.optimistic,
    )  # fmt: skip


def _by_reason(why: pd.Series, arms: Sequence[tuple[str, np.ndarray]], kept: np.ndarray) -> pd.DataFrame:
    rows = []
    names = sorted(why[~kept].unique())
    for reason in names:
        for name, own in arms:
            n = int((own & ~kept & (why == reason).to_numpy(dtype=bool)).sum())
            rows.append((reason, name, n, 100 * n / int(own.sum())))
    return pd.DataFrame(rows, columns=BY_REASON)
