"""Multi-head latent attention: all heads' keys and values come from one short vector a token (DeepSeek-V2, arXiv:2405.04434,
section 2.1; V3, arXiv:2412.19437, section 2.1.1). `--multi-latent-attention`

    [c, r] = W_down x,  c ← norm(c)            kv-lora-rank and qk-pos-emb-head-dim channels
    kᵢ = [W_Kᵢ c, RoPE(r)],  vᵢ = W_Vᵢ c       of head i; all heads have the same rotated part
    qᵢ = [W_Qᵢ y, RoPE(W_Rᵢ y)]                y = norm(W_qdown x) with --q-lora-rank, else x
    o  = W_O [softmax(qᵢ · kᵢ / √(qk-head-dim + qk-pos-emb-head-dim)) vᵢ]ᵢ

`--rotary-interleaved` rotates neighbouring channels, as DeepSeek's own weights want it. Heads are spread over tensor-parallel
processes; W_down and W_qdown are whole on each, and under sequence parallelism go over its own slice of the sample: so what is
gathered is short. Under context parallelism, too, a process gathers [c, RoPE(r)] of whole samples and makes its heads' keys and
values of them itself; between forward and backward it keeps its own share alone.

While texts are generated, [c, RoPE(r)] is all that is kept of a token. A step of one token does without keys and values: since
qᵢ · W_Kᵢ c = (W_Kᵢᵀ qᵢ) · c, W_Kᵢ goes over the query and W_Vᵢ over the weighted sum of c (the paper's section 2.1.2), and all
heads attend to the same vectors.

megatron-core's own (transformer/multi_latent_attention.py, 0.16.1) rotates by its own tables of positions and takes neither
documents nor biases, and its cache serves one offset for all texts. Parameters have its names.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel
from megatron.core.models.common.embeddings import apply_rotary_pos_emb
from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule

from megatron_ext.models.attention.context_parallel import gathered, spread
from megatron_ext.models.attention.core import CoreAttention
from megatron_ext.models.attention.saved import Again, made_again
from megatron_ext.models.config import NORMS


class LatentAttention(MegatronModule):
    """Input and output `[s, b, h]`, as megatron-core's self-attention."""

    def __init__(self, config, layer_number: int, attn_mask_type=AttnMaskType.causal, cp_comm_type=None, pg_collection=None):
        super().__init__(config=config)
        self.layer_number, self.sizes = layer_number, config.latent
        hidden, heads, sizes = config.hidden_size, config.num_attention_heads, config.latent
        self.heads = heads // config.tensor_model_parallel_size
        norm = functools.partial(NORMS.load(config.norm).Norm, config, eps=config.layernorm_epsilon)
        column = functools.partial(ColumnParallelLinear, config=config, init_method=config.init_method, bias=False)
        if sizes.query_rank is None:
            self.linear_q_proj = column(hidden, heads * sizes.width)
        else:
            self.linear_q_down_proj = _whole_linear(config, sizes.query_rank)
            self.q_layernorm = norm(sizes.query_rank)
            self.linear_q_up_proj = column(sizes.query_rank, heads * sizes.width)
        self.linear_kv_down_proj = _whole_linear(config, sizes.kept)
        self.kv_layernorm = norm(sizes.rank)
        self.linear_kv_up_proj = column(sizes.rank, heads * (sizes.plain + sizes.value), disable_grad_reduce=True)
        self.linear_kv_up_proj.sequence_parallel = False  # `_compressed` has gathered already
        scale = sizes.width**-0.5 if config.softmax_scale is None else config.softmax_scale
        self.core_attention = CoreAttention(config, layer_number, attn_mask_type, "self", softmax_scale=scale)
        self.linear_proj = RowParallelLinear(
            heads * sizes.value, hidden, config=config, init_method=config.output_layer_init_method,
            bias=config.attention_output_bias, input_is_parallel=True, skip_bias_add=True,
        )  # fmt: skip

    def forward(self, hidden_states, *, inference_context=None, rotary_pos_emb=None, attention_bias=None, **unused):
        """`(output [s, b, h], its bias or None)`.

        Args:
            inference_context: a Cache (models/cache.py), or None.
            rotary_pos_emb: angles of these tokens, `[s, b or 1, 1, d]`.
            attention_bias: the pass's `Tokens`, or None (core.py).
        """
        cache, angles = inference_context, rotary_pos_emb
        plain, rotated = self._queries(hidden_states, angles)
        compressed = self._compressed(hidden_states, angles)
        if cache is not None:
            (kept,) = cache.extend(self.layer_number, compressed=compressed.permute(1, 2, 0, 3))
            compressed = kept.permute(2, 0, 1, 3)
        if cache is not None and cache.tokens is not None:
            context = self._absorbed(plain, rotated, compressed, attention_bias)
        else:
            context = self._expanded(plain, rotated, compressed, attention_bias)
        return self.linear_proj(context)

    def _queries(self, hidden_states, angles) -> tuple[torch.Tensor, torch.Tensor]:
        """Of this process's heads, the two parts: `[s, b, heads, plain]` and, rotated, `[s, b, heads, rotated]`."""
        if self.sizes.query_rank is None:
            query, _ = self.linear_q_proj(hidden_states)
        else:
            query, _ = self.linear_q_up_proj(self.q_layernorm(self.linear_q_down_proj(hidden_states)))
        plain, rotated = query.unflatten(-1, (self.heads, -1)).split([self.sizes.plain, self.sizes.rotated], dim=-1)
        return plain, self._rotate(rotated, angles)

    def _compressed(self, hidden_states, angles) -> torch.Tensor:
        """`[s, b, 1, rank + rotated]`: all that keys and values are made of, on each process; backward sums what all found."""
        vector, key = self._halves(self.linear_kv_down_proj(hidden_states))
        own = torch.cat([self.kv_layernorm(vector), key], dim=-1)
        if self.config.sequence_parallel:
            found = tensor_parallel.gather_from_sequence_parallel_region(own)
        else:
            found = tensor_parallel.copy_to_tensor_model_parallel_region(own)
        vector, key = self._halves(found[:, :, None])
        return torch.cat([vector, self._rotate(key, angles)], dim=-1)

    def _halves(self, compressed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return compressed.split([self.sizes.rank, self.sizes.rotated], dim=-1)

    def _rotate(self, part: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
        return part if angles is None else apply_rotary_pos_emb(part, angles, config=self.config)

    def _expanded(self, plain, rotated, compressed, tokens) -> torch.Tensor:
        """With keys and values of all heads: `[s, b, heads · value]`."""
        again = ()
        if spread():
            (compressed,), whole = gathered(compressed)
            with made_again(whole):
                both = self._keys_and_values(compressed)
            again = (Again(both, torch.no_grad()(lambda: self._keys_and_values(whole.make()))),)
        else:
            both = self._keys_and_values(compressed)
        query = F.pad(torch.cat([plain, rotated], dim=-1), (0, self.sizes.wide - self.sizes.width))
        key, value = both.chunk(2, dim=-1)
        context = self.core_attention(query, key, value, None, attention_bias=tokens, again=again)
        return context.unflatten(-1, (self.heads, -1))[..., : self.sizes.value].flatten(2)

    def _keys_and_values(self, compressed: torch.Tensor) -> torch.Tensor:
        """`[s, b, heads, 2 · wide]`: one tensor, so that backward can make it again."""
        vector, shared = self._halves(compressed)
        made, _ = self.linear_kv_up_proj(vector[:, :, 0])
        key, value = made.unflatten(-1, (self.heads, -1)).split([self.sizes.plain, self.sizes.value], dim=-1)
        zeros = key.new_zeros(1).expand(*key.shape[:-1], self.sizes.wide)
        beside_keys, beside_values = (zeros[..., width:] for width in (self.sizes.width, self.sizes.value))
        return torch.cat([key, shared.expand(-1, -1, self.heads, -1), beside_keys, value, beside_values], dim=-1)

    def _absorbed(self, plain, rotated, compressed, tokens) -> torch.Tensor:
        """The same without keys and values: `[s, b, heads · value]`."""
        weight = self.linear_kv_up_proj.weight.unflatten(0, (self.heads, -1))
        of_keys, of_values = weight.split([self.sizes.plain, self.sizes.value], dim=1)
        query = torch.cat([torch.einsum("sbhd,hdr->sbhr", plain, of_keys), rotated], dim=-1)
        # Of what is weighed and summed, the rotated part is left out afterwards: the cache stays as it is, uncopied.
        context = self.core_attention(query, compressed, compressed, None, attention_bias=tokens)
        context = context.unflatten(-1, (self.heads, -1))[..., : self.sizes.rank]
        return torch.einsum("sbhr,hvr->sbhv", context, of_values).flatten(2)


def _whole_linear(config, width: int) -> torch.nn.Linear:
    """A projection of hidden states that is whole on each tensor-parallel process."""
    like = dict(bias=False, device=torch.cuda.current_device(), dtype=config.params_dtype)
    linear = torch.nn.utils.skip_init(torch.nn.Linear, config.hidden_size, width, **like)
    linear.weight.sequence_parallel = config.sequence_parallel  # each sees a slice of the sample: gradients are summed
    return linear
