"""The encoder-decoder: two stretches of tokens through one stack of layers (`two_stacks.py`), logits and loss from the second.

Both stretches are looked up in the same word embedding. Learned positions are a table of two halves, the encoder's and the
decoder's, `[2 · --max-position-embeddings, h]`, and a norm on the embedding is one for each, as in BART (arXiv:1910.13461).
"""

from __future__ import annotations

import torch

from megatron_ext.models.attention.tokens import Tokens
from megatron_ext.models.config import ModelConfig
from megatron_ext.models.gpt import GPT
from megatron_ext.models.two_stacks import Stretches


class EncoderDecoder(GPT):
    """An encoder and a decoder, or this process's part of them."""

    @staticmethod
    def arguments(batch: dict[str, torch.Tensor], config: ModelConfig) -> tuple[dict[str, torch.Tensor], dict]:
        """What this process has of a micro-batch, and what the model is called with.

        Args:
            batch: `input_ids`, `position_ids`, `documents` `[b, s]` of the encoder, the same of the decoder, `decoder_input_ids`
                … `[b, s']`, and its `labels` and `loss_mask`. A decoder's token sees the encoder's of the same document.
        """
        ids, own = batch["input_ids"], batch["decoder_input_ids"]
        documents = batch["documents"], batch["decoder_documents"]
        tokens = Stretches(
            Tokens.whole(ids.shape[1], ids.device, documents[0]),
            Tokens.whole(own.shape[1], own.device, documents[1]),
            Tokens.across(documents[1], documents[0]),
        )
        names = ("input_ids", "position_ids", "decoder_input_ids", "decoder_position_ids", "labels")
        return batch, {**{name: batch[name] for name in names}, "loss_mask": batch.get("loss_mask"), "tokens": tokens}

    def forward(
        self, input_ids, position_ids, decoder_input_ids, decoder_position_ids, tokens: Stretches, labels=None, loss_mask=None,
        inference_context=None, runtime_gather_output=None,
    ):  # fmt: skip
        """Logits of the decoder's tokens `[b, s', padded vocabulary]`, or with labels the loss of each `[b, s']`.

        Generating, with a Cache, the encoder's tokens come in the first pass alone: `[b, 0]` afterwards.
        """
        ids, positions = (input_ids, decoder_input_ids), (position_ids, decoder_position_ids)
        embedded = None
        if self.pre_process:
            second = self.config.max_positions if self.config.position == "learned_absolute" else 0
            places = self._in_order((positions[0], positions[1] + second))
            self._tokens = tokens  # the norm of the embedding asks, to which megatron-core hands nothing but vectors
            embedded = self.embedding(input_ids=self._in_order(ids), position_ids=places)
        return super().forward(
            torch.cat(ids, dim=1),
            torch.cat(positions, dim=1),
            None,
            decoder_input=embedded,
            labels=labels,
            inference_context=inference_context,
            runtime_gather_output=runtime_gather_output,
            loss_mask=loss_mask,
            extra_block_kwargs={"attention_bias": tokens},
        )

    def _in_order(self, stretches: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """`[b, s]` and `[b, s']` → `[b, s + s']`, so that the embedding's even cut gives each process its share of both."""
        pieces = self.config.tensor_model_parallel_size if self.config.sequence_parallel else 1
        return torch.cat([stretch.unflatten(1, (pieces, -1)) for stretch in stretches], dim=2).flatten(1)

    def _norm_of_embedding(self, norm):
        self.embedding.norm, self.embedding.decoder_norm = norm(), norm()

        def normed(vectors):
            encoder, decoder = self._tokens.parts(vectors, self.config)
            return torch.cat([self.embedding.norm(encoder), self.embedding.decoder_norm(decoder)])

        return normed

    def _postprocess(self, hidden_states, *args, extra_block_kwargs=None, **kwargs):
        if self.post_process:
            _, hidden_states = extra_block_kwargs["attention_bias"].parts(hidden_states, self.config)
        return super()._postprocess(hidden_states, *args, extra_block_kwargs=extra_block_kwargs, **kwargs)
