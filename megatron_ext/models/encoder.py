"""The encoder: a stack of layers in which all tokens of a document see each other, and what BERT learns by (arXiv:1810.04805).

Tokens' types (segments) are embedded beside words and positions. Masked words are predicted by a dense layer, activation, norm and
the output matrix; with `--bert-binary-head`, the first token of each document says through a pooler, tanh of a dense layer, which
of two things it is: whether its second half follows the first (BERT), or whether their order is right (ALBERT, arXiv:1909.11942).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel

from megatron_ext.models.attention.tokens import Tokens
from megatron_ext.models.config import ACTIVATIONS, NORMS, ModelConfig
from megatron_ext.models.gpt import GPT

NO_SENTENCE = -1  # a label of a document that is not there


class Encoder(GPT):
    """An encoder, or this process's part of it."""

    def __init__(self, config: ModelConfig, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        if self.pre_process and config.token_types:
            types = torch.nn.Embedding(config.token_types, config.hidden_size, dtype=config.params_dtype)
            self.embedding.num_tokentypes, self.embedding.tokentype_embeddings = config.token_types, types
            # Types are added to whole sequences, which are cut afterwards.
            self.embedding.reduce_scatter_embeddings = self.embedding.word_embeddings.reduce_scatter_embeddings = False
        if self.post_process:
            self.lm_head = MaskedWords(config)
            self.binary_head = Sentences(config) if config.binary_head else None

    @staticmethod
    def arguments(batch: dict[str, torch.Tensor], config: ModelConfig) -> tuple[dict[str, torch.Tensor], dict]:
        """What this process has of a micro-batch, and what the model is called with.

        Args:
            batch: `input_ids`, `position_ids`, `labels`, `loss_mask`, `[b, s]`; `documents` `[b, s]` where they are kept apart,
                `token_types` `[b, s]` where the model knows some, and for its binary head `sentence_labels` `[b]` or, one for
                each document by its number, `[b, n]`, `NO_SENTENCE` where there is none.
        """
        own, found = GPT.arguments({name: field for name, field in batch.items() if name != "sentence_labels"}, config)
        del found["loss_mask"]
        if config.token_types:
            found["token_types"] = own["token_types"]
        if config.binary_head:
            own["sentence_labels"] = found["sentence_labels"] = batch["sentence_labels"]
        return own, found

    def forward(
        self,
        input_ids,
        position_ids,
        attention_mask,
        labels=None,
        extra_block_kwargs=None,
        token_types=None,
        sentence_labels=None,
    ):
        """Logits `[b, s, padded vocabulary]`, or with labels the loss of each token `[b, s]`, to which that of its document's
        sentences is added: in their mean over a batch's targets, each document counts as it has targets. With `sentence_labels`
        and no labels, `(logits, logits of sentences [b, n, 2])`.
        """
        embedded = None
        if self.pre_process:
            embedded = self.embedding(input_ids=input_ids, position_ids=position_ids, tokentype_ids=token_types)
        hidden = super().forward(
            input_ids, position_ids, attention_mask, decoder_input=embedded, extra_block_kwargs=extra_block_kwargs
        )
        if not self.post_process:
            return hidden
        words = super()._postprocess(self.lm_head(hidden), input_ids, position_ids, labels, None)
        if sentence_labels is None:
            return words
        tokens: Tokens | None = (extra_block_kwargs or {}).get("attention_bias")
        documents = torch.zeros_like(input_ids) if tokens is None or tokens.documents is None else tokens.documents
        sentence_labels = sentence_labels.view(len(input_ids), -1)
        scores = self.binary_head(hidden, documents, sentence_labels.shape[1])
        return (words, scores) if labels is None else words + self.binary_head.losses(scores, sentence_labels, documents)

    def _postprocess(self, hidden_states, *args, **kwargs):
        """Heads come after, in `forward`, which knows what they ask for."""
        return hidden_states


class MaskedWords(torch.nn.Module):
    """What stands before the output matrix: `[s, b, h]` → the same shape. A gated activation of the layers is gelu here."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        here = torch.cuda.current_device()
        self.dense = torch.nn.Linear(config.hidden_size, config.hidden_size, dtype=config.params_dtype, device=here)
        for parameter in self.dense.parameters():
            parameter.sequence_parallel = config.sequence_parallel
        self.norm = NORMS.load(config.norm).Norm(config, config.hidden_size, config.layernorm_epsilon)
        self.activation = F.gelu if config.gated_linear_unit else config.activation_func

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.norm(self.activation(self.dense(hidden)))


class Sentences(torch.nn.Module):
    """Pooler and binary head, alike on all processes that share the sequence."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        settings = dict(dtype=config.params_dtype, device=torch.cuda.current_device())
        self.sequence_parallel = config.sequence_parallel
        self.pooler = torch.nn.Linear(config.hidden_size, config.hidden_size, **settings)
        self.output = torch.nn.Linear(config.hidden_size, 2, **settings)

    def forward(self, hidden: torch.Tensor, documents: torch.Tensor, count: int) -> torch.Tensor:
        """hidden `[s, b, h]`, documents `[b, s]` → logits of the first `count` documents of each row, `[b, count, 2]`."""
        if self.sequence_parallel:
            hidden = tensor_parallel.gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=False)
        own = documents[:, None] == torch.arange(count, device=documents.device)[:, None]
        first = own.int().argmax(-1)  # of those that are not there, token 0: they have no label
        rows = torch.arange(len(documents), device=documents.device)[:, None]
        return self.output(torch.tanh(self.pooler(hidden[first, rows])))

    def losses(self, scores: torch.Tensor, labels: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Nats of each token's document, `[b, s]`, fp32; 0 where it has no label."""
        nats = F.cross_entropy(scores.float().flatten(0, 1), labels.flatten(), ignore_index=NO_SENTENCE, reduction="none")
        known = (documents >= 0) & (documents < labels.shape[1])
        return nats.view_as(labels).gather(1, documents.clamp(0, labels.shape[1] - 1)) * known
