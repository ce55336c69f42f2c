"""Finds the records that the model cannot get through, refuses these records and answers all others.

`part_sender` comes here only after a failure, or while records are suspects. A failure is a replica's death, a late
answer (see `deadlines`), or a model that fails on the whole call. A failed call does not identify a record, because a
dying or hanging replica fails all of its calls. Unanswered sequences take these steps:

1. Ask once more as before: replicas also die, and calls are late, for other reasons.
2. Run groups apart, one after the other and never joined with other calls. The control plane notes each group before it
   runs, after a text that the model is known to answer (`ModelReplica.classify_apart`). A failure counts against the
   noted group.
3. Run the records of that group alone. A record that fails alone MAX_ALONE times is refused.

If no replica answers at all, nothing counts as a failure: a call to an absent model is repeated without a limit.
Suspicions are kept by content, beyond the call and until the process ends: calls end at their deadline, and the same
records return in new calls. `crash_budget` limits the deaths. docs/adr/0007-crash-isolation.md has the costs.
"""

import logging
from uuid import uuid4

from ray.exceptions import RayActorError

from labelstream.deploy.model_client.call_state import CallState, Part, Rows, rows_of
from labelstream.deploy.model_client.crash_budget import CrashBudget
from labelstream.deploy.model_client.deadlines import Deadlines, Noted, SentPart
from labelstream.deploy.model_client.failed_attempts import FailedAttempts
from labelstream.deploy.model_client.retries import failed_as_a_whole
from labelstream.deploy.model_client.serve_client import ServeClient
from labelstream.workers.classifier import Fault
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.errors import FailedApart

logger = logging.getLogger(__name__)
TOGETHER_FAILURES = 2
GROUP_SEQUENCES = 32  # about one forward on a CPU, so that good records in a group wait little longer


class PoisonIsolation:
    """Belongs to one event loop.

    - `noted`: `ControlPlane.noted`.
    - `suspects`: the contents with a failure, of all calls. Without any, a part needs no isolation.
    """

    def __init__(
        self, model: str, client: ServeClient, noted: Noted, deadlines: Deadlines, deaths: CrashBudget
    ) -> None:
        self._model, self._client, self._noted = model, client, noted
        self._deadlines, self._deaths = deadlines, deaths
        self._failed_attempts = FailedAttempts()
        self.suspects = self._failed_attempts.suspects

    def divide(self, work: CallState, left: Rows) -> tuple[Rows, list[Rows]]:
        """Split `left` into rows to ask for together and groups to run apart. Refuses rows with too many failures."""
        if not self.suspects:
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

    async def run_apart(self, work: CallState, sent: SentPart, group: Part) -> None:
        """Ask for `group` of `sent`, joined with nothing else, and put the answers into `work`.

        Raises Paused if the crash budget is used up, and what `ServeClient.classify_apart` raises.
        """
        self._deaths.risk()
        sent.asked, sent.ticket = group, uuid4().hex
        try:
            scored = await self._client.classify_apart(group.packed, work.top_k, work.revision, sent.ticket)
        except RayActorError:
            if await self._noted(sent.ticket) is not None:
                logger.warning("model %s: a replica died while it ran %d texts apart", self._model, len(group.rows))
                self._deaths.died()
                self._failed_attempts.failed(work.contents(group.rows), Fault.CRASHES_MODEL, running=True)
            sent.asked, sent.ticket = None, ""  # nothing runs apart now, however much time the part has left
            raise
        except FailedApart:
            self._failed_attempts.failed(work.contents(group.rows), Fault.INFERENCE_FAILED, running=True)
            raise
        self.passed(work, group, scored)
        self._deadlines.answered(sent, None)
        work.put(group.rows, scored)

    def failed(self, work: CallState, part: Part, error: Exception) -> None:
        """The request for `part` failed together with other calls: suspect its contents if they may be the cause."""
        fault = _fault_of(error)
        if fault is not None:
            self._failed_attempts.failed(work.contents(part.rows), fault, running=False)

    async def late(self, work: CallState, sent: SentPart) -> None:
        """`sent` is late: suspect what it asked for, unless no replica answers at all."""
        asked = sent.asked
        if asked is None:
            return
        if sent.ran:
            logger.warning("model %s: no answer in time to %d texts that ran apart", self._model, len(asked.rows))
            self._failed_attempts.failed(work.contents(asked.rows), Fault.TIMED_OUT, running=True)
        elif not sent.ticket and await self._client.alive():
            self._failed_attempts.failed(work.contents(asked.rows), Fault.TIMED_OUT, running=False)

    def passed(self, work: CallState, part: Part, scored: ScoredSequences) -> None:
        """A replica answered `part`: clear its suspicions. Earlier failures count as attempts of refused records."""
        contents = work.contents(part.rows)
        for row, error in scored.errors.items():
            failures = self._failed_attempts.of(contents[row]).failures
            scored.errors[row] = error._replace(attempts=error.attempts + failures)
        self._failed_attempts.passed(contents)


def _fault_of(error: Exception) -> Fault | None:
    """The fault that `error` means for the sequences asked for; None if the sequences are not to blame."""
    if isinstance(error, RayActorError):
        return Fault.CRASHES_MODEL
    return Fault.INFERENCE_FAILED if failed_as_a_whole(error) else None
