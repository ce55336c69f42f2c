"""The worker's side of a model: tokenizes, calls the model's replicas and names the labels. No torch."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from labelstream.deploy.control.reporter import noted
from labelstream.deploy.model_client.call_state import CallState
from labelstream.deploy.model_client.crash_budget import CrashBudget
from labelstream.deploy.model_client.deadlines import Deadlines, Noted
from labelstream.deploy.model_client.part_sender import PartSender
from labelstream.deploy.model_client.poison_isolation import PoisonIsolation
from labelstream.deploy.model_client.retries import may_pass_later, one_line, retrying
from labelstream.deploy.model_client.serve_client import ServeClient
from labelstream.deploy.model_client.served_model import Model, ServedModel
from labelstream.workers import tracing
from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, Answer, Progress, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.tasks.base import Prepared
from labelstream.workers.errors import InferenceError, ModelChanged

logger = logging.getLogger(__name__)
READY_TIMEOUT_S = 1_800.0  # the first replica may download a large model or wait for a node
CLOSE_TIMEOUT_S = 5.0
PARTS_AT_ONCE = 8  # parts of one submit; enough to keep several replicas busy

Answers = list[Answer]


class ServeCall(NamedTuple):
    """Requests prepared for one revision. `work`: their sequences and answers so far; None if nothing has to run."""

    model: Model
    prepared: Prepared
    work: CallState | None


class ServeClassifier:
    """Implements `labelstream.workers.classifier.Classifier` with a Serve handle, from any thread of a cluster's
    process.

    - `call_timeout_s`: seconds for which transport failures are retried before the call ends with InferenceError. A
      call in several parts has this time for each part, and the time for its tokens: see `deadlines`.
    - `is_noted`: replaces the question to the control plane of the handle's application.
    - `max_tokens`: limit of all sequences of one request; a larger request is refused.
    - `interactive`: somebody waits for each answer; see `ServeClient`.

    The constructor waits up to `ready_timeout_s` for the first replica, then raises StartError. Owns one thread.
    """

    def __init__(
        self,
        name: str,
        handle: Any,
        call_timeout_s: float,
        ready_timeout_s: float = READY_TIMEOUT_S,
        is_noted: Noted | None = None,
        max_tokens: int = MAX_MESSAGE_TOKENS,
        interactive: bool = False,
    ) -> None:
        self._name, self._call_timeout_s = name, call_timeout_s
        self._loop = asyncio.new_event_loop()
        client, retry = ServeClient(name, handle, interactive), retrying(name)
        is_noted = is_noted or partial(noted, handle.deployment_id.app_name)
        self._deadlines, self._deaths = Deadlines(self._loop, call_timeout_s, is_noted), CrashBudget(name)
        isolation = PoisonIsolation(name, client, is_noted, self._deadlines, self._deaths)
        self._sender = PartSender(client, retry, self._deadlines, isolation)
        self._served = ServedModel(name, client, retry, max_tokens)
        self._tokenizing = threading.Lock()  # a task is used by one thread at a time
        self._changing = threading.Lock()  # guards the fields below
        self._closed = False
        self._tokens = 0
        self._pending: dict[Future[Answers], asyncio.Task[Answers] | None] = {}  # None until the task begins
        self._thread = threading.Thread(target=self._run, name=f"model-{name}", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._served.first(ready_timeout_s), self._loop).result()
        except BaseException:
            self.close()
            raise

    @property
    def description(self) -> ModelDescription:
        """The description for which calls are prepared now."""
        return self._served.current.description

    @property
    def tokens(self) -> int:
        """Tokens submitted since the start, special tokens included."""
        return self._tokens

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> "Future[Answers]":
        """See `Classifier.submit`. Tokenizes in the calling thread. A cancelled future costs no forward that has not
        begun.
        """
        span = tracing.call(self._name, len(requests))
        future: Future[Answers] = Future()
        if span.is_recording():
            future.add_done_callback(lambda done: tracing.end(span, done.exception()))
        with tracing.within(span):
            self._submit(future, requests, progress or Progress())
        return future

    def trouble(self) -> str:
        """See `Classifier.trouble`."""
        return self._deaths.trouble()

    def resume(self) -> bool:
        """See `Classifier.resume`."""
        return self._deaths.resume()

    def _submit(self, future: "Future[Answers]", requests: Sequence[Request], progress: Progress) -> None:
        try:
            call, model = progress.kept, self._served.current
            if not isinstance(call, ServeCall) or call.model is not model:
                call = progress.kept = self._prepared(model, requests, progress)
                self._tokens += len(call.prepared.packed.ids)
            future.add_done_callback(self._cancel)
            with self._changing:
                if self._closed:
                    raise InferenceError(f"model {self._name}: the classifier is closed")
                self._pending[future] = None
                self._loop.call_soon_threadsafe(self._begin, future, call, requests, progress)
        except BaseException as error:  # a panic of native code is not an Exception
            self._resolve(future, error)

    def close(self) -> None:
        """See `Classifier.close`. Ends the thread. May be called again."""
        with self._changing:
            if self._closed:
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        """The loop's thread. Resolves every pending call when the loop ends for any reason."""
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        finally:
            with self._changing:
                self._closed = True
                left = list(self._pending)
            for future in left:
                self._resolve(future, InferenceError(f"model {self._name}: the classifier was closed"))
            self._loop.close()

    def _begin(
        self, future: "Future[Answers]", call: ServeCall, requests: Sequence[Request], progress: Progress
    ) -> None:
        task = self._pending[future] = self._loop.create_task(self._answer(call, requests, progress))
        task.add_done_callback(partial(self._finish, future))

    def _cancel(self, future: "Future[Answers]") -> None:
        """`future` is done: end its task if the caller cancelled it."""
        if future.cancelled():
            with self._changing:
                if not self._closed:
                    self._loop.call_soon_threadsafe(self._end, future)

    def _end(self, future: "Future[Answers]") -> None:
        if (task := self._pending.get(future)) is not None:
            task.cancel()

    def _finish(self, future: "Future[Answers]", task: "asyncio.Task[Answers]") -> None:
        if not future.set_running_or_notify_cancel():
            self._pending.pop(future, None)
            if not task.cancelled():
                task.exception()  # asyncio logs an exception that nobody takes
        elif task.cancelled():
            self._resolve(future, InferenceError(f"model {self._name}: the classifier was closed"))
        elif (error := task.exception()) is not None:
            self._resolve(future, error)
        else:
            self._pending.pop(future, None)
            future.set_result(task.result())

    def _resolve(self, future: "Future[Answers]", error: BaseException) -> None:
        self._pending.pop(future, None)
        if not (may_pass_later(error) or isinstance(error, InferenceError)):
            logger.error("model %s: a call failed: %s", self._name, one_line(error))
        plain = type(error) is InferenceError
        if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
            future.set_exception(error if plain else InferenceError(f"model {self._name}: {one_line(error)}"))

    async def _answer(self, call: ServeCall, requests: Sequence[Request], progress: Progress) -> Answers:
        if call.work is None:
            return call.prepared.answers(None)
        try:
            try:
                await self._score(call.work)
            except ModelChanged:
                async with asyncio.timeout(self._call_timeout_s):
                    model = await self._served.after(call.model)
                # Answers of the other revision are dropped.
                call = progress.kept = self._prepared(model, requests, progress)
                if call.work is not None:
                    await self._score(call.work)
        except TimeoutError:
            fix = f"raise models.{self._name}.call_timeout_s if one text may take longer"
            problem = f"no answer within {self._call_timeout_s:g} s"
            raise InferenceError(f"model {self._name}: {problem}; {fix}") from None
        progress.kept = None
        return call.prepared.answers(None if call.work is None else call.work.answer())

    async def _score(self, work: CallState) -> None:
        """Ask for unanswered sequences, in parts. After a failure no new part is sent, and the parts in flight are
        awaited: their answers are kept.
        """
        parts = work.parts(self._deadlines.part_tokens)
        running: set[asyncio.Task[None]] = set()
        failures: list[BaseException] = []
        try:
            while True:
                for part in islice(parts, 0 if failures else PARTS_AT_ONCE - len(running)):
                    if part.is_last and not running:
                        await self._sender.send(work, part)  # the common case, without a task of its own
                        return
                    running.add(asyncio.create_task(self._sender.send(work, part)))
                if not running:
                    break
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failures += [error for task in done if (error := task.exception()) is not None]
        finally:
            for task in running:  # left only if this call was cancelled
                task.cancel()
        if failures:
            raise next((error for error in failures if isinstance(error, ModelChanged)), failures[0])

    def _prepared(self, model: Model, requests: Sequence[Request], progress: Progress) -> ServeCall:
        with self._tokenizing:
            prepared = model.task.prepare(requests)
        packed, description = prepared.packed, model.description
        if not len(packed.lengths):
            return ServeCall(model, prepared, None)
        work = CallState(packed, prepared.width, description.revision, description.ranked, progress)
        return ServeCall(model, prepared, work)
