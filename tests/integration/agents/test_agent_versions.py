"""Workers of two code versions at once: runs go to the one that can finish them, and what fits neither is parked."""

from __future__ import annotations

from integration.agents.conftest import Exchange, Worker
from trunkline import App, CloudEvent, Context
from trunkline.access.entrance import Entrance
from trunkline.domain.status import EnvelopeKind
from trunkline.store import leases, runs, workers

GO = {"name": "go", "data": "on"}


async def noted(number: int) -> int:
    return number


def make(version: str, first: int = 1, *, instructions: str = "") -> App:
    """Each version asks for another first step; ``instructions`` are an llm agent's."""
    app = App("versions_under_test", version=version)
    go = app.signal("go", str)

    @app.agent("patient")
    async def patient(ctx: Context, word: str) -> str:
        before = await ctx.step(noted, first)
        return f"{word} {await ctx.wait_for(go)} {before}"

    @patient.on("patient.poked", key="data.key")
    async def poked(ctx: Context, event: dict[str, str]) -> None:
        await ctx.step(noted, first)
        await ctx.wait_for(go)

    if instructions:
        app.llm_agent("triage", model="openai/x", instructions=instructions)
    return app


async def waiting(exchange: Exchange, key: str) -> runs.Run:
    return await exchange.until(await exchange.request("patient", key, "well"), "waiting")


async def go(exchange: Exchange, run: runs.Run) -> None:
    await exchange.post("patient", run.key, EnvelopeKind.SIGNAL, GO, run=run.id)


async def test_a_run_goes_to_the_worker_that_has_its_code(exchange: Exchange) -> None:
    old, new = make("1"), make("2", 2)
    async with Worker(exchange.settings, old):
        begun = [await waiting(exchange, f"k{number}") for number in range(8)]
    assert {run.code for run in begun} == {old.agents["patient"].code}
    async with Worker(exchange.settings, new), Worker(exchange.settings, old):
        for run in begun:
            await go(exchange, run)
        for run in begun:
            ended = await exchange.until(run.id, "completed", "failed")
            # What the new one took up before the old one was there was parked, and was freed when that came.
            assert (ended.status, ended.output) == ("completed", "well on 1")


async def test_code_of_another_version_that_fits_goes_on(exchange: Exchange) -> None:
    async with Worker(exchange.settings, make("1")):
        run = await waiting(exchange, "fits")
    async with Worker(exchange.settings, make("2")):
        await go(exchange, run)
        assert (await exchange.until(run.id, "completed", "parked")).output == "well on 1"


async def test_a_run_that_no_worker_can_finish_says_so_and_is_freed_by_one_that_can(exchange: Exchange) -> None:
    old, new = make("1"), make("2", 2)
    async with Worker(exchange.settings, old):
        run = await waiting(exchange, "alone")
    async with Worker(exchange.settings, new):
        await go(exchange, run)
        parked = await exchange.until(run.id, "parked")
        assert old.agents["patient"].code in parked.parked_detail
        assert new.agents["patient"].code in parked.parked_detail
        async with Worker(exchange.settings, old):  # nobody resolves it: it is looked at when its code comes
            ended = await exchange.until(run.id, "completed", "failed")
            assert (ended.output, ended.parked_reason) == ("well on 1", "")


async def test_code_that_calls_itself_the_same_and_is_not_is_parked_and_not_sent_around(exchange: Exchange) -> None:
    async with Worker(exchange.settings, make("1")):
        run = await waiting(exchange, "liar")
    async with Worker(exchange.settings, make("1", 2)), Worker(exchange.settings, make("1", 3)):
        await go(exchange, run)
        parked = await exchange.until(run.id, "parked")
    assert "the same code version" in parked.parked_detail


async def test_runs_of_two_versions_in_one_instance_are_not_sent_around(exchange: Exchange) -> None:
    """The worker that has the code of one keeps the instance, and parks the other."""
    apps = make("1"), make("2", 2)
    async with Worker(exchange.settings, apps[0]):
        main = await waiting(exchange, "both")
    async with Worker(exchange.settings, apps[1]):
        event = CloudEvent(id="1", source="test", type="patient.poked", data={"key": "both"})
        [beside] = await Entrance(exchange.db, exchange.bus).publish("default", event)
        await exchange.until(main.id, "parked")
        await exchange.until(beside, "waiting")
        async with Worker(exchange.settings, apps[0]):
            await exchange.post("patient", "both", EnvelopeKind.SIGNAL, GO, run=beside)
            assert (await exchange.until(beside, "completed", "parked")).status == "completed"
            await exchange.post("patient", "both", EnvelopeKind.RESOLVE, {"outcome": "again"}, run=main.id)
            await go(exchange, main)
            assert (await exchange.until(main.id, "completed", "failed")).output == "well on 1"


async def test_what_workers_announce_is_in_their_row(exchange: Exchange) -> None:
    app = make("1", instructions="one")
    async with Worker(exchange.settings, app):

        async def announced() -> object:
            [agents] = (await workers.announced(exchange.db, "default")).values()
            return agents if agents["triage"]["definition"] == 1 else None

        agents = await exchange.eventually(announced)
        assert {name: one["code"] for name, one in agents.items()} == {n: a.code for n, a in app.agents.items()}
    assert await workers.announced(exchange.db, "default") == {}


async def test_a_run_in_flight_keeps_its_definition_under_a_worker_that_declares_another(exchange: Exchange) -> None:
    async with Worker(exchange.settings, make("1", instructions="one")):
        run = await exchange.request("triage", "one", "help")

        async def asked() -> bool:
            return "StepScheduled" in await exchange.entries(run)

        await exchange.eventually(asked)
    async with Worker(exchange.settings, make("1", instructions="two")):
        newer = await exchange.request("triage", "two", "help")
        await exchange.until_held("triage", "one")
        assert await exchange.post("triage", "one", EnvelopeKind.CANCEL, {"reason": "enough"}, run=run) == run
        await exchange.until(run, "cancelled", "parked")
        assert "RunParked" not in await exchange.entries(run)
        assert (await exchange.until(newer, "running")).definition == 2
        assert await leases.owner_of(exchange.db, exchange.instance("triage", "one")) is not None


def test_the_code_version_is_what_is_declared_and_not_what_the_definition_holds() -> None:
    code = make("1", instructions="one").agents["triage"].code
    assert make("1", 2, instructions="two").agents["triage"].code == code
    assert make("2", instructions="one").agents["triage"].code != code
