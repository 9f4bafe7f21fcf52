"""`--classifier encoder`: a BERT-style encoder (arXiv:1810.04805) with one output, as FineWeb-Edu's (arXiv:2406.17557).

    p(scored | text) = sigmoid(w · h_[CLS] + b)

`--encoder-from FOLDER` fine-tunes an encoder of Hugging Face's with its tokenizer; without it a small BERT is learned from
nothing, with a vocabulary of the examples (byte-level BPE). Of a text the first `--encoder-tokens` are read. The model is a
folder that transformers loads. On a CPU the same seed gives the same model on one machine. Needs transformers (the extra
`huggingface`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError

_CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@flag_group("encoder", "A classifier by a BERT-style encoder (arXiv:1810.04805)")
class Flags:
    encoder_from: str | None = flag(None, "folder of an encoder to fine-tune (default: learn a small BERT from nothing)")
    encoder_tokens: int = flag(128, "tokens of a text that are read", least=8)
    encoder_layers: int = flag(2, "layers, without --encoder-from", least=1)
    encoder_hidden_size: int = flag(128, "width, without --encoder-from; a head is 32 wide", least=32)
    encoder_vocab_size: int = flag(8000, "tokens of the vocabulary, without --encoder-from", least=300)
    encoder_epochs: int = flag(3, "times that all examples are seen", least=1)
    encoder_batch_size: int = flag(32, "examples an update", least=1)
    encoder_learning_rate: float | None = flag(
        None, "peak; it rises over the first tenth and falls to 0 [5e-4; with --encoder-from 5e-5]", positive=True
    )

    @staticmethod
    def resolve(c):
        if c.encoder_learning_rate is None:
            c.encoder_learning_rate = 5e-5 if c.encoder_from is not None else 5e-4

    @staticmethod
    def check(c):
        if c.encoder_from is not None and not os.path.isfile(os.path.join(c.encoder_from, "config.json")):
            yield Problem(
                "--encoder-from", c.encoder_from, "has no config.json", "give a folder that transformers' models are in"
            )
        if c.encoder_hidden_size % 32:
            yield Problem("--encoder-hidden-size", c.encoder_hidden_size, "is no multiple of 32")


def features(c: Any) -> dict[str, Any]:
    names = ("from", "tokens", "layers", "hidden_size", "vocab_size", "epochs", "batch_size", "learning_rate")
    return {name: getattr(c, f"encoder_{name}") for name in names}


def train(examples: Callable[[], Iterable[tuple[str, bool]]], path: str, c: Any) -> None:
    import torch

    torch.manual_seed(c.seed)
    model, tokenizer = _start(examples, c)
    texts, labels = zip(*examples())
    rows = tokenizer(list(texts), truncation=True, max_length=c.encoder_tokens)["input_ids"]
    target = torch.tensor(labels, dtype=torch.float32)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=c.encoder_learning_rate, weight_decay=0.01)
    updates = c.encoder_epochs * -(-len(rows) // c.encoder_batch_size)
    warm = max(updates // 10, 1)
    rate = lambda step: min((step + 1) / warm, (updates - step) / max(updates - warm, 1))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for batch in _batches(len(rows), c):
        padded = tokenizer.pad({"input_ids": [rows[place] for place in batch]}, return_tensors="pt").to(device)
        logits = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), target[batch].to(device))
        if not torch.isfinite(loss):
            raise UserError("the encoder could not learn (its loss is not finite); try a lower --encoder-learning-rate")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.cpu().eval().save_pretrained(path)
    tokenizer.save_pretrained(path)


def load(path: str, features: dict[str, Any]) -> Callable[[str], float]:
    import torch

    transformers = _transformers()
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(path, local_files_only=True).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # of many kinds, none of them transformers' own
        raise UserError(f"{path}: transformers cannot load it ({' '.join(str(error).split())[:200]})") from None

    def score(text: str) -> float:
        read = tokenizer(text, truncation=True, max_length=features["tokens"], return_tensors="pt")
        with torch.inference_mode():
            logits = model(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).logits
        return float(torch.sigmoid(logits[0, 0].double()))

    return score


def _batches(count: int, c: Any) -> Iterator[list[int]]:
    """Each epoch in another order."""
    import torch

    draw = torch.Generator().manual_seed(c.seed)
    for _ in range(c.encoder_epochs):
        order = torch.randperm(count, generator=draw).tolist()
        yield from (order[at : at + c.encoder_batch_size] for at in range(0, count, c.encoder_batch_size))


def _start(examples: Callable[[], Iterable[tuple[str, bool]]], c: Any) -> tuple[Any, Any]:
    """`(model, tokenizer)` to begin with."""
    transformers = _transformers()
    if c.encoder_from is not None:
        try:
            loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
                c.encoder_from, num_labels=1, local_files_only=True, ignore_mismatched_sizes=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(c.encoder_from, local_files_only=True)
        except Exception as error:
            raise UserError(f"--encoder-from {c.encoder_from}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None
        if tokenizer.pad_token is None:
            raise UserError(f"--encoder-from {c.encoder_from}: has no padding token; give a BERT-style encoder")
        most = min(getattr(loaded.config, "max_position_embeddings", None) or c.encoder_tokens, tokenizer.model_max_length)
        if c.encoder_tokens > most:
            raise UserError(f"--encoder-tokens {c.encoder_tokens}: {c.encoder_from} reads {most} tokens; give no more")
        return loaded.float(), tokenizer
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_vocabulary(examples, c.encoder_vocab_size), model_max_length=c.encoder_tokens,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=c.encoder_hidden_size, num_hidden_layers=c.encoder_layers,
        num_attention_heads=c.encoder_hidden_size // 32, intermediate_size=4 * c.encoder_hidden_size,
        max_position_embeddings=c.encoder_tokens, num_labels=1,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config), tokenizer


def _vocabulary(examples: Callable[[], Iterable[tuple[str, bool]]], size: int) -> Any:
    """A byte-level BPE: tokenizers' WordPieceTrainer gives another vocabulary each time, by the order in a hash table."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=_CONTROL, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator((text for text, _ in examples()), trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise UserError("--classifier encoder: needs transformers; pip install 'megatron-ext[huggingface]'") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
