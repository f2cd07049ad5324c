"""Posterior draws of one variable given the others, with random intercepts of clusters, for many chains at once.

All models are ``y = X b + u[cluster] (+ v[class] ...) + e``. A sweep draws ``b`` with the intercepts of a level
integrated out, then the intercepts, then the variances (Gibbs; collapsing makes chains mix in a few sweeps). Priors:
``b ~ N(0, 2.5^2)`` on standardised columns, uniform on the SD of each level (Gelman 2006), ``1/sigma`` on the residual.
A binary variable is a sign of such a ``y`` with ``e ~ N(0, 1)`` (Albert and Chib 1993); a categorical one is decided
level by level, the commonest first, each by a binary model among those not yet decided.

Arrays carry the chain first: ``x`` is (m, n, p), ``y`` is (m, n).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import ndtr, ndtri

SLOPE, INTERCEPT = 2.5, 10.0
FIRST_SWEEPS, SWEEPS = 15, 3
SMALLEST, LARGEST = 1e-6, 25.0
DONORS = 5
TINY = 1e-300


class Streams:
    """One generator a chain, so that a chain's draws don't hang on how many chains there are."""

    def __init__(self, seed: int, chains: Sequence[int]):
        self.each = [np.random.default_rng([seed, chain]) for chain in chains]

    def normal(self, *shape: int) -> np.ndarray:
        return np.stack([one.standard_normal(shape) for one in self.each])

    def uniform(self, *shape: int) -> np.ndarray:
        return np.stack([one.random(shape) for one in self.each])

    def inverse_gamma(self, shape: float, rate: np.ndarray) -> np.ndarray:
        """One draw a chain, (m,); ``rate`` is (m,)."""
        return rate / np.maximum([one.standard_gamma(shape) for one in self.each], TINY)

    def integers(self, high: int, size: int) -> np.ndarray:
        return np.stack([one.integers(high, size=size) for one in self.each])


class Groups:
    """The clusters of one level: codes of the rows that a model is fitted on and of those it is applied to."""

    def __init__(self, fitted: np.ndarray, applied: np.ndarray, n_groups: int):
        self.fitted, self.applied, self.n_groups = fitted, applied, n_groups
        rows = np.arange(len(fitted))
        self.summing = sparse.csr_matrix(
            (np.ones(len(fitted)), (fitted, rows)), shape=(n_groups, len(fitted))
        )
        self.sizes = np.bincount(fitted, minlength=n_groups).astype("float64")
        self.seen = self.sizes > 0

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums (m, G) of ``values`` (m, n), or (m, G, p) of (m, n, p)."""
        return group_sums(self.summing, values)


def group_sums(summing: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    """Sums over groups along the second axis of ``values`` (m, n) or (m, n, p)."""
    flat = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    found = (summing @ flat).reshape(summing.shape[0], values.shape[0], *values.shape[2:])
    return np.moveaxis(found, 0, 1)


@dataclass
class Model:
    """State of the chains of one model.

    Attributes
    ----------
    groups : list of Groups
    slopes : ndarray, (m, p)
    spread : ndarray, (L, m)
        SD of the intercepts of each level.
    residual : ndarray, (m,)
        SD of the residual; 1 for binary models.
    intercepts : list of ndarray, (m, G)
    binary : bool
    """

    groups: list[Groups]
    slopes: np.ndarray
    spread: np.ndarray
    residual: np.ndarray
    intercepts: list[np.ndarray]
    binary: bool
    started: bool = False


@dataclass(frozen=True)
class Fitted:
    """Linear predictor of the rows to be imputed (a posterior draw), and of the fitted rows (posterior mean)."""

    applied: np.ndarray
    fitted: np.ndarray


def new_model(groups: Sequence[Groups], chains: int, columns: int, binary: bool = False) -> Model:
    """A model at its start. Levels of which only one group was seen have no spread to learn and are left out."""
    kept = [each for each in groups if each.seen.sum() > 1]
    return Model(
        groups=kept,
        slopes=np.zeros((chains, columns)),
        spread=np.full((len(kept), chains), 0.3),
        residual=np.full(chains, 1.0 if binary else 0.8),
        intercepts=[np.zeros((chains, each.n_groups)) for each in kept],
        binary=binary,
    )


def update(model: Model, x: np.ndarray, y: np.ndarray, x_applied: np.ndarray, draw: Streams) -> Fitted:
    """Some sweeps of ``model``, whose state changes.

    Parameters
    ----------
    x : ndarray, (m, n, p)
        Standardised columns, the intercept first.
    y : ndarray, (n,)
        Standardised values, or 0 and 1 of a binary model.
    x_applied : ndarray, (m, a, p)
    """
    within = np.matmul(x.transpose(0, 2, 1), x)
    sums = [each.sums(x) for each in model.groups]
    sweeps = SWEEPS if model.started else FIRST_SWEEPS
    model.started = True
    mean = model.slopes
    for _ in range(sweeps):
        target = _latent(model, x, y, draw) if model.binary else np.broadcast_to(y, x.shape[:2])
        mean = _sweep(model, x, target, within, sums, draw)
    return Fitted(
        _predictor(model, x_applied, model.slopes, [each.applied for each in model.groups]),
        _predictor(model, x, mean, [each.fitted for each in model.groups]),
    )


def _sweep(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    within: np.ndarray,
    sums: Sequence[np.ndarray],
    draw: Streams,
) -> np.ndarray:
    """One draw of slopes, intercepts and variances; the conditional mean of the slopes (m, p)."""
    variance = model.residual**2
    mean = model.slopes
    if not model.groups:
        model.slopes, mean = _slopes(within, np.matmul(y[:, None, :], x)[:, 0], variance, draw)
    for level, groups in enumerate(model.groups):
        rest = y - _intercepts(model, level)
        own = groups.sums(rest)
        share = model.spread[level][:, None] ** 2
        share = share / (variance[:, None] + groups.sizes * share)
        shrunk = sums[level] * share[:, :, None]
        cross = np.matmul(rest[:, None, :], x)[:, 0] - np.matmul(own[:, None, :], shrunk)[:, 0]
        inner = within - np.matmul(sums[level].transpose(0, 2, 1), shrunk)
        model.slopes, mean = _slopes(inner, cross, variance, draw)
        left = own - np.matmul(sums[level], model.slopes[:, :, None])[:, :, 0]
        noise = draw.normal(groups.n_groups) * np.sqrt(share * variance[:, None])
        model.intercepts[level] = share * left + noise
        squares = np.sum(model.intercepts[level][:, groups.seen] ** 2, axis=1)
        found = draw.inverse_gamma((groups.seen.sum() - 1) / 2, squares / 2)
        model.spread[level] = np.sqrt(np.clip(found, SMALLEST, LARGEST))
    if not model.binary:
        places = [each.fitted for each in model.groups]
        error = y - _predictor(model, x, model.slopes, places)
        found = draw.inverse_gamma(x.shape[1] / 2, np.sum(error**2, axis=1) / 2)
        model.residual = np.sqrt(np.clip(found, SMALLEST**2, LARGEST))
    return mean


def _slopes(
    inner: np.ndarray, cross: np.ndarray, variance: np.ndarray, draw: Streams
) -> tuple[np.ndarray, np.ndarray]:
    """A draw from the posterior of the slopes and its mean, each (m, p)."""
    p = cross.shape[1]
    prior = np.full(p, 1 / SLOPE**2)
    prior[0] = 1 / INTERCEPT**2
    precision = inner / variance[:, None, None] + np.diag(prior)
    root = np.linalg.cholesky(precision)
    mean = np.linalg.solve(precision, (cross / variance[:, None])[:, :, None])
    noise = np.linalg.solve(root.transpose(0, 2, 1), draw.normal(p)[:, :, None])
    return (mean + noise)[:, :, 0], mean[:, :, 0]


def _intercepts(model: Model, without: int) -> np.ndarray | float:
    """Sum over levels of the intercepts of the fitted rows, one level left out."""
    found = 0.0
    for level, groups in enumerate(model.groups):
        if level != without:
            found = found + model.intercepts[level][:, groups.fitted]
    return found


def _predictor(model: Model, x: np.ndarray, slopes: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
    found = np.matmul(x, slopes[:, :, None])[:, :, 0]
    for level, codes in enumerate(places):
        found = found + model.intercepts[level][:, codes]
    return found


def _latent(model: Model, x: np.ndarray, y: np.ndarray, draw: Streams) -> np.ndarray:
    """Latent normal values whose sign is ``y``, (m, n)."""
    middle = _predictor(model, x, model.slopes, [each.fitted for each in model.groups])
    sign = np.where(y > 0.5, 1.0, -1.0)
    inside = np.maximum(draw.uniform(len(y)) * ndtr(sign * middle), TINY)
    return middle - sign * ndtri(inside)


def draw_numbers(
    middle: np.ndarray, residual: np.ndarray, draw: Streams, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Normal values around ``middle`` (m, a), between ``low`` and ``high``."""
    if not (np.isfinite(low) or np.isfinite(high)):
        return middle + residual[:, None] * draw.normal(middle.shape[1])
    scale = residual[:, None]
    below, above = ndtr((low - middle) / scale), ndtr((high - middle) / scale)
    inside = below + draw.uniform(middle.shape[1]) * (above - below)
    return np.clip(middle + scale * ndtri(np.clip(inside, TINY, 1 - 1e-16)), low, high)


def draw_flags(middle: np.ndarray, draw: Streams) -> np.ndarray:
    """0 or 1 with probability ``Phi(middle)``, (m, a)."""
    return (draw.uniform(middle.shape[1]) < ndtr(middle)).astype("float64")


def draw_donors(fit: Fitted, y: np.ndarray, draw: Streams) -> np.ndarray:
    """Observed values of one of the :data:`DONORS` rows whose expected value is nearest, (m, a).

    Predictive mean matching (Little 1988): drawn expectation of the receiver, mean expectation of the donors.
    """
    count = min(DONORS, len(y))
    chosen = draw.integers(count, fit.applied.shape[1])
    found = np.empty_like(fit.applied)
    for chain, (wanted, donors) in enumerate(zip(fit.applied, fit.fitted, strict=True)):
        order = np.argsort(donors, kind="stable")
        ranked = donors[order]
        first = np.clip(np.searchsorted(ranked, wanted) - count, 0, max(len(y) - 2 * count, 0))
        window = np.minimum(first[:, None] + np.arange(2 * count), len(y) - 1)
        far = np.abs(ranked[window] - wanted[:, None])
        nearest = np.argsort(far, axis=1, kind="stable")[np.arange(len(wanted)), chosen[chain]]
        found[chain] = y[order[window[np.arange(len(wanted)), nearest]]]
    return found
