"""The whole delivery: every raw file of every term, its manifest, its traps, and writing it below a study."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from cobench.demo.calendar import TERMS
from cobench.demo.codebook import INSTRUMENTS, codebook_text
from cobench.demo.raw_district import district_files
from cobench.demo.raw_log import log_file
from cobench.demo.raw_school import school_files
from cobench.demo.sheets import ACCEPTED, NON_DATA, QUARANTINED, RECOVERED, UNLINKED, RawFile, write_file
from cobench.demo.world import World, build_world
from cobench.errors import CobenchError

MANIFEST = ["term", "file", "sheet", "n_header", "n_rows", "n_accepted", "n_quarantined", "n_non_data"]
TRAPS = ["term", "file", "sheet", "row", "rule", "expected"]


def raw_files(world: World, term: int) -> Iterator[RawFile]:
    """Every raw file of one term, as values."""
    yield from district_files(world, term)
    for school in range(len(world.records[term].district.schools)):
        yield from school_files(world, term, school)
        yield log_file(world, term, school)


def manifest(world: World) -> pd.DataFrame:
    """Rows of every sheet: columns :data:`MANIFEST`.

    ``file`` is relative to ``data/raw``, ``sheet`` empty for csv; ``n_rows`` counts the lines below the
    header and is ``n_accepted + n_quarantined + n_non_data``. Unlinked answers and repeated lines are
    accepted.
    """
    return pd.DataFrame(
        [
            (
                raw.term,
                raw.path,
                each.name,
                len(each.header),
                len(each.rule),
                int((~np.isin(each.rule, (*QUARANTINED, *NON_DATA))).sum()),
                int(np.isin(each.rule, QUARANTINED).sum()),
                int(np.isin(each.rule, NON_DATA).sum()),
            )
            for term in range(len(TERMS))
            for raw in raw_files(world, term)
            for each in raw.sheets
        ],
        columns=MANIFEST,
    )


def traps(world: World) -> pd.DataFrame:
    """Lines in which something is planted: columns :data:`TRAPS`.

    ``row`` is the line as a spreadsheet numbers it; ``expected`` is ``quarantined``, ``non_data``,
    ``unlinked`` or ``recovered``.
    """
    expected = (
        dict.fromkeys(QUARANTINED, "quarantined")
        | dict.fromkeys(NON_DATA, "non_data")
        | dict.fromkeys(UNLINKED, "unlinked")
        | dict.fromkeys(RECOVERED, "recovered")
    )
    return pd.DataFrame(
        [
            (raw.term, raw.path, each.name, int(each.row_numbers[line]), each.rule[line], expected[each.rule[line]])
            for term in range(len(TERMS))
            for raw in raw_files(world, term)
            for each in raw.sheets
            for line in np.flatnonzero(each.rule != ACCEPTED)
        ],
        columns=TRAPS,
    )


def write_raw(world: World, root: Path | str, *, force: bool = False) -> list[Path]:
    """Write ``data/raw/<term>/...``, the code books and ``data/demo_truth.parquet`` below ``root``.

    Parameters
    ----------
    force : bool
        Write over an earlier delivery; without it an existing term folder stops the writing.

    Returns
    -------
    list of Path
        The raw files written, in a fixed order.

    Raises
    ------
    CobenchError
        When a term folder exists and ``force`` is not given.
    """
    root = Path(root)
    folder = root / "data" / "raw"
    _clear_or_stop(folder, force=force)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        _SHARED["world"] = world
        parts = list(pool.map(_write_term, range(len(TERMS)), [folder] * len(TERMS)))
    _SHARED.clear()
    for instrument in INSTRUMENTS:
        path = root / "codebooks" / f"{instrument}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(codebook_text(instrument), encoding="utf-8")
    world.truth.to_parquet(root / "data" / "demo_truth.parquet", index=False)
    return [path for part in parts for path in part]


def write_demo(root: Path | str, seed: int = 20240901, *, force: bool = False) -> list[Path]:
    """Build the demo district and write its raw files below the study folder ``root``."""
    return write_raw(build_world(seed), root, force=force)


_SHARED: dict[str, World] = {}


def _write_term(term: int, folder: Path) -> list[Path]:
    return [write_file(raw, folder) for raw in raw_files(_SHARED["world"], term)]


def _clear_or_stop(folder: Path, *, force: bool) -> None:
    for term in TERMS:
        existing = folder / term.id
        if existing.exists() and any(existing.iterdir()) and not force:
            raise CobenchError(
                en=f"data/raw/{term.id} is not empty; add --force to write the demo files over it",
                zh=f"data/raw/{term.id} 不是空文件夹；如需覆盖示例文件，请加 --force",
            )
        # The number of answers is part of these names, so another seed would leave the old ones behind.
        for stale in existing.glob("*_按文本_*问卷_*.xlsx"):
            stale.unlink()
