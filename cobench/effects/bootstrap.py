"""Null-imposed wild cluster bootstrap of one coefficient, and the effective number of clusters.

The bootstrap is that of Cameron, Gelbach and Miller (2008) with restricted residuals (WCR). Its statistic depends
on the data only through sums by cluster (Roodman, MacKinnon, Nielsen and Webb 2019), and is a ratio whose parts are
linear and quadratic in the null value, so a draw costs G numbers and the interval, by inversion, next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from cobench.effects.inference import OlsFit, dense_codes
from cobench.errors import ParameterError

DRAWS = 9999
SEED = 20240901
FEW = 12
WEIGHTS = {
    "rademacher": np.array([-1.0, 1.0]),
    "webb": np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)]),
}
TIE = 1e-9
FARTHEST = 1e4


@dataclass(frozen=True)
class WildBootstrap:
    """A null-imposed wild cluster bootstrap.

    Attributes
    ----------
    statistic, p_value : float
        The t statistic with CR1 error against the null of no effect, and the share of draws at least as large
        in absolute value (ties count, so an enumerated p-value is never zero).
    std_error : float
        CR1.
    conf_low, conf_high : float
        The values around the estimate that are not rejected; infinite where rejection is never reached.
    weights : {"rademacher", "webb"}
    n_draws : int
        Draws used; all of them where ``enumerated``.
    seed : int
    """

    statistic: float
    p_value: float
    std_error: float
    conf_low: float
    conf_high: float
    weights: str
    n_draws: int
    enumerated: bool
    seed: int

    @property
    def label(self) -> str:
        """How it was drawn, as it stands in ``se_type``."""
        how = "all" if self.enumerated else f"seed {self.seed}"
        return f"wild ({self.weights}, {self.n_draws} draws, {how})"


def wild_bootstrap(
    fit: OlsFit,
    place: int,
    cluster: np.ndarray,
    *,
    weights: str | None = None,
    n_draws: int = DRAWS,
    seed: int = SEED,
    level: float = 0.95,
) -> WildBootstrap:
    """Test and interval of the kept coefficient number ``place``.

    Parameters
    ----------
    cluster : ndarray of int, (n,)
    weights : {"rademacher", "webb"}, optional
        Webb's six points up to twelve clusters and Rademacher's two above, by default.
    n_draws : int
        All sign vectors (or Webb vectors) are enumerated where there are no more than this.
    """
    codes = dense_codes(cluster)
    groups = int(codes.max()) + 1
    weights = weights or ("webb" if groups <= FEW else "rademacher")
    if weights not in WEIGHTS:
        raise ParameterError(
            en=f"weights must be rademacher or webb, not {weights!r}",
            zh=f"weights 必须为 rademacher 或 webb，而不是 {weights!r}",
        )
    draws, enumerated = _draws(weights, groups, n_draws, seed)
    p_of, statistic, error = _p_values(fit, place, codes, draws)
    estimate = float(fit.coefficients[place])
    ends = [interval_end(p_of, estimate, sign * error, 1 - level) for sign in (-1, 1)]
    return WildBootstrap(
        statistic, p_of(0.0), error, *ends, weights=weights, n_draws=draws.shape[1], enumerated=enumerated, seed=seed
    )  # fmt: skip


def effective_clusters(fit: OlsFit, place: int, cluster: np.ndarray, rho: float = 0.0) -> float:
    """Effective number of clusters for one coefficient (Carter, Schnepel and Steigerwald 2017).

    ``G* = G / (1 + CV^2)`` of ``gamma_g = a_g' Omega a_g``, ``a_g`` the rows of the cluster's pull on the
    coefficient and ``Omega`` with correlation ``rho`` within clusters. NaN where the pulls cancel within every
    cluster (``rho = 1`` with cluster effects).
    """
    codes = dense_codes(cluster)
    pull = fit.centred @ fit.bread[place]
    own, whole = np.bincount(codes, weights=pull**2), np.bincount(codes, weights=pull) ** 2
    gamma = (1 - rho) * own + rho * whole
    mean = gamma.mean()
    if mean <= 1e-12 * own.sum():
        return float("nan")
    return float(len(gamma) / (1 + np.mean((gamma - mean) ** 2) / mean**2))


def _draws(weights: str, groups: int, n_draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Multipliers (G, B): all of them where that is at most ``n_draws``."""
    points = WEIGHTS[weights]
    if groups * np.log(len(points)) <= np.log(n_draws + 0.5):
        return np.array(list(product(points, repeat=groups))).T, True
    return np.random.default_rng(seed).choice(points, size=(groups, n_draws)), False


def _p_values(
    fit: OlsFit, place: int, codes: np.ndarray, draws: np.ndarray
) -> tuple[Callable[[float], float], float, float]:
    """Function from a null value to its p-value, the t statistic at zero, and the CR1 error."""
    others = np.delete(np.arange(len(fit.kept)), place)
    treatment = fit.centred[:, place] - _projected(fit.centred[:, others], fit.centred[:, place])
    length = float(treatment @ treatment)
    estimate = float(fit.coefficients[place])
    # Residuals under the null r are those of the full model plus (estimate - r) times the swept treatment.
    parts = [_scores(fit, treatment, each, codes) for each in (fit.residuals, treatment)]
    sums = [part.sums @ draws for part in parts]
    scores = [part.sums[:, None] * draws - part.spill @ draws for part in parts]
    squares = [
        np.einsum("gb,gb->b", a, b) for a, b in ((scores[0], scores[0]), (scores[0], scores[1]), (scores[1], scores[1]))
    ]  # fmt: skip
    groups = draws.shape[0]
    factor = groups / (groups - 1)
    error = float(np.sqrt(factor * np.sum(parts[0].sums ** 2)) / length)

    def p_value(null: float) -> float:
        gap = estimate - null
        top = np.abs(sums[0] + gap * sums[1])
        bottom = np.sqrt(
            np.maximum(factor * (squares[0] + 2 * gap * squares[1] + gap**2 * squares[2]), 1e-300)
        )
        return float(np.mean(top / bottom >= abs(gap) / error * (1 - TIE)))

    return p_value, estimate / error, error


@dataclass(frozen=True)
class _Scores:
    """``sums`` (G,): treatment times residual by cluster. ``spill`` (G, G): what refitting takes off them."""

    sums: np.ndarray
    spill: np.ndarray


def _scores(fit: OlsFit, treatment: np.ndarray, residual: np.ndarray, codes: np.ndarray) -> _Scores:
    """Sums by cluster of treatment times residual, and of treatment times fitted values of each cluster's residual."""
    groups = int(codes.max()) + 1
    of_cells = [_by_cell(fit, codes, values, groups) for values in (treatment, residual)]
    of_columns = [
        np.column_stack([np.bincount(codes, weights=values * c, minlength=groups) for c in fit.centred.T])
        for values in (treatment, residual)
    ]
    spill = (of_cells[0] / fit.mass) @ of_cells[1].T + of_columns[0] @ fit.bread @ of_columns[1].T
    return _Scores(np.bincount(codes, weights=treatment * residual, minlength=groups), spill)


def _by_cell(fit: OlsFit, codes: np.ndarray, values: np.ndarray, groups: int) -> np.ndarray:
    """Sums (G, C) of the values over each cluster's rows of each cell."""
    cells = len(fit.mass)
    flat = np.bincount(codes * cells + fit.cell, weights=values * fit.root, minlength=groups * cells)
    return flat.reshape(groups, cells)


def _projected(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    if x.shape[1] == 0:
        return np.zeros_like(values)
    return x @ np.linalg.lstsq(x, values, rcond=None)[0]


def interval_end(p_of: Callable[[float], float], start: float, step: float, alpha: float) -> float:
    """Where the p-value falls below ``alpha``, going from ``start`` by doubling ``step`` and then halving."""
    inside, size = start, step
    while p_of(start + size) >= alpha:
        inside = start + size
        size *= 2
        if abs(size) > FARTHEST * abs(step):
            return float(np.copysign(np.inf, step))
    outside = start + size
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if p_of(middle) >= alpha else (inside, middle)
    return float((inside + outside) / 2)
