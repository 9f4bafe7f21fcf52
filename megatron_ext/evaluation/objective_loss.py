"""An objective's own loss on documents: nats a label, and how often the likeliest token is the label.

Beside them stands the entropy of the labels' frequencies: what a model would need that knows these and nothing of the text.
Labels are what the run's objective makes of a document that stands alone: masked words, spans, what follows a prefix, the
document itself. They differ between objectives, and so do these figures; bits per byte are the same for all, and need a model of
whole texts (bits_per_byte.py). Of masked_lm words count, and not what is said of sentences, which takes several documents.

What is drawn depends on (seed, the document's place in its source, its piece) alone, on no layout and no batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from megatron.core import parallel_state

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.stages import logits, share, together
from megatron_ext.objectives.reading.samples import OBJECTIVES, alone, of_run


@dataclasses.dataclass
class Score:
    """Sums over documents: `labels` predicted, their `nats`, and of how many the likeliest token was right; and the entropy of
    the labels' frequencies, nats a label."""

    documents: int
    labels: int
    nats: float
    right: int
    entropy: float

    COLUMNS = ("labels", "loss (nats/label)", "their frequencies' entropy", "likeliest right")

    def row(self) -> tuple[str, ...]:
        loss, share = self.nats / self.labels, self.right / self.labels
        return f"{self.labels}", f"{loss:.3f}", f"{self.entropy:.3f}", f"{100 * share:.1f} %"

    def figures(self) -> dict[str, float]:
        """As `--json` has them."""
        sums = {"documents": self.documents, "labels": self.labels, "label_nats": self.nats, "labels_right": self.right}
        return {**sums, "nats_a_label": self.nats / self.labels, "unigram_entropy": self.entropy}


@torch.no_grad()
def score(trained, texts: list[str], batch_size: int, seed: int) -> Score:
    """Score the documents of one source. UserError where none has a label.

    Args:
        trained: an open run.
    """
    samples = list(_samples(trained, texts, seed))
    labels = [sample["labels"][sample["loss_mask"] > 0] for sample in samples]
    counts = np.bincount(np.concatenate(labels)) if labels else np.zeros(0, np.int64)
    if not counts.sum():
        raise UserError("--documents: the documents are so short that the objective asks nothing of them", shared=True)
    samples.sort(key=lambda sample: len(sample["input_ids"]))  # those of a length go together: little padding
    sums = torch.zeros(2, dtype=torch.float64, device=trained.device)
    groups, mine = parallel_state.get_data_parallel_world_size(), parallel_state.get_data_parallel_rank()
    for batch in range(mine, -(-len(samples) // batch_size), groups):
        sums += _sums(trained, samples[batch * batch_size : (batch + 1) * batch_size])
    torch.distributed.all_reduce(sums, group=parallel_state.get_data_parallel_group())
    nats, right = share(sums).tolist()
    return Score(len(texts), int(counts.sum()), nats, int(right), _entropy(counts))


def _samples(trained, texts: list[str], seed: int) -> Iterator[dict[str, np.ndarray]]:
    tokenizer = trained.tokenizer
    pairs, packing = of_run(OBJECTIVES.load(trained.config.objective.objective), trained.config, tokenizer)
    for number, text in enumerate(texts):
        yield from alone(np.array([*tokenizer.encode(text), tokenizer.eod]), number, pairs, packing, seed)


def _sums(trained, samples: list[dict[str, np.ndarray]]) -> torch.Tensor:
    """`[nats, labels that the likeliest token is]` on the last stage; zeros on others."""
    batch, found = together(samples, trained.device), torch.zeros(2, dtype=torch.float64, device=trained.device)
    words = logits(trained.model, batch)
    if words is not None:
        asked = batch["loss_mask"] > 0
        words, labels = words[asked], batch["labels"][asked]
        found[0] = F.cross_entropy(words, labels, reduction="none").double().sum()
        found[1] = (words.argmax(-1) == labels).sum()
    return found


def _entropy(counts: np.ndarray) -> float:
    """Nats of a draw by these counts."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
