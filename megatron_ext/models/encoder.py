"""The encoder: a stack of layers in which all tokens of a document see each other, and what BERT learns by (arXiv:1810.04805).

Tokens' types (segments) are embedded beside words and positions. Masked words are predicted by a dense layer, activation, norm
and the output matrix; with `--bert-binary-head`, the first token of each document says through a pooler, tanh of a dense layer,
which of two things it is: whether its second half follows the first (BERT), or whether their order is right (ALBERT,
arXiv:1909.11942).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel

from megatron_ext.models.config import NORMS, ModelConfig
from megatron_ext.models.gpt import GPT

NO_SENTENCE = -1  # where a token says nothing of sentences


def _targets_of_sentences(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """At each token that has a sentence's label, how many words its document is to predict, `[b, s]`.

    So weighted, a batch's sum over all labels, divided by the words that are predicted, is a mean over words and one over
    sentences, as BERT's loss is, however the batch is cut; a document that is asked nothing of its sentences counts as 0.
    """
    documents, targets = batch.get("documents"), batch["loss_mask"]
    documents = torch.zeros_like(batch["input_ids"]) if documents is None else documents - documents.min()
    counts = targets.new_zeros(len(targets), int(documents.max()) + 1).scatter_add_(1, documents, targets)
    return counts.gather(1, documents)


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
            batch: `input_ids`, `position_ids`, `labels`, `loss_mask`; `documents` where they are kept apart, `token_types` where
                the model knows some, and for its binary head `sentence_labels`, 0 or 1 at the tokens that say it, `NO_SENTENCE`
                at all others; `[b, s]` each.
        """
        if config.binary_head:
            batch = batch | {"sentence_weights": _targets_of_sentences(batch)}
        own, found = GPT.arguments(batch, config)
        names = ("token_types",) * bool(config.token_types) + ("sentence_labels", "sentence_weights") * config.binary_head
        return own, found | {name: own[name] for name in names}

    def forward(
        self, input_ids, position_ids, attention_mask, labels=None, loss_mask=None, extra_block_kwargs=None,
        token_types=None, sentence_labels=None, sentence_weights=None, runtime_gather_output=None,
    ):  # fmt: skip
        """Logits `[b, s, padded vocabulary]`, or with labels the loss of each token `[b, s]`; that of a token with a sentence's
        label is that label's, times its weight. With sentences' labels alone, `(logits, logits of sentences [n, 2])`.
        """
        embedded = None
        if self.pre_process:
            embedded = self.embedding(input_ids=input_ids, position_ids=position_ids, tokentype_ids=token_types)
        hidden = super().forward(
            input_ids, position_ids, attention_mask, decoder_input=embedded, extra_block_kwargs=extra_block_kwargs
        )
        if not self.post_process:
            return hidden
        settings = dict(loss_mask=loss_mask, runtime_gather_output=runtime_gather_output)
        words = super()._postprocess(self.lm_head(hidden), input_ids, position_ids, labels, None, **settings)
        if self.binary_head is None:
            return words
        asked = sentence_labels != NO_SENTENCE
        scores = self.binary_head(hidden, asked)
        if labels is None:
            return words, scores
        wanted = sentence_labels[asked]
        nats = F.cross_entropy(scores.float(), wanted, reduction="none") * sentence_weights[asked]
        if self.training and loss_mask is not None:
            right = scores.argmax(dim=-1) == wanted
            self.sums.add(words=words * loss_mask, targets=loss_mask, sentences=nats, right=right, asked=asked)
        return words.masked_fill(asked, 0.0).masked_scatter(asked, nats)

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

    def forward(self, hidden: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """hidden `[s, b, h]`, bool `[b, s]` → logits of the tokens that are asked, `[n, 2]`, row by row."""
        if self.sequence_parallel:
            hidden = tensor_parallel.gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=False)
        return self.output(torch.tanh(self.pooler(hidden.transpose(0, 1)[asked])))
