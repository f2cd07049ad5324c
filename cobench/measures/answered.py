"""Who answered each questionnaire, and what became of every answer asked for."""

from __future__ import annotations

import pandas as pd

ANSWERED = ["instrument", "stage", "n_asked", "n_answered"]
ITEMS = ["instrument", "missing", "n"]
# Younger children aren't asked themselves.
LEAST_GRADE = 4
ON_ROLL = ("enrolled", "transferred_in")


def answered(enrolments: pd.DataFrame, schools: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Students with an answer out of those on the roll, by questionnaire and school stage; columns :data:`ANSWERED`.

    Parameters
    ----------
    enrolments, schools, responses : DataFrame
        Canonical tables of one term. A questionnaire for students asks those of grade 4 and above.
    """
    roster = enrolments[enrolments["status"].isin(ON_ROLL)].drop_duplicates("student")
    roster = roster.assign(stage=roster["school"].map(schools.set_index("school")["stage"]))
    given = responses.loc[responses["value"].notna(), ["instrument", "student"]].drop_duplicates()
    by_student = given.groupby("instrument")["student"]
    rows = []
    for instrument, respondent in (
        responses[["instrument", "respondent"]]
        .drop_duplicates("instrument")
        .sort_values("instrument")
        .to_numpy()
    ):
        asked = roster[roster["grade"] >= LEAST_GRADE] if respondent == "student" else roster
        has = asked["student"].isin(
            by_student.get_group(instrument) if instrument in by_student.groups else []
        )
        counted = asked.assign(n_answered=has).groupby("stage")["n_answered"].agg(["size", "sum"])
        rows += [(instrument, stage, *counts) for stage, *counts in counted.itertuples()]
    return pd.DataFrame(rows, columns=ANSWERED)


def items(responses: pd.DataFrame) -> pd.DataFrame:
    """Answers by questionnaire: ``measured``, or the reason why missing; columns :data:`ITEMS`."""
    reason = responses["missing_reason"].where(responses["value"].isna()).fillna("measured")
    counted = responses[["instrument"]].assign(missing=reason).groupby(ITEMS[:2], observed=True).size()
    return counted.rename("n").reset_index()
