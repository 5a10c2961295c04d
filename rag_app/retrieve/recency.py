"""Rankings that mind how old a passage is: cutoff, half-life, latest.

Each policy is a LlamaIndex postprocessor of a whole ranking of candidates and drops none of them,
so that k results remain when it is cut to k afterwards. A passage without a date is neither
favoured nor punished; one with a date to come counts as of today.
"""

import datetime as dt
import re
import statistics
from abc import abstractmethod
from collections.abc import Sequence

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle

from rag_app.errors import ConfigError
from rag_app.retrieve.trace import Ranking
from rag_app.retrieve.versions import Wording
from rag_app.text.dates import parse_date

UNIT_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
FORMS = (
    "write 'cutoff 365d', 'half-life 90d' or 'latest', "
    "an age in d (days), w (weeks), m (30 days) or y (365 days)"
)
# So many half-lives does one standard deviation of the candidates' scores outweigh. Of 2, 4 and 8
# the best mean reciprocal rank on data/en and data/ko, over half-lives of 90 days to three years.
HALF_LIVES_PER_DEVIATION = 8

_AGE = re.compile(r"([0-9]{1,9})\s*([dwmy])")
_EPOCH = dt.date(1970, 1, 1)
_EPOCH_SECONDS = range(-62_135_596_800, 253_402_300_800)  # the years 1 to 9999


class Recency(BaseNodePostprocessor):
    """A policy; `postprocess_nodes` applies it to one ranking, best first.

    Fields:
        text: as a user writes it, such as "half-life 90d".
        today: what ages are counted to.
    """

    text: str
    today: dt.date

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return cls.__name__

    @abstractmethod
    def note(self, before: Ranking, after: Ranking) -> str:
        """What the policy did to a ranking, in one line for a reader of its trace."""

    def ages(self, nodes: Ranking) -> list[int | None]:
        """Age of each passage in days, never below 0; None without a date."""
        dates = [date_of(hit.node) for hit in nodes]
        return [None if day is None else max((self.today - day).days, 0) for day in dates]


class Cutoff(Recency):
    """Passages of more than `days` days go behind the others; to lose them, filter by date.

    Both keep their order. What goes behind loses as much score as there is between the best and
    the worst candidate, so that steps which sort by score leave it there.
    """

    days: int

    def behind(self, nodes: Ranking) -> list[bool]:
        """Of each passage whether it is old; without a date, nothing says so."""
        return [age is not None and age > self.days for age in self.ages(nodes)]

    def note(self, before: Ranking, after: Ranking) -> str:
        """Such as "cutoff 365d: 3 of 20 passages moved behind"."""
        return f"{self.text}: {sum(self.behind(before))} of {len(after)} passages moved behind"

    def _postprocess_nodes(
        self, nodes: Ranking, query_bundle: QueryBundle | None = None
    ) -> Ranking:
        marked = list(zip(nodes, self.behind(nodes), strict=True))
        kept = [hit for hit, goes in marked if not goes]
        if not kept:
            return nodes
        scores = [_score(hit) for hit in nodes]
        span = max(scores) - min(scores)
        return kept + [
            NodeWithScore(node=hit.node, score=_score(hit) - span) for hit, goes in marked if goes
        ]


class Latest(Recency):
    """Newer versions of a passage go before it, the newest first.

    Versions are passages of different documents that say nearly the same, see `Wording`; of the
    same date, or without one, neither is newer. The older one follows at once, since a question
    about an old order is answered by the old policy: sent to the end, old versions cost such
    questions far more than the others gain.
    """

    def newest_first(self, nodes: Ranking) -> list[int]:
        """The places of the passages in their new order."""
        dated = [(date_of(hit.node), Wording.of(hit.node)) for hit in nodes]
        left = list(range(len(nodes)))
        order: list[int] = []
        while left:
            group = [*self._newer_versions(left, dated), left[0]]
            order += group
            left = [place for place in left if place not in group]
        return order

    def note(self, before: Ranking, after: Ranking) -> str:
        """Such as "latest: 2 of 20 passages moved up before an older version"."""
        place = {hit.node.node_id: old for old, hit in enumerate(before)}
        moved = sum(place[hit.node.node_id] > new for new, hit in enumerate(after))
        return f"{self.text}: {moved} of {len(after)} passages moved up before an older version"

    @staticmethod
    def _newer_versions(
        left: Sequence[int], dated: Sequence[tuple[dt.date | None, Wording]]
    ) -> list[int]:
        """Of the places that are left, those of newer versions of the first, the newest first."""
        day, wording = dated[left[0]]
        if day is None:
            return []
        newer = [
            (other, place)
            for place in left[1:]
            if (other := dated[place][0]) is not None
            and other > day
            and wording.is_version_of(dated[place][1])
        ]
        return [place for _, place in sorted(newer, key=lambda one: one[0], reverse=True)]

    def _postprocess_nodes(
        self, nodes: Ranking, query_bundle: QueryBundle | None = None
    ) -> Ranking:
        # The scores stay in their places, so that they fall as the places do.
        return [
            NodeWithScore(node=nodes[place].node, score=hit.score)
            for hit, place in zip(nodes, self.newest_first(nodes), strict=True)
        ]


class HalfLife(Recency):
    """Scores halve with every `days` days: relevance x 0.5 ** (age / days).

    A retriever's scores may be negative, so relevance is 2 ** -(8 x how many standard deviations
    of the candidates' scores a score lies below the best one): 1 for the best passage, above 0
    for all, the same whatever scale the scores are on. Then what is 8 half-lives older must be one
    deviation better. A passage without a date takes the median age of the others.
    """

    days: int

    def _postprocess_nodes(
        self, nodes: Ranking, query_bundle: QueryBundle | None = None
    ) -> Ranking:
        powers = self._powers(nodes)
        order = sorted(range(len(nodes)), key=lambda i: -powers[i])
        return [NodeWithScore(node=nodes[i].node, score=2.0 ** powers[i]) for i in order]

    def note(self, before: Ranking, after: Ranking) -> str:
        """Such as "half-life 90d: scores halve every 90 days, ages 0 to 400 days"."""
        ages = [age for age in self.ages(before) if age is not None]
        span = f"ages {min(ages)} to {max(ages)} days" if ages else "no passage has a date"
        return f"{self.text}: scores halve every {self.days} days, {span}"

    def _powers(self, nodes: Ranking) -> list[float]:
        """Logarithm to base 2 of each new score: that of a very old passage would round to 0."""
        if not nodes:
            return []
        scores = [_score(hit) for hit in nodes]
        deviation = statistics.pstdev(scores) or 1.0
        best = max(scores)
        ages = self.ages(nodes)
        median = statistics.median([age for age in ages if age is not None] or [0])
        return [
            HALF_LIVES_PER_DEVIATION * (score - best) / deviation
            - (median if age is None else age) / self.days
            for score, age in zip(scores, ages, strict=True)
        ]


AGED: dict[str, type[Cutoff] | type[HalfLife]] = {"cutoff": Cutoff, "half-life": HalfLife}


def parse_recency(text: str, *, today: dt.date) -> Recency:
    """Read a policy: `cutoff AGE`, `half-life AGE` or `latest`; an age is 90d, 12w, 6m or 2y.

    Raises:
        ConfigError: another policy, or an age that is missing, not wanted or no age.
    """
    name, _, age = " ".join(text.lower().replace(":", " ").split()).partition(" ")
    if name == "latest":
        if age:
            raise ConfigError(f"recency 'latest' takes no age, found {age!r}; {FORMS}")
        return Latest(text=name, today=today)
    if name not in AGED:
        raise ConfigError(f"there is no recency {text!r}; {FORMS}")
    return AGED[name](text=f"{name} {age}", today=today, days=_days(name, age))


def date_of(node: BaseNode) -> dt.date | None:
    """A passage's date, from its metadata's `date_epoch` (seconds, UTC) or else `date`."""
    epoch = node.metadata.get("date_epoch")
    if isinstance(epoch, int) and epoch in _EPOCH_SECONDS:
        return _EPOCH + dt.timedelta(seconds=epoch)
    return parse_date(node.metadata.get("date"))


def _days(name: str, age: str) -> int:
    if not age:
        raise ConfigError(f"recency {name!r} needs an age; {FORMS}")
    match = _AGE.fullmatch(age)
    days = int(match[1]) * UNIT_DAYS[match[2]] if match else 0
    if days == 0:
        raise ConfigError(f"recency {name!r} needs an age of a day or more, found {age!r}; {FORMS}")
    return days


def _score(hit: NodeWithScore) -> float:
    return float(hit.score or 0.0)
