"""Standard errors and degrees of freedom of a fitted mixed model: coefficients, variances, shrunken effects.

The covariance of the variance parameters is twice the inverse Hessian of the criterion in theta and the log of the residual
standard deviation. Satterthwaite's df of a coefficient are ``2 v^2 / var(v)`` for its variance ``v`` (Giesbrecht and Burns 1985;
Kuznetsova, Brockhoff and Christensen 2017, lmerTest).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import special, stats

from cobench.effects.mixed_criterion import (
    Criterion,
    Minimum,
    Slopes,
    bread_of,
    conditional_modes,
    slopes_at,
)
from cobench.effects.mixed_system import System, conditional_covariances, modes

RESIDUAL = "residual"
INTERVALS = {"variance": "log", "sd": "log", "correlation": "fisher z", "icc": "logit"}


@dataclass(frozen=True)
class Mixed:
    """A fitted model in numbers; ``p`` coefficients, ``f`` free variance parameters beside the residual's.

    Attributes
    ----------
    coefficients : ndarray, (p,)
    covariance : ndarray, (p, p)
        Of the coefficients, model-based.
    sigma : float
        Residual standard deviation.
    parameter_covariance : ndarray, (f + 1, f + 1)
        Of the free entries of theta and ``log sigma``.
    """

    criterion: Criterion
    minimum: Minimum
    slopes: Slopes
    coefficients: np.ndarray
    covariance: np.ndarray
    sigma: float
    parameter_covariance: np.ndarray

    @property
    def system(self) -> System:
        return self.criterion.system

    @cached_property
    def unscaled(self) -> np.ndarray:
        """``upper^-1``, from the orthonormal columns to the given ones."""
        return np.linalg.inv(self.system.upper)

    @cached_property
    def moments(self) -> list[np.ndarray]:
        """Mean over rows of ``z z'`` of the given columns, (q, q) a term."""
        found = []
        for term in self.system.terms:
            forward = np.linalg.inv(term.back)
            found.append(forward.T @ (term.z.T @ term.z / len(term.z)) @ forward)
        return found


def infer(criterion: Criterion, minimum: Minimum) -> Mixed:
    """Coefficients and covariances at the minimum.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the Hessian is not positive definite.
    """
    system = criterion.system
    sigma = float(np.sqrt(criterion.variance(minimum.found)))
    unscaled = np.linalg.inv(system.upper)
    return Mixed(
        criterion=criterion,
        minimum=minimum,
        slopes=slopes_at(criterion, minimum.theta),
        coefficients=system.start + system.scale * (unscaled @ minimum.found.gamma),
        covariance=sigma**2 * unscaled @ bread_of(minimum.found) @ unscaled.T,
        sigma=sigma,
        parameter_covariance=_parameter_covariance(criterion, minimum),
    )


def _parameter_covariance(criterion: Criterion, minimum: Minimum) -> np.ndarray:
    """Of free theta and log sigma: twice the inverse Hessian of the criterion before sigma is profiled out."""
    curvature, dof = minimum.curvature, criterion.dof
    gradient, second = curvature.log_rss
    f = len(gradient)
    hessian = np.empty((f + 1, f + 1))
    hessian[:f, :f] = curvature.log_det[1] + dof * (second + np.outer(gradient, gradient))
    hessian[:f, f] = hessian[f, :f] = -2 * dof * gradient
    hessian[f, f] = 4 * dof
    lower = np.linalg.cholesky(hessian)
    inverse = np.linalg.inv(lower)
    return 2 * inverse.T @ inverse


def satterthwaite(mixed: Mixed, contrast: np.ndarray) -> float:
    """Degrees of freedom of ``contrast @ coefficients``, (p,)."""
    variance = contrast @ mixed.covariance @ contrast
    given = mixed.unscaled.T @ contrast
    by_theta = mixed.sigma**2 * np.einsum("i,fij,j->f", given, mixed.slopes.bread, given)
    gradient = np.r_[by_theta, 2 * variance]
    return float(2 * variance**2 / (gradient @ mixed.parameter_covariance @ gradient))


# ---- variances -----------------------------------------------------------------------------------------


def covariances(system: System, theta: np.ndarray, sigma: float) -> list[np.ndarray]:
    """Covariance (q, q) of each term's effects, in units of the given columns."""
    found = []
    for term, lower in zip(system.terms, system.split(theta), strict=True):
        half = sigma * term.back @ lower
        found.append(half @ half.T)
    return found


def variance_table(mixed: Mixed, conf_level: float) -> pd.DataFrame:
    """Variances, standard deviations and correlations, one row each.

    Columns ``group, effect, other, kind, estimate, std_error, conf_low, conf_high, at_boundary, interval``. Intervals are normal on
    the log of variances and standard deviations, on Fisher's z of correlations and the logit of shares
    (:mod:`cobench.effects.mixed_profile` has better ones). A variance at zero has neither error nor interval.
    """
    names = _names(mixed.system)
    estimates = _components(mixed, np.zeros(len(mixed.parameter_covariance)))
    jacobian = np.column_stack([_jacobian_column(mixed, j) for j in range(len(mixed.parameter_covariance))])
    errors = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, mixed.parameter_covariance, jacobian))
    rows = []
    for (group, effect, other, kind), estimate, error in zip(names, estimates, errors, strict=True):
        if kind == "correlation":
            at_boundary = bool(np.isnan(estimate) or abs(estimate) > 1 - 1e-8)
        else:
            at_boundary = bool(estimate <= 0)
        error = np.nan if at_boundary else error
        low, high = _interval(kind, estimate, error, conf_level)
        rows.append((group, effect, other, kind, estimate, error, low, high, at_boundary, INTERVALS[kind]))
    columns = (
        "group", "effect", "other", "kind", "estimate", "std_error", "conf_low", "conf_high", "at_boundary", "interval",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _names(system: System) -> list[tuple[str, str, str, str]]:
    names = []
    for term in system.terms:
        names += [(term.name, effect, "", kind) for effect in term.effects for kind in ("variance", "sd")]
        names += [
            (term.name, term.effects[i], term.effects[j], "correlation")
            for i in range(term.q)
            for j in range(i + 1, term.q)
        ]
        names += [(term.name, "", "", "icc")]
    return [*names, (RESIDUAL, "", "", "variance"), (RESIDUAL, "", "", "sd")]


def _components(mixed: Mixed, shift: np.ndarray) -> np.ndarray:
    """What :func:`_names` names, with the parameters moved by ``shift`` (f + 1,)."""
    system = mixed.system
    theta = mixed.minimum.theta.copy()
    theta[mixed.minimum.curvature.free] += shift[:-1]
    sigma = mixed.sigma * np.exp(shift[-1])
    found = covariances(system, theta, sigma)
    # Share of a term in the variance of an average row (Johnson 2014 where slopes vary).
    shares = [float(np.sum(m * c)) for m, c in zip(mixed.moments, found, strict=True)]
    total = sum(shares) + sigma**2
    values = []
    for matrix, share in zip(found, shares, strict=True):
        sd = np.sqrt(np.maximum(np.diag(matrix), 0))
        for variance, each in zip(sd**2, sd, strict=True):
            values += [variance, each]
        values += [
            matrix[i, j] / (sd[i] * sd[j]) if sd[i] * sd[j] > 0 else np.nan
            for i in range(len(sd))
            for j in range(i + 1, len(sd))
        ]
        values.append(share / total)
    return np.array([*values, sigma**2, sigma])


def _jacobian_column(mixed: Mixed, j: int) -> np.ndarray:
    step = np.zeros(len(mixed.parameter_covariance))
    free = mixed.minimum.curvature.free
    step[j] = 1e-5 * (max(abs(mixed.minimum.theta[free[j]]), 1e-3) if j < len(free) else 1.0)
    return (_components(mixed, step) - _components(mixed, -step)) / (2 * step[j])


def _interval(kind: str, estimate: float, error: float, level: float) -> tuple[float, float]:
    if not np.isfinite(error) or error <= 0:
        return np.nan, np.nan
    z = stats.norm.ppf(0.5 + level / 2)
    if kind == "correlation":
        centre, half = np.arctanh(estimate), z * error / (1 - estimate**2)
        return float(np.tanh(centre - half)), float(np.tanh(centre + half))
    if kind == "icc":
        centre, half = special.logit(estimate), z * error / (estimate * (1 - estimate))
        return float(special.expit(centre - half)), float(special.expit(centre + half))
    with np.errstate(over="ignore"):
        factor = np.exp(z * error / estimate)
    return float(estimate / factor), float(estimate * factor)


# ---- shrunken effects ----------------------------------------------------------------------------------


def group_table(mixed: Mixed, conf_level: float) -> pd.DataFrame:
    """Shrunken effects, one row a group and effect.

    Columns ``group, level, effect, n, estimate, cond_sd, cond_low, cond_high, std_error, conf_low, conf_high, reliability``.
    ``cond_sd`` takes coefficients and variances for known; ``std_error`` is the root of the prediction error variance with
    estimated coefficients (Henderson 1975) plus twice the part of the estimated variances (Prasad and Rao 1990; Datta and
    Lahiri 2000); its interval is Student's with groups less one df, because the variance is learnt from so many groups (with 8
    of them the normal one covered 92 %). ``reliability`` is ``1 - cond_sd^2 / variance``. Where the variance is zero, so is
    the estimate, and nothing else is known.
    """
    system, found, sigma = mixed.system, mixed.minimum.found, mixed.sigma
    effects = conditional_modes(system, found)
    own = conditional_covariances(system, found)
    right = np.vstack([np.eye(system.p), np.zeros(system.p)])
    reach = modes(system, found, right)
    bread = bread_of(found)
    of_theta = mixed.parameter_covariance[:-1, :-1]
    z = stats.norm.ppf(0.5 + conf_level / 2)
    prior = covariances(system, mixed.minimum.theta, sigma)
    parts = []
    for place, term in enumerate(system.terms):
        back = term.back
        estimate = system.scale * effects[place] @ back.T
        conditional = sigma**2 * np.einsum("ia,lab,ib->li", back, own[place], back)
        h = np.einsum("ia,lap->lip", back, reach[place])
        by_coefficients = sigma**2 * np.einsum("lip,pr,lir->li", h, bread, h)
        by_variances = np.zeros_like(conditional)
        if len(of_theta):
            slope = np.stack([each[place] for each in mixed.slopes.modes], axis=2)
            slope = system.scale * np.einsum("ia,laf->lif", back, slope)
            by_variances = np.einsum("lif,fg,lig->li", slope, of_theta, slope)
        spread = np.diag(prior[place])
        known = np.where(spread > 0, 1.0, np.nan)
        cond_sd = np.sqrt(np.maximum(conditional, 0)) * known
        error = np.sqrt(np.maximum(conditional, 0) + by_coefficients + 2 * by_variances) * known
        reliability = 1 - cond_sd**2 / np.where(spread > 0, spread, 1.0)
        counts = np.bincount(term.codes, minlength=term.n_levels)
        t = stats.t.ppf(0.5 + conf_level / 2, term.n_levels - 1)
        parts.append(
            pd.DataFrame(
                {
                    "group": term.name,
                    "level": np.repeat(np.array(term.labels, dtype=object), term.q),
                    "effect": np.tile(np.array(term.effects, dtype=object), term.n_levels),
                    "n": np.repeat(counts, term.q),
                    "estimate": estimate.ravel(),
                    "cond_sd": cond_sd.ravel(),
                    "cond_low": (estimate - z * cond_sd).ravel(),
                    "cond_high": (estimate + z * cond_sd).ravel(),
                    "std_error": error.ravel(),
                    "conf_low": (estimate - t * error).ravel(),
                    "conf_high": (estimate + t * error).ravel(),
                    "reliability": np.clip(reliability, 0, 1).ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True).astype({"group": "str", "level": "str", "effect": "str"})
