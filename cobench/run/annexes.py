"""PDF and Word versions of published pages, beside them, in the manifest and on the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cobench.release.escape import escape_html
from cobench.run import page_data
from cobench.run.manifest import file_hash, read_manifest, to_json, write_atomically
from cobench.run.pdf import find_chromium, print_page
from cobench.run.word import write_annex, write_word
from cobench.run.words import phrase
from cobench.study import Study

WORD = ("00_summary", "05_school")
SUFFIXES = (".pdf", ".docx", ".annex.xlsx")


def add_annexes(
    study: Study,
    term_id: str,
    *,
    pdf: bool = False,
    word: bool = False,
    tell: Callable[[str], object] = lambda name: None,
) -> list[str]:
    """Make the versions asked for of all pages that came out; ``word`` of summary and school reports only.

    They are published like data files: their hashes are in ``run.json``, and the next run takes them away unless it
    makes them anew. A page may be published where the term's downloads were held back.

    Returns
    -------
    list of str
        File names.
    """
    folder = study.root / "reports" / term_id
    manifest = read_manifest(folder / "run.json")
    if manifest is None:
        return []
    browser = find_chromium() if pdf else ""
    made: list[str] = []
    for entry in manifest["reports"]:
        if entry["state"] != "ok":
            continue
        page = folder / entry["page"]
        tell(entry["page"])
        if pdf:
            made.append(print_page(page, page.with_suffix(".pdf"), browser).name)
        if word and Path(entry["notebook"]).stem in WORD:
            made.append(write_word(page, page.with_suffix(".docx")).name)
            if annex := write_annex(page, page.with_suffix(".annex.xlsx")):
                made.append(annex.name)
    others = {name: digest for name, digest in manifest["files"].items() if name not in made}
    files = others | {name: file_hash(folder / name) for name in made}
    write_atomically(folder / "run.json", to_json({**manifest, "files": files}))
    titles = {Path(entry["page"]).stem: entry["title"] for entry in manifest["reports"]}
    index = folder / "index.html"
    write_atomically(index, with_files(index.read_text(encoding="utf-8"), list(files), titles))
    return made


def with_files(index: str, files: list[str], titles: Mapping[str, Mapping[str, str]]) -> str:
    """The index with a section that lists the annexes among ``files``, sealed again."""
    lines = []
    for stem, title in titles.items():
        own = [name for name in files if name.startswith(f"{stem}.") and name.endswith(SUFFIXES)]
        if own:
            links = " · ".join(f'<a href="{escape_html(n)}" download>{_kind(n)}</a>' for n in own)
            language = stem.rpartition(".")[2]
            lines.append(f"<li>{escape_html(title.get(language, stem))} — {links}</li>")
    heading = phrase("index.annexes")
    section = (
        f'<section id="annexes"><h2><span class="t" lang="zh-CN">{heading.zh}</span>'
        f'<span class="t" lang="en">{heading.en}</span></h2><ul>{"".join(lines)}</ul></section>'
    )
    before, _, rest = index.partition('<section id="annexes">')
    if rest:
        index = before + rest.partition("</section>")[2]
    return page_data.sealed_again(index.replace("</main>", f"{section if lines else ''}</main>", 1))


def _kind(name: str) -> str:
    return {"pdf": "PDF", "docx": "Word", "xlsx": "Excel"}[name.rpartition(".")[2]]
