"""Cells of files already read, kept in ``private/cells`` so that only changed files are read again."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.ingest.batches import FileCells, RawFile
from cobench.ingest.columns import coded, factor
from cobench.ingest.headers import Located
from cobench.lock import storing

_KIND = "#kind:"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def keep(folder: Path, name: str, file: FileCells) -> None:
    """Write the cells of one file, for its owner's eyes only; a file of that name holds the same already."""
    target = folder / name
    if target.exists():
        return
    about = {
        "rows_in": file.rows_in,
        "how": file.how,
        "non_data": [file.non_data[column].tolist() for column in ("sheet", "row", "rule")],
        "located": [
            {"headers": each.headers, "how": each.how, "rows": len(each.cells)} for each in file.located
        ],
    }
    parts = [_batch(each) for each in file.located]
    with storing():
        handle, temporary = tempfile.mkstemp(prefix=".part-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as sink:
                sink.write(json.dumps(about, default=int, ensure_ascii=False).encode() + b"\n")
                for part in parts:
                    with pa.ipc.new_stream(sink, part.schema, options=_OPTIONS) as stream:
                        stream.write_batch(part)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def recall(folder: Path, name: str, raw: RawFile) -> FileCells | None:
    """The cells of ``raw`` as they were read before, None if they weren't."""
    try:
        data = (folder / name).read_bytes()
    except OSError:
        return None
    source = pa.BufferReader(data)
    source.seek(data.index(b"\n") + 1)
    about = json.loads(data[: data.index(b"\n")])
    located = []
    for each in about["located"]:
        with pa.ipc.open_stream(source) as stream:
            batch = stream.read_next_batch()
            list(stream)
        located.append(_located(batch, each))
    non_data = pd.DataFrame(dict(zip(("sheet", "row", "rule"), about["non_data"], strict=True)))
    return FileCells(raw, tuple(located), non_data, about["rows_in"], about["how"])


def _batch(located: Located) -> pa.RecordBatch:
    columns = {}
    for name in located.cells:
        if name == "row":
            columns[name] = pa.array(located.cells[name].to_numpy(dtype=np.int64))
            continue
        codes, distinct = factor(located.cells[name])
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(distinct, pa.string())
        )
    for name in located.kinds:
        columns[_KIND + name] = pa.array(located.kinds[name].to_numpy(dtype=np.uint8))
    return pa.record_batch(columns)


def _located(batch: pa.RecordBatch, about: dict) -> Located:
    cells, kinds = {}, {}
    index = pd.RangeIndex(batch.num_rows)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name.startswith(_KIND):
            kinds[name.removeprefix(_KIND)] = column.to_numpy()
        elif name == "row":
            cells[name] = column.to_numpy()
        else:
            distinct = pd.Index(column.dictionary.to_numpy(zero_copy_only=False), dtype=object)
            cells[name] = coded(column.indices.to_numpy(), distinct, index)
    nothing = pd.DataFrame({"sheet": [], "row": [], "rule": []})
    frame = pd.DataFrame(cells, index=index)
    return Located(frame, pd.DataFrame(kinds, index=index), nothing, about["headers"], about["how"])
