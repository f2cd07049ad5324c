"""Matching on the propensity score: within cells first, then between them, within a calliper.

Ties are shared (every unexposed student at the same distance counts in part), so that nothing depends on the order
of rows. Without replacement the exposed with the highest score choose first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.exposure import default_within
from cobench.effects.folds import cell_means
from cobench.effects.inference import Precision, cluster_scores, dense_codes, fit_ols
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, check_arms, check_known, levels_of, take_sample
from cobench.effects.support import restrict_to_support
from cobench.effects.weighting import (
    clipped,
    effective_n,
    propensity_model,
    weighted_precision,
)

CALLIPER = 0.2
LEAST_MATCHED = 0.5
LEAST_A_COLUMN = 3
SAME = 1e-9


@dataclass(frozen=True)
class Matches:
    """Who is compared with whom.

    Attributes
    ----------
    exposed, unexposed : ndarray of int, (m,)
        Rows of each pair.
    share : ndarray, (m,)
        Weight of the unexposed student in the comparison of the exposed one; sums to one an exposed student.
    within : ndarray of bool, (m,)
        Whether the pair lies in one cell.
    n_exposed : int
        Exposed students there were to match.
    """

    exposed: np.ndarray
    unexposed: np.ndarray
    share: np.ndarray
    within: np.ndarray
    n_exposed: int

    @property
    def matched_share(self) -> float:
        """Share of the exposed who found a match."""
        return len(np.unique(self.exposed)) / self.n_exposed

    @property
    def within_share(self) -> float:
        """Share of the matched who were matched in their own cell."""
        return float(len(np.unique(self.exposed[self.within])) / max(len(np.unique(self.exposed)), 1))


def matching(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    reference: object = None,
    caliper: float | None = CALLIPER,
    n_matches: int = 1,
    replace: bool = True,
    between: bool = True,
    score: str = "logit",
    adjust: bool = True,
    least_clusters: int = 2,
) -> pd.DataFrame:
    """Effect on the exposed (ATT) by nearest-neighbour matching on the propensity score.

    Parameters
    ----------
    within : sequence of str, optional
        Cells in which a match is sought first; who finds none there is matched across cells if ``between``.
        Default: the clusters, unless whole clusters were exposed.
    caliper : float, optional
        Largest distance, in SD of the score (pooled over students); None for no limit.
    n_matches : int
        Neighbours of each exposed student.
    replace : bool
        Whether an unexposed student may be matched more than once.
    score : {"logit", "propensity"}
    adjust : bool
        Whether what is left of covariate differences between the matched is taken out by a regression on covariates
        and their cell means among the unexposed (Abadie and Imbens 2011).

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`. ``population`` names the share matched where not all
        were; below half the row is refused. ``se_type``: ``AI`` (Abadie and Imbens 2006, conditional variances
        assumed equal) with replacement and no cluster, ``CR2-pairs`` without replacement, ``CR2`` with a
        cluster (weights of the matches). None of them corrects for the estimated score.
    """
    check_known("score", score, ("logit", "propensity"))
    levels, base = levels_of(frame, treatment, reference)

    def fit(level: str) -> Answer:
        cells = default_within(frame, treatment, level, base, cluster) if within is None else within
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
            within=cells, cluster=cluster,
        )  # fmt: skip
        check_clusters(sample, least_clusters)
        return fit_matching(
            sample, caliper=caliper, n_matches=n_matches, replace=replace, between=between, score=score,
            adjust=adjust,
        )  # fmt: skip

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(fits, treatment=treatment, outcome=outcome, estimand="ATT", method="matching")


def fit_matching(
    sample: Sample,
    *,
    caliper: float | None = CALLIPER,
    n_matches: int = 1,
    replace: bool = True,
    between: bool = True,
    score: str = "logit",
    adjust: bool = True,
) -> Answer:
    """Matching on one sample.

    Raises
    ------
    NotEstimableError
        When most exposed students find no match.
    """
    sample, trimmed = restrict_to_support(sample, "ATT", cells=False)
    check_arms(sample, least=5)
    check_clusters(sample)
    raw = propensity_model(sample)[1]
    propensity, _ = clipped(raw, sample.d, 1e-9)
    values = np.log(propensity / (1 - propensity)) if score == "logit" else propensity
    cell = np.zeros(len(values), dtype=int) if sample.cell is None else dense_codes(sample.cell)
    widest = np.inf if caliper is None else caliper * float(values.std(ddof=1))
    found = match(values, sample.d, cell, widest, n_matches=n_matches, replace=replace, between=between)
    if len(found.exposed) == 0:
        raise not_estimable("no_match")
    if found.matched_share < LEAST_MATCHED:
        raise not_estimable("mostly_unmatched")
    weights = np.bincount(found.unexposed, weights=found.share, minlength=len(values))
    weights[found.exposed] = 1.0
    columns, slopes = _adjustment(sample, weights) if adjust else (np.empty((len(values), 0)), np.empty(0))
    y = sample.y - columns @ slopes
    expected = np.bincount(found.exposed, weights=found.share * y[found.unexposed], minlength=len(values))
    inside = (sample.d == 1) & (weights > 0)
    gaps = (y - expected)[inside]
    keep = weights > 0
    kept = sample.take(keep | (sample.d == 0), "unmatched").take(
        keep[keep | (sample.d == 0)], "not_matched_with"
    )
    answer = Answer(
        kept, float(gaps.mean()), _precision(kept, columns, y, found, gaps, weights, replace), "ATT", weights[keep],
        propensity[keep], effective_n(weights[keep], kept.d, "ATT"),
        _population(found, trimmed),
        {"matched_share": found.matched_share, "within_share": found.within_share, "n_clipped": 0, "clip": 0.0},
    )  # fmt: skip
    return checked(answer)


def match(
    values: np.ndarray,
    d: np.ndarray,
    cell: np.ndarray,
    widest: float,
    *,
    n_matches: int = 1,
    replace: bool = True,
    between: bool = True,
) -> Matches:
    """Nearest unexposed students of each exposed one by ``values`` (n,), no farther than ``widest``."""
    exposed = np.flatnonzero(d == 1)
    free = d == 0
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    waiting = []
    for code in np.unique(cell[exposed]):
        mine, theirs = exposed[cell[exposed] == code], np.flatnonzero((cell == code) & free)
        pairs.append(_nearest(values, mine, theirs, widest, n_matches, replace))
    inside = _stacked(pairs)
    if not replace:
        free[inside[1]] = False
    if between and len(np.unique(cell)) > 1:
        waiting = np.setdiff1d(exposed, inside[0])
    outside = _nearest(
        values, np.asarray(waiting, dtype=int), np.flatnonzero(free), widest, n_matches, replace
    )
    both = _stacked([inside, outside])
    within = np.r_[np.ones(len(inside[0]), dtype=bool), np.zeros(len(outside[0]), dtype=bool)]
    return Matches(*both, within=within, n_exposed=len(exposed))


def _nearest(
    values: np.ndarray, exposed: np.ndarray, unexposed: np.ndarray, widest: float, k: int, replace: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs and shares, in three arrays."""
    if len(exposed) == 0 or len(unexposed) == 0:
        return np.array([], dtype=int), np.array([], dtype=int), np.array([])
    order = unexposed[np.argsort(values[unexposed], kind="stable")]
    if not replace:
        return _one_by_one(values, exposed, order, widest, k)
    line = values[order]
    rows, picked, shares = [], [], []
    for row in exposed:
        distance = _kth(line, values[row], min(k, len(line)))
        if distance > widest:
            continue
        slack = SAME * (1 + abs(values[row]))
        low = np.searchsorted(line, values[row] - distance - slack, "left")
        high = np.searchsorted(line, values[row] + distance + slack, "right")
        n = high - low
        rows.append(np.full(n, row))
        picked.append(order[low:high])
        shares.append(np.full(n, 1 / n))
    return _stacked(list(zip(rows, picked, shares, strict=True)))


def _kth(line: np.ndarray, value: float, k: int) -> float:
    """Distance of the k-th nearest entry of a sorted line."""
    place = int(np.searchsorted(line, value))
    around = np.abs(line[max(0, place - k) : place + k] - value)
    return float(np.partition(around, k - 1)[k - 1])


def _one_by_one(
    values: np.ndarray, exposed: np.ndarray, order: np.ndarray, widest: float, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each takes its nearest that is left; k rounds, highest scores first; the lower neighbour wins a tie."""
    line, n = values[order], len(order)
    down, up = np.arange(n), np.arange(n)
    rows, picked = [], []
    for _ in range(k):
        for row in exposed[np.argsort(-values[exposed], kind="stable")]:
            place = int(np.searchsorted(line, values[row]))
            below = _follow(down, place - 1, -1, n)
            above = _follow(up, place, 1, n)
            near = [each for each in (below, above) if 0 <= each < n]
            if not near:
                break
            best = min(near, key=lambda each: abs(line[each] - values[row]))
            if abs(line[best] - values[row]) > widest:
                continue
            rows.append(row)
            picked.append(order[best])
            down[best], up[best] = best - 1, best + 1
    rows, picked = np.array(rows, dtype=int), np.array(picked, dtype=int)
    counts = np.bincount(rows, minlength=len(values)) if len(rows) else np.zeros(len(values))
    return rows, picked, 1 / counts[rows] if len(rows) else np.array([])


def _follow(links: np.ndarray, place: int, step: int, n: int) -> int:
    """First free place from ``place`` on in direction ``step``, with the links on the way shortened."""
    trail = []
    while 0 <= place < n and links[place] != place:
        trail.append(place)
        place = int(links[place])
    for each in trail:
        links[each] = place
    return place


def _population(found: Matches, trimmed: bool) -> str:
    """What is left of the exposed, as ``population`` says it: without a share, which would count the few left out."""
    return ", ".join(
        [*(["on_support"] if trimmed else []), *(["matched"] if found.matched_share < 1 else [])]
    )


def _adjustment(sample: Sample, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n, k), centred at the matched exposed, and what one unit of each is worth among the matched unexposed.

    Cell means of the covariates stand in for cell effects, which a cell without a matched student would not have.
    They are left out where there are fewer than three cells a column, and the regression is where there are fewer
    than three students a column.
    """
    x = sample.covariates.x
    both = x
    if sample.cell is not None and len(np.unique(sample.cell)) >= LEAST_A_COLUMN * x.shape[1]:
        both = np.column_stack([x, cell_means(x, sample.cell)])
    exposed, rows = (sample.d == 1) & (weights > 0), (sample.d == 0) & (weights > 0)
    for columns in (both, x):
        if columns.shape[1] and rows.sum() >= LEAST_A_COLUMN * columns.shape[1]:
            centred = columns - columns[exposed].mean(axis=0)
            fit = fit_ols(sample.y[rows], centred[rows], weights=weights[rows])
            return centred[:, fit.kept], fit.coefficients
    return np.empty((len(x), 0)), np.empty(0)


def _precision(
    kept: Sample, columns: np.ndarray, y: np.ndarray, found: Matches, gaps: np.ndarray, weights: np.ndarray,
    replace: bool,
) -> Precision:  # fmt: skip
    """Error of the matched comparison.

    With clusters, and by pairs, it is that of one weighted regression whose coefficient of the exposure is the
    estimate: columns enter for the unexposed only, from whom their worth was learnt, so that CR2 carries what
    learning it costs.
    """
    keep = weights > 0
    if kept.cluster is None and replace:
        return _abadie_imbens(found, gaps, weights)
    by = kept.cluster
    if by is None:
        pair = np.arange(len(keep))
        pair[found.unexposed] = found.exposed
        by = dense_codes(pair[keep])
    learnt = columns[keep] * (kept.d == 0)[:, None]
    fit = fit_ols(y[keep], np.column_stack([kept.d, learnt]), weights=weights[keep])
    scores, df = cluster_scores(fit, 0, by)
    df = min(df, len(scores) - 1.0)
    if kept.cluster is None:
        return Precision(float(np.sqrt(np.sum(scores**2))), df, "CR2-pairs")
    return weighted_precision(scores, df, ("", "CR2"), kept)


def _abadie_imbens(found: Matches, gaps: np.ndarray, weights: np.ndarray) -> Precision:
    """Abadie and Imbens (2006), ATT, with one conditional variance: half the mean squared gap about the effect.

    ``V = sum_i (gap_i - tau)^2 / N1^2 + sum_j (K_j^2 - K'_j) s^2 / N1^2`` with ``K_j`` the weight an unexposed
    student carries and ``K'_j`` the sum of its squared shares (already in the gaps).
    """
    n = len(gaps)
    spread = np.sum((gaps - gaps.mean()) ** 2)
    again = np.bincount(found.unexposed, weights=found.share**2, minlength=len(weights))
    once = np.bincount(found.unexposed, minlength=len(weights)) > 0
    per_row = 1 + np.bincount(found.exposed, weights=found.share**2)[np.unique(found.exposed)]
    variance = np.sum((gaps - gaps.mean()) ** 2 / per_row) / n
    extra = np.sum(weights[once] ** 2 - again[once]) * variance
    return Precision(float(np.sqrt(spread + extra) / n), float("nan"), "AI")


def _stacked(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not parts:
        return np.array([], dtype=int), np.array([], dtype=int), np.array([])
    rows, picked, shares = (np.concatenate(each) for each in zip(*parts, strict=True))
    return rows.astype(int), picked.astype(int), shares
