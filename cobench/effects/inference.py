"""Least squares on arrays and its sandwich variances: HC1-HC3, CR1, CR1S, CR2 with Satterthwaite df, CR3.

The design is ``X = [a dummy a cell | Z]`` in full, but no n x C matrix is ever formed: blocks of ``X'X`` and of
``M = (X'X)^-1`` that belong to cells are diagonal up to a matrix of the rank of ``Z``. Nothing is approximated by
absorbing, which is exact for CR2 only where cells lie within clusters.

CR2 (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018) is computed in coefficient space. With
``X_g'X_g = L L'`` (``L`` is K x r, r the rank of the cluster's rows), the adjusted score of cluster g is
``X_g' (I - H_gg)^{-1/2} e_g = L (I - L'ML)^{-1/2} L^+ X_g'e_g``, so no root of an n_g x n_g matrix is taken.
Directions that a cluster fits perfectly (eigenvalue one) get the pseudo-inverse. CR3 takes the inverse instead of
its root, times (G - 1)/G: the jackknife that leaves out one cluster at a time (MacKinnon, Nielsen and Webb 2023;
clubSandwich's CR3 and pyfixest's CRV3 without adjustments have no such factor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobench.effects.reasons import not_estimable

UNCLUSTERED = ("classic", "HC1", "HC2", "HC3")
CLUSTERED = ("CR1", "CR1S", "CR2", "CR3")
ROOT, INVERSE = 0.5, 1.0
COLLINEAR = 1e-9
PERFECT = 1e-10


@dataclass(frozen=True)
class OlsFit:
    """Least squares of ``n`` rows on C cell dummies and the k columns of ``Z`` kept.

    Attributes
    ----------
    kept : ndarray of int, (k,)
        Columns of the given ``Z`` that were kept; one that is a linear combination of cells and earlier
        columns is dropped.
    coefficients : ndarray, (k,)
    bread : ndarray, (k, k)
        Block of ``(X'WX)^-1`` that belongs to ``Z``.
    z, centred : ndarray, (n, k)
        Columns, and columns with cells swept out, both times the root of the weights.
    residuals, root : ndarray, (n,)
        Residuals times the root of the weights, and that root (the value of a row's cell dummy).
    cell : ndarray of int, (n,)
        Codes 0..C-1.
    mass : ndarray, (C,)
        Sum of weights of a cell.
    means : ndarray, (C, k)
        Weighted cell means of ``Z``.
    dof_resid : int
        ``n - C - k``.
    """

    kept: np.ndarray
    coefficients: np.ndarray
    bread: np.ndarray
    z: np.ndarray
    centred: np.ndarray
    residuals: np.ndarray
    root: np.ndarray
    cell: np.ndarray
    mass: np.ndarray
    means: np.ndarray
    dof_resid: int

    def position(self, column: int) -> int | None:
        """Place of a column of ``Z`` among the kept ones; None if it was dropped."""
        found = np.flatnonzero(self.kept == column)
        return int(found[0]) if len(found) else None


@dataclass(frozen=True)
class Precision:
    """Standard error and degrees of freedom of one coefficient.

    ``scores`` (G,), where clusters are obeyed: contribution of each cluster, in the order of sorted codes; the
    root of their sum of squares is the error, up to a common factor.
    """

    std_error: float
    df: float
    se_type: str
    scores: np.ndarray | None = None


def fit_ols(
    y: np.ndarray, z: np.ndarray, cell: np.ndarray | None = None, weights: np.ndarray | None = None
) -> OlsFit:
    """Least squares of ``y`` (n,) on an intercept a cell and ``z`` (n, k).

    Parameters
    ----------
    cell : ndarray of int, (n,), optional
        One cell, that is a plain intercept, by default.
    weights : ndarray, (n,), optional
        Positive.
    """
    root = np.ones(len(y)) if weights is None else np.sqrt(weights)
    places = np.zeros(len(y), dtype=int) if cell is None else dense_codes(cell)
    mass = np.bincount(places, weights=root**2)
    columns = np.column_stack([y, z]) * root[:, None]
    means = np.column_stack([np.bincount(places, weights=c * root) for c in columns.T]) / mass[:, None]
    centred = columns - means[places] * root[:, None]
    kept = independent_columns(centred[:, 1:], np.sqrt(np.einsum("ij,ij->j", columns[:, 1:], columns[:, 1:])))
    swept = centred[:, 1:][:, kept]
    q, r = np.linalg.qr(swept)
    coefficients = np.linalg.solve(r, q.T @ centred[:, 0])
    inverse = np.linalg.inv(r)
    return OlsFit(
        kept=kept,
        coefficients=coefficients,
        bread=inverse @ inverse.T,
        z=columns[:, 1:][:, kept],
        centred=swept,
        residuals=centred[:, 0] - swept @ coefficients,
        root=root,
        cell=places,
        mass=mass,
        means=means[:, 1:][:, kept],
        dof_resid=len(y) - len(mass) - len(kept),
    )


def independent_columns(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Indices of the columns of ``x`` (n, k) that aren't linear combinations of earlier ones.

    Gaussian sweeps of the cross-product, first column first: deterministic, and the same for any order of
    rows. ``scale`` (k,) is the length each column had before cells were swept out of it.
    """
    usable = np.flatnonzero(scale > 0)
    unit = x[:, usable] / scale[usable]
    gram = unit.T @ unit
    first = np.diag(gram).copy()
    kept = []
    for place, column in enumerate(usable):
        pivot = gram[place, place]
        if first[place] < COLLINEAR or pivot < COLLINEAR * first[place]:
            continue
        kept.append(column)
        gram = gram - np.outer(gram[:, place], gram[place]) / pivot
    return np.array(kept, dtype=int)


def precision(
    fit: OlsFit, column: int, *, cluster: np.ndarray | None = None, se_type: str | None = None
) -> Precision:
    """Standard error and df of the coefficient of column ``column`` of the given ``Z``.

    Parameters
    ----------
    cluster : ndarray of int, (n,), optional
        Codes of the groups.
    se_type : str, optional
        ``CR2`` with a cluster and ``HC2`` without unless given. df: residual (classic, HC1, HC3),
        Satterthwaite under an identity working model (HC2, CR2), groups less one (CR1, CR1S, CR3).
    """
    place = fit.position(column)
    se_type = se_type or ("HC2" if cluster is None else "CR2")
    reach = fit.centred @ fit.bread[place]
    if se_type in CLUSTERED:
        return _clustered(fit, place, reach, cluster, se_type)
    if se_type == "classic":
        variance = fit.bread[place, place] * fit.residuals @ fit.residuals / fit.dof_resid
        return Precision(float(np.sqrt(variance)), float(fit.dof_resid), se_type)
    if se_type == "HC1":
        variance = np.sum((reach * fit.residuals) ** 2) * len(reach) / fit.dof_resid
        return Precision(float(np.sqrt(variance)), float(fit.dof_resid), se_type)
    if se_type == "HC3":
        scores = reach * fit.residuals * _adjustment(leverage(fit), INVERSE)
        return Precision(float(np.sqrt(np.sum(scores**2))), float(fit.dof_resid), se_type)
    scores, df = row_scores(fit, place)
    return Precision(float(np.sqrt(np.sum(scores**2))), df, se_type)


def leverage(fit: OlsFit) -> np.ndarray:
    """Diagonal of the hat matrix, (n,)."""
    of_cells = fit.root**2 / fit.mass[fit.cell]
    return of_cells + np.einsum("ij,ij->i", fit.centred @ fit.bread, fit.centred)


def row_scores(fit: OlsFit, place: int) -> tuple[np.ndarray, float]:
    """HC2-adjusted contribution of each row to a coefficient, (n,), and Satterthwaite's df."""
    reach = fit.centred @ fit.bread[place]
    h = leverage(fit)
    a = _adjustment(h, ROOT) * reach
    squares = np.sum(a**4 * (1 - 2 * h)) + _squared_norm(fit, a)
    trace = np.sum(a**2 * (1 - h))
    return a * fit.residuals, float(trace**2 / squares)


def cluster_scores(fit: OlsFit, place: int, cluster: np.ndarray) -> tuple[np.ndarray, float]:
    """CR2-adjusted contribution of each cluster to a coefficient, and Satterthwaite's df.

    Returns
    -------
    scores : ndarray, (G,)
        In the order of sorted cluster codes; their sum of squares is the CR2 variance.
    df : float
        ``tr(P)^2 / tr(P P)``, ``P`` the covariance of the scores under an identity working model.
    """
    found = adjusted_scores(fit, np.eye(len(fit.kept))[:, [place]], cluster)
    p = found.covariance(0, 0)
    return found.scores[0], float(np.trace(p) ** 2 / np.sum(p * p))


@dataclass(frozen=True)
class AdjustedScores:
    """Adjusted contributions of G clusters to q linear combinations of coefficients.

    ``scores`` is (q, G). With ``a_gs`` the weights of the rows of cluster g in combination s, ``lengths`` (q, q, G)
    holds ``a_gs'a_gt``; ``of_cells`` (q, G, C) and ``inner`` (q, G, k) hold ``X_g'a_gs`` so that ``M`` is diagonal.
    """

    fit: OlsFit
    scores: np.ndarray
    lengths: np.ndarray
    of_cells: np.ndarray
    inner: np.ndarray

    def covariance(self, first: int, second: int) -> np.ndarray:
        """Covariance (G, G) of the contributions to two combinations under an identity working model.

        ``P_gh = delta_gh a_g'a_g - w_g'M w_h``.
        """
        cells = (self.of_cells[first] / self.fit.mass) @ self.of_cells[second].T
        columns = self.inner[first] @ self.fit.bread @ self.inner[second].T
        return np.diag(self.lengths[first, second]) - cells - columns


def adjusted_scores(
    fit: OlsFit, directions: np.ndarray, cluster: np.ndarray, power: float = ROOT
) -> AdjustedScores:
    """Contributions adjusted by ``(I - H_gg)^-power`` to the combinations ``directions`` (k, q) of the coefficients."""
    rows = rows_by_cluster(cluster)
    q = directions.shape[1]
    reach = fit.bread @ directions
    scores, lengths = np.zeros((q, len(rows))), np.zeros((q, q, len(rows)))
    of_cells = np.zeros((q, len(rows), len(fit.mass)))
    of_columns = np.zeros((q, len(rows), fit.z.shape[1]))
    for g, index in enumerate(rows):
        cells, gram, moments = _cross_products(fit, index)
        root, inverse_root = _factor(gram)
        values, vectors = np.linalg.eigh(root.T @ _bread_of(fit, cells) @ root)
        adjust = (vectors * _adjustment(values, power)) @ vectors.T
        contrast = np.concatenate([-fit.means[cells] @ reach, reach])
        alpha = adjust @ (root.T @ contrast)
        scores[:, g] = alpha.T @ (inverse_root.T @ moments)
        lengths[:, :, g] = alpha.T @ alpha
        w = (root @ alpha).T
        of_cells[:, g, cells], of_columns[:, g] = w[:, : len(cells)], w[:, len(cells) :]
    return AdjustedScores(fit, scores, lengths, of_cells, of_columns - of_cells @ fit.means)


def _cross_products(fit: OlsFit, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of some rows, and ``X'X`` and ``X'e`` of their dummies and columns."""
    cells, inside = np.unique(fit.cell[index], return_inverse=True)
    z, root, residuals = fit.z[index], fit.root[index], fit.residuals[index]
    n = len(cells)
    gram = np.zeros((n + z.shape[1],) * 2)
    gram[np.arange(n), np.arange(n)] = np.bincount(inside, weights=root**2)
    across = np.column_stack([np.bincount(inside, weights=c * root) for c in z.T]) if z.shape[1] else None
    if across is not None:
        gram[:n, n:], gram[n:, :n], gram[n:, n:] = across, across.T, z.T @ z
    return cells, gram, np.concatenate([np.bincount(inside, weights=residuals * root), z.T @ residuals])


def dense_codes(codes: np.ndarray) -> np.ndarray:
    """Codes 0, 1, ... in the order of the given non-negative ones, as ``np.unique`` gives but without sorting."""
    present = np.bincount(codes) > 0
    return (np.cumsum(present) - 1)[codes]


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


def _clustered(fit: OlsFit, place: int, reach: np.ndarray, cluster: np.ndarray, se_type: str) -> Precision:
    if se_type == "CR2":
        scores, df = cluster_scores(fit, place, cluster)
        return Precision(float(np.sqrt(np.sum(scores**2))), df, se_type, scores)
    if se_type == "CR3":
        scores = adjusted_scores(fit, np.eye(len(fit.kept))[:, [place]], cluster, INVERSE).scores[0]
        factor = (len(scores) - 1) / len(scores)
    else:
        scores = np.bincount(dense_codes(cluster), weights=reach * fit.residuals)
        factor = len(scores) / (len(scores) - 1)
        if se_type == "CR1S":
            factor *= (len(reach) - 1) / fit.dof_resid
    return Precision(float(np.sqrt(factor * np.sum(scores**2))), len(scores) - 1.0, se_type, scores)


def _bread_of(fit: OlsFit, cells: np.ndarray) -> np.ndarray:
    """Block of ``(X'WX)^-1`` of some cells' dummies and all kept columns of ``Z``."""
    across = -fit.means[cells] @ fit.bread
    own = np.diag(1 / fit.mass[cells]) - across @ fit.means[cells].T
    return np.block([[own, across], [across.T, fit.bread]])


def _squared_norm(fit: OlsFit, a: np.ndarray) -> float:
    """Sum of squares of ``W M W'`` where row i of ``W`` is ``a_i x_i``, without an n x n matrix."""
    of_cells = np.bincount(fit.cell, weights=(a * fit.root) ** 2) / fit.mass
    weighted = fit.centred * (a**2)[:, None]
    cross = np.column_stack([np.bincount(fit.cell, weights=c * fit.root) for c in weighted.T])
    inner = fit.bread @ (weighted.T @ fit.centred)
    mixed = np.einsum("cj,jk,ck->c", cross, fit.bread, cross, optimize=True) / fit.mass
    return float(np.sum(of_cells**2) + 2 * np.sum(mixed) + np.sum(inner * inner.T))


def _adjustment(values: np.ndarray, power: float) -> np.ndarray:
    """``(1 - value)^-power``, zero where the value is one."""
    rest = 1 - values
    return np.where(rest > PERFECT, np.maximum(rest, PERFECT) ** -power, 0.0)


def _factor(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``L`` (K x r) with ``L L' = gram`` and the transpose of its pseudo-inverse."""
    values, vectors = np.linalg.eigh(gram)
    positive = values > 1e-12 * max(values[-1], 1e-300)
    roots = np.sqrt(values[positive])
    return vectors[:, positive] * roots, vectors[:, positive] / roots
