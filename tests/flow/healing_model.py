"""A model server for the tests of healing: what its outputs are worth depends on words of the prompt they are made
under, and the test says what its analyst and its author of prompts answer."""

import json

from model_server import ModelServer

GOOD = "```python\ndef good():\n    return 42\n```"
FAIR = "```python\ndef fair():\n    return 42\n```"
AWFUL = "I would rather not write any of that today, thank you."
SCORES = {GOOD: (8, 7, 9), FAIR: (3, 3, 5), AWFUL: (0, 0, 1)}


class HealingModel:
    """A prompt with the word EXCELLENT gives good outputs, one with FAIR fair ones, others awful ones. candidates: what
    the author of prompts writes, one after the other, again and again. before(role): called in each call, may block."""

    def __init__(self, candidates=("You write EXCELLENT code.",), analysis=None, before=None):
        self.candidates, self.before = list(candidates), before
        self.analysis = analysis if analysis is not None else json.dumps({
            "failure_patterns": ["no code"], "root_causes": ["the prompt forbids it"],
            "improvement_suggestions": ["ask for code"]})
        self.proposed = 0
        self.spoiled = set()  # words whose prompts give awful outputs from now on
        self.server = ModelServer(self.answer)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *exception):
        self.server.__exit__(*exception)

    @property
    def url(self):
        return self.server.url

    def calls(self, role):
        return [call for call in self.server.calls if role_of(call["messages"]) == role]

    def answer(self, messages):
        role = role_of(messages)
        if self.before:
            self.before(role)
        return getattr(self, role)(messages)

    def judge(self, messages):
        shown = messages[-1]["content"]
        output = next((known for known in SCORES if known in shown), AWFUL)
        relevance, quality, safety = SCORES[output]
        return json.dumps({"relevance": relevance, "quality": quality, "safety": safety, "reasoning": "as seen"})

    def analyst(self, messages):
        return self.analysis

    def prompt_author(self, messages):
        self.proposed += 1
        return self.candidates[(self.proposed - 1) % len(self.candidates)]

    def refiner(self, messages):
        return messages[-1]["content"]

    def author(self, messages):
        prompt = messages[0]["content"] if messages[0]["role"] == "system" else ""
        if any(word in prompt for word in self.spoiled):
            return AWFUL
        return GOOD if "EXCELLENT" in prompt else FAIR if "FAIR" in prompt else AWFUL


def role_of(messages):
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    if "relevance" in system:
        return "judge"
    if "failure_patterns" in system:
        return "analyst"
    if "system prompt" in system.lower():
        return "prompt_author"
    if "You refine requests" in system:
        return "refiner"
    return "author"
