"""Which reports a term has: every notebook of ``notebooks/`` says in its metadata how it is run."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cobench.declared import Text
from cobench.errors import ParameterError, RunError
from cobench.run.parameters import problems, raise_together, read_notebook

EACH = (None, "treatment", "school")
NEEDS = (None, "records", "communities", "value_added")
_SAFE_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Report:
    """One page to be: a notebook with its parameters in one language.

    ``id`` is shared by the languages (``04_effect-home_visit``); ``path`` is the page's file name in
    ``reports/<term>/``; ``each`` and ``member`` say over what the notebook is repeated, and for which one;
    ``about`` is a sentence for the index, ``order`` the notebook's place there; ``cached`` is false where the
    notebook says that it rests on more than what it reads below the study's folder (a clock, a network).
    """

    id: str
    notebook: Path
    parameters: Mapping[str, Any]
    language: str
    title: Text
    path: str
    each: str | None = None
    member: str | None = None
    about: Text | None = None
    order: int = 0
    cached: bool = True

    @property
    def kind(self) -> str:
        """The notebook's name without extension."""
        return self.notebook.stem


@dataclass(frozen=True)
class Declaration:
    """``metadata.cobench`` of one notebook; ``needs`` is ``records`` where a study of one table won't do,
    ``communities`` or ``value_added`` where the study must declare them."""

    notebook: Path
    each: str | None
    title: Text
    order: int
    about: Text | None = None
    needs: str | None = None
    cached: bool = True


def plan_term(
    notebooks_dir: Path,
    term_id: str,
    *,
    study_root: Path | str = ".",
    languages: Sequence[str],
    treatments: Sequence[str] | Mapping[str, Text],
    schools: Sequence[str] | Mapping[str, Text],
    records: bool = True,
    communities: bool = True,
    value_added: bool = True,
    only: Sequence[str] = (),
    school: str | None = None,
) -> tuple[Report, ...]:
    """Every report of a term, in the order in which the index lists them.

    Parameters
    ----------
    study_root : path given to the notebooks as ``study``. Kernels work in the study's root, so the default
        ``"."`` keeps the machine's paths out of the pages.
    treatments, schools : ids, or labels by id. ``{treatment}`` and ``{school}`` in a declared title are
        filled with the label.
    records, communities, value_added : whether the study has schools' records, and declares school communities and value
        added; notebooks that need them are left out otherwise.
    only : names of notebooks or reports to keep; ``*`` and ``?`` are wildcards.
    school : keep only this school's reports (and, where ``only`` names others, those).

    Raises
    ------
    RunError
        A notebook without ``metadata.cobench``, or with one that isn't as documented.
    ParameterError
        ``only`` or ``school`` that names nothing.
    """
    members = {"treatment": _labels(treatments), "school": _labels(schools)}
    _check_school(school, members["school"])
    held = {None: True, "records": records, "communities": communities, "value_added": value_added}
    reports = [
        _report(declared, member, label, term_id, str(study_root), language)
        for declared in declarations(Path(notebooks_dir))
        if held[declared.needs]
        for member, label in (members[declared.each] if declared.each else {None: None}).items()
        for language in languages
    ]
    _check_only(only, reports)
    return tuple(report for report in reports if _selected(report, only, school))


def check_plan(reports: Sequence[Report]) -> None:
    """Check the parameters of all ``reports`` against their notebooks; nothing is run.

    Raises
    ------
    ParameterError
        Listing every unknown, missing or mistyped parameter of every notebook.
    """
    raise_together([error for report in reports for error in problems(report.notebook, report.parameters)])


def declarations(notebooks_dir: Path) -> list[Declaration]:
    """What the notebooks of a folder declare, by ``order``, then name; drafts are left out.

    A file whose name starts with ``_`` or ``draft_`` is a draft, and so is one that declares
    ``"report": false``.
    """
    paths = sorted(
        path for path in notebooks_dir.glob("*.ipynb") if not path.name.startswith(("_", "draft_", "."))
    )
    found = [_declaration(path) for path in paths]
    return sorted((each for each in found if each), key=lambda each: (each.order, each.notebook.name))


def _declaration(path: Path) -> Declaration | None:
    declared = read_notebook(path).get("metadata", {}).get("cobench")
    if declared is None:
        raise RunError(
            en=f"{path.name} does not say how it is run: add metadata.cobench (see README, 'How to add my own "
            "notebook'), or start its name with 'draft_' to leave it out",
            zh=f"{path.name} 没有说明如何运行：请添加 metadata.cobench（见 README“如何添加自己的笔记本”），"
            "或将文件名改为以 draft_ 开头以跳过它",
        )
    if not isinstance(declared, dict):
        raise _bad_declaration(path, "an object", "应为对象")
    unknown = [
        key for key in declared if key not in ("report", "each", "needs", "title", "order", "about", "cache")
    ]
    if unknown:
        raise _bad_declaration(path, f"unknown key {unknown[0]!r}", f"未知的键 {unknown[0]!r}")
    if not declared.get("report", True):
        return None
    each, title, order = declared.get("each"), declared.get("title"), declared.get("order", 0)
    if each not in EACH:
        raise _bad_declaration(
            path, "each must be null, treatment or school", "each 应为 null、treatment 或 school"
        )
    needs = declared.get("needs")
    if needs not in NEEDS:
        raise _bad_declaration(
            path,
            "needs must be null, records, communities or value_added",
            "needs 应为 null、records、communities 或 value_added",
        )
    if not _bilingual(title):
        raise _bad_declaration(path, "title needs zh and en", "title 需要 zh 和 en")
    about = declared.get("about")
    if about is not None and not _bilingual(about):
        raise _bad_declaration(path, "about needs zh and en", "about 需要 zh 和 en")
    if isinstance(order, bool) or not isinstance(order, int):
        raise _bad_declaration(path, "order must be a whole number", "order 应为整数")
    cached = declared.get("cache", True)
    if not isinstance(cached, bool):
        raise _bad_declaration(path, "cache must be true or false", "cache 应为 true 或 false")
    return Declaration(path, each, Text(**title), order, Text(**about) if about else None, needs, cached)


def _bilingual(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"zh", "en"}
        and all(isinstance(v, str) for v in value.values())
    )


def _bad_declaration(path: Path, en: str, zh: str) -> RunError:
    shape = '{"report": true, "each": null, "title": {"zh": "...", "en": "..."}, "order": 0}'
    return RunError(
        en=f"{path.name}: metadata.cobench: {en}; it should look like {shape}",
        zh=f"{path.name}：metadata.cobench：{zh}；应形如 {shape}",
    )


def _report(
    declared: Declaration, member: str | None, label: Text | None, term_id: str, study: str, language: str
) -> Report:
    stem = declared.notebook.stem
    if member is not None and not _SAFE_NAME.fullmatch(member):
        raise RunError(
            en=f"{declared.each} id {member!r} can't be part of a file name; use letters, digits, '_' and '-'",
            zh=f"{declared.each} 的编号 {member!r} 不能用作文件名；请使用字母、数字、“_”和“-”",
        )
    report_id = stem if member is None else f"{stem}-{member}"
    parameters = {"study": study, "term": term_id, "language": language}
    title = declared.title
    if declared.each:
        parameters[declared.each] = member
        slot = "{" + declared.each + "}"
        english = title.en.replace(slot, label.en)
        title = Text(title.zh.replace(slot, label.zh), english[:1].upper() + english[1:])
    return Report(
        id=report_id,
        notebook=declared.notebook,
        parameters=parameters,
        language=language,
        title=title,
        path=f"{report_id}.{language}.html",
        each=declared.each,
        member=member,
        about=declared.about,
        order=declared.order,
        cached=declared.cached,
    )


def _labels(members: Sequence[str] | Mapping[str, Text]) -> dict[str, Text]:
    if isinstance(members, Mapping):
        return dict(members)
    return {member: Text(member, member) for member in members}


def _matches(report: Report, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern.removesuffix(".ipynb")) for name in (report.kind, report.id))


def _selected(report: Report, only: Sequence[str], school: str | None) -> bool:
    if school is not None and report.each == "school":
        return report.member == school and (not only or any(_matches(report, each) for each in only))
    if only:
        return any(_matches(report, each) for each in only)
    return school is None


def _check_only(only: Sequence[str], reports: Sequence[Report]) -> None:
    for pattern in only:
        if not any(_matches(report, pattern) for report in reports):
            raise _names_nothing(
                f"--only {pattern}", pattern, [*{r.kind: 0 for r in reports}, *{r.id: 0 for r in reports}]
            )


def _check_school(school: str | None, schools: Mapping[str, Text]) -> None:
    if school is not None and school not in schools:
        raise _names_nothing(f"--school {school}", school, list(schools))


def _names_nothing(option: str, word: str, known: list[str]) -> ParameterError:
    near = difflib.get_close_matches(word, known, n=1)
    shown = ", ".join(dict.fromkeys(known)) if len(set(known)) <= 40 else f"{known[0]} ... {known[-1]}"
    return ParameterError(
        en=f"{option} names nothing; " + (f"did you mean {near[0]!r}?" if near else f"known: {shown}"),
        zh=f"{option} 没有对应的内容；" + (f"是否应为 {near[0]!r}？" if near else f"可用：{shown}"),
    )
