"""Finds the records that the model cannot get through, refuses these records and answers all others.

A failure is a replica's death, a late answer (see `deadlines`), or a model that fails on the whole call. A failed call
does not identify a record, because a dying or hanging replica fails all of its calls. Unanswered sequences take these
steps:

1. Ask once more as before: replicas also die, and calls are late, for other reasons.
2. Run groups apart, one after the other and never joined with other calls. The control plane notes each group before it
   runs, after a text that the model is known to answer (`ModelReplica.classify_apart`). A failure counts against the
   noted group.
3. Run the records of that group alone. A record that fails alone MAX_ALONE times is refused.

If no replica answers at all, nothing counts as a failure: a call to an absent model is repeated without a limit.
Suspicions are kept by content, beyond the call and until the process ends: calls end at their deadline, and the same
records return in new calls. `crash_budget` limits the deaths. docs/adr/0007-crash-isolation.md has the costs.
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
GROUP_SEQUENCES = 32  # about one forward on a CPU, so that good records in a group wait little longer

Noted = Callable[[str], Awaitable[float | None]]


class PoisonIsolation:
    """Asks for sequences until each is answered or refused. Belongs to one event loop.

    - `noted`: `ControlPlane.noted`.
    - `retrying`: decides which failures are retried until the part is late.
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
        """Put an answer to each of `rows` into `work`; refused records go into its `errors`.

        Raises TimeoutError if the part is late, Paused if the crash budget is used up, and whatever `retrying` does not
        retry. Answers that arrived before are in `work`.
        """
        attempt = _Attempt(work, rows, self._noted)
        try:
            async with self._deadlines.part(work.tokens(rows), attempt.running_s) as attempt.part:
                await self._retrying(self._try, attempt)
        except TimeoutError:
            asked = attempt.asked
            if attempt.part.ran:
                logger.warning("model %s: no answer in time to %d texts that ran apart", self._model, len(asked))
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
        """Split `left` into rows to ask for together and groups to run apart. Refuses rows with too many failures."""
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
        # Single rows first: close to the deadline at least these give a result.
        groups = alone + [among[i : i + GROUP_SEQUENCES] for i in range(0, len(among), GROUP_SEQUENCES)]
        return rows_of(together), [rows_of(group) for group in groups]

    async def _ask_together(self, attempt: "_Attempt", rows: Rows) -> None:
        work = attempt.work
        attempt.asks(rows, "")
        try:
            asked_at = asyncio.get_running_loop().time()
            scored = await self._client.classify(work.take(rows), work.top_k, work.revision)
        except Exception as error:
            fault = _fault_of(error)
            if fault is not None:
                self._failed_attempts.failed(work.contents(rows), fault, running=False)
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
                logger.warning("model %s: a replica died while it ran %d texts apart", self._model, len(rows))
                self._deaths.died()
                self._failed_attempts.failed(work.contents(rows), Fault.CRASHES_MODEL, running=True)
            attempt.asks(rows_of([]), "")  # nothing runs apart now, however much time the part has left
            raise
        except FailedApart:
            self._failed_attempts.failed(work.contents(rows), Fault.INFERENCE_FAILED, running=True)
            raise
        self._pass(work, rows, scored)
        self._deadlines.answered(attempt.part, None)

    def _pass(self, work: CallState, rows: Rows, scored: ScoredSequences) -> None:
        """A replica answered `rows`: clear their suspicions. Earlier failures count as attempts of refused records."""
        if self._failed_attempts:
            contents = work.contents(rows)
            for row, error in scored.errors.items():
                failures = self._failed_attempts.of(contents[row]).failures
                scored.errors[row] = error._replace(attempts=error.attempts + failures)
            self._failed_attempts.passed(contents)
        work.put(rows, scored)


class _Attempt:
    """One attempt at some rows of a call. `asked`: rows of the last request; `ticket`: its note if it runs apart."""

    part: Part

    def __init__(self, work: CallState, rows: Rows, noted: Noted) -> None:
        self.work, self.rows, self._noted = work, rows, noted
        self.asked, self.ticket = rows[:0], ""

    def asks(self, rows: Rows, ticket: str) -> None:
        self.asked, self.ticket, self.part.tokens = rows, ticket, self.work.tokens(rows)

    async def running_s(self) -> float | None:
        """See `deadlines.Running`."""
        return await self._noted(self.ticket) if self.ticket else None


def _fault_of(error: Exception) -> Fault | None:
    """The fault that `error` means for the sequences asked for; None if the sequences are not to blame."""
    if isinstance(error, RayActorError):
        return Fault.CRASHES_MODEL
    return Fault.INFERENCE_FAILED if failed_as_a_whole(error) else None
