"""``cobench new``: lay out an empty study, from a checkout or an installed wheel alike."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

import cobench
from cobench.declared import Text
from cobench.errors import StudyFileError

FOLDERS = ("data/raw", "data/processed", "reports", "private", "codebooks")
IGNORED = "/data/raw/*\n/data/processed/*\n/reports/*\n/private/\n.ipynb_checkpoints/\n"


def bundled(name: str) -> Path:
    """A folder that ships with cobench (``notebooks``, ``codebooks``): in the wheel, else in the checkout."""
    package = Path(str(resources.files("cobench")))
    inside = package / "bundled" / name
    return inside if inside.exists() else package.parent / name


def lay_out(folder: Path) -> Text:
    """Make a study in ``folder``, which must be absent or empty; says what to do next.

    Raises
    ------
    StudyFileError
        When the folder holds anything.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StudyFileError(
            en=f"{folder} is not empty; name a new folder", zh=f"{folder} 不是空文件夹；请换一个新文件夹"
        )
    for each in FOLDERS:
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "private").chmod(0o700)
    shutil.copytree(
        bundled("notebooks"), folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
    )
    for book in sorted(bundled("codebooks").glob("*.toml")):
        shutil.copyfile(book, folder / "codebooks" / book.name)
    text = resources.files("cobench").joinpath("study_template.toml").read_text(encoding="utf-8")
    study_id = re.sub(r"[^a-z0-9_]+", "_", folder.resolve().name.lower()).strip("_") or "study"
    header = f"# Laid out by cobench {cobench.__version__}.\n"
    (folder / "study.toml").write_text(header + text.replace("@ID@", study_id), encoding="utf-8")
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
    return Text(
        f"已新建研究 {folder}。接下来：编辑 study.toml，把各校文件放入 data/raw/<学期>/，再运行 cobench check",
        f"made study {folder}. Next: edit study.toml, put the schools' files into data/raw/<term>/, run cobench check",
    )
