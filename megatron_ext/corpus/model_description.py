"""MODEL.json beside a model that one of our tools learned: what it is. It is part of the model wherever that is looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from megatron_ext.arguments.problems import UserError


def description(path: str) -> str:
    return path.rstrip("/") + ".json"


def read_description(path: str, tool: str, is_whole: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """UserError: it is not beside the model, or not what the tool writes."""
    try:
        with open(description(path), encoding="utf-8") as file:
            about = json.load(file)
        if is_whole(about):
            return about
        reason = f"it is not what {tool} writes"
    except OSError as error:
        reason = f"it is written beside the model by {tool} ({os.strerror(error.errno or 0)})"
    except (ValueError, KeyError, TypeError):
        reason = f"it is not what {tool} writes"
    raise UserError(f"{description(path)}: cannot be read; {reason}") from None
