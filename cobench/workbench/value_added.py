"""Parts of pages on value added: a school beside what prior attainment lets expect, with intervals, never a ranking.

Numbers of students are rounded down to tens: beside other tables, exact ones would tell how few sat one test and not the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from cobench.effect_keys import ValueAddedKeys
from cobench.monitor.distinguished import NOT_DISTINGUISHABLE
from cobench.monitor.value_added import NOT_ESTIMABLE
from cobench.release import Released, release_table
from cobench.show import Displayed, Figure, bullets, folded, notice, number, paragraph, table
from cobench.show.figures_value_added import caterpillar_plot
from cobench.workbench.desk import Desk, together
from cobench.workbench.implementation import class_name

DECLARED = "declared"
NUMBERS = ["estimate", "conf_low", "conf_high", "difference", "difference_low", "difference_high"]
SHOWN = ["estimate", "conf_low", "conf_high", "difference_low", "difference_high", "verdict"]
TENS = 10


def lede(desk: Desk) -> Displayed:
    """What was compared, how many schools can be told from the average, and what difference could have been seen."""
    told = [_lede(desk, outcome, grade, rows) for outcome, grade, rows in _comparisons(desk)]
    return together(told or [notice(desk.say("page.no_value_added"))])


def _lede(desk: Desk, outcome: str, grade: object, rows: pd.DataFrame) -> Displayed:
    named = _named(desk, outcome, grade)
    known = rows[rows["status"] != NOT_ESTIMABLE]
    if known.empty:
        return paragraph(desk.say("page.value_added_none", what=named, reason=_why(desk, rows.iloc[0])))
    apart = int((known["verdict"] != NOT_DISTINGUISHABLE).sum())
    reach = ((known["difference_high"] - known["difference_low"]) / 2).median()
    return paragraph(
        desk.say(
            "page.value_added_lede",
            what=named,
            prior=_priors(desk, outcome),
            schools=len(known),
            apart=apart,
            reach=number(reach, 2),
        )
    )


def caterpillars(desk: Desk) -> Iterator[Figure]:
    """Schools with both intervals, a figure an outcome and grade in which anything could be compared."""
    for outcome, grade, rows in _comparisons(desk):
        if (rows["status"] != NOT_ESTIMABLE).any() and _keys(desk, outcome).level == "school":
            note = desk.say("page.value_added_of", what=_named(desk, outcome, grade))
            shown = released(desk, outcome, grade)
            yield caterpillar_plot(shown, language=desk.language, labels=desk.labels, note=note)


def left_out(desk: Desk) -> Displayed:
    """Schools without value added, and why."""
    lines = []
    for outcome, grade, rows in _comparisons(desk):
        some = rows["status"] != NOT_ESTIMABLE
        for _, row in rows[~some].iterrows() if some.any() else ():
            school = desk.labels.text("school", row["school"], desk.language)
            what = _named(desk, outcome, grade)
            lines.append(desk.say("page.value_added_left", what=what, school=school, reason=_why(desk, row)))
    return bullets(lines) if lines else Displayed("", "")


def specifications(desk: Desk) -> Displayed:
    """How much hangs on the specification: estimates of every school side by side."""
    parts = []
    for outcome, grade, rows in _comparisons(desk):
        if (rows["status"] == NOT_ESTIMABLE).all() or _keys(desk, outcome).level != "school":
            continue
        shown = specifications_released(desk, outcome, grade)
        parts.append(
            table(
                shown,
                language=desk.language,
                labels=desk.labels,
                caption=desk.say("page.value_added_specifications", what=_named(desk, outcome, grade)),
                note=desk.say("page.value_added_specifications_note", **_changes(desk, outcome, grade)),
            )
        )
    return together(parts) if parts else Displayed("", "")


def growth(desk: Desk) -> Displayed:
    """Growth percentiles of schools, a second view, on request."""
    parts = []
    for outcome, grade, _ in _comparisons(desk):
        own = _of(desk.derived("growth"), outcome, grade)
        if (own["status"] != NOT_ESTIMABLE).any():
            caption = desk.say("page.growth", what=_named(desk, outcome, grade))
            parts.append(_growth_table(desk, growth_released(desk, outcome, grade), caption))
    return folded(desk.say("page.growth_folded"), together(parts)) if parts else Displayed("", "")


def reading(desk: Desk) -> Displayed:
    """How to read value added, and what it can't survive."""
    return bullets([desk.say(f"page.value_added_reading_{n}") for n in (1, 2, 3, 4)])


def own(desk: Desk, school: str) -> Displayed:
    """A school's own value added in words with its interval and verdict, the specifications and its growth."""
    if not desk.has("value_added") or not desk.study.value_added:
        return notice(desk.say("page.no_value_added"))
    mine, grown = desk.own("value_added", school), desk.own("growth", school)
    if mine.empty:
        return paragraph(desk.say("page.value_added_not_sat"))
    parts = []
    for (outcome, grade), rows in mine.groupby(["outcome", "grade"], dropna=False, sort=True):
        parts += _own(desk, outcome, grade, rows, grown)
    return together([*parts, notice(desk.say("page.value_added_own_note"))])


def _own(
    desk: Desk, outcome: str, grade: object, rows: pd.DataFrame, grown: pd.DataFrame
) -> Iterator[Displayed]:
    named = _named(desk, outcome, grade)
    declared = rows[rows["specification"] == DECLARED]
    known = declared[declared["status"] != NOT_ESTIMABLE]
    if known.empty:
        yield paragraph(desk.say("page.value_added_none", what=named, reason=_why(desk, declared.iloc[0])))
        return
    by_class = _keys(desk, outcome).level == "class"
    released_rows = _released(desk, rows[rows["status"] != NOT_ESTIMABLE], ["specification"], by_class)
    if not by_class:
        yield _sentence(desk, named, released_rows.where(lambda f: f["specification"] == DECLARED))
    yield table(
        released_rows,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.value_added_own", what=named),
        columns=["specification", *(["class_name"] if by_class else []), "n_students", *SHOWN],
        formats=dict.fromkeys(SHOWN[:-1], "signed"),
    )
    percentiles = _of(grown, outcome, grade)
    if (percentiles["status"] != NOT_ESTIMABLE).any():
        yield _growth_table(desk, _grown(desk, percentiles), desk.say("page.growth", what=named))


def _sentence(desk: Desk, named: str, told: Released) -> Displayed:
    row = told.frame.iloc[0]
    if pd.isna(row["estimate"]):
        return paragraph(desk.say("page.value_added_hidden", what=named))
    slots = {
        "what": named,
        "estimate": number(row["estimate"], 2, signed=True),
        "low": number(row["conf_low"], 2, signed=True),
        "high": number(row["conf_high"], 2, signed=True),
    }
    if row["verdict"] == NOT_DISTINGUISHABLE:
        return paragraph(desk.say("page.value_added_alike", **slots))
    verdict = desk.say(f"verdict.{row['verdict']}")
    return paragraph(desk.say("page.value_added_distinct", verdict=verdict, **slots))


# ---- released --------------------------------------------------------------------------------------------------------


def released(desk: Desk, outcome: str, grade: object) -> Released:
    """Schools of one comparison as declared: students, estimate, interval, simultaneous bounds, verdict."""
    rows = _of(_rows(desk), outcome, grade)
    return _released(desk, rows, ["school"], _keys(desk, outcome).level == "class")


def _released(desk: Desk, rows: pd.DataFrame, first: list[str], by_class: bool) -> Released:
    named = [*first, "class_name"] if by_class else first
    if by_class:
        rows = rows.assign(class_name=[class_name(each, desk) for each in rows["class_id"]])
    frame = _in_tens(rows)[[*named, "n_students", *NUMBERS, "verdict"]]
    return release_table(frame, counts="n_students", values=[*NUMBERS, "verdict"], min_cell=desk.min_cell)


def specifications_released(desk: Desk, outcome: str, grade: object) -> Released:
    """A row a school: the estimate under each specification, and the verdict under the declared one."""
    rows = _of(desk.derived("value_added"), outcome, grade)
    wide = rows.pivot(index="school", columns="specification", values="estimate")
    wide = wide[[each for each in (DECLARED, "uncorrected", "composition") if each in wide]]
    first = rows[rows["specification"] == DECLARED].set_index("school")
    frame = wide.add_prefix("estimate_").assign(n_students=first["n_students"], verdict=first["verdict"])
    frame = _in_tens(frame.reset_index())
    values = [each for each in frame if each.startswith("estimate_")]
    return release_table(
        frame[["school", "n_students", *values, "verdict"]],
        counts="n_students",
        values=[*values, "verdict"],
        min_cell=desk.min_cell,
    )


def growth_released(desk: Desk, outcome: str, grade: object) -> Released:
    """Median growth percentile of each school with its interval."""
    return _grown(desk, _of(desk.derived("growth"), outcome, grade))


def _grown(desk: Desk, rows: pd.DataFrame) -> Released:
    frame = _in_tens(rows[rows["status"] != NOT_ESTIMABLE])
    frame = frame[["school", "n_students", "median", "conf_low", "conf_high"]]
    return release_table(
        frame.rename(columns={"median": "median_percentile"}), counts="n_students", min_cell=desk.min_cell
    )


def all_released(desk: Desk) -> None:
    """Every table of this part, for the decision over all tables of the term."""
    for outcome, grade, _ in _comparisons(desk):
        released(desk, outcome, grade)
        if _keys(desk, outcome).level == "school":
            specifications_released(desk, outcome, grade)
        growth_released(desk, outcome, grade)


# ---- rows and words --------------------------------------------------------------------------------------------------


def _rows(desk: Desk) -> pd.DataFrame:
    frame = desk.derived("value_added")
    return frame[frame["specification"] == DECLARED]


def _comparisons(desk: Desk) -> Iterator[tuple[str, object, pd.DataFrame]]:
    """Outcome, grade and rows of each comparison, as declared."""
    if not desk.has("value_added"):
        return
    for (outcome, grade), rows in _rows(desk).groupby(["outcome", "grade"], dropna=False, sort=True):
        yield outcome, grade, rows.reset_index(drop=True)


def _of(frame: pd.DataFrame, outcome: str, grade: object) -> pd.DataFrame:
    same = frame["grade"].isna() if pd.isna(grade) else frame["grade"] == grade
    return frame[(frame["outcome"] == outcome) & same].reset_index(drop=True)


def _in_tens(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(n_students=rows["n_students"] // TENS * TENS).reset_index(drop=True)


def _keys(desk: Desk, outcome: str) -> ValueAddedKeys:
    return next(each for each in desk.study.value_added if each.outcome == outcome)


def _named(desk: Desk, outcome: str, grade: object) -> str:
    name = desk.labels.text("outcome", outcome, desk.language)
    name = name[:1].upper() + name[1:]
    if pd.isna(grade):
        return name
    return desk.say("page.value_added_grade", outcome=name, grade=int(grade))


def _priors(desk: Desk, outcome: str) -> str:
    keys = _keys(desk, outcome)
    named = [desk.labels.text("outcome", each, desk.language) for each in keys.priors]
    return desk.say("page.value_added_prior", priors=desk.say("page.choice_join").join(named))


def _why(desk: Desk, row: pd.Series) -> str:
    """Why a row has no numbers, with the study's name of the outcome in the place of its id."""
    reason, outcome = row[f"reason_{desk.language}"], row["outcome"]
    if not reason.startswith(f"{outcome} "):
        return reason
    return desk.labels.text("outcome", outcome, desk.language) + reason.removeprefix(outcome).lstrip(
        " " if desk.language == "zh" else ""
    )


def _changes(desk: Desk, outcome: str, grade: object) -> dict[str, object]:
    """How many verdicts differ from the declared one, by specification."""
    rows = _of(desk.derived("value_added"), outcome, grade)
    verdicts = rows.pivot(index="school", columns="specification", values="verdict")
    others = [each for each in verdicts if each != DECLARED]
    changed = {
        desk.say(f"specification.{each}"): int((verdicts[each] != verdicts[DECLARED]).sum())
        for each in others
    }
    join = desk.say("page.choice_join")
    return {
        "changes": join.join(desk.say("page.value_added_change", what=k, n=n) for k, n in changed.items())
    }


def _growth_table(desk: Desk, shown: Released, caption: str) -> Displayed:
    return table(
        shown,
        language=desk.language,
        labels=desk.labels,
        caption=caption,
        formats=dict.fromkeys(["median_percentile", "conf_low", "conf_high"], ".0f"),
        note=desk.say("page.growth_note"),
    )
