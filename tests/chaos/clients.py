"""The clients: four that submit with idempotency keys until they are acknowledged, and one that calls and waits."""

import asyncio
import collections
import dataclasses
import random
import time

from http_client import Broken, Connection

TASK_TYPE = "code_generation"
SUBMIT, CALL = "/api/v1/requests", "/api/v1/request"
TRY_S = 4.0  # of one try, then the other gateway is asked
WORDS = "sort merge parse count reverse naïve größte 日本 list tree graph queue text file number matrix".split()


@dataclasses.dataclass
class Submission:
    """One piece of work, and what the clients were told of it."""

    key: str
    user_input: str
    kind: str  # queued, synchronous or abandoned
    ids: set = dataclasses.field(default_factory=set)
    tries: int = 0
    acknowledged_at: float = 0.0
    answer: dict = None  # the result that a synchronous call was given

    @property
    def body(self):
        return {"user_input": self.user_input, "task_type": TASK_TYPE}


class Ledger:
    """All that was sent and told, and the gate that lets the clients send."""

    def __init__(self, seed):
        self.seed = seed
        self.random = random.Random(f"bodies {seed}")
        self.submissions = []
        self.acknowledged = 0  # of the four clients
        self.called = 0  # synchronous calls with an answer
        self.allowed = 0
        self.gate = asyncio.Event()
        self.unexpected = collections.Counter()  # answers that no client should see
        self.retries = collections.Counter()
        self.calls = []  # (begun, seconds, tries) of each synchronous call
        self.calling_since = None  # when the present one was first tried

    def create(self, kind):
        number = len(self.submissions)
        words = " ".join(self.random.choices(WORDS, k=self.random.randint(3, 40)))
        submission = Submission(f"chaos-{self.seed}-{number}", f"Write function {number} of {self.seed}: {words}", kind)
        self.submissions.append(submission)
        return submission

    def allow(self, count):
        """The clients may send so many in all."""
        self.allowed = max(self.allowed, count)
        self.gate.set()

    def slowest_since(self, moment):
        """Of the calls that were under way then or later; seconds."""
        ended = [seconds for begun, seconds, _ in self.calls if begun + seconds >= moment]
        running = [time.monotonic() - self.calling_since] if self.calling_since else []
        return max(ended + running, default=0.0)


class Clients:
    """Each of the four has connections of its own to both gateways."""

    def __init__(self, ledger, urls, total, connections):
        self.ledger, self.urls, self.total = ledger, urls, total
        self.random = random.Random(f"clients {ledger.seed}")
        self.sent = 0
        self.calling = True
        self.lanes = [asyncio.create_task(self.submit_all()) for _ in range(4 * connections)]
        self.caller = asyncio.create_task(self.call_all())

    async def wait_sent(self):
        await asyncio.gather(*self.lanes)

    async def stop_calling(self):
        self.calling = False
        await self.caller

    async def next(self):
        """The next submission, once the gate lets it through; None at the end."""
        while self.sent >= self.ledger.allowed and self.sent < self.total:
            self.ledger.gate.clear()
            await self.ledger.gate.wait()
        if self.sent >= self.total:
            self.ledger.gate.set()
            return None
        self.sent += 1
        return self.ledger.create("queued")

    async def submit_all(self):
        connections = [Connection(url) for url in self.urls]
        twins = [Connection(url) for url in self.urls]
        while submission := await self.next():
            chance = self.random.random()
            if chance < 0.01:  # another one beside it, that nobody waits for
                lost = self.ledger.create("abandoned")
                await self.random.choice(connections).give_up("POST", SUBMIT, lost.body, self.headers(lost))
            if chance > 0.98:  # the same key at both gateways at once
                await asyncio.gather(self.submit(submission, connections), self.submit(submission, twins[::-1]))
            else:
                self.random.shuffle(connections)
                await self.submit(submission, connections)
            self.ledger.acknowledged += 1
        for connection in connections + twins:
            connection.close()

    @staticmethod
    def headers(submission):
        return [("Idempotency-Key", submission.key)]

    async def submit(self, submission, connections):
        answer = await self.until_taken(submission, connections, SUBMIT, (200, 202), [])
        submission.ids.add(answer["request_id"])
        submission.acknowledged_at = submission.acknowledged_at or time.monotonic()

    async def until_taken(self, submission, connections, path, good, headers):
        """Repeats the same key and body, each time at the next gateway, until the answer is a good one."""
        headers = self.headers(submission) + headers
        for number in range(100000):
            submission.tries += 1
            try:
                connection = connections[number % len(connections)]
                status, _, answer = await connection.call("POST", path, submission.body, headers, timeout=TRY_S)
                if status in good:
                    return answer
                reason = f"{status} {(answer or {}).get('detail', '')}".strip()[:70]
                if status not in (202, 503, 504):  # 202: it was to wait, and the time is over
                    self.ledger.unexpected[f"{status} {answer}"[:300]] += 1
            except Broken as broken:
                reason = str(broken).split(":")[0]
            self.ledger.retries[reason] += 1
            await asyncio.sleep(self.random.uniform(0.02, 0.1) * min(number + 1, 5))
        raise AssertionError(f"{submission.key} was not taken in 100,000 tries")

    async def call_all(self):
        """One call after the other: by turns the synchronous path and Prefer: wait."""
        connections = [Connection(url) for url in self.urls]
        while self.calling:
            self.ledger.calling_since = time.monotonic()
            await self.call(connections, len(self.ledger.calls) % 2 == 0)
            await asyncio.sleep(0.05)
        for connection in connections:
            connection.close()

    async def call(self, connections, synchronous):
        submission = self.ledger.create("synchronous")
        begun = self.ledger.calling_since
        self.random.shuffle(connections)
        if synchronous:
            answer = await self.until_taken(submission, connections, CALL, (200,), [])
        else:
            answer = await self.until_taken(submission, connections, SUBMIT, (200,), [("Prefer", "wait=3")])
        self.ledger.calling_since = None
        self.ledger.calls.append((begun, time.monotonic() - begun, submission.tries))
        self.ledger.called += 1
        submission.ids.add(answer["request_id"])
        submission.acknowledged_at = time.monotonic()
        submission.answer = answer
