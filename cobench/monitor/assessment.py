"""Formulas that the rules write down: bundled scores, ratings, juries, credit for support teaching, before and after.

Whether a rule was met is judged by :mod:`cobench.monitor.standards`; here are the scores themselves. What a formula
does not cover is refused (:class:`cobench.errors.UndefinedByRuleError`), never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cobench.declared import Text
from cobench.effects.inference import fit_ols, precision
from cobench.errors import NotEstimableError, ParameterError, UndefinedByRuleError

OWN, PARTNERS = 0.8, 0.2
RISE = 5  # ranks
POINTS = {"A": 300, "B": 200, "C": 100}
CRITERIA = 4
DAYS, YEARS, EVENTS, HOURS = 200, 3, 8, 200
CHANGES = [
    "school", "n_before", "n_after", "before", "after", "change", "std_error", "df", "conf_low", "conf_high", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Bundled:
    """Score of a lead school; ``exempt`` None where some partner's ranks are not known, so that nobody can say."""

    score: float
    own: float
    partners: float
    weight_each: float
    exempt: bool | None


@dataclass(frozen=True)
class Credit:
    """Credit of a posted teacher in years (0 or 1) and every route that earns it: ``days``, ``studio``, ``online``."""

    years: int
    routes: tuple[str, ...]


def bundled(
    own: float, partners: Sequence[float], ranks: Sequence[tuple[float, float] | None] | None = None
) -> Bundled:
    """Lead school's score 捆绑考核: 0.8 of its own and 0.2 of the mean of its one or two partners.

    Parameters
    ----------
    own, partners : scores
    ranks : pairs ``(last year, now)``, one a partner, 1 the best; None where unknown. A partner that rose five ranks or more
        leaves the lead with its own score.

    Raises
    ------
    UndefinedByRuleError
        Without partners, with three or more (exempt or not), or with a missing score.
    """
    _check_partners(len(partners))
    if not np.isfinite([own, *partners]).all():
        raise UndefinedByRuleError(
            en="a score of the lead or of a partner is missing; enter it before the bundled score is computed",
            zh="牵头校或受援校有成绩未登记，补齐后才能计算捆绑得分",
        )
    if ranks is not None and len(ranks) != len(partners):
        raise ParameterError(
            en=f"{len(ranks)} pairs of ranks for {len(partners)} partners; give one a partner, None where unknown",
            zh=f"受援校 {len(partners)} 所，名次却有 {len(ranks)} 组；每校一组，不知道的写 None",
        )
    exempt = _exempt([None] * len(partners) if ranks is None else ranks)
    mean = float(np.mean(partners))
    score = float(own) if exempt else OWN * own + PARTNERS * mean
    return Bundled(float(score), float(own), mean, PARTNERS / len(partners), exempt)


def _check_partners(n: int) -> None:
    if n == 0:
        raise UndefinedByRuleError(
            en="the community has no partner school, so there is nothing to bundle; check the list of communities",
            zh="该共同体没有受援校（成员校），无从捆绑；请核对共同体名单",
        )
    if n > 2:
        raise UndefinedByRuleError(
            en=f"the rule defines bundling for one partner (20 %) or two (10 % each); this community has {n}, so no "
            "score is computed until the bureau decides on the weights",
            zh=f"办法只规定了 1 所（20%）和 2 所（各 10%）受援校的算法，该共同体有 {n} 所，"
            "教育局明确权重之前不计算捆绑得分",
        )


def _exempt(ranks: Sequence[tuple[float, float] | None]) -> bool | None:
    known = [pair for pair in ranks if pair is not None and np.isfinite(pair).all()]
    if any(last - now >= RISE for last, now in known):
        return True
    return False if len(known) == len(ranks) else None


def rating_score(ratings: Mapping[str, str]) -> int:
    """Points of a grade team 级组考核: four criteria at A 300, B 200, C 100, so 400 to 1,200.

    Raises
    ------
    UndefinedByRuleError
        With other than four criteria, or a letter other than A, B and C.
    """
    if len(ratings) != CRITERIA:
        raise UndefinedByRuleError(
            en=f"the rule scores {CRITERIA} criteria, {len(ratings)} were rated; complete the ratings",
            zh=f"办法规定评定 {CRITERIA} 项，现有 {len(ratings)} 项；请补齐或核对评定表",
        )
    unknown = [criterion for criterion, letter in ratings.items() if letter not in POINTS]
    if unknown:
        named = ", ".join(map(str, unknown))
        raise UndefinedByRuleError(
            en=f"ratings are A, B or C; correct the rating of: {named}",
            zh=f"等次只有 A、B、C；请更正这些项的等次：{named}",
        )
    return sum(POINTS[letter] for letter in ratings.values())


def jury_mean(scores: Sequence[float]) -> float:
    """Mean of a jury's scores without one highest and one lowest 去掉一个最高分和一个最低分; ties lose one each.

    Raises
    ------
    UndefinedByRuleError
        With fewer than three judges, or with a missing score.
    """
    if len(scores) < 3:
        raise UndefinedByRuleError(
            en=f"{len(scores)} scores: without the highest and the lowest nothing is left; three judges at least",
            zh=f"只有 {len(scores)} 个评分，去掉最高分和最低分后没有剩余；至少需要 3 名评委",
        )
    if not np.isfinite(scores).all():
        raise UndefinedByRuleError(
            en="a judge's score is missing: enter it, or take the judge out of the jury",
            zh="有评委未打分：请补登，或将该评委从评委名单中去掉",
        )
    return float(np.mean(np.sort(scores)[1:-1]))


def teaching_credit(
    *, days: float = 0.0, studio_years: Sequence[tuple[float, bool]] = (), hours: float = 0.0
) -> Credit:
    """Credit of a posted teacher 支教年限折算: any of three routes gives one year, several don't add up.

    Parameters
    ----------
    days : days of teaching at partner schools; 200 or more.
    studio_years : a year's events held on site and whether it was passed; three years or more of eight or more, each passed.
    hours : lessons taught online, in hours; over 200.
    """
    full_years = sum(bool(passed) and n_events >= EVENTS for n_events, passed in studio_years)
    earned = {"days": days >= DAYS, "studio": full_years >= YEARS, "online": hours > HOURS}
    routes = tuple(route for route, holds in earned.items() if holds)
    return Credit(int(bool(routes)), routes)


def changes(scores: pd.DataFrame, *, within: Sequence[str] = (), conf_level: float = 0.95) -> pd.DataFrame:
    """Change between two occasions of a common test, school by school: a change, never an effect.

    Both occasions are standardised by mean and SD of the whole district on the first, so that the scale is fixed and the
    district's own change is kept. The interval is CR2 by cluster with Satterthwaite's df.

    Parameters
    ----------
    scores : DataFrame
        ``school, cluster`` (class), ``occasion`` (``before`` or ``after``), ``value`` and ``within``, a row a child and
        occasion. Rows without a value are left out.
    within : columns (grade) that each have a scale of their own.

    Returns
    -------
    DataFrame
        Columns :data:`CHANGES`; means and change in SD of the first occasion. Where there is no answer ``change`` is
        missing and ``reason`` (:class:`~cobench.declared.Text`) says why.

    Raises
    ------
    NotEstimableError
        Where nobody was tested before, or scores did not vary.
    """
    known = scores.dropna(subset=["value", "school", "cluster"])
    z = _standardised(known, list(within))
    z = z[z["z"].notna()]
    rows = [_change(str(school), own, conf_level) for school, own in z.groupby("school", sort=True)]
    return pd.DataFrame(rows, columns=CHANGES)


def _standardised(scores: pd.DataFrame, within: list[str]) -> pd.DataFrame:
    first = scores[scores["occasion"] == "before"]
    by = within or [pd.Series(0, index=first.index)]
    moments = first.groupby(by)["value"].agg(["mean", "std"])
    if not (moments["std"] > 0).any():
        raise NotEstimableError(
            en="no common test before, or one that everybody passed alike, so there is no scale to compare on",
            zh="此前没有全区统一测验，或成绩没有差异，缺少可比的尺度",
        )
    if within:
        joined = scores.join(moments, on=within)
    else:
        joined = scores.assign(mean=moments["mean"].iloc[0], std=moments["std"].iloc[0])
    return joined.assign(z=(joined["value"] - joined["mean"]) / joined["std"].where(joined["std"] > 0))


def _change(school: str, own: pd.DataFrame, conf_level: float) -> dict[str, object]:
    after = own["occasion"].eq("after").to_numpy()
    y = own["z"].to_numpy(dtype=float)
    row: dict[str, object] = dict.fromkeys(CHANGES, np.nan)
    row |= {"school": school, "n_before": int((~after).sum()), "n_after": int(after.sum()), "reason": None}
    if after.all() or not after.any():
        reason = Text("只有一次统一测验的成绩", "scores of one common test only")
        return row | {"reason": reason}
    cluster = pd.factorize(own["cluster"], sort=True)[0]
    row |= {"before": y[~after].mean(), "after": y[after].mean()}
    if min(len(set(cluster[after])), len(set(cluster[~after]))) < 2:
        # One class is its own mean: it would count as known without error, and the interval would be too narrow.
        reason = Text(
            "有一次测验只有一个班，无法给出区间",
            "one occasion has a single class, so no interval can be given",
        )
        return row | {"reason": reason}
    found = precision(fit_ols(y, after[:, None].astype(float)), 0, cluster=cluster)
    if not found.std_error > 0:
        reason = Text("成绩没有差异，无法给出区间", "scores don't vary, so no interval can be given")
        return row | {"reason": reason}
    change = row["after"] - row["before"]
    reach = stats.t.ppf(0.5 + conf_level / 2, found.df) * found.std_error
    return row | {
        "change": change, "std_error": found.std_error, "df": found.df, "conf_low": change - reach,
        "conf_high": change + reach,
    }  # fmt: skip
