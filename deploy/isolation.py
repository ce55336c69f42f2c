"""Finds the records that kill replicas: they alone are refused, everybody else is answered.

A replica that dies takes all calls along that it holds, so that a death by itself says little. What died goes on so:

1. It is asked for once more as it was: replicas die for other reasons.
2. It is cut into groups, which are run one after the other, never joined with other calls, and each is noted at the
   board while it runs (`ModelReplica.classify_apart`). A death is held against the group that was running, if any.
3. The records of that group run alone. One of which replicas died `MOST_CRASHES` times then is refused.

So a poison record costs six replicas, however many neighbours it has. Ever smaller halves would cost one or two for
each halving, and a large model's replica takes minutes to be there again.

What is suspected is remembered by its content, beyond the call. Calls end at their deadline and the same records come
in new ones: a model whose replicas take longer to start than a call may last would else die of the same record for
ever. And a poison text that comes a thousand times kills no more replicas than one that comes once. The memory ends
with the worker's process; its successor finds out anew.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple
from uuid import uuid4

import numpy as np
from ray.exceptions import RayActorError
from tenacity import AsyncRetrying

from workers.classifier import Fault, RecordError
from workers.engine.packed import PackedSequences, ScoredSequences, concatenate, concatenate_scores, split, split_scores

log = logging.getLogger(__name__)
TOGETHER_DEATHS = 2
GROUP_SEQUENCES = 32  # about one forward on a CPU: running apart in such groups takes the innocent little longer
MOST_CRASHES = 3
MOST_SUSPECTS = 65_536  # contents in memory, about 300 bytes each: many times what can be in flight

Ask = Callable[[PackedSequences, int, str], Awaitable[ScoredSequences]]
AskApart = Callable[[PackedSequences, int, str, str], Awaitable[ScoredSequences]]
Noted = Callable[[str], Awaitable[bool]]


class Suspicion(NamedTuple):
    """`deaths` of replicas that ran the content or may have; `narrowed`: it or its group ran; `crashes`: it alone."""

    deaths: int = 0
    narrowed: bool = False
    crashes: int = 0


class Suspects:
    """What is held against contents, of which it knows at most `most`; those longest untouched are forgotten."""

    def __init__(self, most: int = MOST_SUSPECTS) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Suspicion] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, content: bytes) -> Suspicion:
        return self._known.get(content, Suspicion())

    def died(self, contents: Sequence[bytes], running: bool) -> None:
        """A replica that had been given `contents` died; `running`: while it ran these and nothing else."""
        for content in dict.fromkeys(contents):
            deaths, narrowed, crashes = self._known.pop(content, Suspicion())
            alone = running and len(contents) == 1
            self._known[content] = Suspicion(deaths + 1, narrowed or running, crashes + alone)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def passed(self, contents: Sequence[bytes]) -> None:
        """A replica has answered `contents`."""
        for content in contents:
            self._known.pop(content, None)


class Work:
    """The sequences of one call and the answers so far, by row. `ranked`: how the model answers."""

    def __init__(self, packed: PackedSequences, top_k: int, revision: str, ranked: bool) -> None:
        self.packed, self.top_k, self.revision, self._ranked = packed, top_k, revision, ranked
        self._answers: dict[int, ScoredSequences] = {}

    @cached_property
    def _rows(self) -> list[PackedSequences]:
        return split(self.packed, 1, 1)

    @cached_property
    def _contents(self) -> list[bytes]:
        return [_content(row, self.revision) for row in self._rows]

    def left(self) -> list[int]:
        """The rows without an answer."""
        return [row for row in range(len(self.packed.lengths)) if row not in self._answers]

    def contents(self, rows: Sequence[int]) -> list[bytes]:
        return [self._contents[row] for row in rows]

    def take(self, rows: Sequence[int]) -> PackedSequences:
        return self.packed if len(rows) == len(self.packed.lengths) else concatenate([self._rows[row] for row in rows])

    def put(self, rows: Sequence[int], scored: ScoredSequences) -> None:
        """Raises ValueError when there is not one answer per row."""
        ones = split_scores(scored, [1] * len(rows), [self.top_k] * len(rows))
        self._answers.update(zip(rows, ones, strict=True))

    def refuse(self, row: int, error: RecordError) -> None:
        label_ids = np.zeros((1, self.top_k), np.int32) if self._ranked else None
        self._answers[row] = ScoredSequences(label_ids, np.full((1, self.top_k), np.nan, np.float32), {0: error})

    def answer(self) -> ScoredSequences:
        return concatenate_scores([self._answers[row] for row in range(len(self.packed.lengths))])


class Isolation:
    """Asks for sequences until each is answered or refused. Belongs to one event loop.

    `ask` and `ask_apart`: `ModelReplica.classify` and `classify_apart`, which raise RayActorError where a replica died
    with the call. `noted`: `Board.noted`. `retrying` decides which failures are got over; the caller has the deadline.
    """

    def __init__(self, model: str, retrying: AsyncRetrying, ask: Ask, ask_apart: AskApart, noted: Noted) -> None:
        self._model, self._retrying = model, retrying
        self._ask, self._ask_apart, self._noted = ask, ask_apart, noted
        self._suspects = Suspects()

    async def score(
        self, packed: PackedSequences, top_k: int, revision: str, ranked: bool = True
    ) -> ScoredSequences:
        """The `top_k` best labels of each sequence, in order; `errors` has those that kill replicas, too.

        `ranked`: as the model's description says; without it `top_k` is the number of all labels.
        """
        return await self._retrying(self._attempt, Work(packed, top_k, revision, ranked))

    async def _attempt(self, work: Work) -> ScoredSequences:
        together, groups = self._sort(work)
        if len(together) == len(work.packed.lengths):
            return await self._ask_together(work, together)  # nobody is suspected: the way of nearly all calls
        if together:
            work.put(together, await self._ask_together(work, together))
        for rows in groups:
            work.put(rows, await self._ask_group(work, rows))
        return work.answer()

    def _sort(self, work: Work) -> tuple[list[int], list[list[int]]]:
        """The rows to ask for in one call, and the groups to be run apart. Refuses those that enough speaks against."""
        left = work.left()
        if not self._suspects:
            return left, []
        together: list[int] = []
        among: list[int] = []
        alone: list[list[int]] = []
        for row, content in zip(left, work.contents(left), strict=True):
            suspicion = self._suspects.of(content)
            if suspicion.crashes >= MOST_CRASHES:
                work.refuse(row, RecordError(
                    Fault.CRASHES_MODEL, f"{suspicion.crashes} replicas died while they ran it alone", suspicion.deaths
                ))  # fmt: skip
            elif suspicion.narrowed:
                alone.append([row])
            elif suspicion.deaths >= TOGETHER_DEATHS:
                among.append(row)
            else:
                together.append(row)
        # Those alone first: with a deadline close, something is found out before it.
        return together, alone + [among[i : i + GROUP_SEQUENCES] for i in range(0, len(among), GROUP_SEQUENCES)]

    async def _ask_together(self, work: Work, rows: list[int]) -> ScoredSequences:
        try:
            scored = await self._ask(work.take(rows), work.top_k, work.revision)
        except RayActorError:
            self._suspects.died(work.contents(rows), running=False)
            raise
        self._pass(work, rows, scored)
        return scored

    async def _ask_group(self, work: Work, rows: list[int]) -> ScoredSequences:
        ticket = uuid4().hex
        try:
            scored = await self._ask_apart(work.take(rows), work.top_k, work.revision, ticket)
        except RayActorError:
            if await self._noted(ticket):
                log.warning("model %s: a replica died while it ran %d texts by themselves", self._model, len(rows))
                self._suspects.died(work.contents(rows), running=True)
            raise
        self._pass(work, rows, scored)
        return scored

    def _pass(self, work: Work, rows: list[int], scored: ScoredSequences) -> None:
        """`rows` are innocent of what died with them. What the model refuses of them was attempted then, too."""
        if not self._suspects:
            return
        contents = work.contents(rows)
        for row, error in scored.errors.items():
            scored.errors[row] = error._replace(attempts=error.attempts + self._suspects.of(contents[row]).deaths)
        self._suspects.passed(contents)


def _content(row: PackedSequences, revision: str) -> bytes:
    """The same for all sequences that are the same to the model."""
    type_ids = b"" if row.type_ids is None else row.type_ids.tobytes()
    target = b"" if row.targets is None else row.targets.tobytes()
    return blake2b(row.ids.tobytes() + type_ids + target, digest_size=16, key=revision.encode()[:64]).digest()
