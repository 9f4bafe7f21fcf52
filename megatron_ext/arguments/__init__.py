"""Flags: dataclass fields become argparse groups, YAML keys and help; one validator freezes them.

Imports neither torch nor megatron-core, so that `--help` and a wrong flag answer at once.
"""
