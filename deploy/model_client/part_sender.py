"""Sends the parts of calls to the model's replicas, each under its deadline, and puts the answers into the calls.

A part is asked for as it was cut while nothing fails. After a failure, and while records are suspects,
`PoisonIsolation` divides the part: what is still asked for together, and which groups run apart.
"""

import asyncio

from tenacity import AsyncRetrying

from labelstream.deploy.model_client.call_state import CallState, Part
from labelstream.deploy.model_client.deadlines import Deadlines, SentPart
from labelstream.deploy.model_client.poison_isolation import PoisonIsolation
from labelstream.deploy.model_client.serve_client import ServeClient


class PartSender:
    """Asks for parts until each of their sequences is answered or refused. Belongs to one event loop.

    `retrying`: decides which failures are retried until the part is late.
    """

    def __init__(
        self, client: ServeClient, retrying: AsyncRetrying, deadlines: Deadlines, isolation: PoisonIsolation
    ) -> None:
        self._client, self._retrying, self._deadlines, self._isolation = client, retrying, deadlines, isolation

    async def send(self, work: CallState, part: Part) -> None:
        """Put an answer to each sequence of `part` into `work`; refused records go into its `errors`.

        Raises TimeoutError if the part is late, Paused if the crash budget is used up, and whatever `retrying` does not
        retry. Answers that arrived before are in `work`.
        """
        sent = SentPart(part)
        try:
            async with self._deadlines.of(sent):
                await self._retrying(self._try, work, sent)
        except TimeoutError:
            await self._isolation.late(work, sent)
            raise

    async def _try(self, work: CallState, sent: SentPart) -> None:
        sent.tries += 1
        if sent.tries == 1 and not self._isolation.suspects:
            await self._ask(work, sent, sent.part)
            return
        together, groups = self._isolation.divide(work, work.left(sent.part.rows))
        if len(together):
            await self._ask(work, sent, work.part(together))
        for rows in groups:
            await self._isolation.run_apart(work, sent, work.part(rows))

    async def _ask(self, work: CallState, sent: SentPart, part: Part) -> None:
        """Ask for `part` of `sent`, which replicas may join with other calls."""
        sent.asked, sent.ticket = part, ""
        asked_at = asyncio.get_running_loop().time()
        try:
            scored = await self._client.classify(part.packed, work.top_k, work.revision)
        except Exception as error:
            self._isolation.failed(work, part, error)
            raise
        if self._isolation.suspects:
            self._isolation.passed(work, part, scored)
        self._deadlines.answered(sent, asked_at)
        work.put(part.rows, scored)
