"""Score questionnaire scales: reverse items, a minimum answered, and Cronbach's alpha."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cobench.errors import StudyFileError
from cobench.study import Scale

SCORES = [
    "student", "term", "school", "class_id", "scale", "score", "n_answered", "n_items", "missing_reason", "measured_on",
]  # fmt: skip
RELIABILITY = ["scale", "term", "n_items", "n_started", "n_scored", "n_complete", "alpha", "mean", "sd"]


def item_matrix(
    responses: pd.DataFrame, scale: Scale, ranges: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Answers of one scale, one row a student and term, one column an item, reversed items turned round.

    Two questionnaires about one child (both parents answered) are averaged item by item. Missing answers,
    "don't know" among them, stay missing.

    Parameters
    ----------
    responses : DataFrame
        Canonical table ``responses``.
    ranges : mapping of item to (lowest, highest)
        Option values from the code book; needed to turn an item round.

    Returns
    -------
    DataFrame
        Indexed by student and term, with columns in the order of ``scale.items``.

    Raises
    ------
    StudyFileError
        When the code book has no such item.
    """
    unknown = [item for item in scale.items if item not in ranges]
    if unknown:
        raise StudyFileError(
            en=f"scales.{scale.id}.items: {', '.join(unknown)} not in the code book of {scale.instrument}",
            zh=f"scales.{scale.id}.items：{scale.instrument} 的编码表中没有 {', '.join(unknown)}",
        )
    own = responses[
        (responses["instrument"] == scale.instrument)
        & responses["item"].isin(scale.items)
        & responses["student"].notna()
    ]
    low = own["item"].map(lambda item: ranges[item][0]).astype("float64")
    high = own["item"].map(lambda item: ranges[item][1]).astype("float64")
    turned = own["value"].where(~own["item"].isin(scale.reverse), low + high - own["value"])
    answers = own.assign(value=turned).groupby(["student", "term", "item"])["value"].mean().unstack("item")
    return answers.reindex(columns=list(scale.items))


def score_scale(
    responses: pd.DataFrame, scale: Scale, ranges: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Score one scale as the mean of answered items.

    A score is missing where less than ``scale.min_answered`` of the items are answered; shares are compared
    to two decimals, so that 0.67 means two thirds of any number of items.

    Returns
    -------
    DataFrame
        Columns :data:`SCORES`, one row a student and term that started the questionnaire; ``score`` is in
        the units of the options; ``measured_on`` is the latest day of the answers used; ``missing_reason`` says
        why a score is missing: the reason that all its unanswered items share (``blank``, ``skipped``,
        ``dont_know``), else ``too_few_answers``.
    """
    answers = item_matrix(responses, scale, ranges)
    n_answered = answers.notna().sum(axis=1)
    enough = n_answered / len(scale.items) >= scale.min_answered - 0.005
    who = (
        responses[(responses["instrument"] == scale.instrument) & responses["student"].notna()]
        .groupby(["student", "term"], sort=True)
        .agg(school=("school", "first"), class_id=("class_id", "first"), measured_on=("measured_on", "max"))
    )
    scored = pd.DataFrame(
        {
            "scale": scale.id,
            "score": answers.mean(axis=1).where(enough),
            "n_answered": n_answered,
            "n_items": len(scale.items),
            "missing_reason": _reason(responses, scale).reindex(answers.index).mask(enough),
        },
        index=answers.index,
    )
    return who.join(scored, how="inner", validate="1:1").reset_index()[SCORES]


def _reason(responses: pd.DataFrame, scale: Scale) -> pd.Series:
    """Why items of a scale weren't answered, by student and term: the one reason, or ``too_few_answers``."""
    own = responses[
        (responses["instrument"] == scale.instrument)
        & responses["item"].isin(scale.items)
        & responses["student"].notna()
        & responses["value"].isna()
    ]
    grouped = own.groupby(["student", "term"])["missing_reason"]
    first, kinds = grouped.first().astype("object"), grouped.nunique()
    return first.where(kinds == 1, "too_few_answers")


def cronbach_alpha(answers: pd.DataFrame) -> float:
    """Cronbach's alpha of an item matrix (rows are people), from complete rows.

    alpha = k / (k - 1) * (1 - sum of item variances / variance of the sum); Cronbach (1951), eq. 2.
    NaN with fewer than two items, three complete rows, or a constant sum.
    """
    complete = answers.dropna()
    n_items = complete.shape[1]
    if n_items < 2 or len(complete) < 3:
        return float("nan")
    total_variance = complete.sum(axis=1).var(ddof=1)
    if not total_variance > 0:
        return float("nan")
    return float(n_items / (n_items - 1) * (1 - complete.var(ddof=1).sum() / total_variance))


def reliability(
    responses: pd.DataFrame, scale: Scale, ranges: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Alpha, mean and spread of one scale in each term; columns :data:`RELIABILITY`."""
    answers = item_matrix(responses, scale, ranges)
    scores = score_scale(responses, scale, ranges)
    rows = []
    for term, items in answers.groupby(level="term"):
        scored = scores.loc[scores["term"] == term, "score"]
        rows.append(
            {
                "scale": scale.id,
                "term": term,
                "n_items": len(scale.items),
                "n_started": len(items),
                "n_scored": int(scored.notna().sum()),
                "n_complete": int(items.notna().all(axis=1).sum()),
                "alpha": cronbach_alpha(items),
                "mean": scored.mean(),
                "sd": scored.std(ddof=1),
            }
        )
    return pd.DataFrame(rows, columns=RELIABILITY)
