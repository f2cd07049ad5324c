"""An executed notebook as one self-contained HTML page in the project's own template."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobench.declared import Text
from cobench.run import page_data
from cobench.run.body import Body, Heading, PageError, finish_body
from cobench.run.glossary import HEADING_ID, with_glossary
from cobench.run.glyphs import chinese_characters, font_face
from cobench.run.plan import Report
from cobench.run.words import phrase, words
from cobench.show.figure import TABLE_MIME
from cobench.show.spots import WELL_FORMED

if TYPE_CHECKING:
    from jinja2 import Environment
    from nbformat import NotebookNode

TEMPLATES = Path(__file__).parent / "templates"
LANG = {"zh": "zh-CN", "en": "en"}
_IMAGES = ("image/svg+xml", "image/png", "image/jpeg")
_ADDED_BY_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}
_EMBEDDED = re.compile(r"base64,[A-Za-z0-9+/=]+")


@dataclass(frozen=True)
class PageContext:
    """What all pages of a run share.

    Parameters
    ----------
    versions : version by name of package, shown in the footer.
    hashes : SHA-256 by what it belongs to (``raw_files``, ``study_file``, ``notebook:<name>``).
    run_date : ISO date of the run.
    pages : file names of all pages of the term, so that a page knows which counterpart exists.
    """

    study: Text
    term: str
    term_label: Text
    run_date: str
    simulated: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    pages: frozenset[str] = frozenset()


def source_cells(cells: list[dict]) -> list[dict]:
    """Cells of an executed notebook without those that papermill put in."""
    return [cell for cell in cells if not _ADDED_BY_PAPERMILL & set(cell["metadata"].get("tags", []))]


def render_report(nb: NotebookNode, report: Report, *, context: PageContext) -> str:
    """The page of ``report`` from its executed notebook ``nb``, which is left as it is.

    Cells tagged ``zh`` or ``en`` appear on pages of that language only, cells tagged ``hide`` on none.
    Tracebacks and warnings (stderr) are never rendered.

    Raises
    ------
    PageError
        A figure without alternative text, or content that would be loaded from a network.
    """
    prepared = _prepare(nb, report.language)
    fragment, _ = _exporter().from_notebook_node(prepared)
    body = finish_body(fragment, report.language)
    body, data = _with_data(body, page_data.gather(prepared), report, context)
    return compose(
        "page.html.j2",
        report.language,
        body=body,
        report=report,
        context=context,
        title=body.title or report.title[report.language],
        data=data,
        footer=_footer(report, context),
        **_links(report, context),
    )


def _with_data(
    body: Body, carried: page_data.Carried, report: Report, context: PageContext
) -> tuple[Body, str]:
    """The body with the reviewers' section at its end, and the page's data block."""
    text = words(report.language, "data")
    rows = page_data.cited_rows(carried, body.html)
    section = (
        _environment()
        .get_template("page_data.html.j2")
        .render(words=text, rows=rows, name=Path(report.path).stem, **vars(carried))
    )
    facts = {
        "page": report.path,
        "study": context.study[report.language],
        "term": context.term,
        "language": report.language,
        "parameters": {name: value for name, value in report.parameters.items() if name != "study"},
        "simulated": context.simulated,
        "versions": dict(context.versions),
    }
    if not carried.estimates and not carried.tables:
        return body, page_data.block(carried, facts, body.html)
    html, has_words = with_glossary(body.html + section, report.language)
    more = [Heading("page-data-heading", text["heading"])]
    more += [Heading(HEADING_ID, text["glossary"])] if has_words else []
    contents = (*body.contents, *more)
    return Body(html, contents, body.title), page_data.block(carried, facts, html)


def render_placeholder(report: Report, state: str, reason: Text, *, context: PageContext) -> str:
    """A page that stands in for a ``failed`` or ``withheld`` report, in both languages, without details."""
    return compose(
        "placeholder.html.j2",
        report.language,
        report=report,
        state=state,
        reason=reason,
        context=context,
        title=report.title[report.language],
        footer=_footer(report, context),
        languages=[report.language, "en" if report.language == "zh" else "zh"],
        phrase=phrase,
        **_links(report, context),
    )


def compose(template: str, language: str, *, script: str = "page.js", **slots: Any) -> str:
    """Fill a template of ``templates/`` and embed its style, script and Chinese characters.

    The content security policy allows nothing but what the page carries, and only this script.
    """
    code = "".join(map(_script, (script, *(["hover.js"] if script == "page.js" else []), "sort.js")))
    digest = base64.b64encode(hashlib.sha256(code.encode("utf-8")).digest()).decode("ascii")
    html = (
        _environment()
        .get_template(template)
        .render(
            language=language,
            lang=LANG[language],
            css=_read("style.css"),
            script=code,
            script_hash=digest,
            font_face="/*font*/",
            page_words=words(language, "page"),
            **slots,
        )
    )
    face = font_face(chinese_characters(_EMBEDDED.sub("", html)))
    return html.replace("/*font*/", face, 1)


def short_hash(digest: str) -> str:
    """First 16 digits in groups of four; ungrouped, a run of digits could pass for an identity number."""
    return " ".join(digest[start : start + 4] for start in range(0, 16, 4))


def _links(report: Report, context: PageContext) -> dict[str, str | None]:
    other = "en" if report.language == "zh" else "zh"
    counterpart = f"{report.id}.{other}.html"
    return {
        "other": other,
        "other_lang": LANG[other],
        "counterpart": counterpart if counterpart in context.pages else None,
    }


def _footer(report: Report, context: PageContext) -> dict[str, Any]:
    language = report.language
    text = words(language, "footer")
    named = {"raw_files": text["raw_files"], "study_file": text["study_file"]}
    hashes = [(named[key], short_hash(digest)) for key, digest in context.hashes.items() if key in named]
    notebook = context.hashes.get(f"notebook:{report.notebook.name}")
    if notebook:
        hashes.append((f"{text['notebook']} {report.notebook.name}", short_hash(notebook)))
    given = ", ".join(f"{name} = {value}" for name, value in report.parameters.items() if name != "study")
    return {
        "words": text,
        "versions": list(context.versions.items()),
        "hashes": hashes,
        "parameters": given,
        "how": text["how"].format(term=context.term),
    }


def _prepare(nb: NotebookNode, language: str) -> NotebookNode:
    """A copy without cells of the other language, with the alt text of every figure where the template looks."""
    prepared = copy.deepcopy(nb)
    others = {"zh", "en", "hide"} - {language}
    numbers = {id(cell): number for number, cell in enumerate(source_cells(prepared.cells), start=1)}
    prepared.cells = [cell for cell in prepared.cells if not others & set(cell.metadata.get("tags", []))]
    for cell in prepared.cells:
        for output in cell.get("outputs", []):
            if "data" in output and not {"text/html", "text/markdown"} & set(output.data):
                _set_alt(cell, output, language, numbers.get(id(cell), "?"))
        if cell.get("outputs"):
            cell.outputs = [part for output in cell.outputs for part in _with_table(output)]
    return prepared


def _with_table(output: NotebookNode) -> list[NotebookNode]:
    """An output, and after a figure the table behind it."""
    table = output.get("data", {}).get(TABLE_MIME)
    if table is None:
        return [output]
    from nbformat.v4 import new_output

    return [output, new_output("display_data", data={"text/html": table})]


def _set_alt(cell: NotebookNode, output: NotebookNode, language: str, number: int | str) -> None:
    kinds = [kind for kind in _IMAGES if kind in output.data]
    if not kinds:
        return
    told = [output.metadata.get(kind, {}).get("alt") for kind in kinds]
    told += [output.metadata.get("alt"), cell.metadata.get("alt")]
    alt = next((_in_language(each, language) for each in told if each), "")
    if not alt.strip():
        raise PageError(phrase("rule.no_alt", cell=number))
    output.metadata["alt"] = alt.strip()
    spots = str(output.metadata.get("image/png", {}).get("spots", ""))
    output.metadata["spots"] = spots if WELL_FORMED.match(spots) else ""


def _in_language(value: Any, language: str) -> str:
    return str(value.get(language, "")) if isinstance(value, Mapping) else str(value)


@cache
def _exporter():
    """One exporter a process: a reused one takes a quarter of the time.

    What nbconvert does to its finished HTML (a word in place of missing alternative texts, for one) is left out: it takes
    as long as the rest, and :func:`cobench.run.body.finish_body` refuses such images.
    """
    from nbconvert import HTMLExporter, TemplateExporter
    from nbconvert.filters import Highlight2HTML
    from traitlets.config import Config

    class Exporter(HTMLExporter):
        def from_notebook_node(self, nb, resources=None, **options):
            language = nb.metadata.get("language_info", {})
            lexer = language.get("pygments_lexer", language.get("name"))
            self.register_filter("highlight_code", Highlight2HTML(pygments_lexer=lexer, parent=self))
            return TemplateExporter.from_notebook_node(self, nb, resources, **options)

    shown = ["text/html", "text/markdown", *_IMAGES, "text/latex", "text/plain"]
    return Exporter(
        config=Config({"NbConvertBase": {"display_data_priority": shown}}),
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        skip_svg_encoding=True,
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _script(name: str) -> str:
    """A script without indents and lines of comment, which every page would carry."""
    lines = (line.strip() for line in _read(name).splitlines())
    return "\n".join(line for line in lines if not line.startswith("//")) + "\n"


@cache
def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
