"""Finds the records that the model does not get through: they alone are refused, everybody else is answered.

A replica that dies takes all calls along that it holds, and one that hangs, or takes very long, keeps all of them
waiting, so that one failure by itself says little. What was not answered, for whichever of these reasons, goes on so:

1. It is asked for once more as it was: replicas die, and calls are late, for other reasons.
2. It is cut into groups, which are run one after the other, never joined with other calls, and each is noted at the
   control plane while it runs, after a text that the model is known to answer (`ModelReplica.classify_apart`). A
   failure is held against the group that was running, if any.
3. The records of that group run alone. One that failed `MAX_ALONE` times then is refused.

A failure is a replica's death, no answer in time (see `deadlines`), or a model that fails as a whole. Where no replica
answers at all, nothing is held against anybody: what waits for an absent model is asked for again, for good.

So a poison record costs six replicas, or six times the time that a part is given, however many neighbours it has. Ever
smaller halves would cost one or two for each halving, and a large model's replica takes minutes to be there again. How
many replicas different poison records may kill in a while has a limit: see `crash_budget`.

What is suspected is remembered by its content, beyond the call. Calls end at their deadline and the same records come
in new ones: a model whose replicas take longer to start than a call may last would else die of the same record for
ever. And a poison text that comes a thousand times kills no more replicas than one that comes once. The memory ends
with the worker's process; its successor finds out anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import uuid4

from ray.exceptions import RayActorError
from tenacity import AsyncRetrying

from labelstream.deploy.model_client.call_state import CallState, Rows, rows_of
from labelstream.deploy.model_client.crash_budget import CrashBudget
from labelstream.deploy.model_client.deadlines import Deadlines, Part
from labelstream.deploy.model_client.failed_attempts import FailedAttempts
from labelstream.deploy.model_client.retries import failed_as_a_whole
from labelstream.deploy.model_client.serve_client import ServeClient
from labelstream.workers.classifier import Fault
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.errors import FailedApart

logger = logging.getLogger(__name__)
TOGETHER_FAILURES = 2
GROUP_SEQUENCES = 32  # about one forward on a CPU: running apart in such groups takes the innocent little longer

Noted = Callable[[str], Awaitable[float | None]]


class PoisonIsolation:
    """Asks for sequences until each is answered or refused. Belongs to one event loop.

    `noted`: `ControlPlane.noted`. `retrying` decides which failures are got over until the part is late.
    """

    def __init__(
        self,
        model: str,
        client: ServeClient,
        retrying: AsyncRetrying,
        noted: Noted,
        deadlines: Deadlines,
        deaths: CrashBudget,
    ) -> None:
        self._model, self._client, self._retrying, self._noted = model, client, retrying, noted
        self._deadlines, self._deaths = deadlines, deaths
        self._failed_attempts = FailedAttempts()

    async def score(self, work: CallState, rows: Rows) -> None:
        """Put an answer for each of `rows` into `work`; `errors` has what the model does not get through, too.

        Raises TimeoutError where the part is late; Paused; and what `retrying` does not get over. What was answered
        until then is in `work`.
        """
        attempt = _Attempt(work, rows, self._noted)
        try:
            async with self._deadlines.part(work.tokens(rows), attempt.running_s) as attempt.part:
                await self._retrying(self._try, attempt)
        except TimeoutError:
            asked = attempt.asked
            if attempt.part.ran:
                logger.warning(
                    "model %s: no answer in time to %d texts that ran by themselves", self._model, len(asked)
                )
                self._failed_attempts.failed(work.contents(asked), Fault.TIMED_OUT, running=True)
            elif not attempt.ticket and len(asked) and await self._client.alive():
                self._failed_attempts.failed(work.contents(asked), Fault.TIMED_OUT, running=False)
            raise

    async def _try(self, attempt: "_Attempt") -> None:
        together, groups = self._sort(attempt.work, attempt.work.left(attempt.rows))
        if len(together):
            await self._ask_together(attempt, together)
        for rows in groups:
            await self._ask_group(attempt, rows)

    def _sort(self, work: CallState, left: Rows) -> tuple[Rows, list[Rows]]:
        """The rows to ask for in one call, and the groups to be run apart. Refuses those that enough speaks against."""
        if not self._failed_attempts:
            return left, []
        together: list[int] = []
        among: list[int] = []
        alone: list[list[int]] = []
        for row, content in zip(left.tolist(), work.contents(left), strict=True):
            suspicion = self._failed_attempts.of(content)
            if (error := suspicion.refusal()) is not None:
                work.refuse(row, error)
            elif suspicion.narrowed:
                alone.append([row])
            elif suspicion.failures >= TOGETHER_FAILURES:
                among.append(row)
            else:
                together.append(row)
        # Those alone first: with a deadline close, something is found out before it.
        groups = alone + [among[i : i + GROUP_SEQUENCES] for i in range(0, len(among), GROUP_SEQUENCES)]
        return rows_of(together), [rows_of(group) for group in groups]

    async def _ask_together(self, attempt: "_Attempt", rows: Rows) -> None:
        work = attempt.work
        attempt.asks(rows, "")
        try:
            asked_at = asyncio.get_running_loop().time()
            scored = await self._client.classify(work.take(rows), work.top_k, work.revision)
        except Exception as error:
            how = _how(error)
            if how is not None:
                self._failed_attempts.failed(work.contents(rows), how, running=False)
            raise
        self._pass(work, rows, scored)
        self._deadlines.answered(attempt.part, asked_at)

    async def _ask_group(self, attempt: "_Attempt", rows: Rows) -> None:
        self._deaths.risk()
        work, ticket = attempt.work, uuid4().hex
        attempt.asks(rows, ticket)
        try:
            scored = await self._client.classify_apart(work.take(rows), work.top_k, work.revision, ticket)
        except RayActorError:
            if await self._noted(ticket) is not None:
                logger.warning("model %s: a replica died while it ran %d texts by themselves", self._model, len(rows))
                self._deaths.died()
                self._failed_attempts.failed(work.contents(rows), Fault.CRASHES_MODEL, running=True)
            attempt.asks(rows_of([]), "")  # it runs no more, whatever time is left of the part's
            raise
        except FailedApart:
            self._failed_attempts.failed(work.contents(rows), Fault.INFERENCE_FAILED, running=True)
            raise
        self._pass(work, rows, scored)
        self._deadlines.answered(attempt.part, None)

    def _pass(self, work: CallState, rows: Rows, scored: ScoredSequences) -> None:
        """`rows` are innocent of what failed with them. What the model refuses of them was attempted then, too."""
        if self._failed_attempts:
            contents = work.contents(rows)
            for row, error in scored.errors.items():
                failures = self._failed_attempts.of(contents[row]).failures
                scored.errors[row] = error._replace(attempts=error.attempts + failures)
            self._failed_attempts.passed(contents)
        work.put(rows, scored)


class _Attempt:
    """At some rows of a call's work. `asked`: of the last call to a replica; `ticket`: where it is apart, its own."""

    part: Part

    def __init__(self, work: CallState, rows: Rows, noted: Noted) -> None:
        self.work, self.rows, self._noted = work, rows, noted
        self.asked, self.ticket = rows[:0], ""

    def asks(self, rows: Rows, ticket: str) -> None:
        self.asked, self.ticket, self.part.tokens = rows, ticket, self.work.tokens(rows)

    async def running_s(self) -> float | None:
        """As `deadlines.Running`."""
        return await self._noted(self.ticket) if self.ticket else None


def _how(error: Exception) -> Fault | None:
    """What `error` is for the sequences that were asked for; None: nothing of theirs."""
    if isinstance(error, RayActorError):
        return Fault.CRASHES_MODEL
    return Fault.INFERENCE_FAILED if failed_as_a_whole(error) else None
