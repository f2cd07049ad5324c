"""A published term as one file to send: pages, estimates, manifest and hashes; the same content, the same bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from cobench.declared import Text
from cobench.errors import RunError
from cobench.run.manifest import write_atomically
from cobench.run.verify import altered_files, published
from cobench.run.words import phrase
from cobench.study import Study

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can hold


def bundle_term(study: Study, term_id: str, target: Path | None = None) -> Path:
    """Write ``reports/<study>-<term>.zip`` (or ``target``) and return its path.

    Raises
    ------
    RunError
        When nothing is published, or a published file was altered since.
    """
    folder = study.root / "reports" / term_id
    manifest = published(folder, term_id)
    altered = altered_files(folder, manifest)
    if altered:
        raise RunError(
            en=f"not bundled: {altered[0]} is gone or differs from its hash in run.json; run the term again",
            zh=f"未打包：{altered[0]} 缺失或与 run.json 中的校验值不符；请重新运行该学期",
        )
    names = ["index.html", "run.json", *(entry["page"] for entry in manifest["reports"]), *manifest["files"]]
    contents = {name: (folder / name).read_bytes() for name in dict.fromkeys(names)}
    path = target or study.root / "reports" / f"{study.id}-{term_id}.zip"
    how = phrase("bundle.readme", term=term_id, version=manifest["versions"]["cobench"])
    write_atomically(path, zipped(f"{study.id}-{term_id}", contents, how))
    return path


def zipped(root: str, contents: dict[str, bytes], how: Text) -> bytes:
    """A zip file of ``contents`` below ``root`` with their hashes and how to check them."""
    hashes = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())
    )
    more = {"SHA256SUMS": hashes.encode("utf-8"), "README.txt": f"{how.zh}\n{how.en}".encode()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in sorted({**contents, **more}.items()):
            entry = zipfile.ZipInfo(f"{root}/{name}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return stream.getvalue()
