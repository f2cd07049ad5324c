"""What is estimated, declared: one frozen design with a hash of its specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cobench.effects.inference import CLUSTERED, UNCLUSTERED
from cobench.errors import ParameterError

METHODS = ("difference", "regress", "ipw", "entropy_balance", "matching", "aipw", "iv")
OVER_TERMS = ("did", "student_fixed_effects")
ESTIMANDS = ("ATT", "ATE")
ROLES = ("confirmatory", "exploratory")
SE_TYPES = (*UNCLUSTERED, *CLUSTERED, "wild", "permutation")
NOT_SPECIFICATION = ("study", "term", "effect")


@dataclass(frozen=True)
class Assignment:
    """How the treatment was assigned, declared and never guessed.

    Attributes
    ----------
    mechanism : str
        ``randomised`` is the only mechanism known here.
    unit : str
        What was drawn: ``student``, or the column of the groups drawn as a whole.
    strata : tuple of str
        Columns within which it was drawn.
    source : str
        Where the draw is documented.
    """

    mechanism: str
    unit: str = "student"
    strata: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Design:
    """One effect to estimate.

    Attributes
    ----------
    treatment, outcome : str
        Columns. The treatment holds levels (missing: exposure not known, the row is dropped and counted).
    levels : tuple of str
        The levels compared, each with ``reference``. Rows at other levels are left out and counted.
    estimand : {"ATT", "ATE"}
    role : {"confirmatory", "exploratory"}
        Of the primary method on everybody; other methods are ``robustness``, subgroups ``exploratory``.
    primary : {"difference", "regress", "ipw", "entropy_balance", "matching", "aipw", "iv"}
    methods : tuple of str
        All methods to run; the primary one is added if absent.
    covariates : tuple of str
        Numeric, boolean or categorical columns measured before the exposure.
    within : tuple of str
        Columns whose cells students are compared within (fixed effects; cells of the doubly robust fit).
        Where none are given and no draw is declared, the clusters, unless those were exposed as a whole: a
        default must not take what sets schools that visit more apart for an effect of visits.
    cluster : str, optional
        Column of the groups obeyed by every standard error, fold and permutation.
    se_type : str, optional
        For ``difference`` and ``regress``; CR2 with a cluster and HC2 without unless given. ``permutation`` repeats
        the declared draw, for ``difference``.
    assignment : Assignment, optional
        Absent means observational.
    subgroups : tuple of str, or mapping of label to boolean column
        Every level of each column (``sex=f``), or the rows of which the column is true; primary method.
    population : str
        Name of the population (``all`` by default).
    smallest_of_interest : float, optional
        In units of the outcome; judged against the minimum detectable effect.
    replication_only : bool
        Reproduces a published model as it was; the evidence badge is withheld.
    joint : bool, optional
        ``regress`` puts all levels into one model. Default: only where the assignment is declared, because
        observational multi-arm models mix the arms' effects (Goldsmith-Pinkham, Hull, Kolesár 2024).
    floor_clusters : int
        Degrees of freedom under which the few-clusters check fails and a wild cluster bootstrap stands beside.
    least_clusters : int
        Fewer clusters are refused.
    instrument : str, optional
        Column of the invitation, for ``iv``.
    trim : float, optional
        ``ipw`` leaves out students whose propensity is outside [trim, 1 - trim].
    """

    treatment: str
    outcome: str
    levels: tuple[str, ...]
    reference: str = "none"
    estimand: str = "ATT"
    role: str = "exploratory"
    primary: str = "aipw"
    methods: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    cluster: str | None = None
    se_type: str | None = None
    assignment: Assignment | None = None
    subgroups: tuple[str, ...] | Mapping[str, str] = ()
    population: str = "all"
    smallest_of_interest: float | None = None
    seed: int = 20240901
    replication_only: bool = False
    adjustment: str | None = None
    n_folds: int = 5
    joint: bool | None = None
    floor_clusters: int = 20
    least_clusters: int = 4
    instrument: str | None = None
    trim: float | None = None
    study: str = ""
    term: str = ""
    effect: str = ""

    def __post_init__(self) -> None:
        for name in ("levels", "methods", "covariates", "within"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        subgroups = self.subgroups
        if isinstance(subgroups, Mapping):
            subgroups = tuple(f"{label}\0{column}" for label, column in subgroups.items())
        object.__setattr__(
            self, "subgroups", (subgroups,) if isinstance(subgroups, str) else tuple(subgroups)
        )
        methods = (self.primary, *(each for each in self.methods if each != self.primary))
        object.__setattr__(self, "methods", tuple(dict.fromkeys(methods)))
        if self.joint is None:
            object.__setattr__(self, "joint", self.assignment is not None)
        _validate(self)

    @property
    def spec_id(self) -> str:
        """Hash of what was declared; the same in every term, whatever the data."""
        declared = {key: value for key, value in asdict(self).items() if key not in NOT_SPECIFICATION}
        text = json.dumps(declared, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def subgroup_columns(self) -> tuple[tuple[str, str], ...]:
        """Pairs of label (empty: the levels of the column are the subgroups) and column."""
        pairs = (each.split("\0") if "\0" in each else ["", each] for each in self.subgroups)
        return tuple((label, column) for label, column in pairs)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns a frame must have."""
        strata = self.assignment.strata if self.assignment else ()
        named = [self.treatment, self.outcome, *self.covariates, *self.within]
        named += [column for _, column in self.subgroup_columns]
        named += [each for each in (self.cluster, self.instrument) if each]
        return tuple(dict.fromkeys([*named, *strata]))


def _validate(design: Design) -> None:
    _one_of("estimand", design.estimand, ESTIMANDS)
    _one_of("role", design.role, ROLES)
    for method in design.methods:
        if method in OVER_TERMS:
            raise ParameterError(
                en=f"method {method} follows students over terms and a design is of one term: declare over_terms in "
                f"study.toml, or call effects.{method} on a frame of students and terms",
                zh=f"方法 {method} 跟踪学生的多个学期，而一个设计只含一个学期：请在 study.toml 中声明 over_terms，"
                f"或对“学生×学期”的数据调用 effects.{method}",
            )
        _one_of("methods", method, METHODS)
    if design.se_type is not None:
        _one_of("se_type", design.se_type, SE_TYPES)
    if design.adjustment is not None:
        _one_of("adjustment", design.adjustment, ("effects", "means"))
    if design.assignment is not None:
        _one_of("assignment.mechanism", design.assignment.mechanism, ("randomised",))
    if not design.levels or design.reference in design.levels:
        raise ParameterError(
            en=f"levels must name at least one level other than the reference {design.reference!r}",
            zh=f"levels 至少要有一个不同于参照 {design.reference!r} 的水平",
        )
    own = {design.treatment, design.outcome}
    used = own & {*design.covariates, *design.within}
    if used or len(own) == 1:
        raise ParameterError(
            en=f"{', '.join(sorted(used or own))} can't be treatment or outcome and a covariate at once",
            zh=f"{'、'.join(sorted(used or own))} 不能既是处理或结果，又是协变量",
        )
    if "iv" in design.methods and design.instrument is None:
        raise ParameterError(en="method iv needs an instrument column", zh="方法 iv 需要给出 instrument 列")
    if design.se_type == "permutation" and (design.assignment is None or "difference" not in design.methods):
        raise ParameterError(
            en="se_type permutation repeats a declared draw: it needs an assignment and the method difference",
            zh="se_type permutation 是重复所声明的抽取：需要声明 assignment，并使用方法 difference",
        )
    if design.se_type in (*CLUSTERED, "wild") and design.cluster is None:
        raise ParameterError(
            en=f"se_type {design.se_type} needs a cluster column",
            zh=f"se_type {design.se_type} 需要给出 cluster 列",
        )
    if design.se_type in UNCLUSTERED and design.cluster is not None:
        raise ParameterError(
            en=f"se_type {design.se_type} ignores the declared cluster {design.cluster!r}; use CR2, CR1, CR1S, CR3 or wild",
            zh=f"se_type {design.se_type} 会忽略已声明的 cluster {design.cluster!r}；请用 CR2、CR1、CR1S、CR3 或 wild",
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(
            en=f"design.{name} = {value!r} is not allowed; use one of: {', '.join(allowed)}",
            zh=f"design.{name} = {value!r} 不可用；可用的有：{'、'.join(allowed)}",
        )
