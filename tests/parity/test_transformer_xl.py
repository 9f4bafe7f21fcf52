"""Logits, loss and gradients equal those of transformers 4.30.2's Transformer-XL, which reads segment by segment.

Norms stand after the sum, as published, and before sublayers, where the memory's gradient ends in the norm.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import torch

from tests.parity.families import VOCAB
from tests.parity.reference import interleave, logits_and_gradients
from tests.parity.test_parity import padded

PACKAGES = pathlib.Path(sys.prefix) / "transformer_xl"  # put there by: bash tests/run.sh
LAYERS, WIDTH, HEADS = 3, 48, 6
FLAGS = (
    f"--num-layers {LAYERS} --hidden-size {WIDTH} --num-attention-heads {HEADS} --ffn-hidden-size 80 --activation relu "
    f"--position-embedding-type transformer_xl --normalization layernorm --add-mlp-bias --add-output-bias "
    f"--embedding-scale {WIDTH**0.5} --tokenizer-type null --vocab-size {VOCAB}"
)


TOKENS = torch.randint(0, VOCAB, (2, 20), generator=torch.Generator().manual_seed(0))
CASES = [
    (pre, length, segment, memory)
    for pre in (False, True)
    for length, segment, memory in ((19, 5, 7), (19, 7, 3), (18, 6, 6), (19, 7, 19))
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What transformers gives in each case."""
    assert PACKAGES.is_dir(), f"{PACKAGES} is missing: bash tests/run.sh installs it"
    wanted, found = (tmp_path_factory.mktemp("transformers") / name for name in ("wanted.pt", "found.pt"))
    cases = {}
    for pre, length, segment, memory in CASES:
        config = dict(vocab_size=VOCAB, d_model=WIDTH, d_embed=WIDTH, n_head=HEADS, d_head=WIDTH // HEADS, d_inner=80,
                      n_layer=LAYERS, mem_len=memory, pre_lnorm=pre)  # fmt: skip
        cases[pre, length, segment, memory] = dict(config=config, tokens=TOKENS[:, : length + 1], segment=segment, final_norm=pre)
    torch.save(cases, wanted)
    script = pathlib.Path(__file__).with_name("transformer_xl_reference.py")
    command = [sys.executable, str(script), str(wanted), str(found)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(PACKAGES)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(found)


def renamed(state, pre: bool) -> dict[str, torch.Tensor]:
    """Under our names. The norm of a sublayer stands before it or after the sum."""
    norms = ("input_layernorm", "pre_mlp_layernorm") if pre else ("post_self_attn_layernorm", "post_mlp_layernorm")
    weights = {"embedding.word_embeddings.weight": state["transformer.word_emb.emb_layers.0.weight"],
               "output_layer.bias": state["crit.out_layers.0.bias"]}  # fmt: skip
    pairs = {"decoder.final_layernorm": "final_norm"} if pre else {}
    for layer in range(LAYERS):
        theirs, ours = f"transformer.layers.{layer}.", f"decoder.layers.{layer}."
        attention, core = f"{ours}self_attention.", f"{ours}self_attention.core_attention."
        weights[f"{core}u"] = state[f"{theirs}dec_attn.r_w_bias"].flatten()
        weights[f"{core}v"] = state[f"{theirs}dec_attn.r_r_bias"].flatten()
        weights[f"{attention}linear_qkv.weight"] = interleave(*state[f"{theirs}dec_attn.qkv_net.weight"].chunk(3), HEADS)
        weights[f"{attention}linear_r.weight"] = state[f"{theirs}dec_attn.r_net.weight"]
        weights[f"{attention}linear_proj.weight"] = state[f"{theirs}dec_attn.o_net.weight"]
        pairs |= {f"{ours}{norms[0]}": f"{theirs}dec_attn.layer_norm", f"{ours}{norms[1]}": f"{theirs}pos_ff.layer_norm",
                  f"{ours}mlp.linear_fc1": f"{theirs}pos_ff.CoreNet.0",
                  f"{ours}mlp.linear_fc2": f"{theirs}pos_ff.CoreNet.3"}  # fmt: skip
    return weights | {f"{ours}.{kind}": state[f"{their}.{kind}"] for ours, their in pairs.items() for kind in ("weight", "bias")}


@pytest.mark.compares(
    "transformers 4.30.2: TransfoXL", within="1e-5", position_embedding_type=["transformer_xl"], segment_length=True,
    memory_length=True, norm_placement=["pre", "post"],
)  # fmt: skip
@pytest.mark.parametrize(("pre", "length", "segment", "memory"), CASES)
def test_equals_transformers(pre, length, segment, memory, pool, reference):
    theirs = reference[pre, length, segment, memory]
    argv = [*FLAGS.split(), "--norm-placement", "pre" if pre else "post", "--seq-length", str(length),
            "--segment-length", str(segment), "--memory-length", str(memory)]  # fmt: skip
    weights = padded(renamed(theirs["weights"], pre))
    ours, loss, gradients = pool.run(logits_and_gradients, 1, argv, weights, TOKENS[:, : length + 1])[0]
    assert (ours - theirs["logits"]).abs().max() <= 1e-5
    assert loss == pytest.approx(theirs["loss"], rel=1e-6)
    expected = padded(renamed(theirs["gradients"], pre))
    total = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (gradients[name] - gradient).norm() <= 1e-4 * max(gradient.norm(), 1e-3 * total), name
