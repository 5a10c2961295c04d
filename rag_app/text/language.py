"""The language of a text: by its script where that is enough, else by py3langid.

py3langid counts byte sequences, knows 139 languages and carries its model inside the package
(Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool"). Loading it takes
0.7 s and 105 MB, so texts in Korean, Japanese and Chinese never do.
"""

import re
from functools import cache
from typing import Any

from rag_app.text.scripts import HANGUL

UNKNOWN = "und"

_SAMPLE_CHARACTERS = 10_000
_MODEL_CHARACTERS = 2_000  # 1 ms; more tell no better
_SCRIPTS = (
    ("ko", re.compile(f"[{HANGUL}ᄀ-ᇿㄱ-ㆎ]"), 0.3),
    # Before Han: Japanese is mostly Han by count, Chinese has no kana.
    ("ja", re.compile("[ぁ-ゖァ-ヺ]"), 0.1),
    ("zh", re.compile("[㐀-䶿一-鿿]"), 0.3),
)
# Fenced code, code in a line, addresses, tags: the same in every language.
_CODE = re.compile(
    r"^(?P<fence>```|~~~).*?^(?P=fence)|`[^`\n]*`|https?://\S+|<[^<>\n]*>", re.M | re.S
)
# Of 1,479 English questions (4 to 30 words) .5 leaves 33 unnamed and calls none another language;
# names, codes and commands of up to four words stay below it (.42 at most).
_LEAST_PROBABILITY = 0.5
# "No language" of py3langid: numbers, codes, identifiers.
_NO_LANGUAGE = "zxx"
# Languages of two letters that short texts in English, French or Spanish are taken for.
_CONFUSING = frozenset({"an", "eo", "ht", "la", "oc", "qu", "sa", "vo", "wa"})


def guess_language(text: str) -> str:
    """Guess the language of a text by its beginning.

    Returns:
        An ISO 639-1 code ("ko", "en", "de"), or "und" where the text does not tell: it is short,
        or holds names, numbers and commands only.
    """
    prose = _CODE.sub(" ", text[:_SAMPLE_CHARACTERS])
    letters = "".join(filter(str.isalpha, prose))
    if not letters:
        return UNKNOWN
    for language, script, least_share in _SCRIPTS:
        if len(script.findall(letters)) >= least_share * len(letters):
            return language
    language, probability = _identifier().classify(prose[:_MODEL_CHARACTERS])
    told = probability >= _LEAST_PROBABILITY and language != _NO_LANGUAGE
    return str(language) if told else UNKNOWN


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = {label for label in identifier.labels if len(label) == 2} - _CONFUSING
    identifier.set_languages([*known, _NO_LANGUAGE])
    return identifier
