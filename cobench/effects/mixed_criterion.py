"""The REML or ML criterion of a linear mixed model as a function of theta, its minimum and its derivatives there.

The criterion is profiled over coefficients and residual variance (Bates et al. 2015, equations 36 and 42). It is an even function
of the sign of every column of a triangle, so it is minimised without bounds and a variance of zero is found as an inner point;
Newton steps with derivatives by central differences (Richardson, order four) finish the search, and their decrement says
by how much the criterion could still fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize
from threadpoolctl import ThreadpoolController

from cobench.effects.mixed_system import Factored, System, factor, modes

SMALLEST = 1e-6
EXACT = 1e-10
AT_ZERO = 1e-4
STEP = 3e-3
MOST_ROUNDS = 20


@dataclass(frozen=True)
class Curvature:
    """Derivatives at theta by its ``free`` entries (f of them).

    ``log_det`` and ``log_rss`` are pairs of gradient (f,) and Hessian (f, f) of the log-determinants and of the log residual
    sum of squares.
    """

    free: np.ndarray
    log_det: tuple[np.ndarray, np.ndarray]
    log_rss: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Slopes:
    """Derivatives by the free entries of theta of ``(X'V^-1 X)^-1`` (f, p, p) and of the conditional modes (a list a free
    entry of arrays (L, q) a term).
    """

    bread: np.ndarray
    modes: list[list[np.ndarray]]


@dataclass(frozen=True)
class Minimum:
    """Where the search ended.

    ``left`` is how much the criterion could still fall by Newton's model; ``converged`` holds where that is below ten
    times :data:`SMALLEST` and the Hessian is positive definite in the free directions. Columns of a triangle whose pivot is zero
    are zero and not free.
    """

    theta: np.ndarray
    found: Factored
    criterion: float
    curvature: Curvature
    converged: bool
    left: float


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


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> object:
    """A context in which linear algebra uses one thread: the matrices are many and small."""
    return _threads().limit(limits=1, user_api="blas")


def minimise(criterion: Criterion) -> Minimum:
    """The minimum of the criterion over theta, from identity triangles.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where no finite criterion is found.
    """
    system = criterion.system
    start = system.join([np.eye(term.q) for term in system.terms])
    best = _polished(criterion, _searched(criterion, start))
    if has_zero_columns(system, best.theta) or not best.converged:
        # A stationary point at zero may be a maximum along a way that the search didn't try.
        again = _polished(criterion, _searched(criterion, best.theta + 0.3 * (start != 0)))
        best = min(best, again, key=lambda each: (round(each.criterion, 5), not each.converged))
    return best


def _searched(criterion: Criterion, start: np.ndarray) -> np.ndarray:
    """Near the minimum, by L-BFGS with central differences; Newton's steps do the rest."""

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty_like(theta)
        for j in range(len(theta)):
            step = 1e-4 * max(1.0, abs(theta[j]))
            up, down = criterion(_moved(theta, {j: step})), criterion(_moved(theta, {j: -step}))
            gradient[j] = (up - down) / (2 * step)
        value = criterion(theta)
        return (value, gradient) if np.isfinite(gradient).all() else (1e300, np.zeros_like(theta))

    enough = 0.1 / max(1.0, abs(criterion(start)))
    found = optimize.minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", options={"ftol": enough}
    )
    return found.x


def _polished(criterion: Criterion, theta: np.ndarray) -> Minimum:
    """Newton steps from ``theta``; columns whose pivot is as good as zero are set to zero."""
    theta = _canonical(criterion, theta)
    value = criterion(theta)
    if not np.isfinite(value):
        raise np.linalg.LinAlgError("no finite criterion")
    for _ in range(MOST_ROUNDS):
        curvature = curvature_at(criterion, theta, fine=False)
        step, left, convex = _newton(criterion, curvature)
        if convex and left < SMALLEST:
            theta = _last_step(criterion, theta, curvature.free, step, value)
            break
        moved, lower = _line(criterion, theta, curvature.free, step, value)
        if not lower < value:
            break
        theta = _canonical(criterion, moved)
        value = criterion(theta)
    curvature = curvature_at(criterion, theta)
    step, left, convex = _newton(criterion, curvature)
    if convex and EXACT < left < 10 * SMALLEST:
        theta = _last_step(criterion, theta, curvature.free, step, value)
        curvature = curvature_at(criterion, theta)
    found = criterion.factor(theta)
    return Minimum(theta, found, criterion.of(found), curvature, bool(convex and left < 10 * SMALLEST), left)


def _last_step(
    criterion: Criterion, theta: np.ndarray, free: np.ndarray, step: np.ndarray, value: float
) -> np.ndarray:
    """The step that changes the criterion by less than :data:`SMALLEST` still makes the variances more exact."""
    moved = theta.copy()
    moved[free] += step
    return moved if criterion(moved) <= value + 1e-3 * SMALLEST else theta


def _newton(criterion: Criterion, curvature: Curvature) -> tuple[np.ndarray, float, bool]:
    """A descending step, by how much a quadratic would fall, and whether the Hessian is positive definite."""
    gradient = curvature.log_det[0] + criterion.dof * curvature.log_rss[0]
    hessian = curvature.log_det[1] + criterion.dof * curvature.log_rss[1]
    if len(gradient) == 0:
        return gradient, 0.0, True
    values, vectors = np.linalg.eigh(hessian)
    size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max())
    along = vectors.T @ gradient
    return -vectors @ (along / size), float(0.5 * np.sum(along**2 / size)), bool(values[0] > 1e-9 * size[-1])


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


def has_zero_columns(system: System, theta: np.ndarray) -> bool:
    return any((np.diag(lower) == 0).any() for lower in system.split(theta))


def free_entries(system: System, theta: np.ndarray) -> np.ndarray:
    """Places in ``theta`` that belong to columns with a pivot."""
    kept = [np.tile(np.diag(lower) > 0, (len(lower), 1)) for lower in system.split(theta)]
    return np.flatnonzero(system.join(kept))


def curvature_at(criterion: Criterion, theta: np.ndarray, fine: bool = True) -> Curvature:
    """Central differences: at steps h and 2h, combined to order four, or of order two if not ``fine``."""
    free = free_entries(criterion.system, theta)
    width = _width(theta)

    def scalars(*by: tuple[int, float]) -> np.ndarray:
        moved = theta.copy()
        for place, k in by:
            moved[place] += k * width[place]
        found = criterion.factor(moved)
        return np.array([criterion.log_det(found), np.log(found.rss)])

    centre, steps = scalars(), (-2, -1, 1, 2) if fine else (-1, 1)
    along = [{k: scalars((j, k)) for k in steps} for j in free]
    gradient, hessian = np.zeros((2, len(free))), np.zeros((2, len(free), len(free)))
    for a, j in enumerate(free):
        own = along[a]
        twice = own[1] + own[-1] - 2 * centre
        if fine:
            twice = (16 * twice - (own[2] + own[-2] - 2 * centre)) / 12
        gradient[:, a] = (_first(own) if fine else (own[1] - own[-1]) / 2) / width[j]
        hessian[:, a, a] = twice / width[j] ** 2
        for b, i in enumerate(free[:a]):
            mixed = {}
            for k in (1, 2) if fine else (1,):
                alone = own[k] + own[-k] + along[b][k] + along[b][-k]
                both = scalars((j, k), (i, k)) + scalars((j, -k), (i, -k))
                mixed[k] = (both - alone + 2 * centre) / (2 * k**2 * width[i] * width[j])
            hessian[:, a, b] = hessian[:, b, a] = (4 * mixed[1] - mixed[2]) / 3 if fine else mixed[1]
    return Curvature(free, (gradient[0], hessian[0]), (gradient[1], hessian[1]))


def slopes_at(criterion: Criterion, theta: np.ndarray) -> Slopes:
    """First derivatives of what inference needs, by the same differences."""
    width, system = _width(theta), criterion.system
    bread, of_modes = [], []
    for j in free_entries(system, theta):
        at = {k: criterion.factor(_moved(theta, {j: k * width[j]})) for k in (-2, -1, 1, 2)}
        bread.append(_first({k: bread_of(each) for k, each in at.items()}) / width[j])
        each = {k: conditional_modes(system, found) for k, found in at.items()}
        of_modes.append(
            [_first({k: m[t] for k, m in each.items()}) / width[j] for t in range(len(system.terms))]
        )
    return Slopes(np.array(bread).reshape(-1, system.p, system.p), of_modes)


def _width(theta: np.ndarray) -> np.ndarray:
    return STEP * np.maximum(np.abs(theta), 0.1)


def bread_of(found: Factored) -> np.ndarray:
    """``(X'V^-1 X)^-1`` in units of ``sigma^2``, of the orthonormal columns."""
    inverse = np.linalg.inv(found.rx)
    return inverse @ inverse.T


def conditional_modes(system: System, found: Factored) -> list[np.ndarray]:
    """Conditional modes (L, q) a term, of centred and scaled slopes, in units of the scaled outcome."""
    right = np.r_[-found.gamma, 1.0][:, None]
    return [each[:, :, 0] for each in modes(system, found, right)]


def _moved(theta: np.ndarray, by: dict[int, float]) -> np.ndarray:
    moved = theta.copy()
    for place, step in by.items():
        moved[place] += step
    return moved


def _first(at: dict[int, np.ndarray]) -> np.ndarray:
    """First derivative times the step, from values at -2, -1, 1 and 2 steps."""
    return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / 12
