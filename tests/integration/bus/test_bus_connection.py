"""The connection: clear words when there is none, patience ever after, and core messages, requests and queues."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import sysconfig
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from listening import PATIENCE, Connect, say, stay
from nats.aio.msg import Msg
from pydantic import SecretStr

from trunkline.bus.connection import Bus, CoreMessage
from trunkline.domain.errors import NobodyListens, NotConfigured, Unavailable
from trunkline.embedded.nats import EmbeddedNats
from trunkline.embedded.server import ServerProcess
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings


class Guarded:
    """A nats-server with options of its own, such as a token or TLS."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.port = EmbeddedNats(directory).port
        self._directory = directory
        self._process = ServerProcess("nats", directory)

    def start(self, *options: str) -> None:
        program = str(Path(sysconfig.get_path("scripts")) / "nats-server")
        where = ["-js", "-sd", str(self._directory / "data"), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process.start([program, *where, *options], ready=self._ready, identity={})

    def stop(self) -> None:
        self._process.signal(signal.SIGKILL)

    def _ready(self) -> bool:
        return "Server is ready" in self._process.log.read_text()[self._seen :]

    @property
    def _seen(self) -> int:
        return max(0, self._process.log.read_text().rfind("Starting nats-server"))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    server = Guarded(tmp_path / "guarded")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("tls")
    pem, key_pem = directory / "cert.pem", directory / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, key_pem


# --- first contact --------------------------------------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    port = EmbeddedNats(tmp_path).port
    with pytest.raises(Unavailable, match=rf"NATS \(127\.0\.0\.1:{port}\)") as raised:
        await Bus.connect(Settings(nats_url=f"nats://user:secret@127.0.0.1:{port}"), name="test")
    assert "secret" not in str(raised.value)


async def test_connecting_waits_for_a_server_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nats = EmbeddedNats(tmp_path / "nats")
    said = asyncio.Event()
    watcher = logging.Handler()
    watcher.emit = lambda record: said.set()  # type: ignore[method-assign]
    logging.getLogger("trunkline.bus.line").addHandler(watcher)
    connecting = asyncio.create_task(Bus.connect(Settings(nats_url=nats.url), name="test", wait=30))
    await asyncio.wait_for(said.wait(), PATIENCE)
    await asyncio.to_thread(nats.start)
    bus = await asyncio.wait_for(connecting, PATIENCE)
    assert bus.connected
    await bus.close()
    nats.kill()
    logging.getLogger("trunkline.bus.line").removeHandler(watcher)
    assert caplog.text.count("cannot be reached yet") == 1
    assert "Traceback" not in caplog.text


async def test_the_second_of_two_servers_is_tried(nats: EmbeddedNats, tmp_path: Path) -> None:
    nobody = EmbeddedNats(tmp_path / "nobody")
    bus = await Bus.connect(Settings(nats_url=f"{nobody.url}, {nats.url}"), name="test")
    assert bus.connected
    await bus.close()


@pytest.mark.parametrize("url", ["", "nats://", "nats://host:port", "nats://user:secret@:1", "nats://a:1,nats://b:0"])
async def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="TRUNKLINE_NATS_URL") as raised:
        await Bus.connect(Settings(nats_url=url), name="test")
    assert "secret" not in str(raised.value)


# --- who may come in ------------------------------------------------------------------------------------------------


async def test_a_token_lets_in_and_a_wrong_one_does_not(guarded: Guarded) -> None:
    await asyncio.to_thread(guarded.start, "--auth", "the-right-token")
    url = f"nats://127.0.0.1:{guarded.port}"
    bus = await Bus.connect(Settings(nats_url=url, nats_token=SecretStr("the-right-token")), name="test")
    await bus.declare()
    await bus.close()
    for wrong in (Settings(nats_url=url), Settings(nats_url=url, nats_token=SecretStr("the-wrong-token"))) * 20:
        with pytest.raises(Unavailable, match="Authorization Violation") as raised:  # each time, and nothing else
            await Bus.connect(wrong, name="test")
        assert "the-wrong-token" not in str(raised.value)


async def test_being_refused_for_a_while_is_no_end(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(guarded.start, "--auth", "first")
    settings = Settings(nats_url=f"nats://127.0.0.1:{guarded.port}", nats_token=SecretStr("first"))
    bus = await Bus.connect(settings, name="test")
    await bus.declare()
    await asyncio.to_thread(guarded.stop)
    await asyncio.to_thread(guarded.start, "--auth", "second")
    assert await stay(asyncio.Event(), 1.0)  # several attempts are refused
    assert not bus.connected
    await asyncio.to_thread(guarded.stop)
    await asyncio.to_thread(guarded.start, "--auth", "first")
    await asyncio.wait_for(bus.publish(bus.subjects.inbox("default", "a"), b"{}"), PATIENCE)
    await bus.close()
    assert caplog.text.count("NATS is away") == 1
    assert "Traceback" not in caplog.text


async def test_contradicting_and_unreadable_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="One way to log in"):
        await Bus.connect(Settings(nats_url="nats://user:pw@127.0.0.1", nats_token=SecretStr("t")), name="test")
    with pytest.raises(NotConfigured, match="TRUNKLINE_NATS_CA"):
        await Bus.connect(Settings(nats_ca=tmp_path / "missing.pem"), name="test")


async def test_tls_is_spoken_and_checked(guarded: Guarded, certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    await asyncio.to_thread(guarded.start, "--tls", "--tlscert", str(pem), "--tlskey", str(key))
    url = f"tls://127.0.0.1:{guarded.port}"
    bus = await Bus.connect(Settings(nats_url=url, nats_ca=pem), name="test")
    await bus.declare()
    await bus.close()
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        await Bus.connect(Settings(nats_url=url), name="test")


async def test_a_client_certificate_is_shown(guarded: Guarded, certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    options = ["--tlsverify", "--tlscert", str(pem), "--tlskey", str(key), "--tlscacert", str(pem)]
    await asyncio.to_thread(guarded.start, *options)
    url = f"tls://127.0.0.1:{guarded.port}"
    bus = await Bus.connect(Settings(nats_url=url, nats_ca=pem, nats_cert=pem, nats_key=key), name="test")
    assert bus.connected
    await bus.close()


async def test_no_credentials_go_to_a_server_without_tls(nats: EmbeddedNats) -> None:
    url = nats.url.replace("nats://", "tls://user:secret@")
    with pytest.raises(Unavailable, match="offers no TLS"):
        await Bus.connect(Settings(nats_url=url), name="test")


# --- core -----------------------------------------------------------------------------------------------------------


async def test_a_request_is_answered(bus: Bus) -> None:
    async def double(message: CoreMessage) -> bytes:
        return message.data * 2

    subscription = await bus.subscribe("double", double)
    assert await bus.request("double", b"ab", 5) == b"abab"
    await subscription.unsubscribe()
    with pytest.raises(NobodyListens, match="Nobody listens on"):
        await bus.request("double", b"ab", 5)


async def test_a_request_without_an_answer_times_out(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    async def silent(message: CoreMessage) -> None:
        if message.data == b"raise":
            raise ValueError("a handler of somebody else")

    await bus.subscribe("silent", silent)
    for body in (b"", b"raise"):
        with pytest.raises(Unavailable, match=r"no answer within 0\.1 s"):
            await bus.request("silent", body, 0.1)
    assert "the handler of silent failed" in caplog.text


async def test_messages_are_worked_on_side_by_side(bus: Bus) -> None:
    together = asyncio.Barrier(20)

    async def meet(message: CoreMessage) -> bytes:
        await together.wait()
        return b"met"

    await bus.subscribe("meet", meet)
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*(bus.request("meet", b"", PATIENCE) for _ in range(20))) == [b"met"] * 20


@pytest.mark.parametrize(
    "message", [b"HPUB heard.x 16 16\r\nNATS/1.0 \xff\xff\xff\r\n\r\n\r\n", b"PUB heard.\xff 0\r\n\r\n"]
)
async def test_a_message_that_is_no_text_does_not_end_the_hearing(message: bytes, bus: Bus, stack: Stack) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: CoreMessage) -> None:
        heard.put_nowait(message.data)

    await bus.subscribe("heard.*", hear)
    await bus.client.flush()
    await say(stack.nats.url, message)
    bus.send("heard.y", b"after")
    async with asyncio.timeout(PATIENCE):
        assert [await heard.get(), await heard.get()] == [b"", b"after"]


async def test_what_goes_wrong_inside_the_client_is_said_once(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    heard = asyncio.Event()
    times = 0

    async def fail(_: Msg) -> None:
        nonlocal times
        times += 1
        if times == 3:
            heard.set()
            return
        raise ValueError("a fault of ours")

    await bus.client.subscribe("heard", cb=fail)
    await bus.client.flush()
    for _ in range(3):
        bus.send("heard", b"")
    await asyncio.wait_for(heard.wait(), PATIENCE)
    assert [record.message for record in caplog.records] == ["NATS's client: a fault of ours"]


async def test_members_of_a_queue_share_messages(bus: Bus) -> None:
    heard: list[str] = []
    last = asyncio.Event()

    def member(name: str, number: int = 100) -> object:
        async def hear(message: CoreMessage) -> None:
            heard.append(name)
            if len(heard) == number:
                last.set()

        return hear

    for name in ("a", "b"):
        await bus.subscribe("shared", member(name), queue="q")  # type: ignore[arg-type]
    await bus.drain()
    for _ in range(100):
        bus.send("shared", b"")
    await asyncio.wait_for(last.wait(), PATIENCE)
    assert set(heard) == {"a", "b"}
    assert len(heard) == 100


async def test_subscriptions_live_on_after_a_restart(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()

    async def answer(message: CoreMessage) -> bytes:
        return b"here"

    await bus.subscribe("where", answer)
    nats.kill()
    await asyncio.to_thread(nats.start)
    await asyncio.wait_for(bus.publish(bus.subjects.inbox("default", "a"), b"{}"), PATIENCE)  # back again
    assert await bus.request("where", b"", PATIENCE) == b"here"


async def test_closing_leaves_no_task_behind(nats: EmbeddedNats) -> None:
    before = asyncio.all_tasks()
    bus = await Bus.connect(Settings(nats_url=nats.url), name="test")
    await bus.declare()
    await bus.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_closing_while_nats_is_away_is_quick(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    nats.kill()
    await asyncio.wait_for(bus.close(), 5)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_goes_while_the_connection_is_closed_is_no_error(
    nats: EmbeddedNats, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The client still takes itself for connected, and what it does last fails in a way of each loop's own."""

    async def closes() -> None:
        bus = await Bus.connect(Settings(nats_url=nats.url), name="closing")
        nats.kill()
        bus.send("tl.last", b"word")
        await asyncio.wait_for(bus.close(), PATIENCE)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(closes())
