"""Megatron-LM's BERT (arXiv:1909.08053): pre-norm, with a norm behind the last layer and none on the embedding; else BERT."""

from megatron_ext.checkpoint.conversion.mapping import same
from megatron_ext.checkpoint.huggingface import bert

ARCHITECTURE = "MegatronBertForPreTraining"
MODEL_TYPE = "megatron-bert"
IGNORED = bert.IGNORED
in_folder = bert.in_folder
_LAYER = "bert.encoder.layer.*"
TENSORS = bert.ATTENTION | bert.OUTER | {
    "encoder.layers.*.input_layernorm": same(f"{_LAYER}.attention.ln"),
    "encoder.layers.*.pre_mlp_layernorm": same(f"{_LAYER}.ln"),
    "encoder.final_layernorm": same("bert.encoder.ln"),
}  # fmt: skip


def flags(settings):
    return bert.shared(settings, layers=24, hidden=1024, heads=16, mlp=4096)


def config(values):
    return bert.config(values)
