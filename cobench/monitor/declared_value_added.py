"""Value added as ``[[value_added]]`` of ``study.toml`` declares it, from the panel of a term."""

from __future__ import annotations

import pandas as pd

from cobench.effect_keys import ValueAddedKeys
from cobench.errors import StudyFileError
from cobench.monitor.growth import GROWTH, growth_by_group
from cobench.monitor.value_added import COLUMNS, value_added
from cobench.panel import Panel
from cobench.study import Study

BASELINE = "@baseline"
KEYS = ["outcome", "grade", "specification", "school", "class_id"]
SPECIFICATIONS = ("declared", "uncorrected", "composition")


def value_added_frames(study: Study, panel: Panel) -> dict[str, pd.DataFrame]:
    """``value_added`` and ``growth`` of every declared comparison of the panel's term, a grade at a time.

    ``value_added`` has :data:`KEYS` and :data:`cobench.monitor.value_added.COLUMNS`. Its ``specification`` is ``declared``, and to
    show how much hangs on it ``uncorrected`` (priors as measured, where a reliability is declared) and ``composition``
    (school means of priors adjusted for, where none is declared). Where the study's data are one table, priors are outcomes
    of their own in it, and its students are one group if it has no column ``grade``.

    Raises
    ------
    StudyFileError
        When the one table has no column of schools (of classes), or not what is adjusted for.
    """
    of_one_table = any(source.table == "panel" for source in study.sources)
    tests = {
        id_
        for id_, outcome in study.outcomes.items()
        # What is standardised within schools has lost what sets them apart.
        if outcome.test == "common" and not {"school", "class_id"} & set(outcome.standardise)
    }
    common = tests | {f"{id_}{BASELINE}" for id_ in tests}
    values, growth = [], []
    for each in study.value_added:
        if of_one_table:
            _require_columns(each, panel.frame)
        priors = {id_: id_ if of_one_table else f"{id_}{BASELINE}" for id_ in each.priors}
        for grade, frame in _by_grade(panel.frame, each.outcome):
            given = {"common": common, "covariates": each.covariates, "seed": study.seed}
            for name, changed in _specifications(each, priors).items():
                rows = value_added(frame, each.outcome, [*priors.values()], **given, **changed)
                values.append(rows.assign(outcome=each.outcome, grade=grade, specification=name))
            rows = growth_by_group(frame, each.outcome, [*priors.values()], common=common)
            growth.append(rows.assign(outcome=each.outcome, grade=grade))
    return {
        "value_added": _stacked(values, [*KEYS, *COLUMNS]),
        "growth": _stacked(growth, ["outcome", "grade", "school", *GROWTH]),
    }


def _require_columns(each: ValueAddedKeys, frame: pd.DataFrame) -> None:
    needed = ["school", *(["class_id"] if each.level == "class" else []), *each.covariates]
    absent = [name for name in needed if name not in frame]
    if absent:
        found = ", ".join(name for name in frame.columns if name not in ("student", "term"))
        raise StudyFileError(
            en=f"value_added of {each.outcome} needs the column {', '.join(absent)} of the panel, which has: {found}; "
            'make it in the source, as in derive = {school = "..."}',
            zh=f"{each.outcome} 的 value_added 需要数据表中的列 {', '.join(absent)}，现有：{found}；"
            '请在数据源中生成，例如 derive = {school = "..."}',
        )


def _specifications(each: ValueAddedKeys, priors: dict[str, str]) -> dict[str, dict]:
    reliability = {priors[id_]: value for id_, value in each.reliability.items()}
    composition = [*priors.values()]
    declared = {"reliability": reliability, "composition": composition if each.composition else ()}
    if each.level == "class":
        declared |= {"classes": "class_id", "level": "class"}
    found = {"declared": declared}
    if reliability:
        found["uncorrected"] = declared | {"reliability": {}}
    if not each.composition and each.level == "school":
        found["composition"] = declared | {"composition": composition}
    return found


def _by_grade(frame: pd.DataFrame, outcome: str) -> list[tuple[object, pd.DataFrame]]:
    """Grades in which anybody has the outcome; all rows as one where nobody has, or where there are no grades."""
    if "grade" not in frame:
        return [(None, frame)]
    sat = sorted(frame.loc[frame[outcome].notna(), "grade"].dropna().unique())
    return [(grade, frame[frame["grade"] == grade]) for grade in sat] or [(None, frame)]


def _stacked(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)
