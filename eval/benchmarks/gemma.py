"""Gemma 3 270M in transformers, for choosing.py: made from its GGUF, tuned by LoRA, asked."""

import itertools
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora import WORK
from held_out import show

if TYPE_CHECKING:
    import torch

    # Token ids, and how many of them, at the end, are learned.
    Text = tuple[torch.Tensor, int]

SEED = 13
GEMMA = WORK / "choosing" / "gemma"

# Sizes for two cores: training takes a quarter of an hour, answering ten minutes.
EPOCHS = 3
PAIRS_AN_EPOCH = 2  # times that each pair is trained on: they are a fifth of the articles' tokens
TEXTS_A_STEP = 8
LEARNING_RATE = 5e-4
RANK = 16
BATCH = 8
# The longest evidence has 42 tokens.
ANSWER_TOKENS = 60


def convert_gemma() -> None:
    """Gemma 3 270M from its GGUF into a folder of transformers, once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rag_app.llm.local import gemma_gguf

    if (GEMMA / "tokenizer.json").is_file():
        return
    gguf = gemma_gguf(GEMMA.parent / "gguf")
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    # What was read from a GGUF counts as quantized and cannot be saved; its weights can.
    del loaded.config.quantization_config
    plain = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.bfloat16)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(GEMMA)
    AutoTokenizer.from_pretrained(**source).save_pretrained(GEMMA)


def open_gemma(adapter: Path | None = None) -> tuple[Any, Any]:
    """Language model and tokenizer; with an adapter, the tuned one."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(GEMMA, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(GEMMA, dtype=torch.bfloat16)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return model, tokenizer


def closed_book(question: str) -> str:
    """A question without passages, ending as `answer_prompt` does."""
    return f"Question: {question}\nShort answer:"


def training_texts(tokenizer: Any, given: dict[str, Any]) -> "list[Text]":
    """Token ids of each text, and how many of them, at its end, are learned."""
    import torch

    texts = []
    for article in given["articles"]:
        ids = tokenizer(article + tokenizer.eos_token).input_ids
        texts.append((torch.tensor(ids), len(ids) - 1))
    for question, evidence in given["pairs"]:
        prompt = closed_book(question)
        ids = tokenizer(f"{prompt} {evidence}\n").input_ids
        learned = len(ids) - len(tokenizer(prompt).input_ids)
        texts += [(torch.tensor(ids), learned)] * PAIRS_AN_EPOCH
    return texts


def fit(model: Any, texts: "list[Text]", most: int | None) -> list[float]:
    """Train for EPOCHS, or `most` steps; return the mean loss a token of each epoch.

    Texts pass one at a time and their gradients add up: nothing is padded, and the logits of one
    text are held, 262,144 for each token.
    """
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.0)
    steps_an_epoch = -(-len(texts) // TEXTS_A_STEP)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        LEARNING_RATE,
        total_steps=EPOCHS * steps_an_epoch,
        pct_start=0.1,
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    model.train()
    losses = []
    for batch in itertools.islice(_batches(texts), most):
        losses.append(_backward(model, batch))
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        show("training", len(losses), EPOCHS * steps_an_epoch, f"loss {losses[-1]:.2f}")
    epochs = range(0, len(losses), steps_an_epoch)
    return [statistics.fmean(losses[start : start + steps_an_epoch]) for start in epochs]


def _batches(texts: "list[Text]") -> Iterator["list[Text]"]:
    drawn = random.Random(SEED)  # noqa: S311
    for _ in range(EPOCHS):
        order = drawn.sample(texts, len(texts))
        yield from (order[n : n + TEXTS_A_STEP] for n in range(0, len(order), TEXTS_A_STEP))


def _backward(model: Any, batch: "list[Text]") -> float:
    """Add up the gradients of a batch; its mean loss a token."""
    import torch

    # Two-dimensional into the head: torch copies frozen weights for each text of a batch.
    inner = model.get_base_model()
    total, tokens = 0.0, sum(learned for _, learned in batch)
    for ids, learned in batch:
        hidden = inner.model(input_ids=ids[None], use_cache=False).last_hidden_state
        logits = inner.lm_head(hidden[0, -learned - 1 : -1]).float()
        loss = torch.nn.functional.cross_entropy(logits, ids[-learned:], reduction="sum") / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def write_answers(model: Any, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    """What a language model writes after each prompt, up to the end of the line."""
    import torch

    line_ends = [token for text, token in tokenizer.get_vocab().items() if "\n" in text]
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    # Of frozen weights torch makes a copy for each prompt of a batch; merging LoRA froze them.
    model.eval().requires_grad_(True)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        inputs = tokenizer([prompts[n] for n in chosen], return_tensors="pt", padding=True)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                eos_token_id=[tokenizer.eos_token_id, *line_ends],
            )
        new = output[:, inputs.input_ids.shape[1] :]
        for n, text in zip(
            chosen, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True
        ):
            answers[n] = text.partition("\n")[0].strip()
        show("answers", start + len(chosen), len(order))
    return answers
