"""moru asks a model in each provider's own protocol, which LiteLLM's proxy speaks in front of the simulator."""

import pytest

import proxy
from test_request import FIBONACCI

BASE_PATHS = {"openai": "/v1", "gemini": "/v1beta", "anthropic": "/v1"}


@pytest.fixture(scope="module")
def sim(world):
    sim = proxy.Simulator(world.logs / "sim.log").start()
    yield sim
    sim.stop()


@pytest.fixture(scope="module")
def litellm(world, sim):
    litellm = proxy.Proxy(world.folder / "litellm", world.logs / "litellm.log", sim.url).start(ready=False)
    litellm.wait_ready(timeout=120)  # its first start compiles a great many files
    yield litellm
    litellm.stop()


@pytest.mark.parametrize("provider", BASE_PATHS)
def test_a_request_is_served_through_a_providers_protocol(moru, fleet, sim, litellm, provider):
    """Texts come as streams, the judgement whole and as the provider gives structured answers."""
    before = sim.stats()
    fleet.stop()
    settings = {"LLM_PROVIDER": provider, "LLM_BASE_URL": litellm.url + BASE_PATHS[provider], "LLM_API_KEY": proxy.KEY,
                "LLM_MODEL": proxy.MODEL, "LLM_STREAM": "true"}
    members = {name: moru.start(name, **settings) for name in ("gateway", "generator", "evaluator", "recorder")}
    answer = moru.post("/api/v1/request", FIBONACCI, to=members["gateway"])
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert "def " in result["worker_output"]
    assert result["evaluation_score"] is not None and "reasoning" in result["detail"]["llm_details"]
    after = sim.stats()
    made = {role: after["roles"][role] - before["roles"][role] for role in after["roles"]}
    assert made == {"refiner": 1, "author": 1, "judge": 1, "analyst": 0, "prompt_author": 0}
    assert after["calls"] - before["calls"] == 3
    for name, calls in (("generator", 2), ("evaluator", 1)):
        assert moru.metric(members[name], "agent_model_calls_total", provider=provider, outcome="ok") == calls
        for kind in ("prompt", "completion"):
            assert moru.metric(members[name], "agent_model_tokens_total", provider=provider, kind=kind) > 0
    assert all(proxy.KEY not in member.log_text() for member in members.values())


@pytest.mark.parametrize("settings, said", [
    ({"LLM_PROVIDER": "chatty"}, "LLM_PROVIDER: 'chatty' is not one of mock, openai, gemini, anthropic"),
    ({"LLM_PROVIDER": "gemini", "LLM_BASE_URL": "localhost"}, "LLM_BASE_URL"),
])
def test_a_provider_that_cannot_be_asked_ends_the_start(moru, settings, said):
    done = moru.run("generator", **settings)
    assert done.returncode == 2
    plain = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # the others are the log's
    assert len(plain) == 1 and said in plain[0]
