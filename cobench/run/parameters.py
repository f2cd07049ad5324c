"""What a notebook takes as parameters, read from its source and checked before any kernel starts.

papermill itself accepts a misspelt parameter with a warning and checks no types, so a run would quietly
use the default; here that stops.
"""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cobench.errors import ParameterError, UnreadableFileError

MISSING = "<no default>"
_BASIC = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "tuple": tuple}


@dataclass(frozen=True)
class Parameter:
    """One assignment of the cell tagged ``parameters``.

    ``default`` is the literal value, :data:`MISSING` where only an annotation stands, or the source text
    where the default is not a literal; ``type`` is the annotation as written, else the name of the
    default's type, else ``""`` (anything goes).
    """

    name: str
    default: Any
    type: str
    literal: bool = True

    @property
    def required(self) -> bool:
        """Must a run give it: no default, or ``None`` where the annotation does not allow ``None``."""
        if isinstance(self.default, str) and self.default == MISSING:
            return True
        return self.default is None and not (self.type and _accepts(self.type, None))


def read_notebook(path: Path) -> dict:
    """The notebook ``path`` as parsed JSON.

    Raises
    ------
    UnreadableFileError
        When the file isn't there or isn't a notebook of format 4.
    """
    try:
        notebook = json.loads(Path(path).read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UnreadableFileError(
            en=f"{path.name} is not a readable notebook ({type(error).__name__}); open and save it in JupyterLab",
            zh=f"{path.name} 不是可读取的笔记本（{type(error).__name__}）；请在 JupyterLab 中打开并重新保存",
        ) from None
    return notebook | {"cells": [cell | {"source": "".join(cell.get("source", ""))} for cell in cells]}


def notebook_parameters(path: Path) -> dict[str, Parameter]:
    """Parameters that the notebook ``path`` declares, in the order of its ``parameters`` cell.

    Raises
    ------
    ParameterError
        When there is no such cell, or it isn't plain assignments in valid Python.
    """
    path = Path(path)
    tagged = [
        cell
        for cell in read_notebook(path)["cells"]
        if cell["cell_type"] == "code" and "parameters" in cell.get("metadata", {}).get("tags", [])
    ]
    if not tagged:
        raise ParameterError(
            en=f"{path.name} has no cell tagged 'parameters'; tag the cell that sets study, term and language",
            zh=f"{path.name} 没有标记为 parameters 的单元格；请给设置 study、term、language 的单元格加上该标记",
        )
    try:
        tree = ast.parse(tagged[0]["source"])
    except SyntaxError as error:
        raise ParameterError(
            en=f"{path.name}: the parameters cell is not valid Python (line {error.lineno})",
            zh=f"{path.name}：parameters 单元格不是有效的 Python（第 {error.lineno} 行）",
        ) from None
    found = (_parameter(statement) for statement in tree.body)
    return {parameter.name: parameter for parameter in found if parameter}


def problems(path: Path, given: Mapping[str, Any]) -> list[ParameterError]:
    """Everything wrong with giving ``given`` to the notebook ``path``; empty when nothing is."""
    path = Path(path)
    try:
        declared = notebook_parameters(path)
    except ParameterError as error:
        return [error]
    unknown = [_unknown(path, name, declared) for name in given if name not in declared]
    missing = [
        ParameterError(
            en=f"{path.name}: parameter {name!r} has no value; the run does not give it and it has no default",
            zh=f"{path.name}：参数 {name!r} 没有取值；运行时未给出，也没有默认值",
        )
        for name, parameter in declared.items()
        if parameter.required and name not in given
    ]
    mistyped = [
        _mistyped(path, declared[name], value)
        for name, value in given.items()
        if name in declared and not _accepts(declared[name].type, value)
    ]
    return unknown + missing + mistyped


def check_parameters(path: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook ``path`` does not declare, lacks, or declares with another type.

    Raises
    ------
    ParameterError
        Listing every problem of this notebook.
    """
    raise_together(problems(path, given))


def raise_together(errors: list[ParameterError]) -> None:
    """Raise one :class:`ParameterError` that lists ``errors``; nothing when there are none."""
    unique = {error.en: error for error in errors}
    if unique:
        raise ParameterError(en="\n".join(unique), zh="\n".join(error.zh for error in unique.values()))


def _parameter(statement: ast.stmt) -> Parameter | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        kind = _annotation(statement.annotation)
        if statement.value is None:
            return Parameter(statement.target.id, MISSING, kind)
        default, literal = _literal(statement.value)
        return Parameter(statement.target.id, default, kind, literal)
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        default, literal = _literal(statement.value)
        kind = type(default).__name__ if literal and default is not None else ""
        return Parameter(statement.targets[0].id, default, kind, literal)
    return None


def _annotation(node: ast.expr) -> str:
    """An annotation's text; a quoted one (``"str | None"``) without its quotes."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)


def _literal(node: ast.expr) -> tuple[Any, bool]:
    try:
        return ast.literal_eval(node), True
    except ValueError:
        return ast.unparse(node), False


def _accepts(annotation: str, value: Any) -> bool:
    """Does ``value`` fit the annotation; unknown annotations accept anything."""
    try:
        return not annotation or _fits(ast.parse(annotation, mode="eval").body, value)
    except SyntaxError:
        return True


def _fits(node: ast.expr, value: Any) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _fits(node.left, value) or _fits(node.right, value)
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else True
    if isinstance(node, ast.Subscript):
        return _fits_subscript(node, value)
    kind = _BASIC.get(_name(node))
    if kind is None:
        return True
    if isinstance(value, bool) and kind is not bool:
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _fits_subscript(node: ast.Subscript, value: Any) -> bool:
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    outer = _name(node.value)
    if outer == "Optional":
        return value is None or _fits(inner[0], value)
    if outer == "Union":
        return any(_fits(each, value) for each in inner)
    if outer == "Literal":
        allowed = [_literal(each)[0] for each in inner]
        return any(type(value) is type(each) and value == each for each in allowed)
    if outer == "list":
        return isinstance(value, list) and all(_fits(inner[0], each) for each in value)
    return _fits(node.value, value)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _unknown(path: Path, name: str, declared: Mapping[str, Parameter]) -> ParameterError:
    near = difflib.get_close_matches(name, declared, n=1)
    known = ", ".join(declared) or "-"
    hint_en = f"did you mean {near[0]!r}?" if near else f"it declares: {known}"
    hint_zh = f"是否应为 {near[0]!r}？" if near else f"已声明的参数：{known}"
    return ParameterError(
        en=f"{path.name} declares no parameter {name!r}; {hint_en}",
        zh=f"{path.name} 没有声明参数 {name!r}；{hint_zh}",
    )


def _mistyped(path: Path, parameter: Parameter, value: Any) -> ParameterError:
    return ParameterError(
        en=f"{path.name}: parameter {parameter.name!r} must be {parameter.type}, not {value!r}",
        zh=f"{path.name}：参数 {parameter.name!r} 应为 {parameter.type}，而不是 {value!r}",
    )
