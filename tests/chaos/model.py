"""A model that takes its time and never says the same twice, so that work made twice shows; a process of its own. It
counts its calls for each submission."""

import asyncio
import collections
import itertools
import json
import multiprocessing
import re
import signal

REFINING = "You refine requests"
# Answers to what the clients of this run sent, known by the number in it.
NUMBER = re.compile(r"Write function (\d+) of \d+:")
CODE = '''```python
def function_{number}(values: list) -> int:
    """Count the values that are set. This is answer {serial}."""
    try:
        return sum(1 for value in values if value)
    except TypeError as error:
        raise ValueError("values must be a list") from error
```'''


class Calls(asyncio.Protocol):
    """One connection; what came is kept until it is a whole call."""

    def __init__(self, model):
        self.model, self.received = model, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not found or (length and len(rest) < int(length[1])):
            return
        self.received = b""
        answer, delay = self.model.answer(rest) if length else (json.dumps(self.model.counts), 0)
        asyncio.get_running_loop().call_later(delay, self.send, answer.encode())

    def send(self, content):
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                                 % (len(content), content))


class Model:
    def __init__(self, latency_s):
        self.latency_s = latency_s
        self.serial = itertools.count(1)
        self.counts = collections.Counter()  # of outputs; refining is not what is kept

    def answer(self, body):
        messages = json.loads(body)["messages"]
        asked = messages[-1]["content"]
        if messages[0]["content"].startswith(REFINING):
            text = f"{asked} Handle errors."
        else:
            number = found[1] if (found := NUMBER.search(asked)) else "0"
            self.counts[number] += 1
            text = CODE.format(number=number, serial=next(self.serial))
        return json.dumps({"choices": [{"message": {"role": "assistant", "content": text},
                                        "finish_reason": "stop"}]}), self.latency_s


def serve(latency_s, told):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it

    async def run():
        model = Model(latency_s)
        server = await asyncio.get_running_loop().create_server(lambda: Calls(model), "127.0.0.1", 0, backlog=4096)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()
    asyncio.run(run())


class ModelProcess:
    """port is where it listens; GET / there answers with the counts, {number of the submission: calls}."""

    def __init__(self, latency_s):
        receiver, sender = multiprocessing.Pipe(False)
        self.process = multiprocessing.get_context("spawn").Process(target=serve, args=(latency_s, sender), daemon=True)
        self.process.start()
        self.port = receiver.recv()

    def close(self):
        self.process.terminate()
        self.process.join()
