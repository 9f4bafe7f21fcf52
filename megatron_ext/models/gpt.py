"""The decoder: megatron-core's GPTModel with our layers, and a loss over the real vocabulary only."""

from __future__ import annotations

import functools

import torch
from megatron.core import parallel_state, tensor_parallel
from megatron.core.models.gpt import GPTModel
from megatron.core.transformer.enums import ModelType
from megatron.core.transformer.multi_token_prediction import MTPLossAutoScaler, get_mtp_num_layers_to_build

from megatron_ext.arguments.registry import Registry
from megatron_ext.models import multi_token_prediction, z_loss
from megatron_ext.models.architecture_flags import ARCHITECTURES, lengths
from megatron_ext.models.attention.context_parallel import own_share, own_tokens, spread
from megatron_ext.models.config import NORMS, ModelConfig, padded_vocab_size
from megatron_ext.models.initialization import initialize
from megatron_ext.models.layer_specs import decoder_block_spec, layer_spec
from megatron_ext.models.sums import Sums

POSITIONS = Registry("megatron_ext.models.positions")


class GPT(GPTModel):
    """A decoder-only model, or this process's part of it."""

    def __init__(self, config: ModelConfig, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        self.sums = Sums()
        if hasattr(self, "rotary_pos_emb"):
            self.rotary_pos_emb.cp_group = None  # the whole table: position ids say which rows
        position = POSITIONS.load(config.position)
        self._rotation = position.Rotation(config) if hasattr(position, "Rotation") else None
        self._share_bias()
        if self.mtp_process and config.tied_embeddings and not self.pre_process:
            self.output_layer.weight = None  # megatron-core makes one, and takes the embedding's copy
        if hasattr(self, "embedding") and (config.embedding_norm or config.embedding_scale is not None):
            self._shape_embedding(config)
        if self.post_process and config.output_bias:
            rows = self.vocab_size // config.tensor_model_parallel_size
            bias = torch.nn.Parameter(torch.zeros(rows, dtype=config.params_dtype, device=torch.cuda.current_device()))
            tensor_parallel.set_tensor_model_parallel_attributes(bias, is_parallel=True, dim=0, stride=1)
            self.output_layer.bias = bias
        if self.post_process and (config.logit_scale is not None or config.logit_cap is not None):
            self.output_layer.register_forward_hook(lambda layer, inputs, found: (self._shape_logits(found[0]), found[1]))

    def _share_bias(self) -> None:
        """Where positions learn what they add to scores, all layers have the same parameters, and all pipeline stages."""
        layers = [layer for layer in self.decoder.layers if getattr(layer.self_attention.core_attention, "learns_bias", False)]
        if not layers or self.config.relative_bias_per_layer:
            return
        first = layers[0].self_attention.core_attention.bias
        for name, parameter in first.named_parameters():
            for layer in layers[1:]:
                setattr(layer.self_attention.core_attention.bias, name, parameter)
            parameter.pipeline_parallel = True  # megatron-core sums its gradient over the stages
            parameter.shared_embedding = True  # … for which ZeRO-1 must cut it alike on all: it gets a bucket of its own
            parameter.shared = layers[0].layer_number > 1  # counted once in the norm of all gradients

    def _shape_embedding(self, config: ModelConfig) -> None:
        """Scale of the tokens' vectors, before positions are added to them, and norm of the sum."""
        if config.embedding_scale is not None:
            scale = lambda words, inputs, vectors: vectors * config.embedding_scale
            self.embedding.word_embeddings.register_forward_hook(scale)
        if config.embedding_norm:
            norm = functools.partial(NORMS.load(config.norm).Norm, config, config.hidden_size, config.layernorm_epsilon)
            normed = self._norm_of_embedding(norm)
            self.embedding.embedding_dropout.register_forward_pre_hook(lambda dropout, inputs: normed(*inputs))

    def _norm_of_embedding(self, norm):
        """What is done to embedded tokens `[s, b, h]` where a norm is asked for; `norm()` makes one."""
        self.embedding.norm = norm()
        return self.embedding.norm

    @staticmethod
    def arguments(batch: dict[str, torch.Tensor], config: ModelConfig) -> tuple[dict[str, torch.Tensor], dict]:
        """What this process has of a micro-batch, and what the model is called with."""
        documents, prefix, shape = batch.get("documents"), batch.get("prefix"), batch["input_ids"].shape
        plain = documents is None and prefix is None and not spread()
        device = batch["input_ids"].device
        tokens = None if plain or not config.own_attention else own_tokens(shape[1], device, documents, prefix)
        own = {name: own_share(field) for name, field in batch.items()}
        names = ("input_ids", "position_ids", "labels", "loss_mask")
        return own, {
            **{name: own[name] for name in names},
            "attention_mask": None,
            "extra_block_kwargs": {"attention_bias": tokens},
        }

    def _shape_logits(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits if self.config.logit_scale is None else logits * self.config.logit_scale
        cap = self.config.logit_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def compute_language_model_loss(
        self, labels: torch.Tensor, logits: torch.Tensor, counts: torch.Tensor | None = None
    ) -> torch.Tensor:
        """labels `[b, s]`, logits `[s, b, padded vocabulary / tp]` → cross entropy in nats, `[b, s]`, fp32.

        Training with a z-loss, its gradient comes along, and what it is where `counts` `[b, s]` is remembered.
        """
        logits, plain = self.hide_padding(logits), functools.partial(super().compute_language_model_loss, labels)
        if self.config.z_loss_coeff is None or not self.training:
            return plain(logits)
        nats, penalty = z_loss.penalised(plain, labels, logits, self.config.z_loss_coeff)
        if counts is not None:
            self.sums.add(penalties=penalty * counts, labels=counts)
        return nats

    def _preprocess(self, input_ids, position_ids, *args, inference_context=None, **kwargs):
        """Where the i-th token here may not be at position i, each takes its angles from the table: `[s, b, 1, d]`."""
        found = list(super()._preprocess(input_ids, position_ids, *args, inference_context=inference_context, **kwargs))
        config = self.config
        elsewhere = config.positions_by_document or config.context_parallel_size > 1 or config.encoder_layers > 0
        elsewhere = elsewhere or inference_context is not None  # whose rows differ
        if self._rotation is not None:
            alike = not self.config.positions_by_document and inference_context is None
            found[1] = self._rotation(position_ids[:1] if alike else position_ids)
        elif elsewhere and found[1] is not None:
            found[1] = found[1].flatten(1)[position_ids.T][:, :, None]
        return tuple(found)

    def _postprocess(
        self, hidden_states, input_ids, position_ids, labels, rotary_pos_emb, runtime_gather_output=None, inference_context=None,
        loss_mask=None, extra_block_kwargs=None, **unused,
    ):  # fmt: skip
        """Logits `[b, s, padded vocabulary]`, or with labels the loss of each token `[b, s]`.

        Generating, only the last token of each text needs logits: with a Cache, `[b, 1, padded vocabulary]`.
        """
        if not self.post_process:
            return hidden_states
        if inference_context is not None:
            hidden_states = inference_context.last_of_rows(hidden_states)
        weight = self.shared_embedding_or_output_weight() if self.share_embeddings_and_output_weights else None
        if self.mtp_process and self.training and labels is not None:
            tokens = (extra_block_kwargs or {}).get("attention_bias")
            inputs = hidden_states, input_ids, position_ids, labels, loss_mask, self.embedding, tokens
            further = multi_token_prediction.further(self.mtp.layers, *inputs, rotary_pos_emb=rotary_pos_emb)
            for layer, ahead, targets, counts in further:
                nats = self.compute_language_model_loss(targets, self.output_layer(ahead, weight=weight)[0]) * counts
                scale = self.config.mtp_loss_scaling_factor / self.config.mtp_num_layers
                hidden_states = MTPLossAutoScaler.apply(hidden_states, scale * nats)
                layer.saw(nats, counts)
        logits, _ = self.output_layer(hidden_states, weight=weight, runtime_gather_output=runtime_gather_output)
        if labels is None:
            return logits.transpose(0, 1).contiguous()
        return self.compute_language_model_loss(labels, logits, loss_mask)

    def hide_padding(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits with −∞ at the entries that only pad the vocabulary: probability 0, gradient 0.

        So the loss does not depend on how far the vocabulary was padded, which tensor parallelism decides elsewhere.
        """
        rows = logits.shape[-1]
        first = parallel_state.get_tensor_model_parallel_rank() * rows if rows < self.vocab_size else 0
        real = min(max(self.config.vocab_size - first, 0), rows)
        return _MaskTail.apply(logits, real) if real < rows else logits


class _MaskTail(torch.autograd.Function):
    """In place, without keeping anything: the softmax above gives these entries gradient 0 by itself."""

    @staticmethod
    def forward(ctx, logits, real):
        ctx.mark_dirty(logits)
        logits[..., real:] = float("-inf")
        return logits

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def _further_predictions(config: ModelConfig, vp_stage: int | None):
    """The spec of multi-token prediction where this stage has it."""
    if not get_mtp_num_layers_to_build(config, vp_stage=vp_stage):
        return None
    return multi_token_prediction.block_spec(config, layer_spec(config, config.layers_with_experts[-1]))


def model_class(config: ModelConfig) -> type[GPT]:
    """The class of models of an architecture."""
    return ARCHITECTURES.load(config.architecture).model()


def build(flags, config: ModelConfig, seed: int | None) -> list[GPT]:
    """This process's model chunks (one, or one a virtual stage), initialised from the seed.

    Args:
        flags: the model group of the configuration.
        config: megatron-core's configuration.
        seed: of the run; the weights depend on it and on nothing of the layout. None leaves them to be loaded.
    """
    chunks, position = [], POSITIONS.load(flags.position_embedding_type)
    for vp_stage in range(config.virtual_pipeline_model_parallel_size or 1):
        stage = vp_stage if config.virtual_pipeline_model_parallel_size else None
        ends = dict(ignore_virtual=False, vp_stage=stage)
        model = model_class(config)(
            config=config,
            transformer_layer_spec=decoder_block_spec(config, stage),
            vocab_size=padded_vocab_size(config.vocab_size, flags.make_vocab_size_divisible_by),
            max_sequence_length=flags.max_position_embeddings * len(lengths(flags)),  # a table for each stretch
            pre_process=parallel_state.is_pipeline_first_stage(**ends),
            post_process=parallel_state.is_pipeline_last_stage(**ends),
            share_embeddings_and_output_weights=config.tied_embeddings,
            parallel_output=True,
            vp_stage=stage,
            mtp_block_spec=_further_predictions(config, stage),
            **position.gpt_arguments(flags),
        )
        model.cuda(torch.cuda.current_device())  # megatron-core makes routers and gates on the CPU
        model.model_type = ModelType.encoder_or_decoder
        if hasattr(position, "Embedding") and model.pre_process:
            model.embedding.position_embeddings = position.Embedding(config)
        if seed is not None:
            initialize(model, config, seed)
        chunks.append(model)
    return chunks
