"""A guess at a text's language from its script, and for Latin script from its small words."""

import re

_SAMPLE_CHARACTERS = 20_000
_SCRIPTS = (
    ("ko", re.compile("[가-힣ᄀ-ᇿㄱ-ㆎ]"), 0.3),
    # Before Han: Japanese is mostly Han by count, Chinese has no kana.
    ("ja", re.compile("[ぁ-ゖァ-ヺ]"), 0.1),
    ("zh", re.compile("[㐀-䶿一-鿿]"), 0.3),
)
_LATIN = re.compile("[A-Za-zÀ-ɏ]")
_WORD = re.compile("[a-zà-ɏ]+")
# Words that no neighbouring language shares: not "in", "is", "of", "for", "on".
_ENGLISH = re.compile(
    r"\b(?:the|and|that|with|you|your|are|this|from|what|how|which|when|should|have|has|not|can|"
    r"they|their|been|were|would|could|there|who|our|these|those|if|be)\b"
)
_ENGLISH_SHARE = 0.05


def guess_language(text: str) -> str:
    """Guess the language: "ko", "ja", "zh", "en", or "und" where the text does not tell."""
    letters = "".join(filter(str.isalpha, text[:_SAMPLE_CHARACTERS]))
    if not letters:
        return "und"
    for language, script, least_share in _SCRIPTS:
        if len(script.findall(letters)) >= least_share * len(letters):
            return language
    if len(_LATIN.findall(letters)) * 2 < len(letters):
        return "und"
    sample = text[:_SAMPLE_CHARACTERS].lower()
    english, words = len(_ENGLISH.findall(sample)), len(_WORD.findall(sample))
    return "en" if english >= max(1, _ENGLISH_SHARE * words) else "und"
