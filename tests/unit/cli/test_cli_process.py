"""A service as a process: signals, exit statuses, and one clear line when it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PRELUDE = """
import asyncio, sys
from trunkline.cli import process
from trunkline.domain.errors import *
from trunkline.settings import Settings

def run(service, **settings):
    sys.exit(process.run(service, Settings(log_format="json", **settings)))

async def polite(stop):
    print("up", flush=True)
    await stop.wait()

async def deaf(stop):
    print("up", flush=True)
    await asyncio.Event().wait()
"""


@contextmanager
def started(script: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(script: str) -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run([sys.executable, "-c", PRELUDE + script], check=False, capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it(number: signal.Signals) -> None:
    with started("run(polite)") as process:
        process.send_signal(number)
        assert process.wait(20) == 0


def test_under_nohup_it_does_not_mind_a_closed_terminal() -> None:
    with started("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); run(polite)") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)  # the first that is heard, so not the end at once
        assert process.wait(20) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with started("run(deaf)") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "stopping" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM


def test_ctrl_c_before_it_listens_for_it_begins_nothing() -> None:
    script = """
import gc, os, signal
gc.freeze = lambda: os.kill(os.getpid(), signal.SIGINT)
try:
    run(polite)
except KeyboardInterrupt:
    sys.exit(130)
"""
    done = subprocess.run([sys.executable, "-c", PRELUDE + script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_a_service_that_does_not_stop_is_ended() -> None:
    with started("process.GRACE = 0.1\nrun(deaf, drain=0)") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        ("Unavailable(what='NATS', reason='refused')", 3, "NATS cannot be reached: refused"),
        ("NotConfigured(what='X', fix='Set it.')", 2, "X is not set. Set it."),
        ("SchemaMismatch(found='nothing', needed='0001')", 1, "trunkline migrate"),
        ("ExceptionGroup('', [Unavailable(what='NATS', reason='refused')])", 3, "NATS cannot be reached: refused"),
    ],
)
def test_an_error_on_purpose_is_one_line(raised: str, status: int, text: str) -> None:
    returned, lines = ended(f"async def service(stop): raise {raised}\nrun(service)")
    assert returned == status
    assert len(lines) == 1
    assert text in str(lines[0]["event"])
    assert "exception" not in lines[0]


def test_any_other_error_is_logged_with_its_trace_as_a_field() -> None:
    returned, lines = ended("async def service(stop): int('x')\nrun(service)")
    assert returned == 1
    assert len(lines) == 1
    assert "ValueError" in str(lines[0]["exception"])


def test_a_service_that_ends_by_itself_has_failed() -> None:
    returned, lines = ended("async def service(stop): pass\nrun(service)")
    assert (returned, lines[0]["event"]) == (1, "ended without being asked to")


def test_the_loop_is_uvloop() -> None:
    with started(
        "async def service(stop): print('up'); print(type(asyncio.get_running_loop()))\nrun(service)"
    ) as process:
        assert process.stdout is not None
        assert "uvloop" in process.stdout.readline()
