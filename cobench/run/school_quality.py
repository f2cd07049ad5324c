"""``cobench quarantine``: rows put aside, each school's correction list and its data-quality page."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console

import cobench
from cobench.declared import Text
from cobench.errors import ParameterError
from cobench.files import write_text
from cobench.ingest.identities import load_names
from cobench.ingest.quarantine import listed
from cobench.ingest.report import read_quarantine
from cobench.release import scan_html
from cobench.run.evaluate import study_phrases
from cobench.run.listings import print_quarantine, print_values
from cobench.run.render import PageContext, compose
from cobench.show import phrases
from cobench.study import Study
from cobench.workbench import handouts, school_quality
from cobench.workbench.desk import Desk

PAGE = "数据质量.html"


@dataclass(frozen=True)
class Section:
    """A page's content in one language."""

    language: str
    title: str
    lede: str
    html: str


@dataclass(frozen=True)
class Handed:
    """What was written for schools; ``withheld`` are schools whose page held something that identifies a person."""

    lists: tuple[Path, ...]
    pages: tuple[Path, ...]
    withheld: tuple[str, ...]


def list_quarantine(
    study: Study,
    term_id: str,
    console: Console,
    language: str,
    *,
    school: str | None = None,
    rule: str | None = None,
    values: bool = False,
) -> None:
    """Print what is put aside by file and rule, and write every school's list and page anew.

    Raises
    ------
    StageMissingError
        When the term hasn't been ingested.
    ParameterError
        For a school or rule of which nothing is put aside by name, and for ``values`` when the output isn't a
        terminal: what rows hold must not end in a file or log.
    """
    frame = read_quarantine(study, term_id)
    if values and not console.is_terminal:
        raise ParameterError(
            en="--values shows personal data and prints to a terminal only; leave out the pipe or redirection",
            zh="--values 会显示个人信息，只能输出到终端；请去掉管道或重定向",
        )
    _known("--rule", rule, frame["rule"])
    _known("--school", school, [*Desk(study, study.term(term_id), language).schools, *frame["school"]])
    print_quarantine(listed(frame, school, rule), console, language)
    if values:
        own = frame[(frame["school"] == school) | (school is None)]
        print_values(own[(own["rule"] == rule) | (rule is None)], console, language)
    handed = hand_out(study, term_id)
    folder = os.path.relpath(handouts.corrections_dir(study, term_id))
    console.print(
        Text(
            f"退改清单 {len(handed.lists)} 份、数据质量页 {len(handed.pages)} 份：{folder}",
            f"{len(handed.lists)} correction lists and {len(handed.pages)} data-quality pages: {folder}",
        )[language],
        soft_wrap=True,
        highlight=False,
    )
    for each in handed.withheld:
        console.print(
            Text(
                f"{each} 的数据质量页含有可识别个人的内容，未生成；请检查其表头与文件名",
                f"the page of {each} held something that identifies a person and was not written; check its headers",
            )[language]
        )


def hand_out(study: Study, term_id: str) -> Handed:
    """Write every school's correction list (where it has anything to mend) and data-quality page."""
    lists = handouts.write_corrections(study, term_id, study.languages[0])
    desks = [Desk(study, study.term(term_id), language) for language in study.languages]
    names = load_names(study)
    known = [*phrases(), *desks[0].schools.values(), *study_phrases(study)]
    pages, withheld = [], []
    for school, name in desks[0].schools.items():
        page = school_page(desks, school)
        if scan_html(page, names=names, exclude=known) or str(study.root) in page:
            withheld.append(school)
            continue
        path = handouts.school_folder(study, term_id, school, name) / PAGE
        write_text(path, page)
        pages.append(path)
    return Handed(tuple(lists), tuple(pages), tuple(withheld))


def school_page(desks: list[Desk], school: str) -> str:
    """The page of one school in the languages of ``desks``, the first one's title on top."""
    study, term = desks[0].study, desks[0].term
    context = PageContext(
        study=study.label,
        term=term.id,
        term_label=term.label or Text(term.id, term.id),
        run_date=date.today().isoformat(),
        simulated=study.simulated,
        versions={"cobench": cobench.__version__},
    )
    sections = [_section(desk, school) for desk in desks]
    return compose(
        "school_quality.html.j2",
        desks[0].language,
        context=context,
        title=f"{school} {desks[0].schools[school]}",
        sections=sections,
    )


def _section(desk: Desk, school: str) -> Section:
    html = "".join(part.html for part in school_quality.parts(desk, school))
    title = desk.say("page.school_quality", school=desk.schools[school])
    return Section(desk.language, title, desk.say("page.school_quality_lede"), html)


def _known(option: str, value: str | None, known) -> None:
    names = sorted({each for each in known if each})
    if value is not None and value not in names:
        few = ", ".join(names[:40]) or "-"
        raise ParameterError(
            en=f"{option} {value!r} is not known; known: {few}", zh=f"{option} {value!r} 未找到；可用：{few}"
        )
