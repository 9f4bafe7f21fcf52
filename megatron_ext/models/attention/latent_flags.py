"""Flags of multi-head latent attention (latent.py): a part of the model's group.

Sizes that are not given are in DeepSeek-V2's proportions: d_c = 4 d_h, d_h^R = d_h / 2 (arXiv:2405.04434, section 2.1.4).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem, option

_SIZES = ("q_lora_rank", "kv_lora_rank", "qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim")
_POSITIONS_OF_THEIR_OWN = {
    "xpos": "multiplies keys by factors that go with its own rotation, of whole heads",
    "transformer_xl": "has keys of its own, and shows attention its input twice",
}


class Latent(NamedTuple):
    """Sizes, in channels.

    Attributes:
        query_rank: of the vector that queries come from; None where they come from the hidden state.
        rank: of the vector that keys and values come from.
        plain, rotated: of the two parts of a head's query and key; all heads have the same rotated part of a key.
        value: of a head's value.
    """

    query_rank: int | None
    rank: int
    plain: int
    rotated: int
    value: int

    @property
    def width(self) -> int:
        """Of a head's queries and keys."""
        return self.plain + self.rotated

    @property
    def kept(self) -> int:
        """Of what is kept of a token while texts are generated."""
        return self.rank + self.rotated

    @property
    def wide(self) -> int:
        """Of what the kernels get: they want values as wide as keys, and zeros change neither scores nor sums."""
        return max(self.width, self.value)


def latent(model) -> Latent | None:
    """Of the model group of a configuration; None for other attention."""
    if not model.multi_latent_attention:
        return None
    return Latent(*(getattr(model, name) for name in _SIZES))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentFlags:
    multi_latent_attention: bool = flag(
        False, "multi-head latent attention: all heads' keys and values come from one short vector a token (arXiv:2405.04434)"
    )
    q_lora_rank: int | None = flag(None, "width of the vector that queries come from [none: from the hidden state]", least=1)
    kv_lora_rank: int | None = flag(None, "width of the vector that keys and values come from [4 × qk-head-dim]", least=1)
    qk_head_dim: int | None = flag(None, "width of a head's queries and keys without what is rotated [hidden / heads]", least=1)
    qk_pos_emb_head_dim: int | None = flag(None, "… and of what is rotated, whose key all heads share [qk-head-dim / 2]", least=1)
    v_head_dim: int | None = flag(None, "width of a head's values [qk-head-dim]", least=1)

    @staticmethod
    def resolve_latent(c):
        if not c.multi_latent_attention:
            return
        if "qk_layernorm" in c.open:
            c.qk_layernorm = True
        if c.qk_head_dim is None and c.hidden_size % c.num_attention_heads == 0:
            c.qk_head_dim = c.hidden_size // c.num_attention_heads
        if c.qk_head_dim is None:
            return
        usual = {"kv_lora_rank": 4 * c.qk_head_dim, "qk_pos_emb_head_dim": c.qk_head_dim // 2, "v_head_dim": c.qk_head_dim}
        for name, value in usual.items():
            if getattr(c, name) is None:
                setattr(c, name, value)
        if c.kv_channels is None:
            c.kv_channels = c.qk_head_dim + c.qk_pos_emb_head_dim

    @staticmethod
    def check_latent(c):
        if not c.multi_latent_attention:
            for name in _SIZES:
                if name in c.given:
                    yield Problem(
                        option(name), getattr(c, name), "belongs to --multi-latent-attention", "add it, or leave this out"
                    )
            return
        if c.qk_head_dim is not None:
            yield from _shape(c)
        if not c.qk_layernorm:
            yield Problem("--no-qk-layernorm", None, "would leave out the norms on the short vectors, which are always there")
        if c.qk_layernorm_across_heads:
            yield Problem(
                "--qk-layernorm-across-heads", None, "is for heads, and the norms are on the short vectors", "leave it out"
            )
        for biases, wrong in (("--add-qkv-bias", c.add_qkv_bias), ("--add-bias-linear", c.add_bias_linear)):
            if wrong:
                reason = "is there in no projection of --multi-latent-attention but the output's"
                yield Problem(biases, None, reason, "use --add-attention-output-bias and --add-mlp-bias")
        if c.norm_placement == "deepnorm":
            reason = "has initial weights of its own for values, which --multi-latent-attention makes from a short vector"
            yield Problem("--norm-placement", "deepnorm", reason, "use another placement")
        if c.transformer_impl == "transformer_engine":
            reason = "is there in the local layers alone"
            yield Problem("--multi-latent-attention", None, reason, "use --transformer-impl local, or auto")


def _shape(c):
    """What the sizes leave no room for."""
    position = c.position_embedding_type
    if c.num_query_groups != c.num_attention_heads:
        reason = "shares keys among heads, and with --multi-latent-attention each has its own, from a vector that all share"
        yield Problem("--num-query-groups", c.num_query_groups, reason, "leave it out, or give as many as heads")
    if c.kv_channels != c.qk_head_dim + c.qk_pos_emb_head_dim:
        reason = (
            f"is not --qk-head-dim {c.qk_head_dim} + --qk-pos-emb-head-dim {c.qk_pos_emb_head_dim}, the width of a head's keys"
        )
        yield Problem("--kv-channels", c.kv_channels, reason, "leave it out")
    if c.rotary_percent != 1.0:
        yield Problem("--rotary-percent", c.rotary_percent, "is what --qk-pos-emb-head-dim says here", "leave it out")
    if position in _POSITIONS_OF_THEIR_OWN:
        reason = f"{_POSITIONS_OF_THEIR_OWN[position]}, and --multi-latent-attention rotates a part of a head"
        yield Problem("--position-embedding-type", position, reason, "use rope, or another")
    if position == "rope" and c.qk_pos_emb_head_dim % 2:
        yield Problem("--qk-pos-emb-head-dim", c.qk_pos_emb_head_dim, "is odd, and rotation takes pairs")
