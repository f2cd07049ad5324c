"""``cobench lab``: JupyterLab on a study, opened at a page that says what there is and how to begin."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from cobench import store
from cobench.errors import RunError
from cobench.files import write_text
from cobench.run.evaluate import notebooks_dir
from cobench.run.manifest import read_manifest
from cobench.run.plan import declarations
from cobench.run.words import phrase
from cobench.show.sections import md
from cobench.study import Study
from cobench.workbench.prepare import raw_paths

START = "start.md"
_SLOT = re.compile(r"\{\w+\}")


def start_page(study: Study, language: str) -> str:
    """The start page as Markdown: terms with their files and last runs, notebooks, the first lines of code."""

    def say(key: str, **slots: object) -> str:
        return phrase(f"lab.{key}", **slots)[language]

    lines = [f"# {md(study.label[language])}", "", say("intro"), "", f"## {say('terms')}", ""]
    lines += [
        f"| {say('term')} | {say('files')} | {say('computed')} | {say('last_run')} |",
        "|---|---:|---|---|",
    ]
    for term in reversed(study.terms):
        label = md(term.label[language]) if term.label else ""
        computed = say("yes") if store.stage_key(study, term.id) is not None else say("no")
        name = f"`{term.id}` {label}".strip()
        lines.append(
            f"| {name} | {len(raw_paths(study, term.id))} | {computed} | {_last_run(study, term.id, say)} |"
        )
    lines += ["", f"## {say('notebooks')}", ""]
    folder = notebooks_dir(study)
    for each in declarations(folder):
        name = each.notebook.name
        title = md(_SLOT.sub("…", each.title[language]))
        inside = folder.is_relative_to(study.root)
        shown = (
            f"[{md(name)}](../{folder.relative_to(study.root).as_posix()}/{quote(name)})"
            if inside
            else f"`{name}`"
        )
        about = f": {md(each.about[language])}" if each.about else ""
        lines.append(f"- {shown} {title}{about}")
    lines += ["", f"## {say('begin')}", "", "```python", "from cobench import open_study", ""]
    lines += [f'desk = open_study("..", language="{language}")', "desk", "```", "", say("then"), ""]
    return "\n".join(lines)


def _last_run(study: Study, term_id: str, say) -> str:
    manifest = read_manifest(study.root / "reports" / term_id / "run.json")
    if manifest is None:
        return say("never")
    counts = manifest["counts"]
    told = say(
        "run", date=manifest["finished"][:10], ok=counts["ok"], failed=counts["failed"] + counts["withheld"]
    )
    return f"[{told}](../reports/{quote(term_id)}/index.html)"


def write_start(study: Study, language: str) -> Path:
    """Write the start page into ``private/`` (it is nobody's report) and return its path."""
    path = study.root / "private" / START
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_text(path, start_page(study, language))
    return path


def lab_command(study: Study, start: Path, options: Sequence[str] = ()) -> list[str]:
    """The command that opens JupyterLab at the start page."""
    shown = quote(start.relative_to(study.root).as_posix())
    return [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={study.root}",
        f"--LabApp.default_url=/lab/tree/{shown}?factory={quote('Markdown Preview')}", *options,
    ]  # fmt: skip


def open_lab(study: Study, language: str, options: Sequence[str] = ()) -> int:
    """Open JupyterLab and wait until it ends; its exit code.

    Raises
    ------
    RunError
        When it can't be started.
    """
    command = lab_command(study, write_start(study, language), options)
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        raise RunError(en="JupyterLab can't be started", zh="无法启动 JupyterLab") from error
