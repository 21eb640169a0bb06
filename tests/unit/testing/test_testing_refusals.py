"""What ``testing.run`` does not know it says, and names what does."""

from __future__ import annotations

import pytest

from integration.testing.team_app import single
from integration.testing.tree_app import crowd, watcher
from trunkline import Agent, testing
from trunkline.testing.local_run import NeedsExchange


@pytest.mark.parametrize(("agent", "given"), [(crowd, 2), (watcher, "a run"), (single, "t")])
async def test_runs_beside_the_one_under_test_need_an_exchange(agent: Agent, given: object) -> None:
    with pytest.raises(NeedsExchange, match=r"ctx\.(spawn|monitor).* async with exchange\(app\) as tl"):
        await testing.run(agent, given)
