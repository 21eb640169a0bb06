"""Fault points: free when nothing is armed, deadly when told so."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from trunkline.domain.errors import BadDeclaration
from trunkline.observe import faults


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    faults.configure("")


async def test_nothing_happens_unless_armed() -> None:
    faults.point("executed")
    await faults.reach("executed")


async def test_fail_only_at_its_point() -> None:
    faults.configure("executed=fail")
    faults.point("lease-taken")
    with pytest.raises(faults.FaultInjected, match="executed"):
        faults.point("executed")
    with pytest.raises(faults.FaultInjected):
        await faults.reach("executed")


async def test_delay_waits() -> None:
    faults.configure("executed=delay:0")
    faults.point("executed")
    await faults.reach("executed")


def test_crash_is_a_sigkill() -> None:
    code = "from trunkline.observe import faults as f; f.configure('executed=crash'); f.point('executed')"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


@pytest.mark.parametrize(
    "text",
    [
        "nowhere=crash",
        "executed",
        "executed=melt",
        "executed=delay",
        "executed=delay:x",
        "executed=crash@0",
        "executed=crash@x",
    ],
)
def test_typing_errors_are_told(text: str) -> None:
    with pytest.raises(BadDeclaration, match="POINT=crash"):
        faults.configure(text)


async def test_the_third_time_only() -> None:
    faults.configure("executed=fail@3")
    faults.point("executed")
    await faults.reach("executed")
    with pytest.raises(faults.FaultInjected):
        faults.point("executed")


def test_several_at_once() -> None:
    faults.configure("executed=fail, lease-taken=fail")
    for point in ("executed", "lease-taken"):
        with pytest.raises(faults.FaultInjected, match=point):
            faults.point(point)
    faults.point("journal-read")
