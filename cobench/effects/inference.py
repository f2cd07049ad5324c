"""Least squares on arrays and its sandwich variances: HC1, HC2, CR1, CR1S, CR2 with Satterthwaite df.

CR2 (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018) is computed in coefficient space. With
``M = (X'X)^-1`` and ``X_g'X_g = L L'`` (``L`` is K x r, r the rank of the cluster's rows), the adjusted score is
``X_g' (I - H_gg)^{-1/2} e_g = L (I - L'ML)^{-1/2} L^+ X_g'e_g``, so no root of an n_g x n_g matrix is ever taken.
Directions that a cluster fits perfectly (eigenvalue one) get the pseudo-inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobench.effects.reasons import not_estimable

CLUSTERED = ("CR1", "CR1S", "CR2")
COLLINEAR = 1e-9
PERFECT = 1e-10


@dataclass(frozen=True)
class OlsFit:
    """A least-squares fit of ``n`` rows on the ``k`` columns kept.

    Attributes
    ----------
    kept : ndarray of int, (k,)
        Columns of the given design that were kept; a column that is a linear combination of earlier ones is
        dropped.
    coefficients : ndarray, (k,)
    bread : ndarray, (k, k)
        ``(X'WX)^-1``.
    x, residuals : ndarray, (n, k) and (n,)
        Multiplied by the root of the weights.
    dof_resid : int
        ``n - k - absorbed``.
    """

    kept: np.ndarray
    coefficients: np.ndarray
    bread: np.ndarray
    x: np.ndarray
    residuals: np.ndarray
    dof_resid: int

    def position(self, column: int) -> int | None:
        """Place of a design column among the kept ones; None if it was dropped."""
        found = np.flatnonzero(self.kept == column)
        return int(found[0]) if len(found) else None


@dataclass(frozen=True)
class Precision:
    """Standard error and degrees of freedom of one coefficient."""

    std_error: float
    df: float
    se_type: str


def fit_ols(y: np.ndarray, x: np.ndarray, weights: np.ndarray | None = None, absorbed: int = 0) -> OlsFit:
    """Least squares of ``y`` (n,) on ``x`` (n, K), dropping columns that depend on earlier ones.

    Parameters
    ----------
    weights : ndarray, (n,), optional
        Non-negative; rows of zero weight stay in ``n``.
    absorbed : int
        Parameters swept out of ``y`` and ``x`` beforehand.
    """
    if weights is not None:
        root = np.sqrt(weights)
        y, x = y * root, x * root[:, None]
    kept = independent_columns(x)
    x = x[:, kept]
    q, r = np.linalg.qr(x)
    coefficients = np.linalg.solve(r, q.T @ y)
    inverse = np.linalg.inv(r)
    residuals = y - x @ coefficients
    return OlsFit(kept, coefficients, inverse @ inverse.T, x, residuals, len(y) - len(kept) - absorbed)


def independent_columns(x: np.ndarray) -> np.ndarray:
    """Indices of the columns of ``x`` that aren't linear combinations of earlier ones.

    Gaussian sweeps of the scaled cross-product, first column first: deterministic, and the same for any
    order of rows.
    """
    scale = np.sqrt(np.einsum("ij,ij->j", x, x))
    usable = scale > 0
    gram = (x[:, usable] / scale[usable]).T @ (x[:, usable] / scale[usable])
    kept = []
    for place, column in enumerate(np.flatnonzero(usable)):
        pivot = gram[place, place]
        if pivot < COLLINEAR:
            continue
        kept.append(column)
        gram = gram - np.outer(gram[:, place], gram[place]) / pivot
    return np.array(kept, dtype=int)


def precision(
    fit: OlsFit, column: int, *, cluster: np.ndarray | None = None, se_type: str | None = None
) -> Precision:
    """Standard error and df of the coefficient of design column ``column``.

    Parameters
    ----------
    cluster : ndarray of int, (n,), optional
        Codes of the groups.
    se_type : str, optional
        ``CR2`` with a cluster and ``HC2`` without unless given. df: residual (classic, HC1), Satterthwaite
        under an identity working model (HC2, CR2), groups less one (CR1, CR1S).
    """
    place = fit.position(column)
    contrast = fit.bread[place]
    se_type = se_type or ("HC2" if cluster is None else "CR2")
    if se_type in CLUSTERED:
        return _clustered(fit, contrast, cluster, se_type)
    n = len(fit.residuals)
    reach = fit.x @ contrast
    if se_type == "classic":
        variance = fit.bread[place, place] * fit.residuals @ fit.residuals / fit.dof_resid
        return Precision(float(np.sqrt(variance)), float(fit.dof_resid), se_type)
    if se_type == "HC1":
        variance = np.sum((reach * fit.residuals) ** 2) * n / fit.dof_resid
        return Precision(float(np.sqrt(variance)), float(fit.dof_resid), se_type)
    scores, df = row_scores(fit, contrast)
    return Precision(float(np.sqrt(np.sum(scores**2))), df, se_type)


def row_scores(fit: OlsFit, contrast: np.ndarray) -> tuple[np.ndarray, float]:
    """HC2-adjusted contribution of each row, (n,), and Satterthwaite's df (each row its own cluster)."""
    scores = (fit.x @ contrast) * fit.residuals * _inverse_root(leverage(fit))
    return scores, _hc2_df(fit, contrast)


def leverage(fit: OlsFit) -> np.ndarray:
    """Diagonal of the hat matrix, (n,)."""
    return np.einsum("ij,jk,ik->i", fit.x, fit.bread, fit.x, optimize=True)


def cluster_scores(fit: OlsFit, contrast: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, float]:
    """CR2-adjusted contribution of each cluster to ``contrast' (beta_hat - beta)``, and Satterthwaite's df.

    Parameters
    ----------
    contrast : ndarray, (k,)
        ``M c``: the row of the bread of the wanted coefficient.

    Returns
    -------
    scores : ndarray, (G,)
        In the order of sorted cluster codes; their sum of squares is the CR2 variance.
    df : float
    """
    rows = rows_by_cluster(cluster)
    scores = np.zeros(len(rows))
    lengths = np.zeros(len(rows))
    reach = np.zeros((len(rows), fit.x.shape[1]))
    for g, index in enumerate(rows):
        block = fit.x[index]
        active = np.flatnonzero(block.any(axis=0))
        block = block[:, active]
        root, inverse_root = _factor(block.T @ block)
        values, vectors = np.linalg.eigh(root.T @ fit.bread[np.ix_(active, active)] @ root)
        adjust = (vectors * _inverse_root(values)) @ vectors.T
        alpha = adjust @ (root.T @ contrast[active])
        scores[g] = alpha @ (inverse_root.T @ (block.T @ fit.residuals[index]))
        lengths[g] = alpha @ alpha
        reach[g, active] = root @ alpha
    p = np.diag(lengths) - reach @ fit.bread @ reach.T
    return scores, float(np.trace(p) ** 2 / np.sum(p * p))


def rows_by_cluster(cluster: np.ndarray) -> list[np.ndarray]:
    """Row indices of each cluster, in the order of sorted codes."""
    order = np.argsort(cluster, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)


def welch(y: np.ndarray, d: np.ndarray) -> tuple[float, Precision]:
    """Difference of two means with unequal variances and Welch's df (which is OLS with HC2)."""
    a, b = y[d == 1], y[d == 0]
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    if va + vb <= 0:
        raise not_estimable("perfect_fit", outcome="the outcome")
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return float(a.mean() - b.mean()), Precision(float(np.sqrt(va + vb)), float(df), "HC2")


def _clustered(fit: OlsFit, contrast: np.ndarray, cluster: np.ndarray, se_type: str) -> Precision:
    groups = len(np.unique(cluster))
    if se_type == "CR2":
        scores, df = cluster_scores(fit, contrast, cluster)
        return Precision(float(np.sqrt(np.sum(scores**2))), df, se_type)
    reach = (fit.x @ contrast) * fit.residuals
    scores = np.bincount(np.unique(cluster, return_inverse=True)[1], weights=reach)
    factor = groups / (groups - 1)
    if se_type == "CR1S":
        factor *= (len(reach) - 1) / fit.dof_resid
    return Precision(float(np.sqrt(factor * np.sum(scores**2))), groups - 1.0, se_type)


def _hc2_df(fit: OlsFit, contrast: np.ndarray) -> float:
    """Satterthwaite df with every row its own cluster, without an n x n matrix."""
    h = leverage(fit)
    a = _inverse_root(h) * (fit.x @ contrast)
    w = fit.x * a[:, None]
    trace = np.sum(a**2 * (1 - h))
    inner = fit.bread @ (w.T @ w)
    squares = np.sum(a**4 * (1 - 2 * h)) + np.sum(inner * inner.T)
    return float(trace**2 / squares)


def _inverse_root(values: np.ndarray) -> np.ndarray:
    """``(1 - value)^{-1/2}``, zero where the value is one."""
    rest = 1 - values
    return np.where(rest > PERFECT, 1 / np.sqrt(np.maximum(rest, PERFECT)), 0.0)


def _factor(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``L`` (K x r) with ``L L' = gram`` and the transpose of its pseudo-inverse."""
    values, vectors = np.linalg.eigh(gram)
    positive = values > 1e-12 * max(values[-1], 1e-300)
    roots = np.sqrt(values[positive])
    return vectors[:, positive] * roots, vectors[:, positive] / roots
