"""The REML or ML criterion of a linear mixed model as a function of theta, its minimum and its derivatives there.

The criterion is profiled over coefficients and residual variance (Bates et al. 2015, equations 36 and 42). It is an even function
of the sign of every column of a triangle, so it is minimised without bounds and a variance of zero is found as an inner point;
Newton steps with derivatives by central differences (Richardson, order four) finish the search, and their decrement says
by how much the criterion could still fall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from cobench.effects.mixed_system import Factored, System, factor, modes

SMALLEST = 1e-6
AT_ZERO = 1e-4
STEP = 1e-2
MOST_ROUNDS = 8


@dataclass(frozen=True)
class Slopes:
    """Derivatives at theta by its ``free`` entries (f of them).

    ``log_det`` and ``log_rss`` are pairs of gradient (f,) and Hessian (f, f) of the log-determinants and of the log residual sum of
    squares; ``bread`` (f, p, p) and ``modes`` (f lists, a term each (L, q)) are derivatives of ``(X'V^-1 X)^-1`` and of
    the conditional modes.
    """

    free: np.ndarray
    log_det: tuple[np.ndarray, np.ndarray]
    log_rss: tuple[np.ndarray, np.ndarray]
    bread: np.ndarray
    modes: list[list[np.ndarray]]


@dataclass(frozen=True)
class Minimum:
    """Where the search ended.

    ``left`` is how much the criterion could still fall by Newton's model; ``converged`` holds where that is below
    :data:`SMALLEST` and the Hessian is positive definite in the free directions. Columns of a triangle whose pivot is zero
    are zero and not free.
    """

    theta: np.ndarray
    found: Factored
    criterion: float
    slopes: Slopes
    converged: bool
    left: float
    n_evaluations: int


class Criterion:
    """The criterion of one system; counts its evaluations."""

    def __init__(self, system: System, reml: bool):
        self.system, self.reml = system, reml
        self.dof = system.n - system.p * reml
        self.fixed = 2 * float(np.sum(np.log(np.abs(np.diag(system.upper))))) * reml
        self.n_evaluations = 0

    def factor(self, theta: np.ndarray) -> Factored:
        self.n_evaluations += 1
        return factor(self.system, theta)

    def log_det(self, found: Factored) -> float:
        own = found.log_det + self.fixed
        return own + 2 * float(np.sum(np.log(np.diag(found.rx)))) * self.reml

    def variance(self, found: Factored) -> float:
        """The residual variance, in squared units of the outcome."""
        return found.rss / self.dof * self.system.scale**2

    def of(self, found: Factored) -> float:
        """-2 log (restricted) likelihood."""
        return self.log_det(found) + self.dof * (1 + np.log(2 * np.pi * self.variance(found)))

    def __call__(self, theta: np.ndarray) -> float:
        try:
            return self.of(self.factor(theta))
        except np.linalg.LinAlgError:
            return np.inf


def minimise(system: System, reml: bool) -> Minimum:
    """The minimum of the criterion over theta, from identity triangles.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where no finite criterion is found.
    """
    criterion = Criterion(system, reml)
    start = system.join([np.eye(term.q) for term in system.terms])
    theta = _searched(criterion, start)
    best = _polished(criterion, theta)
    if _zero_columns(system, best.theta):
        # A stationary point at zero may be a maximum along a way that the search didn't try.
        nudged = _polished(criterion, _searched(criterion, best.theta + 0.1 * (start != 0)))
        best = min(best, nudged, key=lambda each: (round(each.criterion, 5), not each.converged))
    return Minimum(**{**vars(best), "n_evaluations": criterion.n_evaluations})


def _searched(criterion: Criterion, start: np.ndarray) -> np.ndarray:
    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty_like(theta)
        for j in range(len(theta)):
            step = np.zeros_like(theta)
            step[j] = 1e-5 * max(1.0, abs(theta[j]))
            gradient[j] = (criterion(theta + step) - criterion(theta - step)) / (2 * step[j])
        value = criterion(theta)
        return (value, gradient) if np.isfinite(gradient).all() else (1e300, np.zeros_like(theta))

    found = optimize.minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-4}
    )
    return found.x


def _polished(criterion: Criterion, theta: np.ndarray) -> Minimum:
    """Newton steps from ``theta``; columns whose pivot is as good as zero are set to zero."""
    theta = _canonical(criterion, theta)
    value = criterion(theta)
    if not np.isfinite(value):
        raise np.linalg.LinAlgError("no finite criterion")
    for _ in range(MOST_ROUNDS):
        slopes = derivatives(criterion, theta)
        gradient = slopes.log_det[0] + criterion.dof * slopes.log_rss[0]
        hessian = slopes.log_det[1] + criterion.dof * slopes.log_rss[1]
        values, vectors = np.linalg.eigh(hessian) if len(gradient) else (np.ones(1), None)
        convex = values[0] > 1e-9 * max(values[-1], 1.0)
        if len(gradient) == 0:
            left = 0.0
            break
        along = vectors.T @ gradient
        step = -vectors @ (along / np.maximum(np.abs(values), 1e-8 * abs(values).max()))
        left = float(0.5 * np.sum(along**2 / np.maximum(np.abs(values), 1e-8 * abs(values).max())))
        if convex and left < SMALLEST:
            break
        moved, lower = _line(criterion, theta, slopes.free, step, value)
        if not lower < value:
            break
        theta = _canonical(criterion, moved)
        value = criterion(theta)
    found = criterion.factor(theta)
    return Minimum(
        theta, found, criterion.of(found), slopes, bool(convex and left < SMALLEST), left, 0
    )  # fmt: skip


def _line(
    criterion: Criterion, theta: np.ndarray, free: np.ndarray, step: np.ndarray, value: float
) -> tuple[np.ndarray, float]:
    """The first of the step and its halves that lowers the criterion."""
    for half in 0.5 ** np.arange(12):
        moved = theta.copy()
        moved[free] += half * step
        lower = criterion(moved)
        if lower < value:
            return moved, lower
    return theta, value


def _canonical(criterion: Criterion, theta: np.ndarray) -> np.ndarray:
    """``theta`` with pivots at or above zero; a column is zero where that costs the criterion nothing."""
    system = criterion.system
    triangles = [_cholesky(lower @ lower.T) for lower in system.split(theta)]
    theta = system.join(triangles)
    value = criterion(theta)
    for place, lower in enumerate(triangles):
        size = np.sqrt(np.sum(lower**2, axis=1))
        for j in range(len(lower)):
            if 0 < lower[j, j] < max(0.05, 0.05 * size[j]):
                trial = [each.copy() for each in triangles]
                trial[place][j, j] = 0.0
                trial[place] = _cholesky(trial[place] @ trial[place].T)
                cost = criterion(system.join(trial)) - value
                if cost < SMALLEST or lower[j, j] < AT_ZERO * max(size[j], 1e-8):
                    triangles, value = trial, value + cost
    return system.join(triangles)


def _cholesky(matrix: np.ndarray) -> np.ndarray:
    """Lower triangle of a positive semi-definite matrix; a column without pivot is zero."""
    rest, lower = matrix.copy(), np.zeros_like(matrix)
    for j in range(len(matrix)):
        if rest[j, j] <= 1e-12 * max(matrix[j, j], 1e-300):
            continue
        lower[j:, j] = rest[j:, j] / np.sqrt(rest[j, j])
        rest = rest - np.outer(lower[:, j], lower[:, j])
    return lower


def _zero_columns(system: System, theta: np.ndarray) -> bool:
    return any((np.diag(lower) == 0).any() for lower in system.split(theta))


def free_entries(system: System, theta: np.ndarray) -> np.ndarray:
    """Places in ``theta`` that belong to columns with a pivot."""
    kept = [np.tile(np.diag(lower) > 0, (len(lower), 1)) for lower in system.split(theta)]
    return np.flatnonzero(system.join(kept))


def derivatives(criterion: Criterion, theta: np.ndarray) -> Slopes:
    """Central differences at steps h and 2h, combined to order four."""
    free = free_entries(criterion.system, theta)
    width = STEP * np.maximum(np.abs(theta), 0.1)
    centre = _scalars(criterion, criterion.factor(theta))
    gradient, hessian = np.zeros((2, len(free))), np.zeros((2, len(free), len(free)))
    bread, of_modes = [], []
    for a, j in enumerate(free):
        at = {k: criterion.factor(_moved(theta, {j: k * width[j]})) for k in (-2, -1, 1, 2)}
        scalars = {k: _scalars(criterion, each) for k, each in at.items()}
        gradient[:, a] = _first(scalars) / width[j]
        hessian[:, a, a] = (
            -scalars[2] + 16 * scalars[1] - 30 * centre + 16 * scalars[-1] - scalars[-2]
        ) / (12 * width[j] ** 2)
        bread.append(_first({k: bread_of(each) for k, each in at.items()}) / width[j])
        each_modes = {k: conditional_modes(criterion.system, each) for k, each in at.items()}
        of_modes.append(
            [_first({k: m[t] for k, m in each_modes.items()}) / width[j] for t in range(len(each_modes[1]))]
        )
        for b in range(a):
            i = free[b]
            mixed = [
                sum(
                    s * r * _scalars(criterion, criterion.factor(_moved(theta, {j: s * k * width[j], i: r * k * width[i]})))
                    for s in (1, -1)
                    for r in (1, -1)
                ) / (4 * k**2 * width[i] * width[j])
                for k in (1, 2)
            ]  # fmt: skip
            hessian[:, a, b] = hessian[:, b, a] = (4 * mixed[0] - mixed[1]) / 3
    p = criterion.system.p
    return Slopes(
        free, (gradient[0], hessian[0]), (gradient[1], hessian[1]),
        np.array(bread).reshape(len(free), p, p), of_modes,
    )  # fmt: skip


def bread_of(found: Factored) -> np.ndarray:
    """``(X'V^-1 X)^-1`` in units of ``sigma^2``, of the orthonormal columns."""
    inverse = np.linalg.inv(found.rx)
    return inverse @ inverse.T


def conditional_modes(system: System, found: Factored) -> list[np.ndarray]:
    """Conditional modes (L, q) a term, of centred and scaled slopes, in units of the scaled outcome."""
    right = np.r_[-found.gamma, 1.0][:, None]
    return [each[:, :, 0] for each in modes(system, found, right)]


def _scalars(criterion: Criterion, found: Factored) -> np.ndarray:
    return np.array([criterion.log_det(found), np.log(found.rss)])


def _moved(theta: np.ndarray, by: dict[int, float]) -> np.ndarray:
    moved = theta.copy()
    for place, step in by.items():
        moved[place] += step
    return moved


def _first(at: dict[int, np.ndarray]) -> np.ndarray:
    """First derivative times the step, from values at -2, -1, 1 and 2 steps."""
    return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / 12
