"""The newsroom: every morning a desk plans the stories of the day, a team works on each, a person lets it be printed.

desk ──spawns──▶ story (one for each headline): a team, rest_for_one
                   ├─ researcher   finds the facts, once
                   ├─ writer       asks the researcher, then a model
                   └─ reviewer     asks the writer, then a model, then a person, and prints
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

from trunkline import App, Context, Cron, Member, Tick, TimedOut

app = App("newsroom")
PAGES = Path(os.environ.get("NEWSROOM_PAGES", "pages"))
MODEL = "openai/gpt-5-mini"
MOST_ROUNDS = 3


class Story(BaseModel):
    slug: str
    headline: str


class Plan(BaseModel):
    stories: list[Story]


class Notes(BaseModel):
    """What was found, and about what."""

    headline: str = ""
    facts: list[str] = []


class Article(BaseModel):
    """What is written, under which headline, and for which remarks of the reviewer it was written anew."""

    headline: str = ""
    remarks: str = ""
    text: str = ""


class Draft(BaseModel):
    """What the writer is asked for."""

    story: Story
    remarks: str = ""


class Review(BaseModel):
    good: bool
    remarks: str = ""


# --- tools ----------------------------------------------------------------------------------------------------------


@app.tool(timeout=30, retries=2)
def search_archive(headline: str) -> list[str]:
    """What the archive knows about a headline."""
    return [f"In 1923 the paper wrote about {word}." for word in headline.split()]


@app.tool(timeout=60, retries=2)
def interview(question: str) -> str:
    """Ask somebody who was there."""
    return f"I have nothing to say about “{question}”."


@app.tool(effect="idempotent", timeout=10, retries=5)
def print_page(slug: str, text: str) -> str:
    """Print a page. Printing it again prints the same page."""
    PAGES.mkdir(parents=True, exist_ok=True)
    page = PAGES / f"{slug}.md"
    page.write_text(text)
    return str(page)


# --- models ---------------------------------------------------------------------------------------------------------

planner = app.llm_agent(
    "planner",
    model=MODEL,
    instructions="You plan the edition of a newspaper. Name its stories, each with a slug.",
    output=Plan,
)
author = app.llm_agent(
    "author",
    model=MODEL,
    instructions="You write news. Interview somebody first. Be brief.",
    tools=[interview],
)
critic = app.llm_agent(
    "critic",
    model=MODEL,
    instructions="You review articles. Say whether one may be printed, and if not, what to change.",
    output=Review,
)


# --- the team of a story: each has one instance a story ---------------------------------------------------------------


@app.agent("researcher")
async def researcher(ctx: Context[Notes], story: Story) -> Notes:
    """Searches once; whoever asks again gets what it remembers."""
    if ctx.state.headline != story.headline:
        ctx.state = Notes(headline=story.headline, facts=await ctx.call(search_archive, story.headline))
    return ctx.state


@app.agent("writer")
async def writer(ctx: Context[Article], draft: Draft) -> Article:
    """Writes once, and once more for each new remark."""
    story, written = draft.story, ctx.state
    if (written.headline, written.remarks) != (story.headline, draft.remarks):
        notes = await ctx.ask(researcher, story, key=story.slug)
        facts = "\n".join(notes.facts)
        text = await ctx.ask(author, f"{story.headline}\n\nFacts:\n{facts}\n\nRemarks: {draft.remarks or 'none'}")
        ctx.state = Article(headline=story.headline, remarks=draft.remarks, text=text)
    return ctx.state


@app.agent("reviewer")
async def reviewer(ctx: Context, story: Story) -> str:
    """Sends an article back until it is good, and prints it if a person agrees."""
    remarks = ""
    for _ in range(MOST_ROUNDS):
        article = await ctx.ask(writer, Draft(story=story, remarks=remarks), key=story.slug)
        review = await ctx.ask(critic, article.text)
        if review.good:
            break
        remarks = review.remarks
    else:
        return "not good enough"
    try:
        decision = await ctx.approve("print", {"headline": story.headline, "text": article.text}, timeout="12h")
    except TimedOut:
        return "nobody decided"
    if not decision.approved:
        return f"refused: {decision.comment or 'no reason given'}"
    return await ctx.call(print_page, story.slug, article.text)


def slug(story: Story) -> str:
    return story.slug


story_team = app.team(
    "story",
    input=Story,
    members=[
        Member(researcher, lambda story: story, key=slug, restart="transient"),
        Member(writer, lambda story: Draft(story=story), key=slug, restart="transient"),
        Member(reviewer, lambda story: story, key=slug, restart="transient"),
    ],
    strategy="rest_for_one",  # without facts nothing is to be written, and without an article nothing to be reviewed
    max_restarts=3,
    within="1h",
    delay="1m",
    longest_delay="5m",
)


# --- the desk -------------------------------------------------------------------------------------------------------


@app.agent("desk", schedule=Cron("0 6 * * *", tz="Europe/Paris"))
async def desk(ctx: Context, morning: Tick) -> dict[str, str]:
    """Plans the day, sees each story through, and says what became of them."""
    plan = await ctx.ask(planner, f"The edition of {morning.due_at:%A, %d %B}.")
    children = [await ctx.spawn(story_team, story, key=story.slug) for story in plan.stories]
    ends = [await child.ended() for child in children]
    became = {end.key: end.output["reviewer"] if end.completed else "failed" for end in ends}
    await ctx.emit("edition.closed", became)
    return became
