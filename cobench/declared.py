"""Turn parsed TOML into frozen dataclasses, strictly: the type annotations of a dataclass are its schema."""

from __future__ import annotations

import difflib
import functools
import types
import typing
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime

from cobench.errors import StudyFileError


@dataclass(frozen=True)
class Text:
    """One phrase in both languages of the reports."""

    zh: str
    en: str

    def __getitem__(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


@functools.cache
def _hints(cls: type) -> dict[str, object]:
    return typing.get_type_hints(cls)


def key_of(field: Field) -> str:
    """The TOML key of a dataclass field (``from`` can't be a Python name)."""
    return field.metadata.get("key", field.name)


def build(cls: type, data: object, path: str):
    """Build dataclass ``cls`` from the TOML value ``data`` found at key ``path``.

    Raises
    ------
    StudyFileError
        On an unknown key, a missing key or a wrong type; names the key path and what is allowed.
    """
    if not isinstance(data, dict):
        raise _wrong_type(path, _TABLE, data)
    hints = _hints(cls)
    declared = {key_of(field): field for field in fields(cls) if not field.metadata.get("computed")}
    for key in data:
        if key not in declared:
            raise _unknown_key(path, key, list(declared))
    values = {}
    for key, field in declared.items():
        if key in data:
            values[field.name] = convert(hints[field.name], data[key], join(path, key))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise StudyFileError(
                en=f"{join(path, key)} is missing; it must be {_describe(hints[field.name])['en']}",
                zh=f"缺少 {join(path, key)}；应为{_describe(hints[field.name])['zh']}",
            )
    return cls(**values)


def convert(hint: object, value: object, path: str):
    """Convert ``value`` to the annotated type ``hint`` or say what is allowed at ``path``."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(hint, value, path)
    if origin is typing.Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise not_allowed(path, value, allowed)
        return value
    if origin is tuple:
        return _convert_tuple(hint, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong_type(path, _TABLE, value)
        inner = typing.get_args(hint)[1]
        return {str(key): convert(inner, item, join(path, str(key))) for key, item in value.items()}
    if hint is Text and isinstance(value, str):
        return Text(zh=value, en=value)
    if is_dataclass(hint):
        return build(hint, value, path)
    return _convert_plain(hint, value, path)


def join(path: str, key: str) -> str:
    """Key path of ``key`` below ``path``."""
    return f"{path}.{key}" if path else key


def not_allowed(path: str, value: object, allowed) -> StudyFileError:
    """Error for a value outside a list; suggests the nearest."""
    listed = ", ".join(str(item) for item in allowed) or "-"
    return StudyFileError(
        en=f"{path} = {value!r} is not allowed; use one of: {listed}{_nearest(value, allowed, 'en')}",
        zh=f"{path} = {value!r} 不可用；可用的有：{listed}{_nearest(value, allowed, 'zh')}",
    )


def _convert_union(hint: object, value: object, path: str):
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if len(options) == 1:
        return convert(options[0], value, path)
    for option in options:
        if isinstance(option, type) and type(value) is option:
            return value
    raise _wrong_type(path, _describe(hint), value)


def _convert_tuple(hint: object, value: object, path: str):
    inner, *rest = typing.get_args(hint)
    if rest != [Ellipsis]:
        if not isinstance(value, list) or len(value) != 1 + len(rest):
            raise _wrong_type(path, _describe(hint), value)
        return tuple(
            convert(each, item, f"{path}[{i}]")
            for i, (each, item) in enumerate(zip((inner, *rest), value, strict=True))
        )
    if isinstance(value, str) and inner is str:
        return (value,)
    if not isinstance(value, list):
        raise _wrong_type(path, _describe(hint), value)
    return tuple(convert(inner, item, f"{path}[{i}]") for i, item in enumerate(value))


def _convert_plain(hint: object, value: object, path: str):
    if hint is float and type(value) is int:
        return float(value)
    if hint is date and isinstance(value, datetime):
        raise _wrong_type(path, _describe(hint), value)
    if type(value) is not hint and not (hint is date and isinstance(value, date)):
        raise _wrong_type(path, _describe(hint), value)
    return value


_TABLE = Text("表（[...] 或 {...}）", "a table")
_PHRASE = Text("{zh = ..., en = ...}", "{zh = ..., en = ...}")
_NAMES = {
    str: Text("文本", "text"),
    int: Text("整数", "a whole number"),
    float: Text("数字", "a number"),
    bool: Text(" true 或 false", "true or false"),
    date: Text("日期，如 2026-03-02", "a date like 2026-03-02"),
}


def _describe(hint: object) -> Text:
    origin = typing.get_origin(hint)
    args = typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        options = [_describe(option) for option in args if option is not type(None)]
        return Text("或".join(each.zh for each in options), " or ".join(each.en for each in options))
    if origin is typing.Literal:
        listed = ", ".join(map(str, args))
        return Text(f"以下之一：{listed}", f"one of {listed}")
    if origin is tuple:
        inner = _describe(args[0])
        if Ellipsis not in args:
            return Text(
                f"含 {len(args)} 项的列表，每项为{inner.zh}", f"a list of {len(args)} items, each {inner.en}"
            )
        return Text(f"列表，每项为{inner.zh}", f"a list of {inner.en}")
    if origin is dict or is_dataclass(hint):
        return _PHRASE if hint is Text else _TABLE
    return _NAMES[hint]


def _wrong_type(path: str, wanted: Text, value: object) -> StudyFileError:
    return StudyFileError(
        en=f"{path or 'the file'} must be {wanted.en}, not {value!r}",
        zh=f"{path or '文件'} 应为{wanted.zh}，而不是 {value!r}",
    )


def _unknown_key(path: str, key: str, allowed: list[str]) -> StudyFileError:
    listed = ", ".join(allowed)
    return StudyFileError(
        en=f"unknown key {join(path, key)}; allowed here: {listed}{_nearest(key, allowed, 'en')}",
        zh=f"未知的键 {join(path, key)}；此处可用：{listed}{_nearest(key, allowed, 'zh')}",
    )


def _nearest(value: object, allowed, language: str) -> str:
    close = difflib.get_close_matches(str(value), [str(item) for item in allowed], n=1)
    if not close:
        return ""
    return f"（是否想写 {close[0]}？）" if language == "zh" else f" (did you mean {close[0]}?)"
