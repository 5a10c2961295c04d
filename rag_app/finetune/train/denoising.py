"""The denoising loss over the words that training texts have, instead of all that a model knows."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# The place of a token that is not to be restored.
IGNORED = -100


class DenoisingLoss(DenoisingAutoEncoderLoss):
    """DenoisingAutoEncoderLoss whose decoder chooses among the tokens of the texts.

    multilingual-e5-small knows 250,002 tokens, of which a thousand passages use some ten thousand;
    to weigh all the others for each token takes most of a step, and gigabytes. The word embeddings,
    which the decoder's last layer shares, must stay as they are: it holds a copy of some.

    Arguments:
        texts: all that will be restored.
    """

    def __init__(self, model: "SentenceTransformer", texts: Sequence[str]) -> None:
        super().__init__(model, tie_encoder_decoder=True)
        tokenized: Any = model.tokenizer(
            list(texts), truncation=True, max_length=model.max_seq_length
        )
        tokens = torch.tensor(sorted({token for ids in tokenized["input_ids"] for token in ids}))
        whole = self.decoder.get_output_embeddings()
        self.decoder.set_output_embeddings(_narrow(whole, tokens.to(model.device)))
        places = torch.full((len(whole.weight),), IGNORED)
        places[tokens] = torch.arange(len(tokens))
        places[model.tokenizer.pad_token_id] = IGNORED
        self.register_buffer("places", places.to(model.device), persistent=False)

    def forward(
        self,
        sentence_features: Iterable[dict[str, torch.Tensor]],
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Cross entropy of each token of the text after those before it, given its vector."""
        damaged, text = sentence_features
        vectors = self.encoder(damaged)["sentence_embedding"]
        tokens = text["input_ids"]
        logits = self.decoder(
            input_ids=tokens[:, :-1],
            # One vector is all that it may look at.
            encoder_hidden_states=vectors[:, None],
            encoder_attention_mask=damaged["attention_mask"][:, :1],
            use_cache=False,
        ).logits
        wanted = self.places[tokens[:, 1:]]
        return functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED
        )


def _narrow(whole: nn.Linear, tokens: torch.Tensor) -> nn.Linear:
    """The layer's rows of these tokens; the weights do not learn, a bias does."""
    narrow = nn.Linear(whole.in_features, len(tokens), device=whole.weight.device)
    with torch.no_grad():
        narrow.weight.copy_(whole.weight[tokens])
        narrow.bias.copy_(whole.bias[tokens]) if whole.bias is not None else narrow.bias.zero_()
    narrow.weight.requires_grad_(False)
    return narrow
