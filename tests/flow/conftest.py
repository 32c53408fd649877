"""The fixtures of the flow tests: one stack a session, one view of it a test."""

import signal

import pytest

import harness


@pytest.fixture(scope="session")
def world():
    """A private Kafka and Postgres, set up; ended with the session, also on Ctrl-C and SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: pytest.exit("ended by SIGTERM", 143))
    world = harness.World()
    try:
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
