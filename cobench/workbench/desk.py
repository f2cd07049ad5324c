"""A study opened at one term in one language: its derived frames, released, and its labels."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path

import pandas as pd

from cobench import reads, store
from cobench.declared import Text
from cobench.effects.estimates import COLUMNS as ESTIMATE_COLUMNS
from cobench.effects.reasons import reason_in
from cobench.errors import StageMissingError
from cobench.monitor.standards import known_standards
from cobench.own_rows import read_own
from cobench.release import Counted, Released, ledger, release_estimates
from cobench.release.structure import Key
from cobench.show import Displayed, Labels, guard_display, say, study_labels, use_theme
from cobench.study import Study, Term, find_study, load_study
from cobench.workbench import overview, term_release

NEWEST = "newest"
METHOD_ORDER = ("difference", "regress", "ipw", "entropy_balance", "matching", "aipw", "iv")


def open_study(path: str | Path = ".", term: str = NEWEST, language: str = "zh") -> Desk:
    """Open the study at or above ``path`` at ``term`` (the newest one by default).

    In JupyterLab whatever is missing or out of date is read and computed first and kept; during a scheduled
    run it has been computed already, and raw display is refused from here on.

    Raises
    ------
    StudyFileError, UnknownTermError
        When ``study.toml`` or the term isn't as declared.
    StageMissingError
        During a run, when the term stage isn't there.
    """
    root = find_study(path)
    reads.watch(root)
    study = load_study(root)
    opened = study.newest_term() if term == NEWEST else study.term(term)
    guard_display()
    use_theme(language)
    if os.environ.get("COBENCH_RUN") == "1":
        if store.stage_key(study, opened.id) is None:
            raise StageMissingError(
                en=f"term {opened.id} has not been computed; run `cobench run {opened.id}`",
                zh=f"学期 {opened.id} 尚未计算；请运行 `cobench run {opened.id}`",
            )
    else:
        from cobench.workbench.exports import decide_term
        from cobench.workbench.prepare import bring_up_to_date

        bring_up_to_date(study, opened.id)
        decide_term(Desk(study, opened, language))
    desk = Desk(study, opened, language)
    overview.show_released(desk)
    return desk


def together(parts: Iterable[Displayed]) -> Displayed:
    """Several pieces of a page as one."""
    return reduce(operator.add, parts)


def _before(label: Text, never: bool) -> dict[str, str]:
    key = "page.never_before" if never else "page.some_before"
    return {language: say(key, language, treatment=label[language]) for language in ("zh", "en")}


@dataclass(frozen=True, eq=False)
class Desk:
    """An open study. Frames are read when asked for; estimates come out released."""

    study: Study
    term: Term
    language: str
    _frames: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    _tables: dict[Hashable, Released] = field(default_factory=dict, repr=False)

    @cached_property
    def planned(self) -> frozenset[Key]:
        """Counts that were decided to be hidden over all tables of the term; none before that."""
        return term_release.read(self.study, self.term.id)

    def counted(
        self,
        population: str,
        by: Sequence[str] = (),
        at: Mapping[str, str] | None = None,
        within: Mapping[str, tuple[str, str, tuple[str, ...]]] | None = None,
        around: Mapping[str, tuple[str, str, tuple[str, ...]]] | None = None,
    ) -> Counted:
        """Which children a table counts; see :class:`cobench.release.Counted`."""
        return Counted(population, tuple(by), at or {}, within or {}, around or {}, self.planned)

    @property
    def min_cell(self) -> int:
        """Threshold below which a cell about people is hidden."""
        return self.study.release.min_cell

    def derived(self, name: str) -> pd.DataFrame:
        """A derived frame of the term; not released, so it can't be shown during a run."""
        if name not in self._frames:
            self._frames[name] = store.read_stage(self.study, self.term.id, name)
        return self._frames[name]

    def own(self, name: str, school: str) -> pd.DataFrame:
        """Rows of one school in a derived frame; not released. The reading is noted as the school's own."""
        key = f"{name}@{school}"
        if key not in self._frames:
            self._frames[key] = read_own(self.study, self.term.id, name, school)
        return self._frames[key]

    def stored(self, name: str) -> pd.DataFrame:
        """A stored table of the term; not released."""
        if name not in self._frames:
            self._frames[name] = store.read_table(self.study, name, [self.term.id])
        return self._frames[name]

    def once(self, key: Hashable, release: Callable[[], Released]) -> Released:
        """A released table that several parts of a page ask for; released anew only where tables are collected."""
        if ledger.is_collecting():
            return release()
        if key not in self._tables:
            self._tables[key] = release()
        return self._tables[key]

    def say(self, key: str, **slots: object) -> str:
        """A fixed phrase in the desk's language."""
        return say(key, self.language, **slots)

    def reason(self, text: str) -> str:
        """Why something can't be estimated, in the desk's language."""
        return reason_in(text, self.language)

    def has(self, name: str) -> bool:
        """Whether the term stage holds a frame ``name`` (a study of one table has no visit logs)."""
        try:
            self.derived(name)
        except StageMissingError:
            return False
        return True

    def effects(self, treatment: str | None = None) -> Released:
        """The term's estimates (of one treatment), small arms hidden; released once, all treatments together."""
        anew = ledger.is_collecting()
        everything = self._estimates(self.derived("estimates")) if anew else self._released
        return everything if treatment is None else everything.where(lambda f: f["treatment"] == treatment)

    @cached_property
    def _released(self) -> Released:
        return self._estimates(self.derived("estimates"))

    def __getitem__(self, treatment: str) -> Released:
        """The released estimates of one treatment; in JupyterLab the Tab key lists them.

        Raises
        ------
        ParameterError
            For a treatment that isn't declared.
        """
        return overview.estimates_of(self, treatment)

    def _ipython_key_completions_(self) -> list[str]:
        return overview.treatments(self)

    def checks(self, treatment: str | None = None) -> Released:
        """The term's checks (of one treatment) with a sentence each, released."""
        return overview.checks_of(self, treatment)

    def _repr_html_(self) -> str:
        return overview.describe(self).html

    def __repr__(self) -> str:
        return f"Desk({self.study.id}, {self.term.id}, {self.language})"

    def curves(self) -> Released:
        """Declared curves by dose and over terms; points that rest on a small group are hidden."""
        rows = self.derived("curves")
        rows = rows.assign(reason=[reason_in(reason, self.language) for reason in rows["reason"]])
        return release_estimates(rows, min_cell=self.min_cell, planned=self.planned)

    def last_term_effects(self) -> Released | None:
        """Estimates of the declared baseline term, if that term has been evaluated."""
        if self.term.baseline is None:
            return None
        try:
            frame = store.read_stage(self.study, self.term.baseline, "estimates")
        except StageMissingError:
            return None
        return self._estimates(frame) if len(frame) else None

    def _estimates(self, frame: pd.DataFrame) -> Released:
        rows = frame if len(frame) else pd.DataFrame(columns=ESTIMATE_COLUMNS)
        rows = self._in_declared_order(rows)
        rows = rows.assign(reason=[reason_in(reason, self.language) for reason in rows["reason"]])
        return release_estimates(rows, min_cell=self.min_cell, planned=self.planned)

    def _in_declared_order(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Outcomes, contrasts and methods in the order in which ``study.toml`` declares them."""
        declared = self.study.effects
        outcomes = list(dict.fromkeys((effect.treatment, effect.outcome) for effect in declared))
        levels = [(t.id, level.id) for t in self.study.treatments.values() for level in t.levels]
        pairs = list(zip(rows["treatment"], rows["outcome"], strict=True))
        contrasts = list(zip(rows["treatment"], rows["contrast"], strict=True))
        ranked = rows.assign(
            _outcome=[outcomes.index(pair) if pair in outcomes else len(outcomes) for pair in pairs],
            _contrast=[levels.index(pair) if pair in levels else len(levels) for pair in contrasts],
            _method=rows["method"].map({name: rank for rank, name in enumerate(METHOD_ORDER)}),
        )
        order = ranked.sort_values(
            ["_outcome", "_contrast", "subgroup", "population", "_method"], kind="stable"
        )
        return rows.loc[order.index].reset_index(drop=True)

    @cached_property
    def labels(self) -> Labels:
        """Labels of the study and of what cobench brings."""
        named = {code: {"zh": name, "en": f"{code} {name}"} for code, name in self.schools.items()}
        populations = {e.population.en: e.population for e in self.study.effects if e.population}
        return study_labels(
            self.study,
            standard={each.id: each.label for each in known_standards(self.study.standards)},
            school=named,
            population=populations,
            subgroup={
                f"{name}:never_before={answer}": _before(each.label, answer == "true")
                for name, each in self.study.treatments.items()
                for answer in ("true", "false")
            },
        )

    @cached_property
    def schools(self) -> dict[str, str]:
        """Names of the term's schools by id."""
        frame = store.read_table(self.study, "schools", [self.term.id])
        return dict(zip(frame["school"], frame["name"], strict=True)) if len(frame) else {}
