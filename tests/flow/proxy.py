"""The simulator, and LiteLLM's proxy in front of it, which speaks the protocols of OpenAI, Gemini and Anthropic."""

import json
import os
from pathlib import Path

import httpx

import harness
import ports
from processes import Service

LITELLM_VENV = Path(os.environ.get("LITELLM_VENV", harness.ROOT / ".moru" / "venv-litellm")).resolve()
MODEL = "moru-sim"
KEY = "sk-the-proxys-key"


def answers(url):
    """None when it does, else why not."""
    try:
        return None if httpx.get(url, trust_env=False).status_code == 200 else f"{url} does not answer 200"
    except httpx.HTTPError as error:
        return f"{url}: {error!r}"


class Simulator(harness.Process):
    """moru-sim, with settings as tests/sim/README.md lists them."""

    def __init__(self, log, **settings):
        port = ports.choose()
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}, "LISTEN_PORT": str(port)}
        url = f"http://127.0.0.1:{port}"
        super().__init__(Service("sim", [str(harness.BUILD / "moru-sim")], log, environment, url=url,
                                 ready=lambda: answers(f"{url}/health")))

    def stats(self):
        return httpx.get(f"{self.url}/stats", trust_env=False).json()


class Proxy(harness.Process):
    """It fetches nothing from outside, tells nobody, and neither retries nor rests by itself."""

    def __init__(self, folder, log, model_url):
        port = ports.choose()
        folder.mkdir()
        # As a vLLM server: to those it speaks chat completions whatever it was asked in.
        model = {"model": f"hosted_vllm/{MODEL}", "api_base": f"{model_url}/v1", "api_key": "none"}
        (folder / "config.yaml").write_text(json.dumps({  # JSON is YAML
            "model_list": [{"model_name": MODEL, "litellm_params": model}],
            "litellm_settings": {"telemetry": False, "num_retries": 0, "drop_params": True},
            "router_settings": {"disable_cooldowns": True, "num_retries": 0},
            "general_settings": {"master_key": KEY},
        }))
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment = {**clean, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "HOME": str(folder)}
        command = [str(LITELLM_VENV / "bin" / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port",
                   str(port), "--telemetry", "False"]
        url = f"http://127.0.0.1:{port}"
        super().__init__(Service("litellm", command, log, environment, folder, url=url, grace_s=10,
                                 ready=lambda: answers(f"{url}/health/liveliness")))
