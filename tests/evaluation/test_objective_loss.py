"""An objective's own loss on documents is training's, counted label by label, whatever goes through the model together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests import texts
from tests.inference.case import opened
from tests.tools.test_asking import trained as train

OBJECTIVES = ["prefix_lm", "span_corruption", "blank_infilling", "masked_lm"]


@pytest.fixture(scope="module")
def runs(pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tokenizer").mkdir()
    tokenizer = texts.write_tokenizer_with_control_tokens(folder / "tokenizer", 600)
    return {objective: train(pool, folder / objective, tokenizer, objective)[1] for objective in OBJECTIVES}


def held_out() -> list[str]:
    """Some are longer than a sample; one is empty."""
    return [text[: 30 + 60 * number] for number, text in enumerate(texts.library_texts()[:6])] + ["", "x"]


def both(trained, flags, seed: int) -> tuple[list, list]:
    """`[nats, labels, right, entropy]` as it is scored in batches of three, and by training's loss, a sample at a time."""
    from megatron_ext.evaluation.objective_loss import score
    from megatron_ext.objectives.reading.samples import OBJECTIVES, alone, of_run

    found = score(trained, held_out(), 3, seed)
    objective = OBJECTIVES.load(trained.config.objective.objective)
    nats, right, labels = 0.0, 0, []
    with torch.no_grad():
        for number, text in enumerate(held_out()):
            document = np.array([*trained.tokenizer.encode(text), trained.tokenizer.eod])
            for sample in alone(document, number, *of_run(objective, trained.config, trained.tokenizer), seed):
                batch = {name: torch.from_numpy(values)[None] for name, values in sample.items()}
                batch, arguments = type(trained.model).arguments(batch, trained.model.config)
                if "sentence_labels" in batch:  # its loss is left out
                    batch["sentence_labels"] = torch.full_like(batch["sentence_labels"], -1)
                sums = objective.loss(trained.model(**arguments), batch)
                logits = trained.model(**arguments | {"labels": None})
                likeliest = (logits[0] if isinstance(logits, tuple) else logits)[..., :600].argmax(-1)
                asked = batch["loss_mask"] > 0
                nats, right = nats + float(sums[0]), right + int((likeliest == batch["labels"])[asked].sum())
                labels += batch["labels"][asked].tolist()
    shares = [labels.count(each) / len(labels) for each in {*labels}]
    return [found.nats, found.labels, found.right, found.entropy], [
        nats, len(labels), right, -sum(share * math.log(share) for share in shares),
    ]  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_it_is_the_loss_of_training(objective, runs, pool):
    argv = ["--load", runs[objective], "--prompt", "-"]
    found, expected = pool.run(opened, 1, argv, both, 1)[0]
    assert found == pytest.approx(expected, rel=1e-5) and found[1] > 20
    other, _ = pool.run(opened, 1, argv, both, 2)[0]
    assert other[0] != found[0], "the seed decides what is asked"


def nothing(trained, flags):
    from megatron_ext.evaluation.objective_loss import score

    score(trained, ["", ""], 3, 1)


def test_documents_without_labels_are_said(runs, pool):
    with pytest.raises(AssertionError, match="--documents: the documents are so short that the objective asks nothing of them"):
        pool.run(opened, 1, ["--load", runs["masked_lm"], "--prompt", "-"], nothing)
