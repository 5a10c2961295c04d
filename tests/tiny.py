"""A real sentence-transformers model that is small enough to make in every test."""

import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WIDTH = 32
MAX_TOKENS = 64
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HANGUL = "가나다라마바사아자차카타파하배송환불회원결제주문반품은는이을를에며고요니까습"


def make_tiny_model(
    folder: Path, *, words: Sequence[str] = (), prompts: dict[str, str] | None = None, seed: int = 0
) -> Path:
    """Save a BERT of two layers with random weights as a sentence-transformers folder.

    Arguments:
        words: words of one token each; others are taken apart into characters.
        prompts: by name, as sentence-transformers saves them.
        seed: of the weights.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    inner = folder.with_name(folder.name + ".bert")
    size = _save_tokenizer(inner, words)
    config = BertConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=MAX_TOKENS,
        # Larger than BERT's own 0.02, with which random weights hardly tell texts apart.
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=MAX_TOKENS)
    model = SentenceTransformer(
        modules=[transformer, Pooling(WIDTH, pooling_mode="mean"), Normalize()],
        prompts=prompts,
        device="cpu",
    )
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def make_tiny_cross_encoder(
    folder: Path, *, words: Sequence[str] = (), labels: int = 1, seed: int = 0
) -> Path:
    """Save a cross-encoder of two layers with random weights, as sentence-transformers does."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification

    inner = folder.with_name(folder.name + ".bert")
    config = BertConfig(
        vocab_size=_save_tokenizer(inner, words),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=MAX_TOKENS,
        initializer_range=0.2,
        num_labels=labels,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertForSequenceClassification(config).save_pretrained(inner)
    CrossEncoder(str(inner), device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: sharing layers this small takes ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _save_tokenizer(folder: Path, words: Sequence[str]) -> int:
    """Save a WordPiece of these words and of characters; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    characters = string.ascii_lowercase + string.digits + string.punctuation + HANGUL
    pieces = [*SPECIAL, *words, *characters, *(f"##{character}" for character in characters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        **dict(zip(names, SPECIAL, strict=True)),
    ).save_pretrained(folder)
    return len(vocabulary)
