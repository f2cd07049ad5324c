"""From a frame to the arrays of one comparison: rows that can't be used are dropped and counted by reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cobench.effects.reasons import not_estimable
from cobench.errors import MissingColumnError, ParameterError

FLOW = ["step", "text_zh", "text_en", "n", "dropped"]
STEPS = {
    "given": ("全部学生", "all students"),
    "exposure_unknown": ("干预情况不明", "exposure not known"),
    "other_level": ("属于其他干预水平", "at another exposure level"),
    "outcome_missing": ("结果缺失", "outcome missing"),
    "place_missing": ("所属群组缺失：{column}", "group missing: {column}"),
    "covariate_missing": ("协变量缺失：{column}", "covariate missing: {column}"),
    "weight_missing": ("权重缺失", "weight missing"),
    "weight_zero": ("权重为零", "weight zero"),
    "no_exposed_counterpart": (
        "没有条件相同的接受者，未用于比较",
        "unexposed students with no exposed counterpart",
    ),
    "no_unexposed_counterpart": (
        "没有条件相同的未接受者，移出总体",
        "exposed students with no unexposed counterpart",
    ),
    "propensity_extreme": (
        "倾向得分过于极端，移出总体",
        "propensity too extreme, left out of the population",
    ),
    "no_value_due": ("没有应有的值（如免修）：{column}", "no value is due (exempt): {column}"),
    "unmatched": ("卡尺范围内没有可匹配的学生", "no match within the calliper"),
    "not_matched_with": ("没有被匹配到，未用于比较", "unexposed students not matched with anyone"),
    "students_given": ("全部学生（各学期合计）", "all students, over all terms"),
    "exposed_at_start": ("首个学期即已接受干预", "exposed in their first term already"),
    "moved_cluster": ("更换了所属群组：{column}", "changed their group: {column}"),
    "one_term": ("结果已知的学期不足两个", "outcome known in fewer than two terms"),
    "not_in_all_terms": ("并非各学期均有数据", "not measured in all terms"),
    "not_compared": ("没有可比的学期", "in no term compared"),
    "analysed": ("进入分析", "analysed"),
}


@dataclass(frozen=True)
class Covariates:
    """Coded covariates: ``x`` (n, p) uncentred, a name a column, and the levels of categorical ones.

    ``levels`` maps a covariate to the codes (n,) and names of its levels, for overlap by level; numeric ones
    with more than two values aren't there.
    """

    x: np.ndarray
    names: tuple[str, ...]
    levels: dict[str, tuple[np.ndarray, tuple[str, ...]]]

    def take(self, rows: np.ndarray) -> Covariates:
        """The same covariates of some rows."""
        levels = {name: (codes[rows], labels) for name, (codes, labels) in self.levels.items()}
        return Covariates(self.x[rows], self.names, levels)

    def without_columns(self) -> Covariates:
        """No covariates for the same rows."""
        return Covariates(np.zeros((len(self.x), 0)), (), {})


@dataclass(frozen=True)
class Sample:
    """The arrays of one comparison of ``level`` with ``reference``.

    Attributes
    ----------
    y, d : ndarray, (n,)
        Outcome; 1.0 at ``level``.
    arms : ndarray, (n, A)
        One column a level where several levels share a model, else ``d`` alone.
    covariates : Covariates
    cell, cluster : ndarray of int, (n,), or None
        Codes of ``within`` cells and clusters, sorted by label.
    weights : ndarray, (n,), or None
    flow : DataFrame
        Columns :data:`FLOW`.
    cluster_labels : tuple of str
        By cluster code.
    extra : ndarray, (n, e), or None
        Numbers that a method carries along (exposure and instrument of two-stage least squares).
    """

    level: str
    reference: str
    treatment: str
    outcome: str
    y: np.ndarray
    d: np.ndarray
    arms: np.ndarray
    covariates: Covariates
    cell: np.ndarray | None
    cluster: np.ndarray | None
    weights: np.ndarray | None
    flow: pd.DataFrame
    names: dict[str, str]
    cluster_labels: tuple[str, ...] = ()
    extra: np.ndarray | None = None

    def take(self, rows: np.ndarray, step: str | None = None) -> Sample:
        """The rows of a boolean mask; ``step`` is counted in the flow."""
        return replace(
            self,
            y=self.y[rows],
            d=self.d[rows],
            arms=self.arms[rows],
            covariates=self.covariates.take(rows),
            cell=None if self.cell is None else self.cell[rows],
            cluster=None if self.cluster is None else self.cluster[rows],
            weights=None if self.weights is None else self.weights[rows],
            extra=None if self.extra is None else self.extra[rows],
            flow=self.flow if step is None else add_step(self.flow, step, int(rows.sum())),
        )

    @property
    def n_treated(self) -> int:
        return int((self.d == 1).sum())

    @property
    def n_reference(self) -> int:
        return int((self.arms == 0).all(axis=1).sum())


def take_sample(
    frame: pd.DataFrame,
    *,
    outcome: str,
    treatment: str,
    level: str,
    reference: str,
    covariates: Sequence[str] = (),
    within: Sequence[str] = (),
    cluster: str | None = None,
    weights: str | None = None,
    levels: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> Sample:
    """The complete rows of one comparison, in an order set by their content.

    Parameters
    ----------
    levels : sequence of str
        Further levels that share the model (``regress`` with ``joint``); by default rows at other levels are
        dropped and counted.

    Raises
    ------
    MissingColumnError
        For a column that isn't in the frame.
    NotEstimableError
        When an arm is empty, the outcome is constant, or a number is infinite.
    """
    levels = list(dict.fromkeys([level, *levels]))
    keep, flow = select_rows(
        frame, outcome=outcome, treatment=treatment, levels=[reference, *levels],
        covariates=[*covariates, *extra], groups=[*within, *filter(None, [cluster])], weights=weights,
    )  # fmt: skip
    if not keep.any():
        raise not_estimable("no_rows", treatment=treatment, outcome=outcome)
    exposure = as_level(frame[treatment])
    rows = frame[keep]
    groups, labels = coded(as_level(rows[cluster])) if cluster else (None, ())
    sample = Sample(
        level=level,
        reference=reference,
        treatment=treatment,
        outcome=outcome,
        y=as_number(rows[outcome]),
        d=(exposure[keep] == level).to_numpy(dtype="float64"),
        arms=np.column_stack([(exposure[keep] == each).to_numpy(dtype="float64") for each in levels]),
        covariates=code_covariates(rows, covariates),
        cell=group_codes(rows, within),
        cluster=groups,
        weights=as_weights(rows[weights]) if weights else None,
        flow=flow,
        names={"within": " x ".join(within), "cluster": cluster or ""},
        cluster_labels=labels,
        extra=np.column_stack([as_number(rows[name]) for name in extra]) if extra else None,
    )
    if weights:
        sample = sample.take(sample.weights > 0, "weight_zero")
    check_arms(sample)
    return in_content_order(sample)


def select_rows(
    frame: pd.DataFrame,
    *,
    outcome: str,
    treatment: str,
    levels: Sequence[str],
    covariates: Sequence[str] = (),
    groups: Sequence[str] = (),
    weights: str | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mask (len(frame),) of the complete rows at ``levels``, and the flow (:data:`FLOW`) that led to them."""
    require_columns(frame, [outcome, treatment, *covariates, *groups, *filter(None, [weights])])
    exposure = as_level(frame[treatment])
    steps = [
        ("exposure_unknown", "", exposure.notna()),
        ("other_level", "", exposure.isin(list(levels))),
        ("outcome_missing", "", frame[outcome].notna()),
        *(("place_missing", name, frame[name].notna()) for name in groups),
        *(("weight_missing", "", frame[name].notna()) for name in filter(None, [weights])),
        *(("covariate_missing", name, frame[name].notna()) for name in covariates),
    ]
    keep = np.ones(len(frame), dtype=bool)
    flow = add_step(pd.DataFrame(columns=FLOW), "given", len(frame))
    for step, column, usable in steps:
        keep &= usable.to_numpy(dtype=bool)
        flow = add_step(flow, step, int(keep.sum()), column)
    return keep, flow


def take_rows(
    frame: pd.DataFrame, treatment: str, level: str, reference: str, columns: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the rows at either level without a missing value in ``columns``, and ``d`` of those rows."""
    require_columns(frame, [treatment, *columns])
    exposure = as_level(frame[treatment])
    keep = exposure.isin([level, reference]).to_numpy(dtype=bool, copy=True)
    for column in columns:
        keep &= frame[column].notna().to_numpy(dtype=bool)
    d = (exposure[keep] == level).to_numpy(dtype="float64")
    if min((d == 1).sum(), (d == 0).sum()) < 2:
        raise not_estimable("no_rows", treatment=treatment, outcome=", ".join(columns))
    return keep, d


def check_arms(sample: Sample, least: int = 2) -> None:
    """Raise :class:`NotEstimableError` unless both arms hold ``least`` students and the outcome varies."""
    arms = [("treated", sample.n_treated, sample.level), ("controls", sample.n_reference, sample.reference)]
    for arm, n, level in arms:
        slot = {"level" if arm == "treated" else "reference": f"{sample.treatment} = {level}"}
        if n == 0:
            raise not_estimable(f"no_{arm}", **slot)
        if n < least:
            raise not_estimable(f"few_{arm}", least=least, **slot)
    if np.ptp(sample.y) <= 1e-12 * max(1.0, np.abs(sample.y).max()):
        raise not_estimable("constant_outcome", outcome=sample.outcome)
    if sample.cluster is not None and np.count_nonzero(np.bincount(sample.cluster)) < 2:
        raise not_estimable("one_cluster", cluster=sample.names["cluster"])


def check_known(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raise :class:`ParameterError` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        words = ", ".join(map(str, allowed))
        raise ParameterError(
            en=f"{name} = {value!r} is not allowed; use one of: {words}",
            zh=f"{name} = {value!r} 不可用；可用的有：{words}",
        )


def in_content_order(sample: Sample) -> Sample:
    """Sort rows by what they hold, so that no result depends on the order in which they came.

    By outcome; the other columns are sorted only among rows whose outcome ties, which is fast at a million.
    """
    order = np.argsort(sample.y, kind="stable")
    same = np.diff(sample.y[order]) == 0
    tied = np.r_[False, same] | np.r_[same, False]
    rows = order[tied]
    keys = [*sample.covariates.x[rows].T, *sample.arms[rows].T, sample.d[rows]]
    keys += [] if sample.extra is None else [*sample.extra[rows].T]
    keys += [c[rows] for c in (sample.weights, sample.cluster, sample.cell) if c is not None]
    order[tied] = rows[np.lexsort([*keys, sample.y[rows]])]
    return sample.take(order)


def code_covariates(rows: pd.DataFrame, columns: Sequence[str]) -> Covariates:
    """Numbers and flags as they are, categories as dummies without their first level.

    Constant columns are left out. Categories are sorted by label, so that coding doesn't depend on row order.
    """
    blocks, names, levels = [], [], {}
    for column in columns:
        values = rows[column]
        if is_categorical(values):
            codes, labels = coded(as_level(values))
            levels[column] = (codes, labels)
            for place, label in enumerate(labels[1:], start=1):
                blocks.append((codes == place).astype("float64"))
                names.append(column if labels == ("false", "true") else f"{column}={label}")
            continue
        numbers = as_number(values)
        low, high = numbers.min(initial=np.inf), numbers.max(initial=-np.inf)
        if low >= high:
            continue
        top = numbers == high
        if (top | (numbers == low)).all():
            levels[column] = (top.astype(int), (f"{low:g}", f"{high:g}"))
        blocks.append(numbers)
        names.append(column)
    x = np.column_stack(blocks) if blocks else np.zeros((len(rows), 0))
    return Covariates(x, tuple(names), levels)


def is_categorical(values: pd.Series) -> bool:
    """Text, categories and flags; numbers aren't."""
    return pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values)


def as_level(values: pd.Series) -> pd.Series:
    """Levels as text: ``true``/``false`` for flags, ``1`` for 1.0; missing stays missing."""
    label = _number_label if pd.api.types.is_numeric_dtype(values) else _text_label
    if pd.api.types.is_bool_dtype(values):
        label = _text_label
    names = {value: label(value) for value in values.dropna().unique()}
    return values.astype("object").map(names).astype("str").where(values.notna())


def _text_label(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


def _number_label(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def as_number(values: pd.Series) -> np.ndarray:
    """Finite float64 values.

    Raises
    ------
    NotEstimableError
        For text or infinite values.
    """
    try:
        numbers = values.astype("float64").to_numpy()
    except (ValueError, TypeError):
        raise not_estimable("not_numeric", column=values.name) from None
    if not np.isfinite(numbers).all():
        raise not_estimable("infinite", column=values.name)
    return numbers


def as_weights(values: pd.Series) -> np.ndarray:
    """Weights, none negative and not all zero.

    Raises
    ------
    NotEstimableError
    """
    weights = as_number(values)
    if (weights < 0).any() or not (weights > 0).any():
        raise not_estimable("bad_weights", column=values.name)
    return weights


def group_codes(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray | None:
    """Codes of the combinations of ``columns``, sorted by label; None without columns."""
    if not columns:
        return None
    parts = [as_level(rows[column]).str.replace("\0", " ") for column in columns]
    label = parts[0]
    for part in parts[1:]:
        label = label + "\0" + part
    return coded(label)[0]


def coded(labels: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    codes, uniques = pd.factorize(labels, sort=True)
    return codes.astype(int), tuple(map(str, uniques))


def add_step(flow: pd.DataFrame, step: str, n: int, column: str = "") -> pd.DataFrame:
    """``flow`` with one more row; steps that drop nobody are left out."""
    before = int(flow["n"].iloc[-1]) if len(flow) else n
    if len(flow) and n == before and step != "analysed":
        return flow
    zh, en = (text.format(column=column) for text in STEPS[step])
    name = f"{step}:{column}" if column else step
    row = pd.DataFrame([(name, zh, en, n, before - n)], columns=FLOW)
    return row if flow.empty else pd.concat([flow, row], ignore_index=True)


def require_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise :class:`MissingColumnError` naming the columns that ``frame`` hasn't."""
    absent = sorted(set(columns) - set(frame.columns))
    if absent:
        has = ", ".join(map(str, list(frame.columns)[:40]))
        raise MissingColumnError(
            en=f"no column {', '.join(absent)} in the frame; it has: {has}",
            zh=f"数据中没有列 {'、'.join(absent)}；现有列：{has}",
        )


def levels_of(frame: pd.DataFrame, treatment: str, reference: object = None) -> tuple[tuple[str, ...], str]:
    """Levels of a treatment column apart from the reference, and the reference.

    Without ``reference`` it is the first category of a categorical column, else ``none``, else the first
    level in sorted order; of a flag it is 0 or false, present or not.
    """
    require_columns(frame, [treatment])
    values = frame[treatment]
    found = sorted(as_level(values).dropna().unique())
    if reference is not None:
        given = as_level(pd.Series([reference])).iloc[0]
    elif isinstance(values.dtype, pd.CategoricalDtype) and len(found):
        order = as_level(pd.Series(values.cat.categories))
        given = next(each for each in order if each in found)
    elif set(found) & {"0", "1"} and set(found) <= {"0", "1"}:
        given = "0"
    elif found and set(found) <= {"false", "true"}:
        given = "false"
    else:
        given = "none" if "none" in found or not found else _first(found)
    others = tuple(each for each in found if each != given)
    return others or ({"0": "1", "false": "true"}.get(given, f"not {given}"),), given


def _first(levels: list[str]) -> str:
    """The lowest number, or the first text."""
    try:
        return min(levels, key=float)
    except ValueError:
        return levels[0]
