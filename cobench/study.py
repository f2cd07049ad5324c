"""``study.toml``, the file in which a researcher says what is studied, as frozen dataclasses."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from cobench.declared import Text, build
from cobench.effect_keys import ForWhom, Imputation, OverTerms, ValueAddedKeys
from cobench.errors import StudyFileError, UnknownTermError
from cobench.sources import Source
from cobench.standard import Standards

Method = Literal["difference", "regress", "ipw", "entropy_balance", "matching", "aipw", "iv"]
ErrorType = Literal["classic", "HC1", "HC2", "HC3", "CR1", "CR1S", "CR2", "CR3", "wild", "permutation"]


@dataclass(frozen=True)
class Term:
    """A school term and its dates.

    ``landmark``: covariates and categories count up to this day, exposure from the day after it, for both
    arms; ``exposure_end``: last day on which exposure counts; ``exam``: day on which end-of-term outcomes
    are measured; ``baseline``: the earlier term from which lagged outcomes come; ``files_due``: day by which
    schools were asked to send their files (printed on reminders). When absent, the landmark is
    ``start``, the exam is ``end`` and the exposure ends on the day before the exam.
    """

    id: str
    start: date
    end: date
    teaching_weeks: int = 20
    landmark: date | None = None
    exposure_end: date | None = None
    exam: date | None = None
    holidays: tuple[tuple[date, date], ...] = ()
    makeup_days: tuple[date, ...] = ()
    baseline: str | None = None
    label: Text | None = None
    files_due: date | None = None

    def __post_init__(self) -> None:
        landmark, exam = self.landmark or self.start, self.exam or self.end
        before_exam = max(landmark, exam - timedelta(days=1))
        for name, day in {"landmark": landmark, "exam": exam, "exposure_end": before_exam}.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, day)

    @property
    def school_year(self) -> int:
        """Calendar year of the September in which the school year began."""
        return self.start.year if self.start.month >= 8 else self.start.year - 1

    def name(self, language: str) -> str:
        return self.label[language] if self.label else self.id


@dataclass(frozen=True)
class Category:
    """A category of key students; memberships are dated and may overlap."""

    id: str
    label: Text
    source: str


@dataclass(frozen=True)
class Level:
    """A level of exposure: ``where`` is an expression over the rows of the treatment's table."""

    id: str
    where: str
    use: Literal["contrast", "exclude"] = "contrast"
    label: Text | None = None


@dataclass(frozen=True)
class Treatment:
    """What was done with a family; the first level that fits any of a student's rows is the exposure."""

    label: Text
    from_: Literal["contacts", "attendance", "panel"] = field(metadata={"key": "from"})
    levels: tuple[Level, ...]
    reference: str = "none"
    reference_label: Text | None = None
    reference_where: str | None = None
    dose: Literal["count", "minutes"] = "count"
    id: str = field(default="", metadata={"computed": True})

    def level_label(self, level: str, language: str) -> str:
        if level == self.reference and self.reference_label:
            return self.reference_label[language]
        found = [each.label for each in self.levels if each.id == level and each.label]
        return found[0][language] if found else level


@dataclass(frozen=True)
class Version:
    """Another version of a questionnaire: its code book and the terms that it holds for."""

    codebook: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Instrument:
    """A questionnaire and its code book; ``versions`` name the terms in which it was another one."""

    codebook: str
    linkage: Literal["student", "class", "school", "none"]
    respondent: Literal["parent", "student", "teacher"]
    versions: tuple[Version, ...] = ()
    id: str = field(default="", metadata={"computed": True})

    @property
    def codebooks(self) -> tuple[str, ...]:
        """Code books of all versions, the ordinary one first."""
        return tuple(dict.fromkeys([self.codebook, *(each.codebook for each in self.versions)]))

    def codebook_of(self, term_id: str) -> str:
        """The code book that holds for a term."""
        return next((each.codebook for each in self.versions if term_id in each.terms), self.codebook)


@dataclass(frozen=True)
class Scale:
    """Items that make one score: the mean of answered items, ``reverse`` ones turned round."""

    label: Text
    instrument: str
    items: tuple[str, ...]
    reverse: tuple[str, ...] = ()
    min_answered: float = 0.67
    higher_is: Literal["better", "worse"] = "better"
    id: str = field(default="", metadata={"computed": True})


@dataclass(frozen=True)
class Outcome:
    """What may have changed: a measure of the outcomes table, a scale, or a column of a panel source."""

    label: Text
    measure: str | None = None
    scale: str | None = None
    column: str | None = None
    test: Literal["school", "common"] | None = None
    standardise: tuple[str, ...] = ()
    unit: Text | None = None
    higher_is: Literal["better", "worse"] = "better"
    rated_by_visitor: bool = False
    id: str = field(default="", metadata={"computed": True})


@dataclass(frozen=True)
class Column:
    """Label of a panel column (a covariate or subgroup) and of its values."""

    label: Text
    values: dict[str, Text] = field(default_factory=dict)


@dataclass(frozen=True)
class Assignment:
    """How the treatment was assigned; declared, never guessed."""

    mechanism: Literal["randomised"]
    unit: str
    source: str
    strata: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One more way to estimate an effect, declared beforehand; what is absent is as in the effect.

    ``trim`` leaves out students whose propensity is outside [trim, 1 - trim] (method ``ipw``).
    """

    method: Method | None = None
    adjust: tuple[str, ...] | None = None
    within: tuple[str, ...] | None = None
    cluster: str | None = None
    se_type: ErrorType | None = None
    trim: float | None = None


@dataclass(frozen=True)
class Effect:
    """An effect to estimate, declared before the outcomes are seen.

    ``methods`` and ``robustness`` stand beside ``primary`` in the specification curve; none of them is ever
    searched for.
    """

    treatment: str
    outcome: str
    role: Literal["confirmatory", "exploratory"]
    primary: Method
    estimand: Literal["ATT", "ATE"] = "ATT"
    methods: tuple[Method, ...] = ()
    contrasts: tuple[str, ...] = ()
    adjust: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    cluster: str | None = None
    se_type: ErrorType | None = None
    robustness: tuple[Variant, ...] = ()
    subgroups: tuple[str, ...] = ()
    assignment: Assignment | None = None
    instrument: str | None = None
    least_clusters: int = 4
    smallest_of_interest: float | None = None
    filter: str | None = None
    population: Text | None = None
    replication_only: bool = False
    history: Literal["required", "none"] = "none"
    terms: tuple[str, ...] = ()
    doses: Literal["count", "minutes"] | None = None
    over_terms: OverTerms | None = None
    impute: Imputation | None = None
    heterogeneity: ForWhom | None = None
    id: str = ""

    @property
    def all_methods(self) -> tuple[str, ...]:
        """The primary method first, then the robustness ones."""
        return (self.primary, *(method for method in self.methods if method != self.primary))

    def varied(self, variant: Variant) -> Effect:
        """This effect as ``variant`` estimates it: one method, no subgroups."""
        changed = {name: value for name, value in vars(variant).items() if value is not None}
        primary = changed.pop("method", self.primary)
        changed.pop("trim", None)
        return replace(
            self, primary=primary, methods=(), robustness=(), subgroups=(), doses=None, over_terms=None, impute=None,
            heterogeneity=None, **changed,
        )  # fmt: skip


@dataclass(frozen=True)
class ReleaseRules:
    """Disclosure threshold: cells on fewer than ``min_cell`` children are not shown."""

    min_cell: int = 10


@dataclass(frozen=True)
class StudyHeader:
    """The ``[study]`` block."""

    id: str
    label: Text
    languages: tuple[Literal["zh", "en"], ...] = ("zh", "en")
    simulated: bool = False
    seed: int = 20240901


@dataclass(frozen=True)
class StudyFile:
    """The whole file as written."""

    study: StudyHeader
    terms: tuple[Term, ...]
    sources: tuple[Source, ...] = ()
    categories: tuple[Category, ...] = ()
    treatments: dict[str, Treatment] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    standards: Standards = Standards()
    value_added: tuple[ValueAddedKeys, ...] = ()
    release: ReleaseRules = ReleaseRules()


@dataclass(frozen=True)
class Study:
    """A study folder and what its ``study.toml`` declares."""

    root: Path
    id: str
    label: Text
    languages: tuple[str, ...]
    simulated: bool
    seed: int
    terms: tuple[Term, ...]
    sources: tuple[Source, ...]
    categories: tuple[Category, ...]
    treatments: dict[str, Treatment]
    instruments: dict[str, Instrument]
    scales: dict[str, Scale]
    outcomes: dict[str, Outcome]
    columns: dict[str, Column]
    effects: tuple[Effect, ...]
    standards: Standards
    value_added: tuple[ValueAddedKeys, ...]
    release: ReleaseRules

    def term(self, term_id: str) -> Term:
        """The term called ``term_id``.

        Raises
        ------
        UnknownTermError
            Listing the declared terms.
        """
        for term in self.terms:
            if term.id == term_id:
                return term
        known = ", ".join(term.id for term in self.terms)
        raise UnknownTermError(
            en=f"term {term_id!r} is not in study.toml; declared terms: {known}",
            zh=f"study.toml 中没有学期 {term_id!r}；已声明的学期：{known}",
        )

    def newest_term(self) -> Term:
        """The term that starts last."""
        return max(self.terms, key=lambda term: term.start)

    def terms_until(self, term_id: str) -> tuple[Term, ...]:
        """All terms up to and including ``term_id``, oldest first."""
        last = self.term(term_id)
        return tuple(sorted((t for t in self.terms if t.start <= last.start), key=lambda term: term.start))

    def school_year_terms(self, term_id: str) -> tuple[Term, ...]:
        """Terms of the same school year up to and including ``term_id``, oldest first."""
        year = self.term(term_id).school_year
        return tuple(term for term in self.terms_until(term_id) if term.school_year == year)

    def effects_in(self, term_id: str) -> tuple[Effect, ...]:
        """Declared effects that are to be estimated in ``term_id``."""
        self.term(term_id)
        return tuple(effect for effect in self.effects if not effect.terms or term_id in effect.terms)


def find_study(path: Path | str = ".") -> Path:
    """The nearest folder at or above ``path`` that holds a ``study.toml``."""
    start = Path(path).resolve()
    for folder in (start, *start.parents):
        if (folder / "study.toml").is_file():
            return folder
    raise StudyFileError(
        en=f"no study.toml in {Path(path)} or above; `cobench new DIR` lays out a study",
        zh=f"{Path(path)} 及其上级文件夹中没有 study.toml；可用 `cobench new DIR` 新建",
    )


def load_study(root: Path | str = ".") -> Study:
    """Read and check ``study.toml`` of the study folder ``root``.

    Raises
    ------
    StudyFileError
        On a file that isn't TOML, an unknown key, a wrong type or a name that nothing declares; names the
        key path and what is allowed.
    """
    root = Path(root).resolve()
    path = root / "study.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyFileError(
            en=f"no study.toml in {root.name}; `cobench new DIR` lays out a study",
            zh=f"{root.name} 中没有 study.toml；可用 `cobench new DIR` 新建",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyFileError(
            en=f"study.toml can't be read: {error}; save it as UTF-8 and mend the line named",
            zh=f"study.toml 无法读取：{error}；请以 UTF-8 保存并修正所指的行",
        ) from None
    return study_from(data, root)


def study_from(data: dict, root: Path) -> Study:
    """Check parsed TOML ``data`` and make the :class:`Study` of folder ``root``."""
    from cobench.study_rules import check_names

    declared = build(StudyFile, data, "")
    study = Study(
        root=root,
        id=declared.study.id,
        label=declared.study.label,
        languages=declared.study.languages,
        simulated=declared.study.simulated,
        seed=declared.study.seed,
        terms=declared.terms,
        sources=declared.sources,
        categories=declared.categories,
        treatments=_named(declared.treatments),
        instruments=_named(declared.instruments),
        scales=_named(declared.scales),
        outcomes=_named(declared.outcomes),
        columns=declared.columns,
        effects=_identified(declared.effects),
        standards=declared.standards,
        value_added=declared.value_added,
        release=declared.release,
    )
    check_names(study)
    return study


def _named(items: dict) -> dict:
    return {key: replace(item, id=key) for key, item in items.items()}


def _identified(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    return tuple(
        effect if effect.id else replace(effect, id=f"{effect.treatment}-{effect.outcome}")
        for effect in effects
    )
