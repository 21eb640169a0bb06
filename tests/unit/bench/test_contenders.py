"""Who takes part where."""

import importlib.util

import pytest
from benchmarks.bench.contenders import CONTENDERS, WORKLOADS
from benchmarks.bench.studies import STUDIES
from benchmarks.bench.targets import DBOS, ONE, RESTATE, TWO
from benchmarks.contenders.load import Asked
from benchmarks.contenders.restate import TUNED, tuning

NAMES = [one.name for one in CONTENDERS]


def test_each_has_a_name_of_its_own_and_a_program() -> None:
    assert len(set(NAMES)) == len(NAMES)
    programs = {f"benchmarks.contenders.{one.program}" for one in CONTENDERS}
    assert [name for name in programs if importlib.util.find_spec(name) is None] == []


def test_each_takes_part_in_workloads_that_there_are_and_in_one_by_default() -> None:
    for one in CONTENDERS:
        assert set(one.workloads) <= set(WORKLOADS)
        assert any(one.workloads.values())
    assert not set(WORKLOADS) & set(STUDIES)


def test_every_workload_has_somebody_of_ours_by_default() -> None:
    ours = [one for one in CONTENDERS if one.name.startswith("trunkline")]
    assert {name for one in ours for name, levels in one.workloads.items() if levels} == set(WORKLOADS)


def test_targets_speak_of_contenders_that_there_are() -> None:
    assert {*RESTATE, *DBOS, *ONE, *TWO, "restate-three", "floor", "trunkline-three-llm", "litellm-alone"} <= set(NAMES)


@pytest.mark.parametrize(
    ("variant", "workload", "told"),
    [
        ("", "local", {}),
        ("", "remote", {}),
        ("tuned", "local", TUNED),
        ("tuned", "remote", TUNED),
        ("three", "local", TUNED),
        ("three", "remote", {}),
    ],
)
def test_three_processes_of_restate_have_the_faster_number_of_partitions(
    variant: str, workload: str, told: dict[str, str]
) -> None:
    asked = Asked(workload, [1000], 1.0, 1.0, 1.0, "", variant, "", "", "")
    assert tuning(asked) == told
