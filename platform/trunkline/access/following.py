"""Following runs: their events as they become true, and their ends. Postgres tells; NATS only says when to look."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from trunkline.access.polling import Polling
from trunkline.access.transcript import RunEvent, Transcript
from trunkline.bus import stored
from trunkline.bus.connection import Bus, CoreMessage
from trunkline.domain.errors import NotAMessage, Unavailable
from trunkline.domain.ids import is_id
from trunkline.domain.journal import RunFailed
from trunkline.domain.status import RunStatus
from trunkline.domain.work import StreamChunk
from trunkline.store import journal, runs
from trunkline.store.database import Database
from trunkline.store.journal import Row

LOOK_EVERY = 0.25  # seconds between two looks without a hint
MOST_CHUNKS = 2000  # that wait for a slow reader; the rest is made up for from the journal
LONGEST = 3600.0  # seconds


class Following:
    """One a process; ``bus`` is set once NATS is reached."""

    def __init__(self, db: Database, bus: Bus | None = None) -> None:
        self.db = db
        self.bus = bus
        self._entries: Polling[tuple[str, int], list[Row]] = Polling(self._look_for_entries, every=LOOK_EVERY)
        self._ends: Polling[str, runs.Run] = Polling(self._look_for_ends, every=LOOK_EVERY)

    def close(self) -> None:
        """Let go of everybody who listens or waits."""
        self._entries.close()
        self._ends.close()

    async def ended(self, tenant: str, run: str, timeout: float) -> runs.Run:  # noqa: ASYNC109
        """The run when it has ended, or as it is after ``timeout`` seconds.

        Raises:
            UnknownRun: there is none.
            Unavailable: Postgres is away.
        """
        async with AsyncExitStack() as stack:
            if timeout > 0 and is_id(run):  # listening first, so that one look is enough
                await stack.enter_async_context(self._heard(tenant, run.lower(), self._ends.hint))
            hints = self._ends.hints
            found = await runs.get(self.db, tenant, run)
            if timeout > 0 and not found.status.ended:
                found = await self._ends.wait(found.id, timeout, hints) or await runs.get(self.db, tenant, run)
        return await runs.explained(self.db, found)

    async def events(self, tenant: str, run: str, after: str = "") -> AsyncIterator[RunEvent]:
        """What happens in a run from its beginning, or from behind the event with the id ``after``, to its end.

        Raises:
            UnknownRun: there is none.
            BadInput: ``after`` is not the id of an event.
            JournalCorrupt: what comes next cannot be read.
        """
        found = await runs.get(self.db, tenant, run)
        run = found.id  # as Postgres writes it, and workers in subjects: whoever asks may have written it in capitals
        transcript = Transcript.of(run, after)
        if not after:
            yield RunEvent("0", "status", {"run_id": run, "status": RunStatus.ACCEPTED})
        tokens = _Tokens()
        async with self._heard(tenant, run, self._entries.hint, tokens):
            if not found.status.ended:
                await self._remember(tenant, run, tokens)
            async for event in self._told(transcript, tokens):
                yield event

    async def _told(self, transcript: Transcript, tokens: _Tokens) -> AsyncIterator[RunEvent]:
        looking: asyncio.Task[list[Row] | None] | None = None
        try:
            while True:
                looking = looking or asyncio.create_task(
                    self._entries.wait((transcript.run, transcript.version), LONGEST)
                )
                await _either(looking, tokens.arrived)
                came, rows = tokens.take(), (looking.result() or []) if looking.done() else []
                looking = None if looking.done() else looking
                if self._entries.closed:
                    return  # whoever listens comes again, and goes on where it was
                for event in itertools.chain(_tokens_of(transcript, came), _entries_of(transcript, rows)):
                    yield event
                    if event.final:
                        return
        finally:
            if looking is not None:
                looking.cancel()

    # --- hints ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _heard(
        self, tenant: str, run: str, hint: Callable[[], None], tokens: _Tokens | None = None
    ) -> AsyncIterator[None]:
        """Hear of the run over NATS, as far as it is there."""

        async def on_end(_: CoreMessage) -> None:
            hint()

        async with AsyncExitStack() as stack:
            if self.bus is not None:
                subjects = self.bus.subjects
                with suppress(Unavailable):
                    ending = await self.bus.subscribe(subjects.ended(tenant, run), on_end)
                    stack.push_async_callback(ending.unsubscribe)
                    if tokens is not None:
                        streaming = await self.bus.subscribe(subjects.stream(tenant, run), tokens.on_message)
                        stack.push_async_callback(streaming.unsubscribe)
            yield

    async def _remember(self, tenant: str, run: str, tokens: _Tokens) -> None:
        """Tokens that were sent before we listened, as far as they are still kept."""
        if self.bus is None:
            return
        with suppress(Unavailable):
            subject = self.bus.subjects.stream(tenant, run)
            kept = await stored.read(self.bus, "STREAM", subject, limit=MOST_CHUNKS)
            tokens.put_first([message.data for message in kept])

    # --- looking ----------------------------------------------------------------------------------------------------

    async def _look_for_entries(self, keys: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], list[Row]]:
        found: dict[tuple[str, int], list[Row]] = {}
        left = list(keys)
        while left:  # a query takes each run once; readers of one run may stand at different places
            batch = dict(left)
            rows = await journal.tails(self.db, batch)
            found |= {(run, after): rows[run] for run, after in batch.items() if rows[run]}
            left = [key for key in left if batch[key[0]] != key[1]]
        erased = await runs.erased_among(self.db, [run for run, after in keys if (run, after) not in found])
        return found | {(run, after): [_erased(run, after)] for run, after in keys if run in erased}

    async def _look_for_ends(self, keys: Sequence[str]) -> Mapping[str, runs.Run]:
        return await runs.ended_among(self.db, keys)


def _erased(run: str, after: int) -> Row:
    """What the journal would tell, if it were there."""
    return Row(after + 1, 0, 0, 0.0, RunFailed(run, error=runs.ERASED))


def _tokens_of(transcript: Transcript, chunks: Sequence[StreamChunk]) -> Iterator[RunEvent]:
    for chunk in chunks:
        yield from transcript.chunk(chunk)


def _entries_of(transcript: Transcript, rows: Sequence[Row]) -> Iterator[RunEvent]:
    for row in rows:
        yield from transcript.entry(row.version, row.entry)


async def _either(looking: asyncio.Task[list[Row] | None], arrived: asyncio.Event) -> None:
    arriving = asyncio.create_task(arrived.wait())
    try:
        await asyncio.wait({looking, arriving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        arriving.cancel()


class _Tokens:
    """Chunks that came, until they are taken. When there are too many the newest are dropped."""

    def __init__(self) -> None:
        self._chunks: list[StreamChunk] = []
        self.arrived = asyncio.Event()

    async def on_message(self, message: CoreMessage) -> None:
        self._add(self._chunks, message.data)
        self.arrived.set()

    def put_first(self, kept: Sequence[bytes]) -> None:
        before: list[StreamChunk] = []
        for data in kept:
            self._add(before, data)
        self._chunks[:0] = before
        self.arrived.set()

    def take(self) -> list[StreamChunk]:
        taken, self._chunks = self._chunks, []
        self.arrived.clear()
        return taken

    @staticmethod
    def _add(chunks: list[StreamChunk], data: bytes) -> None:
        if len(chunks) < MOST_CHUNKS:
            with suppress(NotAMessage):
                chunks.append(StreamChunk.read(data))
