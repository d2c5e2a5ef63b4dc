"""Life cycle and turns of endpoints."""

import asyncio
import contextvars
import threading

import pytest

from minispark.conf import SparkConf
from minispark.errors import RpcEndpointNotFound, RpcEnvStopped, RpcError
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.message import Message
from minispark.rpc.world import SystemWorld
from minispark.testing.virtual_loop import run_virtual
from tests.rpc.peers import Note, Parcel, Probe, Question, settle, with_env


@pytest.mark.scenario("RPC-003", "onStart and onStop order")
def test_on_start_comes_first_and_on_stop_last() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        ref.send(Note("a"))
        env.stop(ref)
        ref.send(Note("late"))
        await settle()
        assert probe.events == [("start",), ("message", Note("a")), ("stop",)]

    with_env(scenario)


class Failing(Probe):
    def __init__(self, *where: str) -> None:
        super().__init__()
        self.where = where

    def fail_in(self, where: str) -> None:
        if where in self.where:
            raise ValueError(where)

    def on_start(self) -> None:
        super().on_start()
        self.fail_in("on_start")

    def receive(self, message: Message, context: CallContext) -> None:
        super().receive(message, context)
        self.fail_in("receive")

    def on_stop(self) -> None:
        super().on_stop()
        self.fail_in("on_stop")

    def on_error(self, error: BaseException) -> None:
        super().on_error(error)
        self.fail_in("on_error")


@pytest.mark.scenario("RPC-003", "error in onStart → onError")
@pytest.mark.scenario("RPC-003", "error in onStop → onError")
@pytest.mark.scenario("RPC-003", "error in receive → onError")
@pytest.mark.parametrize("where", ["on_start", "receive", "on_stop"])
def test_an_error_in_a_callback_goes_to_on_error_and_the_endpoint_goes_on(where: str) -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Failing(where)
        ref = env.setup_endpoint("probe", probe)
        ref.send(Note("a"))
        env.stop(ref)
        await settle()
        assert [str(error) for error in probe.errors] == [where]
        assert [event[0] for event in probe.events] == ["start", "message", "stop"]

    with_env(scenario)


def test_an_error_in_on_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(env: RpcEnv) -> None:
        env.setup_endpoint("probe", Failing("receive", "on_error")).send(Note("a"))
        await settle()

    with_env(scenario)
    assert "endpoint probe: ValueError: on_error" in caplog.text


def test_an_endpoint_without_receive_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(env: RpcEnv) -> None:
        with pytest.raises(RpcError, match="RpcEndpoint does not implement receive; got Question"):
            await env.setup_endpoint("bare", RpcEndpoint()).ask(Question("?"))

    with_env(scenario)
    assert "endpoint bare: RpcError" in caplog.text


class Selfish(Probe):
    def on_start(self) -> None:
        self.events.append(("start", self.self_ref.name))
        self.self_ref.send(Note("from myself"))

    def receive(self, message: Message, context: CallContext) -> None:
        self.events.append(("message", message, self.self_ref.name))

    def on_stop(self) -> None:
        _ = self.self_ref


@pytest.mark.scenario("RPC-004", "self usable in onStart and receive")
@pytest.mark.scenario("RPC-004", "null in onStop")
def test_self_ref_is_there_from_on_start_until_on_stop() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Selfish()
        ref = env.setup_endpoint("probe", probe)
        await settle()
        env.stop(ref)
        await settle()
        assert probe.events == [("start", "probe"), ("message", Note("from myself"), "probe")]
        assert [str(error) for error in probe.errors] == ["Selfish is not registered, or stopped"]

    with_env(scenario)


@pytest.mark.scenario("RPC-005")
@pytest.mark.scenario("RPN-006", "concurrent posts from many threads")
def test_messages_of_many_senders_are_received_one_at_a_time_each_senders_in_order() -> None:
    inside: list[str] = []

    def handle(probe: Probe, message: Message, context: CallContext) -> None:
        inside.append("in")
        probe.self_ref.send(Parcel(b""))  # sending to oneself must not nest
        inside.append("out")

    async def post(env: RpcEnv, sender: int) -> None:
        for number in range(20):
            env.endpoint_ref("probe").send(Note(f"{sender} {number}"))
            await asyncio.sleep(0)

    async def scenario(env: RpcEnv) -> None:
        probe = Probe(lambda probe, m, c: handle(probe, m, c) if isinstance(m, Note) else None)
        env.setup_endpoint("probe", probe)
        await asyncio.gather(*(post(env, sender) for sender in range(10)))
        await settle()
        notes = [message.text.split() for message in probe.messages if isinstance(message, Note)]
        assert inside == ["in", "out"] * 200
        assert all([int(n) for s, n in notes if s == str(sender)] == list(range(20)) for sender in range(10))

    with_env(scenario)


@pytest.mark.scenario("RPC-006")
def test_stopping_an_endpoint_again_also_from_inside_does_nothing() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe(lambda probe, message, context: env.stop(probe.self_ref))
        ref = env.setup_endpoint("probe", probe)
        ref.send(Note("stop yourself"))
        ref.send(Note("still delivered"))
        await settle()
        env.stop(ref)
        await settle()
        assert [event[0] for event in probe.events] == ["start", "message", "message", "stop"]

    with_env(scenario)


@pytest.mark.scenario("RPN-004", "StackOverflow in handler is sent back")
@pytest.mark.scenario("RPN-004", "dispatcher survives")
def test_infinite_recursion_in_a_handler_is_answered_and_the_dispatcher_survives() -> None:
    def recurse(probe: Probe, message: Message, context: CallContext) -> None:
        recurse(probe, message, context)

    async def scenario(env: RpcEnv) -> None:
        ref = env.setup_endpoint("probe", Probe(recurse))
        other = env.setup_endpoint("other", Probe())
        with pytest.raises(RpcError, match="RecursionError"):
            await ref.ask(Question("?"))
        assert await other.ask(Question("alive")) == Note("ALIVE")

    with_env(scenario)


@pytest.mark.scenario("RPN-007")
def test_a_fatal_error_reaches_the_loop_and_the_messages_behind_it_are_delivered() -> None:
    def fatal(probe: Probe, message: Message, context: CallContext) -> None:
        if message == Question("fatal"):
            raise KeyboardInterrupt

    probe = Probe(fatal)

    async def first_half() -> tuple[RpcEnv, "asyncio.Future[Note]"]:
        env = RpcEnv("fatal", SystemWorld(), SparkConf())
        ref = env.setup_endpoint("probe", probe)
        ask = ref.ask(Question("fatal"))
        ref.send(Note("behind"))
        return env, ask

    async def second_half(env: RpcEnv, ask: "asyncio.Future[Note]") -> None:
        await settle()
        assert probe.messages == [Question("fatal"), Note("behind")]
        with pytest.raises(RpcError, match="KeyboardInterrupt"):
            await ask
        await env.close()

    loop = asyncio.new_event_loop()
    task = loop.create_task(first_half())
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.run_until_complete(second_half(*task.result()))
    loop.close()


@pytest.mark.scenario("RPC-011")
def test_an_endpoint_with_blocking_work_moves_it_off_the_loop_and_others_go_on() -> None:
    gate = threading.Event()

    async def work(env: RpcEnv, context: CallContext) -> None:
        await env.world.run_blocking(gate.wait)
        context.reply(Note("done"))

    async def main() -> None:
        env = RpcEnv("isolated", SystemWorld(), SparkConf())
        busy = Probe(lambda probe, m, c: env.scope.spawn(work(env, c), name="work", owner=probe))
        slow = env.setup_endpoint("slow", busy).ask(Question("work"))
        other = env.setup_endpoint("other", Probe())
        assert await other.ask(Question("meanwhile")) == Note("MEANWHILE")
        assert not slow.done()
        gate.set()
        assert await slow == Note("done")
        await env.close()

    asyncio.run(main())


def test_a_flooded_endpoint_does_not_hold_up_another() -> None:
    async def scenario(env: RpcEnv) -> None:
        flooded, other = Probe(lambda *_: None), Probe()
        ref = env.setup_endpoint("flooded", flooded)
        quiet = env.setup_endpoint("quiet", other)
        for number in range(5_000):
            ref.send(Note(str(number)))
        quiet.send(Note("heartbeat"))
        seen: list[int] = []
        other.on = lambda *_: seen.append(len(flooded.messages))
        await settle()
        assert seen[0] < 100

    with_env(scenario)


def test_a_turn_ends_after_a_millisecond() -> None:
    async def scenario(env: RpcEnv) -> None:
        clock = iter(x * 0.0004 for x in range(100))
        env.dispatcher.now = lambda: next(clock)
        probe = Probe(lambda *_: None)
        ref = env.setup_endpoint("probe", probe)
        for number in range(10):
            ref.send(Note(str(number)))
        await asyncio.sleep(0)
        assert 0 < len(probe.messages) < 5
        await settle()
        assert len(probe.messages) == 10

    with_env(scenario)


def test_names_are_unique_and_unknown_ones_are_errors() -> None:
    async def scenario(env: RpcEnv) -> None:
        env.setup_endpoint("probe", Probe())
        with pytest.raises(ValueError, match="already an endpoint 'probe'"):
            env.setup_endpoint("probe", Probe())
        with pytest.raises(RpcEndpointNotFound, match="no endpoint 'nobody'"):
            env.endpoint_ref("nobody")

    with_env(scenario)


def test_a_stopped_env_registers_and_finds_nothing() -> None:
    async def main() -> None:
        env = RpcEnv("stopped", SystemWorld(), SparkConf())
        await env.close()
        with pytest.raises(RpcEnvStopped):
            env.setup_endpoint("probe", Probe())
        with pytest.raises(RpcEnvStopped):
            env.endpoint_ref("probe")

    run_virtual(main())


def test_an_observer_sees_every_message_before_its_endpoint() -> None:
    async def scenario(env: RpcEnv) -> None:
        seen: list[tuple[str, Message]] = []
        env.dispatcher.observer = lambda name, message, context: seen.append((name, message))
        await env.setup_endpoint("probe", Probe()).ask(Question("x"))
        assert seen == [("probe", Question("x"))]

    with_env(scenario)


def test_handlers_run_in_the_envs_own_context_not_the_senders() -> None:
    group: contextvars.ContextVar[str] = contextvars.ContextVar("group", default="none")
    seen: list[str] = []

    async def scenario(env: RpcEnv) -> None:
        ref = env.setup_endpoint("probe", Probe(lambda *_: seen.append(group.get())))
        group.set("a request's")
        ref.send(Note("x"))
        await settle()
        assert seen == ["none"]

    with_env(scenario)


def test_what_a_served_callback_sends_is_handled_before_the_loop_goes_on() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        await settle()
        env.dispatcher.serve(ref.send, Note("now"))
        assert probe.events[-1] == ("message", Note("now"))
        ref.send(Note("first"))
        env.dispatcher.serve(ref.send, Note("second"))
        assert probe.events[-1] == ("message", Note("now"))  # a turn is scheduled already, and order is kept
        await settle()
        assert probe.events[-2:] == [("message", Note("first")), ("message", Note("second"))]

    with_env(scenario)


def test_a_served_callback_that_raises_leaves_the_dispatcher_working() -> None:
    def fail(error: Exception) -> None:
        raise error

    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        ref = env.setup_endpoint("probe", probe)
        with pytest.raises(ValueError, match="mine"):
            env.dispatcher.serve(fail, ValueError("mine"))
        ref.send(Note("after"))
        await settle()
        assert probe.events[-1] == ("message", Note("after"))

    with_env(scenario)


def test_what_waits_for_the_end_of_the_turn_is_done_once_all_inboxes_are_served() -> None:
    async def scenario(env: RpcEnv) -> None:
        seen: list[object] = []

        def handle(probe: Probe, message: Message, context: CallContext) -> None:
            env.dispatcher.at_end_of_turn(lambda: seen.append("the end"))
            seen.append(message)

        ref = env.setup_endpoint("probe", Probe(handle))
        await settle()

        def send_two() -> None:
            ref.send(Note("first"))
            ref.send(Note("second"))

        env.dispatcher.serve(send_two)
        assert seen == [Note("first"), Note("second"), "the end", "the end"]
        env.dispatcher.at_end_of_turn(lambda: seen.append("alone"))
        await settle()
        assert seen[-1] == "alone"

    with_env(scenario)


def test_an_end_of_a_turn_that_raises_leaves_the_others_to_be_done() -> None:
    async def scenario(env: RpcEnv) -> None:
        seen: list[str] = []
        errors: list[str] = []
        env.loop.set_exception_handler(lambda loop, context: errors.append(str(context["exception"])))
        env.dispatcher.at_end_of_turn(lambda: [].pop())
        env.dispatcher.at_end_of_turn(lambda: seen.append("done"))
        await settle()
        assert (errors, seen) == (["pop from empty list"], ["done"])

    with_env(scenario)
