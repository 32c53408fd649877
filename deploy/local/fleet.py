"""moru's own processes in a local stack: the setup job, the workers and the gateway."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Optional

from processes import Service, run_to_end

# In the order in which they start: the gateway last, so that it is ready when its workers are.
PORTS = {"generator": 8001, "evaluator": 8002, "recorder": 8003, "optimizer": 8004,
         "gateway": 8000}
GATEWAY_ORDER, WORKER_ORDER = 1, 2

# Requests to this machine must not go through a proxy that the environment names.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(brokers: str, database_url: str) -> dict:
    """The user's environment, with the stack's addresses."""
    return {**os.environ, "KAFKA_BROKERS": brokers, "DATABASE_URL": database_url}


def set_up(build: Path, variables: dict, private: bool, log: Path) -> None:
    """Creates topics, tables and the seed prompt; leaves what is there as it is."""
    if private:
        variables = {**variables, "TOPIC_REPLICATION": "1", "TOPIC_MIN_INSYNC_REPLICAS": "1"}
    run_to_end("moru-setup", [str(build / "moru-setup")], log, 120, env=variables)


def member(name: str, build: Path, variables: dict, port: int, log: Path, instance: Optional[str] = None) -> Service:
    """One process of the fleet; instance: its INSTANCE_ID, by default the first of its name."""
    address = variables.get("LISTEN_ADDRESS") or "127.0.0.1"
    host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    own = {"LISTEN_PORT": str(port), "INSTANCE_ID": instance or f"{name}-0"}
    # All processes get the same settings, so the gateway knows the models: also that there are no further ones.
    return Service(name, [str(build / f"moru-{name}")], log, {"LLM_MODELS": "", **variables, **own}, url=url,
                   order=GATEWAY_ORDER if name == "gateway" else WORKER_ORDER, ready=lambda: not_ready(url))


def not_ready(url: str) -> Optional[str]:
    """None when GET /ready says 200, else what it says."""
    try:
        with direct.open(f"{url}/ready", timeout=5) as answer:
            answer.read()
            return None
    except urllib.error.HTTPError as error:
        with error:
            return f"/ready says {error.code}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"{url} does not answer: {error}"
