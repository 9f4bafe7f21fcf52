"""Multi-token prediction: while training, further layers in turn predict one token more ahead each (DeepSeek-V3,
arXiv:2412.19437, section 2.2).

    h_k(i) = layer_k(W_k [norm(embedding(token i+k)); norm(h_{k−1}(i))]),  k = 1 … D, h_0 what the model's last norm gives
    loss  += λ/D · Σ_k −log p_k(token i+k+1), p_k by the model's own output matrix from norm(h_k)

The layers share the embedding and the output matrix with the model and stand on the last pipeline stage, which therefore holds
a copy of the embedding. Evaluation and generation go without them. Where documents are kept apart, nothing is predicted from what
lies past the end of a token's own. megatron-core's own block (multi_token_prediction.py, 0.16.1) leaves out who sees whom, and
cannot run without labels. `--mtp-num-layers`, `--mtp-loss-scaling-factor`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from megatron.core import parallel_state, tensor_parallel
from megatron.core.tensor_parallel.layers import ColumnParallelLinear
from megatron.core.tensor_parallel.mappings import (
    gather_from_tensor_model_parallel_region,
    scatter_to_sequence_parallel_region,
)
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.multi_token_prediction import MultiTokenPredictionBlockSubmodules, roll_tensor
from megatron.core.transformer.spec_utils import ModuleSpec, build_module
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset

from megatron_ext.arguments.registry import Registry
from megatron_ext.models.attention.tokens import Tokens

NORMS = Registry("megatron_ext.models.norms")


class PredictionLayer(MegatronModule):
    """One of the further layers; parameters bear megatron-core's names.

    Args:
        transformer_layer: the spec of the layer within.
        layer_number: from 1.
    """

    def __init__(self, config, transformer_layer: ModuleSpec, layer_number: int, vp_stage=None, pg_collection=None):
        super().__init__(config)
        norm = NORMS.load(config.norm).Norm
        self.enorm, self.hnorm, self.final_layernorm = (
            norm(config, config.hidden_size, config.layernorm_epsilon) for _ in range(3)
        )
        self.eh_proj = ColumnParallelLinear(
            2 * config.hidden_size,
            config.hidden_size,
            config=config,
            init_method=config.init_method,
            bias=False,
            gather_output=False,
        )
        # The layer within adds this stage's first number to its own: it goes on from the model's last.
        number = config.num_layers + layer_number - get_transformer_layer_offset(config, vp_stage)
        self.transformer_layer = build_module(transformer_layer, config=config, layer_number=number, vp_stage=vp_stage)
        self._sums: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, embedded: torch.Tensor, **for_layer) -> torch.Tensor:
        """hidden, embedded `[s, b, h]` → the same, normed; `for_layer` goes on to the layer within."""

        def run(hidden, embedded):
            both = torch.cat([self.enorm(embedded), self.hnorm(hidden)], dim=-1)
            joined = gather_from_tensor_model_parallel_region(self.eh_proj(both)[0])
            if self.config.sequence_parallel:
                joined = scatter_to_sequence_parallel_region(joined)
            output, _ = self.transformer_layer(joined, attention_mask=None, **for_layer)
            return self.final_layernorm(output)

        if self.config.recompute_granularity == "full":
            return tensor_parallel.checkpoint(run, False, hidden, embedded)
        return run(hidden, embedded)

    @torch.no_grad()
    def saw(self, nats: torch.Tensor, counts: torch.Tensor) -> None:
        """Remember what a micro-batch's predictions cost, until `take`."""
        sums = torch.stack([nats.sum(), counts.sum()]).double()
        self._sums = sums if self._sums is None else self._sums + sums

    def take(self) -> torch.Tensor:
        """Nats and targets since last asked."""
        found, self._sums = self._sums, None
        return torch.zeros(2, dtype=torch.float64) if found is None else found


def block_spec(config, transformer_layer: ModuleSpec) -> MultiTokenPredictionBlockSubmodules:
    """What megatron-core's GPTModel builds its `mtp` from."""
    layer = ModuleSpec(module=PredictionLayer, params={"transformer_layer": transformer_layer})
    return MultiTokenPredictionBlockSubmodules(layer_specs=[layer] * config.mtp_num_layers)


def further(
    layers: Sequence[PredictionLayer],
    hidden: torch.Tensor,
    ids: torch.Tensor,
    positions: torch.Tensor,
    labels: torch.Tensor,
    mask: torch.Tensor,
    embedding,
    tokens: Tokens | None,
    **for_layer,
) -> Iterator[tuple[PredictionLayer, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Each layer, what it gives, its labels, and which of these count.

    hidden `[s, b, h]`; ids, positions, labels, mask `[b, s]`: of the model itself, and of a context-parallel process its own.
    """
    group = parallel_state.get_context_parallel_group()
    for depth, layer in enumerate(layers, start=1):
        ids, positions, labels, mask = (roll_tensor(each, cp_group=group)[0] for each in (ids, positions, labels, mask))
        embedded = embedding(input_ids=ids, position_ids=positions)
        hidden = layer(hidden, embedded, attention_bias=tokens, **for_layer)
        yield layer, hidden, labels, mask * _within_document(tokens, depth)


def _within_document(tokens: Tokens | None, depth: int) -> torch.Tensor | float:
    """1 where the last token that a prediction sees is of the query's own document: `[b, s]`."""
    if tokens is None or tokens.documents is None:
        return 1.0
    ahead = (tokens.queries + depth).clamp(max=tokens.keys - 1)
    return (tokens.documents[:, ahead] == tokens.documents[:, tokens.queries]).float()


@torch.no_grad()
def losses(chunks: Sequence[torch.nn.Module], config, device: torch.device) -> dict:
    """`mtp_loss`: mean nats a token that the further layers predicted since last asked; nothing without them. Collective."""
    if not config.mtp_num_layers:
        return {}
    total = torch.zeros(2, dtype=torch.float64, device=device)
    for layer in [module for chunk in chunks for module in chunk.modules() if isinstance(module, PredictionLayer)]:
        total += layer.take().to(device)
    torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
    torch.distributed.all_reduce(total, group=parallel_state.get_pipeline_model_parallel_group())
    nats, targets = total.tolist()
    return {"mtp_loss": nats / targets} if targets else {}
