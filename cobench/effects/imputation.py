"""Two-level multiple imputation by chained equations (van Buuren 2018, ch. 7), for any estimator of this room.

Every variable with missing values is drawn from its distribution given all others: covariates, exposure, outcome,
their cluster means, the share of the cluster that didn't answer, and random intercepts of the clusters. What the
analysis holds has to be in ``columns`` or ``given``, the outcome above all; an effect that differs by a covariate needs
their product in ``products``, or the imputed values make it alike.

Assumed: whether a value is missing depends on what is in the model and not on the value itself. What if it does, is
:func:`cobench.effects.pooling.sensitivity_to_absence`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.effects.chained import Plan, Variable, run_chains
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import (
    FLOW,
    add_step,
    as_level,
    check_known,
    group_codes,
    is_categorical,
    require_columns,
)
from cobench.errors import ParameterError
from cobench.missing import MISSING

IMPUTATIONS, ITERATIONS = 20, 10
SEED = 20240901
NEVER = ("exempt",)
KINDS = ("numeric", "scale", "binary", "categorical")
MOST_STEPS, MOST_LEVELS = 11, 12
DIAGNOSTICS = [
    "column", "kind", "n", "n_missing", "share_missing", "observed_mean", "imputed_mean", "r_hat_mean", "r_hat_sd",
]  # fmt: skip


@dataclass(frozen=True)
class Imputed:
    """Completed data sets.

    Attributes
    ----------
    frame : DataFrame
        The population: rows given without those that left, in an order set by their content, with missing values.
    values : dict of str to ndarray, (m, missing)
        Imputed values by column: numbers, or codes of ``labels``.
    rows : dict of str to ndarray of int, (missing,)
        Places in ``frame`` of the missing values of a column.
    labels : dict of str to tuple
        Original values by code, of binary and categorical columns.
    reasons : dict of str to ndarray of object, (missing,)
        Why they are missing; empty texts where no reasons were given.
    diagnostics : DataFrame
        Columns :data:`DIAGNOSTICS`, one row a column with missing values. ``r_hat_*`` compare the chains' means and
        SDs of imputed values (Gelman and Rubin 1992) over the later half of the iterations; above 1.1 the chains
        should run longer.
    flow : DataFrame
        Columns :data:`cobench.effects.sample.FLOW`: who left the population and why.
    """

    frame: pd.DataFrame
    values: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    labels: dict[str, tuple]
    reasons: dict[str, np.ndarray]
    diagnostics: pd.DataFrame
    flow: pd.DataFrame
    n_imputations: int
    seed: int

    def completed(self, number: int, shift: Mapping[str, np.ndarray] | None = None) -> pd.DataFrame:
        """Data set ``number`` (0, 1, ...) without missing values in the imputed columns.

        ``shift`` adds numbers (missing,) to the imputed values of numeric columns.
        """
        columns = {}
        for name, values in self.values.items():
            drawn = values[number]
            if shift and name in shift:
                drawn = drawn + shift[name]
            columns[name] = _filled(self.frame[name], self.rows[name], drawn, self.labels.get(name))
        return self.frame.assign(**columns)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return (self.completed(number) for number in range(self.n_imputations))

    def __len__(self) -> int:
        return self.n_imputations


def impute(
    frame: pd.DataFrame,
    columns: Sequence[str],
    *,
    given: Sequence[str] = (),
    cluster: str | Sequence[str] | None = None,
    products: Sequence[tuple[str, str]] = (),
    reasons: pd.DataFrame | None = None,
    never: Sequence[str] = NEVER,
    kinds: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    n_imputations: int = IMPUTATIONS,
    n_iterations: int = ITERATIONS,
    seed: int = SEED,
) -> Imputed:
    """Complete ``columns``.

    Parameters
    ----------
    frame : DataFrame
        One row a student.
    columns : sequence of str
        Imputed where missing, and predictors of each other: outcome, covariates, further variables that go along
        with them or with their absence.
    given : sequence of str
        Predictors that are never imputed, such as the exposure; a row without them leaves the population, counted.
    cluster : str or sequence of str, optional
        Groups, the widest first (school, class): random intercepts, and cluster means of all predictors. A column
        that is constant within a group is imputed once a group. Rows without a group leave.
    products : sequence of pairs of str
        Products that predict whatever isn't in them, computed again whenever a part of them is imputed.
    reasons : DataFrame, optional
        Why values are missing: long (:data:`cobench.missing.MISSING`, by ``student``), or wide with the index of
        ``frame``.
    never : sequence of str
        Reasons by which no value is due: such rows leave the population.
    kinds : mapping, optional
        ``numeric`` (normal), ``scale`` (predictive mean matching: only values that somebody has), ``binary``,
        ``categorical``. By default numbers with two values are binary, whole numbers with up to eleven and ordered
        categories a scale.
    bounds : mapping, optional
        Lowest and highest value of numeric columns.
    seed : int
        Imputation i is the same for every ``n_imputations``.

    Returns
    -------
    Imputed
        The same for any order of rows.

    Raises
    ------
    ParameterError
    NotEstimableError
        When a column has no or one observed value, or infinite ones.
    """
    clusters = [cluster] if isinstance(cluster, str) else list(cluster or ())
    _check(frame, columns, given, clusters, products, n_imputations, n_iterations)
    why = reasons_of(frame, columns, reasons)
    kept, flow = _population(frame, columns, [*given], clusters, why, never)
    rows = frame[kept]
    if rows.empty:
        raise not_estimable("nothing_observed", column=columns[0])
    order = _content_order(rows, [*columns, *given], clusters)
    rows, why = rows.iloc[order], why[kept].iloc[order]
    places = [group_codes(rows, clusters[: depth + 1]) for depth in range(len(clusters))]
    variables = [
        _variable(rows[name], places, (kinds or {}).get(name), (bounds or {}).get(name)) for name in columns
    ] + [_variable(rows[name], places, None, None, given=True) for name in given]
    plan = Plan(tuple(variables), tuple(places), tuple(products))
    values, trace = run_chains(plan, n_imputations, n_iterations, seed)
    missing = {each.name: np.flatnonzero(each.missing) for each in variables if each.missing.any()}
    return Imputed(
        frame=rows,
        values=values,
        rows=missing,
        labels={each.name: each.labels for each in variables if each.labels},
        reasons={name: why[name].to_numpy(dtype="object")[at] for name, at in missing.items()},
        diagnostics=_diagnostics(variables, values, trace),
        flow=flow,
        n_imputations=n_imputations,
        seed=seed,
    )


def _check(
    frame: pd.DataFrame,
    columns: Sequence[str],
    given: Sequence[str],
    clusters: Sequence[str],
    products: Sequence[tuple[str, str]],
    n_imputations: int,
    n_iterations: int,
) -> None:
    require_columns(frame, [*columns, *given, *clusters])
    twice = sorted(set(columns) & {*given, *clusters} | set(given) & set(clusters))
    if twice or not columns:
        names = ", ".join(twice)
        raise ParameterError(
            en=f"impute: name at least one column, and each once: to be imputed, given, or a cluster ({names})",
            zh=f"impute：至少给出一列，且每列只能是待插补、已知或群组之一（{names}）",
        )
    for pair in products:
        for name in pair:
            check_known("products", name, [*columns, *given])
    if n_imputations < 2 or n_iterations < 1:
        raise ParameterError(
            en="impute: n_imputations must be at least 2 and n_iterations at least 1",
            zh="impute：n_imputations 至少为 2，n_iterations 至少为 1",
        )


def reasons_of(frame: pd.DataFrame, columns: Sequence[str], reasons: pd.DataFrame | None) -> pd.DataFrame:
    """Reason of each value of ``columns``, on the index of ``frame``; empty texts where there is none."""
    found = pd.DataFrame("", index=frame.index, columns=list(columns), dtype="object")
    if reasons is None:
        return found
    if not set(MISSING) <= set(reasons.columns):
        for name in reasons.columns.intersection(list(columns)):
            found[name] = reasons[name].reindex(frame.index).astype("object").fillna("")
        return found
    who = frame["student"] if "student" in frame else pd.Series(frame.index, index=frame.index)
    who = who.astype("str")
    if who.duplicated().any():
        raise ParameterError(
            en="reasons by student need one row a student; give them wide, with the index of the frame",
            zh="按学生给出缺失原因时，每名学生只能有一行；请改用与数据同索引的宽表",
        )
    for name, own in reasons[reasons["column"].isin(list(columns))].groupby("column"):
        by_student = own.drop_duplicates("student").set_index(own["student"].astype("str"))["reason"]
        found[name] = who.map(by_student).astype("object").fillna("")
    return found


def _population(
    frame: pd.DataFrame,
    columns: Sequence[str],
    given: Sequence[str],
    clusters: Sequence[str],
    why: pd.DataFrame,
    never: Sequence[str],
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mask (len(frame),) of the rows that stay, and the flow that led to them."""
    keep = np.ones(len(frame), dtype=bool)
    flow = add_step(pd.DataFrame(columns=FLOW), "given", len(frame))
    for name in columns:
        keep &= ~(frame[name].isna() & why[name].isin(list(never))).to_numpy(dtype=bool)
        flow = add_step(flow, "no_value_due", int(keep.sum()), name)
    for step, names in (("place_missing", clusters), ("covariate_missing", given)):
        for name in names:
            keep &= frame[name].notna().to_numpy(dtype=bool)
            flow = add_step(flow, step, int(keep.sum()), name)
    return keep, flow


def _content_order(rows: pd.DataFrame, first: Sequence[str], clusters: Sequence[str]) -> np.ndarray:
    """Order by the variables of the model, then by the other columns except the pseudonym."""
    rest = [name for name in rows.columns if name not in {*first, *clusters, "student"}]
    keys = []
    for name in [*clusters, *first, *rest]:
        values = rows[name]
        if is_categorical(values):
            keys.append(as_level(values).astype("object").fillna("").rank(method="dense").to_numpy())
        else:
            keys.append(pd.to_numeric(values).to_numpy(dtype="float64", na_value=np.nan))
    return np.lexsort(keys[::-1])


def _variable(
    values: pd.Series,
    places: Sequence[np.ndarray],
    kind: str | None,
    bounds: tuple[float, float] | None,
    given: bool = False,
) -> Variable:
    """A column as numbers or codes.

    Raises
    ------
    ParameterError, NotEstimableError
    """
    name, missing = str(values.name), values.isna().to_numpy(dtype=bool)
    check_known("kinds", kind, (None, *KINDS))
    numbers, labels, kind = _coded(values, kind)
    seen = numbers[~missing]
    if np.isinf(seen).any():
        raise not_estimable("infinite", column=name)
    if missing.all():
        raise not_estimable("nothing_observed", column=name)
    if missing.any() and np.ptp(seen) == 0:
        raise not_estimable("one_level", column=name)
    if kind == "categorical" and len(labels or ()) > MOST_LEVELS:
        raise ParameterError(
            en=f"impute: {name} has more than {MOST_LEVELS} levels; join rare ones or leave it out",
            zh=f"impute：{name} 的水平超过 {MOST_LEVELS} 个；请合并少见的水平或不使用该列",
        )
    whole = next((depth for depth, codes in enumerate(places) if _constant(numbers, missing, codes)), None)
    return Variable(name, kind, numbers, missing, labels, bounds, whole, given)


def _coded(values: pd.Series, kind: str | None) -> tuple[np.ndarray, tuple | None, str]:
    """Numbers or codes (NaN where missing), what the codes stand for, and the kind."""
    if not is_categorical(values):
        numbers = pd.to_numeric(values).to_numpy(dtype="float64", na_value=np.nan)
        distinct = np.unique(numbers[np.isfinite(numbers)])
        steps = len(distinct) <= MOST_STEPS and np.all(distinct == np.round(distinct))
        kind = kind or ("binary" if len(distinct) == 2 else "scale" if steps else "numeric")
        if kind in ("numeric", "scale"):
            return numbers, None, kind
        labels = tuple(distinct.tolist())
        codes = np.where(np.isnan(numbers), np.nan, np.searchsorted(distinct, np.nan_to_num(numbers)))
        return codes, labels, kind
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        used = values.cat.remove_unused_categories()
        codes = used.cat.codes.to_numpy(dtype="float64")
        kind = kind or ("binary" if len(used.cat.categories) == 2 else "scale")
        return np.where(codes < 0, np.nan, codes), tuple(used.cat.categories), kind
    text = as_level(values)
    codes, levels = pd.factorize(text, sort=True)
    original = {label: value for value, label in zip(values, text, strict=True) if pd.notna(value)}
    labels = tuple(original[level] for level in levels)
    kind = kind if kind in ("binary", "categorical") else "binary" if len(labels) <= 2 else "categorical"
    return np.where(codes < 0, np.nan, codes.astype("float64")), labels, kind


def _constant(numbers: np.ndarray, missing: np.ndarray, codes: np.ndarray) -> bool:
    """Whether a column says the same of everybody in a group, groups of one aside."""
    seen = pd.DataFrame({"group": codes[~missing], "value": numbers[~missing]}).groupby("group")["value"]
    found = seen.agg(["min", "max", "size"])
    return bool((found["size"] > 1).any() and (found["min"] == found["max"]).all())


def _filled(values: pd.Series, at: np.ndarray, drawn: np.ndarray, labels: tuple | None) -> pd.Series:
    """``values`` with ``drawn`` (numbers, or codes of ``labels``) at the places ``at``."""
    if labels is None:
        numbers = pd.to_numeric(values).to_numpy(dtype="float64", na_value=np.nan, copy=True)
        numbers[at] = drawn
        return pd.Series(numbers, index=values.index, name=values.name)
    whole = values.astype("object").to_numpy(copy=True)
    whole[at] = [labels[int(code)] for code in drawn]
    found = pd.Series(whole, index=values.index, name=values.name, dtype="object")
    if isinstance(values.dtype, pd.CategoricalDtype):
        return found.astype(values.dtype)
    return found.infer_objects()


def _diagnostics(
    variables: Sequence[Variable], values: Mapping[str, np.ndarray], trace: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    rows = []
    for each in variables:
        if not each.missing.any():
            continue
        mean, sd = trace[each.name]
        n, lost = len(each.missing), int(each.missing.sum())
        rows.append(
            (
                each.name, each.kind, n, lost, lost / n, float(each.numbers[~each.missing].mean()),
                float(values[each.name].mean()), r_hat(mean), r_hat(sd),
            )
        )  # fmt: skip
    return pd.DataFrame(rows, columns=DIAGNOSTICS)


def r_hat(trace: np.ndarray) -> float:
    """Potential scale reduction (Gelman and Rubin 1992) of chains (iterations, m), over their later half.

    NaN with fewer than two iterations there or where nothing moves.
    """
    late = trace[len(trace) // 2 :]
    length = len(late)
    within = late.var(axis=0, ddof=1).mean() if length > 1 else 0.0
    if within <= 0:
        return float("nan")
    between = length * late.mean(axis=0).var(ddof=1)
    return float(np.sqrt(((length - 1) / length * within + between / length) / within))
