"""The newsroom through its days, in skipped time: a schedule, a team that fails and goes on, a person, a new prompt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from newsroom import app as newsroom
from newsroom.app import MODEL, Plan, Review, Story, app, interview, story_team
from trunkline import App
from trunkline.testing import Exchange, ExchangeFactory, ToolCall

FAIR = Story(slug="fair", headline="Town fair opens")
FLOOD = Story(slug="flood", headline="River rises")
SIX_IN_PARIS = "5h 1m"  # after midnight UTC, in January


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(newsroom, "PAGES", tmp_path)
    return tmp_path


def model(messages: list[dict[str, Any]]) -> Any:
    """Plans two stories, interviews before it writes, says in the text by which prompt, and likes what it reads."""
    prompt = messages[0]["content"]
    if prompt.startswith("You plan"):
        return Plan(stories=[FAIR, FLOOD])
    if prompt.startswith("You review"):
        return Review(good=True)
    if messages[-1]["role"] == "tool":
        return f"{messages[1]['content'].splitlines()[0]} ({prompt.split('.')[0]})"
    return ToolCall("interview", {"question": messages[1]["content"].splitlines()[0]})


def with_prompt(instructions: str) -> App:
    """What somebody deploys who has changed the author's prompt, and nothing else."""
    changed = App("newsroom")
    changed.llm_agent("author", model=MODEL, instructions=instructions, tools=[interview])
    return changed


def printed(pages: Path) -> dict[str, str]:
    """The text of each page, by its story."""
    return {page.stem: page.read_text() for page in pages.iterdir()}


async def statuses(tl: Exchange, agent: str) -> list[str]:
    """Of all runs of an agent, the oldest first."""
    return [run["status"] for run in (await tl.runs(agent=agent, limit=100))["items"]][::-1]


async def pending(tl: Exchange) -> dict[str, str]:
    """The run that waits for a person to let a page be printed, by headline."""
    found = (await tl.approvals())["items"]
    return {one["subject"]["headline"]: one["run"] for one in found}


async def test_a_day_of_the_newsroom(exchange: ExchangeFactory, pages: Path) -> None:
    async with exchange(app, model=model) as tl:
        await tl.skip(SIX_IN_PARIS)
        waiting = await pending(tl)
        assert set(waiting) == {"Town fair opens", "River rises"}
        assert await statuses(tl, "story") == ["waiting", "waiting"], "a child for each story"
        await tl.approve("print", run=waiting["Town fair opens"])
        await tl.approve("print", run=waiting["River rises"], approved=False, comment="not today")
        [desk] = (await tl.runs(agent="desk"))["items"]
        became = await tl.run(desk["id"]).result()
    assert became == {"fair": str(pages / "fair.md"), "flood": "refused: not today"}
    assert list(printed(pages)) == ["fair"]


async def test_the_desk_comes_every_morning_and_nobody_need_decide(exchange: ExchangeFactory, pages: Path) -> None:
    async with exchange(app, model=model) as tl:
        await tl.skip("2d")
        assert await statuses(tl, "desk") == ["completed", "completed"]
        last = (await tl.runs(agent="desk"))["items"][0]
        assert set((await tl.run(last["id"]).result()).values()) == {"nobody decided"}
    assert printed(pages) == {}


async def test_what_was_written_yesterday_is_not_printed_again(exchange: ExchangeFactory, pages: Path) -> None:
    async with exchange(app, model=model) as tl:
        for headline in ("Town fair opens", "Town fair closes"):
            run = await tl.start(story_team, Story(slug="fair", headline=headline), key="fair")
            await tl.approve("print")
            await run.result()
            assert printed(pages) == {"fair": f"{headline} (You write news)"}


async def test_without_the_archive_the_whole_team_begins_again(exchange: ExchangeFactory, pages: Path) -> None:
    away = {"times": 0}

    def archive(headline: str) -> list[str]:
        away["times"] += 1
        if away["times"] <= 3:  # one attempt, and its retries
            raise ConnectionError("the archive is closed")
        return [f"{headline} was foreseen"]

    async with exchange(app, model=model, tools={"search_archive": archive}) as tl:
        run = await tl.start(story_team, FAIR, key="fair")
        await tl.skip("1h")
        assert (await statuses(tl, "researcher"))[0] == "failed"
        await tl.approve("print")
        assert (await run.result())["reviewer"] == str(pages / "fair.md")
        assert (await statuses(tl, "reviewer"))[-1] == "completed"
    assert away["times"] == 4, "what was found is remembered, whoever asks again"


async def test_without_the_press_only_the_reviewer_begins_again(exchange: ExchangeFactory) -> None:
    broken = iter([True] * 6)  # one attempt, and its retries

    def press(slug: str, text: str) -> str:
        assert text
        if next(broken, False):
            raise ConnectionError("the press is out of paper")
        return slug

    async with exchange(app, model=model, tools={"print_page": press}) as tl:
        run = await tl.start(story_team, FAIR, key="fair")
        await tl.approve("print")
        await tl.skip("10m")
        await tl.approve("print")  # a new run of the reviewer asks anew
        assert (await run.result())["reviewer"] == "fair"
        assert await statuses(tl, "reviewer") == ["failed", "completed"]
        assert (await statuses(tl, "author")) == ["completed"], "the article stood, and nobody wrote it again"


async def test_a_story_goes_on_when_its_worker_dies(exchange: ExchangeFactory, pages: Path) -> None:
    async with exchange(app, model=model) as tl:
        run = await tl.start(story_team, FAIR, key="fair")
        await tl.settle()
        calls = len(tl.model.calls)
        await tl.crash("agents")
        await tl.approve("print")
        assert (await run.result())["reviewer"] == str(pages / "fair.md")
        assert len(tl.model.calls) == calls, "what a model has answered is not asked again"


async def test_a_new_prompt_is_for_new_articles_and_is_taken_back(exchange: ExchangeFactory, pages: Path) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow_interview(question: str) -> str:
        asked.set()
        await answered.wait()
        return f"no comment on {question}"

    async with exchange(app, model=model, tools={"interview": slow_interview}) as tl:
        stories = [FAIR, FLOOD, Story(slug="bridge", headline="Bridge closes")]
        runs = [await tl.start(story_team, stories[0], key="fair")]
        await asyncio.wait_for(asked.wait(), 10)  # the first article is being written
        [moved] = await tl.deploy(with_prompt("You sing news. Interview somebody first."))
        answered.set()
        runs.append(await tl.start(story_team, stories[1], key="flood"))
        await tl.settle()
        await tl.rollback("author", to=moved["previous"])
        runs.append(await tl.start(story_team, stories[2], key="bridge"))
        await tl.settle()
        for waiting in (await pending(tl)).values():
            await tl.approve("print", run=waiting)
        for run in runs:
            await run.result()
    assert printed(pages) == {
        "fair": "Town fair opens (You write news)",
        "flood": "River rises (You sing news)",
        "bridge": "Bridge closes (You write news)",
    }
