"""The fixtures of the flow tests: one stack a session, one view of it a test."""

import signal
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

import harness
import librdkafka


def pytest_addoption(parser):
    parser.addoption("--newest-librdkafka", action="store_true",
                     help="run moru's programs on the library in the Python package confluent-kafka")


# The files before this one are run beside those from it on, where two run at a time.
SECOND_HALF = "test_models"


class Halves(LoadScopeScheduling):
    """Each half keeps its order and has a stack of its own."""

    def _split_scope(self, nodeid):
        return "second" if Path(nodeid.partition("::")[0]).name >= SECOND_HALF else "first"


def pytest_xdist_make_scheduler(config, log):
    return Halves(config, log)


@pytest.fixture(scope="session")
def world(request):
    """A private Kafka and Postgres, set up; ended with the session, also on Ctrl-C and SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: pytest.exit("ended by SIGTERM", 143))
    world = harness.World()
    try:
        if request.config.getoption("newest_librdkafka"):
            world.librdkafka = librdkafka.newest(world.folder / "librdkafka")
        world.open()
        yield world
    finally:
        world.close()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def moru(world):
    """The verbs. What the test starts ends with it."""
    world.ensure_servers()
    moru = harness.Moru(world)
    yield moru
    moru.close()
    world.close_extra()


@pytest.fixture
def fleet(world, moru):
    """The gateway, generator, evaluator and recorder, ready, with the prompts of the setup."""
    world.ensure_fleet()
    if world.librdkafka:
        newest = (world.librdkafka / "librdkafka.so.1").resolve().name
        assert {librdkafka.loaded(process) for process in world.members.values()} == {newest}
    return Fleet(world)


class Fleet:
    """The shared processes by their names."""

    def __init__(self, world):
        self.world = world

    def __getattr__(self, name):
        try:
            return self.world.members[name]
        except KeyError:
            raise AttributeError(name) from None

    def stop(self):
        self.world.stop_fleet()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of each process's log."""
    outcome = yield
    report = outcome.get_result()
    world = getattr(item, "funcargs", {}).get("world")
    if report.failed and world:
        for process in world.processes():
            report.sections.append((f"the end of {process.name}'s log", process.log_end()))
