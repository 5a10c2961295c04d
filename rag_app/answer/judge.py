"""Is an answer faithful to its passages, and do both meet the question? A language model judges."""

import re
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError
from rag_app.llm.loop_thread import LoopThread
from rag_app.llm.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag_app.answer.answer import Answer
    from rag_app.llm.chat import ChatModel

_VERDICT = re.compile(r"\b(?:yes|no)\b")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a language model says of an answer, and the one measure that needs none.

    Fields:
        model: that judged.
        faithful: whether the passages support the answer; None where there is nothing to judge,
            or where the model says neither yes nor no.
        relevant: whether answer and passages are in line with the question; None likewise.
        said: the model's words, by "faithful" and "relevant".
        support_ratio: share of the sentences that a passage supports, by words and numbers.
    """

    model: str
    faithful: bool | None
    relevant: bool | None
    said: dict[str, str]
    support_ratio: float | None

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


def judge(answer: "Answer", llm: "ChatModel | None") -> Judgement:
    """Ask LlamaIndex's FaithfulnessEvaluator and RelevancyEvaluator.

    They see all passages and the answer without its marks, in one call each, or in several where
    the passages do not fit into 4,096 tokens. They take every reply that holds the letters "yes"
    for a yes, and all others for a no; here the reply's first word counts, or the only one of
    the two that it holds.

    Raises:
        ConfigError: no model, or one that only continues text.
        LanguageModelError: the model cannot be reached.
    """
    llm = able_judge(llm)
    said = _ask(answer, llm) if answer.checked.sentences else {}
    return Judgement(
        model=llm.name,
        faithful=_verdict(said.get("faithful", "")),
        relevant=_verdict(said.get("relevant", "")),
        said=said,
        support_ratio=answer.support_ratio,
    )


def able_judge(llm: "ChatModel | None") -> "ChatModel":
    """The model, if it can judge.

    Raises:
        ConfigError: no model, or one that only continues text.
    """
    if llm is not None and llm.follows_instructions:
        return llm
    found = f"{llm.name} only continues text" if llm else "there is no language model"
    raise ConfigError(
        f"{found}, and judging takes one that follows instructions; name an endpoint with "
        "--llm endpoint --llm-base-url URL --llm-model NAME, or a GGUF that was tuned on "
        "instructions with --llm-model FILE.gguf. Without one, support_ratio in --json says "
        "which share of the sentences a passage supports"
    )


def _ask(answer: "Answer", llm: "ChatModel") -> dict[str, str]:
    """The evaluators' replies. They are async only, so they get a loop with a client of its own."""
    import httpx
    from llama_index.core.evaluation import FaithfulnessEvaluator, RelevancyEvaluator
    from openai import OpenAIError

    theirs = llm.as_llama_index()
    evaluators = {
        "faithful": FaithfulnessEvaluator(llm=theirs),
        "relevant": RelevancyEvaluator(llm=theirs),
    }
    shown = {
        "query": answer.understood_as or answer.question,
        "response": " ".join(sentence.text for sentence in answer.checked.sentences),
        "contexts": [citation.shown for citation in answer.citations],
    }

    async def ask(report: "Callable[[tuple[str, str]], None]") -> None:
        for name, evaluator in evaluators.items():
            result = await evaluator.aevaluate(**shown)
            report((name, str(result.feedback)))

    loop = LoopThread()
    try:
        with closing(loop.reports(ask)) as replies:
            return dict(replies)
    except (OpenAIError, httpx.HTTPError) as error:
        raise llm.explain(error) from None
    finally:
        loop.close(last=theirs._get_aclient().close)


def _verdict(said: str) -> bool | None:
    answer = without_thoughts(said).casefold()
    words = _VERDICT.findall(answer)
    opening = re.match(r"\W*(yes|no)\b", answer)
    if opening:
        return opening[1] == "yes"
    return words[0] == "yes" if len(set(words)) == 1 else None
