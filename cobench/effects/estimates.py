"""The currency: one plain frame of estimates, and the one door through which every estimator returns it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from cobench.errors import ParameterError

COLUMNS = (
    "estimate_id", "study", "term", "population", "subgroup", "treatment", "contrast", "at", "outcome",
    "estimand", "method", "estimate", "std_error", "df", "p_value", "p_adjusted", "conf_low", "conf_high",
    "conf_level", "effect_size", "es_type", "n_obs", "n_treated", "n_clusters", "n_treated_clusters", "ess",
    "se_type", "role", "status", "reason", "evidence", "spec_id",
)  # fmt: skip
TEXTS = (
    "estimate_id", "study", "term", "population", "subgroup", "treatment", "contrast", "outcome", "estimand",
    "method", "es_type", "se_type", "role", "status", "reason", "evidence", "spec_id",
)  # fmt: skip
COUNTS = ("n_obs", "n_treated", "n_clusters", "n_treated_clusters")
NUMBERS = tuple(name for name in COLUMNS if name not in TEXTS and name not in COUNTS)
RESULTS = ("estimate", "std_error", "df", "p_value", "p_adjusted", "conf_low", "conf_high", "effect_size")
QUESTION = (
    "study", "term", "population", "subgroup", "treatment", "contrast", "at", "outcome", "estimand", "method",
    "spec_id",
)  # fmt: skip
VOCABULARY = {
    "role": ("confirmatory", "robustness", "exploratory"),
    "status": ("ok", "not_estimable"),
    "evidence": (
        "randomised",
        "quasi_experimental",
        "adjusted_association",
        "descriptive",
        "not_estimable",
    ),
    "method": (
        "difference", "regress", "ipw", "entropy_balance", "matching", "aipw", "did", "multilevel", "dose", "iv",
        "mediation", "value_added", "student_fixed_effects", "lee_bounds", "forest",
    ),
    "estimand": (
        "ATT", "ATE", "ATO", "variance_weighted", "mean_difference", "between_clusters", "group_time",
        "simple", "dynamic", "group", "calendar", "carry_over",
        "dose_response", "lower_bound", "upper_bound", "LATE", "indirect", "direct",
    ),
}  # fmt: skip
DEFAULTS = {"role": "exploratory", "status": "ok", "conf_level": 0.95}


def as_estimates(rows: pd.DataFrame | Iterable[Mapping]) -> pd.DataFrame:
    """Check rows of estimates and return them with exactly :data:`COLUMNS`.

    Missing columns are added; ``role`` is ``exploratory`` unless given. Confidence limits and p-values that
    are absent are computed from ``estimate``, ``std_error`` and ``df`` (normal where ``df`` is missing).

    Parameters
    ----------
    rows : DataFrame or iterable of mappings
        ``status == "ok"`` needs a finite ``estimate`` and a ``std_error`` above zero; ``not_estimable``
        needs a ``reason`` and no number.

    Raises
    ------
    ParameterError
        On an unknown column or word, a number without its error, or a missing reason.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    unknown = sorted(set(frame.columns) - set(COLUMNS))
    if unknown:
        raise _wrong("columns", ", ".join(map(str, unknown)), COLUMNS)
    found = _typed(frame)
    for column, allowed in VOCABULARY.items():
        _check_words(found[column], column, allowed)
    answered = found["status"] == "ok"
    found |= _intervals(found, answered)
    _check_answered(found, answered)
    _check_unanswered(found, ~answered)
    questions = zip(*(found[name].tolist() for name in QUESTION), strict=True)
    found["estimate_id"] = np.array([_estimate_id(each) for each in questions], dtype="object")
    return pd.DataFrame({name: _column(name, found[name]) for name in COLUMNS})


def adjust_family(estimates: pd.DataFrame) -> pd.DataFrame:
    """Fill ``p_adjusted`` by Benjamini and Hochberg (1995) within the confirmatory family of each term.

    The family is every confirmatory row with a p-value of one study and term. All other rows keep a missing
    ``p_adjusted``.
    """
    member = (
        (estimates["role"] == "confirmatory") & (estimates["status"] == "ok") & estimates["p_value"].notna()
    )
    adjusted = pd.Series(np.nan, index=estimates.index, dtype="float64")
    for _, p_values in estimates[member].groupby(["study", "term"])["p_value"]:
        adjusted[p_values.index] = stats.false_discovery_control(p_values.to_numpy(), method="bh")
    return estimates.assign(p_adjusted=adjusted)


def minimum_detectable(std_error: float, df: float = np.inf) -> float:
    """Smallest true effect detected with 80 % probability at a two-tailed 5 % level.

    ``(t.975 + t.80) x SE`` (Bloom 1995); a missing ``df`` counts as infinite.
    """
    df = np.inf if df is None or np.isnan(df) else df
    return float((stats.t.ppf(0.975, df) + stats.t.ppf(0.80, df)) * std_error)


def _typed(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Every column as an array (n,): texts, counts with their gaps, or numbers. A frame is made of them only once."""
    n, found = len(frame), {}
    for name in COLUMNS:
        default = DEFAULTS.get(name)
        if name in TEXTS:
            values = (
                frame[name].to_numpy(dtype="object") if name in frame else np.full(n, None, dtype="object")
            )
            found[name] = np.where(pd.isna(values), default or "", values)
            found[name] = np.array([str(each) for each in found[name]], dtype="object")
        elif name in COUNTS:
            found[name] = (
                pd.to_numeric(frame[name]).array if name in frame else np.full(n, None, dtype="object")
            )
        else:
            numbers = (
                pd.to_numeric(frame[name]).to_numpy(dtype="float64", na_value=np.nan)
                if name in frame
                else np.full(n, np.nan)
            )
            found[name] = numbers if default is None else np.where(np.isnan(numbers), default, numbers)
    return found


def _column(name: str, values: np.ndarray) -> pd.api.extensions.ExtensionArray | np.ndarray:
    if name in COUNTS:
        return pd.array(values, dtype="Int64")
    return pd.array(values, dtype="str") if name in TEXTS else values


def _check_words(words: np.ndarray, column: str, allowed: tuple[str, ...]) -> None:
    strange = sorted(set(words) - set(allowed))
    if strange:
        raise _wrong(column, ", ".join(map(repr, strange)), allowed)


def _intervals(found: dict[str, np.ndarray], answered: np.ndarray) -> dict[str, np.ndarray]:
    """Limits and p-values of answered rows: the given ones, else Student's."""
    estimate, error = found["estimate"], found["std_error"]
    df = np.maximum(np.where(np.isnan(found["df"]), np.inf, found["df"]), 1e-6)
    half = stats.t.ppf(0.5 + found["conf_level"] / 2, df) * error
    ratio = np.abs(estimate) / np.where(error > 0, error, np.nan)
    own = {
        "conf_low": estimate - half,
        "conf_high": estimate + half,
        "p_value": 2 * stats.t.sf(ratio, df),
    }
    return {
        name: np.where(answered, np.where(np.isnan(found[name]), computed, found[name]), np.nan)
        for name, computed in own.items()
    }


def _check_answered(found: dict[str, np.ndarray], answered: np.ndarray) -> None:
    estimate, error = found["estimate"], found["std_error"]
    usable = np.isfinite(estimate) & np.isfinite(error) & (error > 0) & (found["evidence"] != "not_estimable")
    bad = np.flatnonzero(answered & ~usable)
    if len(bad):
        raise ParameterError(
            en="an estimate with status ok needs a finite estimate, a std_error above zero and an evidence other "
            f"than not_estimable; row {bad[0]} has not: use status not_estimable with a reason",
            zh=f"状态为 ok 的估计必须有有限的 estimate、大于零的 std_error，且 evidence 不能为 not_estimable；"
            f"第 {bad[0]} 行不符合：请改用 not_estimable 并写明原因",
        )


def _check_unanswered(found: dict[str, np.ndarray], unanswered: np.ndarray) -> None:
    numbers = np.any([~np.isnan(found[name]) for name in RESULTS], axis=0)
    silent = np.array([not each.strip() for each in found["reason"]], dtype=bool)
    bad = np.flatnonzero(unanswered & (numbers | silent | (found["evidence"] != "not_estimable")))
    if len(bad):
        raise ParameterError(
            en=f"row {bad[0]} is not_estimable: it needs a reason, evidence not_estimable and no number",
            zh=f"第 {bad[0]} 行为 not_estimable：必须写明原因，evidence 为 not_estimable，且不含数值",
        )


def _estimate_id(question: tuple) -> str:
    row = dict(zip(QUESTION, question, strict=True))
    at = row["at"]
    row = {**row, "at": "" if np.isnan(at) else repr(float(at))}
    text = json.dumps(row, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _wrong(column: str, given: str, allowed: Iterable[str]) -> ParameterError:
    listed = ", ".join(allowed)
    return ParameterError(
        en=f"estimates.{column}: {given} is not allowed; use one of: {listed}",
        zh=f"estimates.{column}：{given} 不可用；可用的有：{listed}",
    )
