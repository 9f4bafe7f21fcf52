#!/usr/bin/env python3
"""Write docs/megatron_lm.md, what becomes of Megatron-LM's flags here, from the table in the code.

python tools/megatron_lm_page.py
"""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.megatron_lm.page import page
from megatron_ext.training.configuration import GROUPS

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "megatron_lm.md"

if __name__ == "__main__":
    PAGE.write_text(page(GROUPS), encoding="utf-8")
