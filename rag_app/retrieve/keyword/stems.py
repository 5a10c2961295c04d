"""Words of letters less their endings, by language (Snowball), and less stop words (bm25s)."""

import re
import unicodedata
from functools import cache
from typing import Any

UNKNOWN = "und"
STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
# bm25s has two lists for English; the longer one, which holds "how" and "can", measured better.
_STOP_WORDS = {"english": "STOPWORDS_EN_PLUS"}
_JOINTS = re.compile(r"['_-]+")


def normalise(text: str) -> str:
    """One form for what reads the same: composed, narrow, lower case, one apostrophe."""
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")


def stems(word: str, language: str) -> list[str]:
    """The parts of a normalised word that are no stop words, stemmed.

    Arguments:
        language: a key of STEMMERS; words of any other language stay as they are.
    """
    stop = _stop_words(language)
    parts = [part for part in _JOINTS.split(word) if part and part not in stop]
    stemmer = _stemmer(language)
    return parts if stemmer is None else list(stemmer.stemWords(parts))


@cache
def _stemmer(language: str) -> Any:
    import Stemmer  # type: ignore[import-not-found]

    return Stemmer.Stemmer(STEMMERS[language]) if language in STEMMERS else None


@cache
def _stop_words(language: str) -> frozenset[str]:
    """Stop words, and the parts of those with a joint, such as "don" and "t"."""
    from bm25s import stopwords  # type: ignore[import-untyped]

    name = STEMMERS.get(language, UNKNOWN)
    found = getattr(stopwords, _STOP_WORDS.get(name, f"STOPWORDS_{name.upper()}"), ())
    listed = map(normalise, found)
    return frozenset(part for word in listed for part in (word, *_JOINTS.split(word)))
