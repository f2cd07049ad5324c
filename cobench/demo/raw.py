"""The whole delivery: every raw file of every term, its manifest, its traps, and writing it below a study."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from cobench.demo.calendar import TERMS
from cobench.demo.codebook import INSTRUMENTS, codebook_text
from cobench.demo.raw_district import district_files
from cobench.demo.raw_ledger import district_ledgers, school_ledger
from cobench.demo.raw_log import log_file
from cobench.demo.raw_school import folder, school_files
from cobench.demo.sheets import ACCEPTED, NON_DATA, QUARANTINED, RECOVERED, UNLINKED, RawFile, write_file
from cobench.demo.world import World, build_world
from cobench.errors import CobenchError

MANIFEST = ["term", "file", "sheet", "n_header", "n_rows", "n_accepted", "n_quarantined", "n_non_data"]
TRAPS = ["term", "file", "sheet", "row", "rule", "expected"]


def raw_files(world: World, term: int) -> Iterator[RawFile]:
    """Every raw file of one term, as values."""
    yield from district_files(world, term)
    yield from district_ledgers(world, term)
    for school in range(len(world.records[term].district.schools)):
        yield from school_files(world, term, school)
        yield log_file(world, term, school)
        yield school_ledger(world, term, school, folder(world.records[term].district, school))


def delivery(world: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the raw files hold, without writing them.

    Returns
    -------
    manifest : DataFrame
        One row a sheet, columns :data:`MANIFEST`. ``file`` is relative to ``data/raw``, ``sheet`` is empty
        for csv; ``n_rows`` counts the lines below the header and is ``n_accepted + n_quarantined +
        n_non_data``. Unlinked answers and repeated lines are accepted.
    traps : DataFrame
        One row a line in which something is planted, columns :data:`TRAPS`. ``row`` is the line as a
        spreadsheet numbers it; ``expected`` is ``quarantined``, ``non_data``, ``unlinked`` or ``recovered``.
    """
    expected = (
        dict.fromkeys(QUARANTINED, "quarantined")
        | dict.fromkeys(NON_DATA, "non_data")
        | dict.fromkeys(UNLINKED, "unlinked")
        | dict.fromkeys(RECOVERED, "recovered")
    )
    sheets, planted = [], []
    for term in range(len(TERMS)):
        for raw in raw_files(world, term):
            for each in raw.sheets:
                place = (raw.term, raw.path, each.name)
                n_bad, n_none = (int(np.isin(each.rule, rules).sum()) for rules in (QUARANTINED, NON_DATA))
                n = len(each.rule)
                sheets.append((*place, len(each.header), n, n - n_bad - n_none, n_bad, n_none))
                planted.extend(
                    (*place, int(each.row_numbers[line]), each.rule[line], expected[each.rule[line]])
                    for line in np.flatnonzero(each.rule != ACCEPTED)
                )
    return pd.DataFrame(sheets, columns=MANIFEST), pd.DataFrame(planted, columns=TRAPS)


def write_raw(world: World, root: Path | str, *, force: bool = False, jobs: int = 1) -> list[Path]:
    """Write ``data/raw/<term>/...``, the code books (kept where they exist, unless ``force``) ``data/demo_truth.parquet`` and ``data/demo_gaming.parquet`` below ``root``.

    Parameters
    ----------
    force : bool
        Write over an earlier delivery; without it an existing term folder stops the writing.
    jobs : int
        Processes; each writes the files of whole terms.

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
    written = [path for of_term in _written(world, folder, jobs) for path in of_term]
    for instrument in INSTRUMENTS:
        path = root / "codebooks" / f"{instrument}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        if force or not path.exists():
            path.write_text(codebook_text(instrument), encoding="utf-8", newline="\n")
    world.truth.to_parquet(root / "data" / "demo_truth.parquet", index=False)
    world.gaming.to_parquet(root / "data" / "demo_gaming.parquet", index=False)
    return written


def _written(world: World, folder: Path, jobs: int) -> Iterator[list[Path]]:
    terms = range(len(TERMS))
    if jobs == 1:
        yield from (_write_term(world, term, folder) for term in terms)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(terms)), context, _receive, (world,)) as pool:
        yield from pool.map(_write_received, terms, [folder] * len(terms))


def _write_term(world: World, term: int, folder: Path) -> list[Path]:
    return [write_file(raw, folder) for raw in raw_files(world, term)]


_received: list[World] = []  # a worker's: sent once, not with every term


def _receive(world: World) -> None:
    _received.append(world)


def _write_received(term: int, folder: Path) -> list[Path]:
    return _write_term(_received[0], term, folder)


def write_demo(root: Path | str, seed: int = 20240901, *, force: bool = False, jobs: int = 1) -> list[Path]:
    """Build the demo district and write its raw files below the study folder ``root``."""
    return write_raw(build_world(seed), root, force=force, jobs=jobs)


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
