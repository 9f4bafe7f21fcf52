"""Which layers have experts. `--moe-layer-freq`

A number N: every N-th layer, the first among them. A pattern, as Megatron-LM writes it: `[0]*3+[1]*58` or `([1,0])*12`, a 1 for
each layer with experts and a 0 for each that is dense.
"""

from __future__ import annotations

import ast


def with_experts(frequency: str, layers: int) -> tuple[bool, ...]:
    """For each of `layers` layers whether it has experts. ValueError says what is wrong with `frequency`."""
    try:
        found = _value(ast.parse(frequency.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError("expected a number, or a pattern such as [0]*3+[1]*58") from None
    if isinstance(found, int):
        if found < 1:
            raise ValueError("expected 1 or more")
        return tuple(layer % found == 0 for layer in range(layers))
    if len(found) != layers:
        raise ValueError(f"has {len(found)} entries for {layers} layers")
    if any(entry not in (0, 1) for entry in found):
        raise ValueError("expected 1 for a layer with experts and 0 for a dense one")
    if not any(found):
        raise ValueError("gives no layer experts")
    return tuple(map(bool, found))


def _value(node: ast.expr) -> int | list[int]:
    """Lists of numbers, added and repeated; nothing else is evaluated."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            left, right = _value(left), _value(right)
            if isinstance(left, list) and isinstance(right, list):
                return left + right
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            left, right = _value(left), _value(right)
            if isinstance(left, list) != isinstance(right, list):
                return _repeated(left, right) if isinstance(left, list) else _repeated(right, left)
    raise ValueError("expected a number, or a pattern such as [0]*3+[1]*58")


def _repeated(pattern: list[int], times: int) -> list[int]:
    if len(pattern) * times > 100_000:
        raise ValueError("is longer than any model")
    return pattern * times
