"""How codes are read: whole numbers, and the JSON or Python text in which genotypes are published."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from evonas.space import CodeError
from evonas.support.text import brief

NUMBER = "[0-9]{1,9}"  # of codes, as a pattern: \d would take ² and ٣ too, and codes have no larger numbers
MOST = 1000  # members of a range
WORDS = {"true": True, "false": False, "null": None}  # JSON's; Python's own are constants


def whole(word: str) -> int | None:
    """The number that a word writes in plain digits, at most nine; None where it writes none."""
    return int(word) if re.fullmatch(NUMBER, word) else None


def data(text: str, calls: Mapping[str, Sequence[str]]) -> Any:
    """The plain data that JSON or Python text writes: dictionaries, lists (for tuples and ranges as well), texts,
    numbers, True, False and None. Nothing is run. `NAME = DATA` is read as the data.

    calls   names of what may be called, with its parameters: `Genotype(normal=...)` gives a dictionary

    Raises CodeError, which says what is not plain, and for a key that occurs twice.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of, such as 1if, is rubbish here
            statements = ast.parse(text.strip()).body
        if len(statements) != 1 or not isinstance(statements[0], ast.Expr | ast.Assign):
            raise CodeError(f"{brief(text)!r} is not one piece of data, in JSON or as Python writes it")
        return _value(statements[0].value, calls)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, CodeError):
            raise
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply, or holds odd characters"
        raise CodeError(f"{brief(text)!r} is not valid JSON, nor Python text: {brief(reason)}") from None


def _value(node: ast.expr, calls: Mapping[str, Sequence[str]]) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return -node.operand.value  # type: ignore[attr-defined]
        case ast.Name(id=name) if name in WORDS:
            return WORDS[name]
        case ast.List(elts=members) | ast.Tuple(elts=members):
            return [_value(each, calls) for each in members]
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return _once([(key and _value(key, calls), _value(each, calls)) for key, each in pairs])
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
            return _range([_value(bound, calls) for bound in bounds])
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in calls:
            if len(node.args) > len(calls[name]):
                raise CodeError(f"{name} has {len(node.args)} values; it takes {', '.join(calls[name])}")
            named = [(keyword.arg, keyword.value) for keyword in node.keywords]
            given = [*zip(calls[name], node.args, strict=False), *named]
            return _once([(key, _value(each, calls)) for key, each in given])
    raise CodeError(f"{brief(ast.unparse(node))!r} is not plain data; write lists, texts and numbers")


def _once(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise CodeError(f"{brief(repr(key))} is not a name; names are texts, such as 'normal'")
        if key in found:
            raise CodeError(f"{brief(key)!r} is given twice; give it once")
        found[key] = value
    return found


def _range(bounds: Sequence[Any]) -> list[int]:
    if not 1 <= len(bounds) <= 3 or any(type(bound) is not int for bound in bounds) or bounds[2:] == [0]:
        raise CodeError("a range takes one to three whole numbers, such as range(2, 6)")
    found = range(*bounds)
    if len(found[: MOST + 1]) > MOST:
        raise CodeError(f"a range has more than {MOST:,} numbers; write the few that are meant, such as range(2, 6)")
    return list(found)
