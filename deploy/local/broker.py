"""The private Kafka of a local stack: one node, broker and controller (KRaft), from jars that Maven fetched."""

import base64
import fcntl
import glob
import hashlib
import os
import shutil
import signal
import socket
import struct
import uuid
from pathlib import Path
from typing import Optional

from processes import Failure, Service, run_to_end

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"

# A start within three seconds and a small memory; C2 stays on, since without it the broker takes half the messages.
JVM = ["-Xms256m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Xshare:auto",
       "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={HERE}/log4j2.properties"]

# Paths are relative to the folder that the broker runs in, so that any character may stand in the folder's name.
PROPERTIES = """\
# Written at every start.
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs=data
auto.create.topics.enable=false
# The largest record of 8 MiB, with its headers and its batch's overhead.
message.max.bytes=9437184
replica.fetch.max.bytes=9437184
# How long a broker that was killed must wait before it may come back.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
# There is one broker, and few clients.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


def java() -> str:
    """The Java 17 of Debian, whatever the machine's default is."""
    found = sorted(glob.glob("/usr/lib/jvm/java-17-openjdk-*/bin/java"))
    command = found[0] if found else shutil.which("java")
    if not command:
        raise Failure("java is missing: run make deps")
    return command


def libraries(cache: Path) -> Path:
    """Where the jars of this pom are, or will be."""
    return cache / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"


def fetch(cache: Path) -> Path:
    """Has Maven copy the jars, once for all stacks of a checkout."""
    # Maven takes a relative path from the pom's folder.
    cache = cache.resolve()
    folder = libraries(cache)
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        print("moru: fetching Apache Kafka 4.1.0 with Maven", flush=True)
        partial = cache / "kafka-partial"
        shutil.rmtree(partial, ignore_errors=True)
        run_to_end("fetching Kafka with Maven", [
            "mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime",
            f"-DoutputDirectory={partial}"], cache / "maven.log", 600)
        for old in cache.glob("kafka-????????????????"):
            shutil.rmtree(old)
        # The name is there only once all jars are.
        partial.rename(folder)
    return folder


class Kafka:
    """folder holds its settings and data; it is made when there is none."""

    def __init__(self, folder: Path, jars: Path, log: Path, port: int, controller_port: int):
        self.folder, self.jars, self.log = folder, jars, log
        self.port, self.controller_port = port, controller_port
        self.address = f"127.0.0.1:{port}"

    def prepare(self) -> None:
        """Writes the settings, and formats the storage when that has not been done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = PROPERTIES.format(port=self.port, controller_port=self.controller_port)
        (self.folder / "server.properties").write_text(properties)
        formatted = self.folder / "formatted"
        if formatted.exists():
            return
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        # Kafka's own form of an id; one that begins with a dash would be taken for an option.
        cluster = base64.urlsafe_b64encode(b"\x6d" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        run_to_end("formatting Kafka's storage",
                   self.command("kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties"),
                   self.log.with_name("kafka-format.log"), 60, cwd=self.folder, env=self.environment())
        formatted.write_text(cluster + "\n")

    def command(self, main: str, *arguments: str) -> list:
        return [java(), *JVM, "-cp", f"{self.jars}/*", main, *arguments]

    @staticmethod
    def environment() -> dict:
        # What a shell was set up with for another Java must not change this one.
        return {name: value for name, value in os.environ.items()
                if name not in ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")}

    def service(self) -> Service:
        return Service("kafka", self.command("kafka.Kafka", "server.properties"), self.log, self.environment(),
                       directory=self.folder, stop_signal=signal.SIGTERM, grace_s=30, order=3, ready=self.broken)

    def broken(self) -> Optional[str]:
        """None once it serves its clients: it names a broker when asked for the cluster's metadata."""
        request = struct.pack(">hhihi", 3, 1, 1, -1, 0)  # Metadata, version 1, no client id, no topics
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                answer = connection.makefile("rb").read(12)
        except OSError as error:
            return f"no answer from {self.address}: {error}"
        if len(answer) < 12:
            return f"{self.address} closed the connection"
        return None if struct.unpack(">iii", answer)[2] > 0 else "the broker has not joined its cluster yet"
