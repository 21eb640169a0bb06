"""How often an owner is asked for a permit: again where an answer may be lost, once where nobody can have heard."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.domain.codec import dumps
from trunkline.domain.errors import NobodyListens, Unavailable
from trunkline.domain.status import Effect
from trunkline.domain.work import BEGIN_WITHIN, PermitAnswer, PermitRequest, WorkItem
from trunkline_workers import permits
from trunkline_workers.permits import Permits

ID = "00000000-0000-4000-8000-000000000001"
GO, LATER = PermitAnswer(answer="go"), PermitAnswer(answer="later")
NOBODY, LOST = NobodyListens(what="permit"), Unavailable(what="permit", reason="no answer")


class Line:
    """Answers from a list, and goes on with the last of it; a second passes with every question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: PermitAnswer | Exception) -> None:
        self.now = 0.0
        self.answers = list(answers)
        self.asked: list[PermitRequest] = []
        bus: Any = SimpleNamespace(request=self._request, subjects=SimpleNamespace(permit=lambda *_: "permit"))
        self.permits = Permits(bus, "me")
        monkeypatch.setattr(permits, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(permits, "_PAUSE", 0.0)

    async def _request(self, _subject: str, data: bytes, _timeout: float) -> bytes:
        self.asked.append(PermitRequest.read(data))
        self.now += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dumps(answer)


def _item(effect: Effect) -> WorkItem:
    return WorkItem(
        tenant="t", instance=ID, agent="orders", run=ID, step="tool:ship#1", version=1, attempt=1, epoch=1,
        reply="reply", kind="tool", name="ship", effect=effect, idempotency_key=ID, timeout=1, published_at=0,
    )  # fmt: skip


@pytest.mark.parametrize("effect", Effect)
async def test_where_nobody_listens_it_is_asked_once(monkeypatch: pytest.MonkeyPatch, effect: Effect) -> None:
    line = Line(monkeypatch, NOBODY)
    said = await line.permits.ask(_item(effect))
    assert (said.answer, said.lost, len(line.asked)) == (None, False, 1)


async def test_who_ends_asks_nobody_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, LOST)
    line.permits.close()
    said = await line.permits.ask(_item(Effect.UNSAFE))
    assert (said.answer, said.lost, len(line.asked)) == (None, True, 1)


async def test_a_lost_answer_is_asked_for_again_by_the_same_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, LOST, NOBODY, LATER, GO)
    said = await line.permits.ask(_item(Effect.UNSAFE))
    assert (said.answer, said.asked_at) == (GO, 3.0)
    assert [one.execution for one in line.asked] == [said.execution] * 4


@pytest.mark.parametrize("answer", [NOBODY, LATER])
async def test_it_is_asked_for_once_more_when_it_would_not_count_any_more(
    monkeypatch: pytest.MonkeyPatch, answer: PermitAnswer | Exception
) -> None:
    line = Line(monkeypatch, LOST, answer)
    said = await line.permits.ask(_item(Effect.UNSAFE))
    assert said.answer == (None if answer is NOBODY else LATER)
    assert said.asked_at == 1 + BEGIN_WITHIN, 'a "go" that comes then tells that nobody began'


async def test_who_is_delivered_the_item_again_remembers_the_lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, *[LOST] * 16, NOBODY, GO)
    first = await line.permits.ask(_item(Effect.UNSAFE))
    assert (first.answer, first.lost) == (None, True)
    assert len(line.asked) == 16, "not for ever, with the item in hand"
    assert (await line.permits.ask(_item(Effect.UNSAFE))).answer == GO
    assert len({one.execution for one in line.asked}) == 1


@pytest.mark.parametrize("effect", [Effect.PURE, Effect.IDEMPOTENT])
async def test_what_may_begin_twice_is_asked_for_once(monkeypatch: pytest.MonkeyPatch, effect: Effect) -> None:
    line = Line(monkeypatch, LOST)
    said = await line.permits.ask(_item(effect))
    assert (said.answer, len(line.asked)) == (None, 1)


async def test_who_asks_is_not_forgotten_for_those_that_came_before_and_ask_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permits, "_REMEMBERED", 2)
    line = Line(monkeypatch, LATER)
    for step in ("first", "second", "first", "third", "first"):
        await line.permits.ask(_item(Effect.PURE).model_copy(update={"step": step}))
    assert len({one.execution for one in line.asked if one.step == "first"}) == 1
