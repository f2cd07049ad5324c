"""Standardised effects of an outcome, each with what it was standardised by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.effects.answers import answer_or_error
from cobench.effects.effect_sizes import (
    cox_index,
    eef_months,
    hedges_correction,
    improvement_index,
    pooled_sd,
)
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, levels_of, take_sample
from cobench.errors import NotEstimableError

SIZES = ["contrast", "measure", "value", "std_error", "standardised_by", "status", "reason"]
POOLED = "SD pooled over the two arms, times 1 - 3/(4N - 9)"
TOTAL = "total SD (between and within clusters), corrected for clustering (Hedges 2007; WWC 4.1)"
WITHIN = "SD within clusters (Hedges 2007)"
COX = "difference of logits / 1.65, times 1 - 3/(4N - 9)"


@dataclass(frozen=True)
class ClusteredSizes:
    """Effect sizes of a comparison of whole clusters (Hedges 2007).

    Attributes
    ----------
    total, within : float
        ``(mean difference / S_T) sqrt(1 - 2 (n - 1) rho / (N - 2))`` and ``mean difference / S_W``, both with
        Hedges' small-sample factor.
    total_error, within_error : float
    icc : float
        Intraclass correlation within arms (one-way ANOVA), in [0, 1).
    cluster_size : float
        ``n`` in the formulas: the mean that gives a cluster mean of unequal clusters its variance.
    """

    total: float
    total_error: float
    within: float
    within_error: float
    icc: float
    cluster_size: float


def size_table(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    cluster: str | None = None,
    reference: object = None,
    estimate: float | None = None,
) -> pd.DataFrame:
    """Standardised sizes of each level against the reference.

    Parameters
    ----------
    estimate : float, optional
        An adjusted effect in units of the outcome, standardised in place of the difference of means (not
        Cox's index, which is of the raw shares).

    Returns
    -------
    DataFrame
        Columns :data:`SIZES`. ``measure``: ``hedges_g``; with a cluster ``g_total`` and ``g_within`` (for whole
        clusters exposed; their errors assume so); ``cox_index`` for a flag; ``improvement_index`` in
        percentile points; ``eef_months`` (attainment only, missing above 1.00).
    """
    levels, base = levels_of(frame, treatment, reference)
    rows: list[dict] = []
    for level in levels:
        found = answer_or_error(
            lambda level=level: take_sample(
                frame, outcome=outcome, treatment=treatment, level=level, reference=base, cluster=cluster
            ),
            "sizes",
        )
        if not isinstance(found, NotEstimableError):
            found = answer_or_error(lambda found=found: _sizes(found, estimate), "sizes")
        if isinstance(found, NotEstimableError):
            rows.append(
                {"contrast": level, "measure": "hedges_g", "status": "not_estimable", "reason": found.en}
            )
            continue
        rows += [{"contrast": level, "status": "ok", "reason": ""} | row for row in found]
    return pd.DataFrame(rows, columns=SIZES)


def clustered_sizes(
    y: np.ndarray, d: np.ndarray, cluster: np.ndarray, estimate: float | None = None
) -> ClusteredSizes:
    """Total and within effect sizes of ``y`` (n,) between arms ``d`` of whole clusters.

    Raises
    ------
    NotEstimableError
        When nothing varies within clusters.
    """
    gap = float(y[d == 1].mean() - y[d == 0].mean()) if estimate is None else estimate
    arms = [(y[d == arm], np.unique(cluster[d == arm], return_inverse=True)[1]) for arm in (0, 1)]
    n, groups = len(y), sum(codes.max() + 1 for _, codes in arms)
    if n <= groups:
        raise not_estimable("perfect_fit", outcome="the outcome")
    between, within, sizes = 0.0, 0.0, []
    for values, codes in arms:
        counts = np.bincount(codes)
        means = np.bincount(codes, weights=values) / counts
        within += float(np.sum((values - means[codes]) ** 2))
        between += float(np.sum(counts * (means - values.mean()) ** 2))
        sizes.append((len(values), counts))
    (n0, c0), (n1, c1) = sizes
    ms_within, ms_between = within / (n - groups), between / max(groups - 2, 1)
    average = (n - (c0 @ c0) / n0 - (c1 @ c1) / n1) / max(groups - 2, 1)
    tau = max(ms_between - ms_within, 0.0) / average
    if ms_within <= 0:
        raise not_estimable("perfect_fit", outcome="the outcome")
    icc = tau / (tau + ms_within)
    size = n0 * (c1 @ c1) / (n1 * n) + n1 * (c0 @ c0) / (n0 * n)
    factor, inverse = hedges_correction(n), n / (n0 * n1)
    shrink = 1 - 2 * (size - 1) * icc / (n - 2)
    total = gap / pooled_sd(y[d == 1], y[d == 0]) * np.sqrt(shrink) * factor
    inner = gap / np.sqrt(ms_within) * hedges_correction(n - groups + 2)
    top = (n - 2) * (1 - icc) ** 2 + size * (n - 2 * size) * icc**2 + 2 * (n - 2 * size) * icc * (1 - icc)
    bottom = 2 * (n - 2) * ((n - 2) - 2 * (size - 1) * icc)
    total_variance = inverse * (1 + (size - 1) * icc) + total**2 * top / bottom
    inner_variance = inverse * (1 + (size - 1) * icc) / (1 - icc) + inner**2 / (2 * (n - groups))
    return ClusteredSizes(
        float(total), float(np.sqrt(total_variance)), float(inner), float(np.sqrt(inner_variance)), float(icc),
        float(size),
    )  # fmt: skip


def _sizes(sample: Sample, estimate: float | None) -> list[dict]:
    y, d, n = sample.y, sample.d, len(sample.y)
    a, b = y[d == 1], y[d == 0]
    spread = pooled_sd(a, b)
    if not spread > 0:
        raise not_estimable("perfect_fit", outcome=sample.outcome)
    g = (float(a.mean() - b.mean()) if estimate is None else estimate) / spread * hedges_correction(n)
    error = float(np.sqrt(n / (len(a) * len(b)) + g**2 / (2 * n)))
    rows = [_row("hedges_g", g, POOLED, error if sample.cluster is None else np.nan)]
    if sample.cluster is not None:
        found = clustered_sizes(y, d, sample.cluster, estimate)
        rows.append(_row("g_total", found.total, TOTAL, found.total_error))
        rows.append(_row("g_within", found.within, WITHIN, found.within_error))
        g = found.total
    flag = set(np.unique(y)) <= {0.0, 1.0}
    if flag:
        g = cox_index(float(a.mean()), float(b.mean()), n)
        rows.append(_row("cox_index", g, COX))
    by = COX if flag else TOTAL if sample.cluster is not None else POOLED
    months = eef_months(g) if np.isfinite(g) else None
    rows.append(_row("improvement_index", improvement_index(g) if np.isfinite(g) else np.nan, by))
    rows.append(_row("eef_months", np.nan if months is None else float(months), by))
    return rows


def _row(measure: str, value: float, by: str, error: float = float("nan")) -> dict:
    return {"measure": measure, "value": float(value), "std_error": float(error), "standardised_by": by}
