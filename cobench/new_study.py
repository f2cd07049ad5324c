"""``cobench new``: lay out an empty study, from a checkout or an installed wheel alike."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

import cobench
from cobench.declared import Text
from cobench.errors import StudyFileError
from cobench.ingest.draft_study import Draft, draft_study, guesses

FOLDERS = ("data/raw", "data/processed", "reports", "private", "codebooks")
IGNORED = "/data/raw/*\n/data/processed/*\n/reports/*\n/private/\n.ipynb_checkpoints/\n"


def bundled(name: str) -> Path:
    """A folder that ships with cobench (``notebooks``, ``codebooks``): in the wheel, else in the checkout."""
    package = Path(str(resources.files("cobench")))
    inside = package / "bundled" / name
    return inside if inside.exists() else package.parent / name


def lay_out(folder: Path, from_files: Path | None = None) -> Text:
    """Make a study in ``folder``, which must be absent or empty; says what to do next.

    With ``from_files``, a folder of schools' files, study file and code books are drafted from them; the files
    themselves are not copied.

    Raises
    ------
    StudyFileError
        When the folder holds anything, or nothing could be drafted from the files.
    """
    study_id = re.sub(r"[^a-z0-9_]+", "_", folder.resolve().name.lower()).strip("_") or "study"
    if folder.exists() and any(folder.iterdir()):
        raise StudyFileError(
            en=f"{folder} is not empty; name a new folder", zh=f"{folder} 不是空文件夹；请换一个新文件夹"
        )
    draft = None if from_files is None else draft_study(from_files, study_id)
    for each in FOLDERS:
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "private").chmod(0o700)
    shutil.copytree(
        bundled("notebooks"), folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
    )
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
    header = f"# Laid out by cobench {cobench.__version__}.\n"
    if draft is not None:
        (folder / "study.toml").write_text(header + draft.study_toml, encoding="utf-8")
        for name, text in draft.codebooks.items():
            (folder / "codebooks" / name).write_text(text, encoding="utf-8")
        return _drafted(folder, draft)
    for book in sorted(bundled("codebooks").glob("*.toml")):
        shutil.copyfile(book, folder / "codebooks" / book.name)
    text = resources.files("cobench").joinpath("study_template.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(header + text.replace("@ID@", study_id), encoding="utf-8")
    return Text(
        f"已新建研究 {folder}。接下来：编辑 study.toml，把各校文件放入 data/raw/<学期>/，再运行 cobench check",
        f"made study {folder}. Next: edit study.toml, put the schools' files into data/raw/<term>/, run cobench check",
    )


def _drafted(folder: Path, draft: Draft) -> Text:
    texts = {
        "study.toml": draft.study_toml,
        **{f"codebooks/{name}": text for name, text in draft.codebooks.items()},
    }
    n, unknown = len(guesses(texts)), len(draft.unknown)
    return Text(
        f"已在 {folder} 起草 study.toml 和 {len(draft.codebooks)} 份编码表，{n} 处待核对，{unknown} 个文件未能识别。"
        "接下来：逐处核对并删去 # confirm，把各校文件放入 data/raw/<学期>/，再运行 cobench check",
        f"drafted study.toml and {len(draft.codebooks)} code books in {folder}: {n} guesses to confirm, {unknown} files "
        "not recognised. Next: check each line marked # confirm and delete the mark, put the files into "
        "data/raw/<term>/, run cobench check",
    )
