"""Classifiers of documents: learned here from good and bad examples, asked by `--filters classifier`; `kinds/`, a file a kind."""

from megatron_ext.arguments.registry import Registry

KINDS = Registry("megatron_ext.corpus.classifiers.kinds")
