"""Megatron-LM's scripts start here unchanged: its flags, its values and its defaults in one table, and what follows from them.

`table.py` says of each flag what becomes of it, `defaults.py` which defaults hold, `page.py` writes docs/megatron_lm.md.
"""
