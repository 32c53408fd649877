"""The peer's evaluator: simple rules and the model's judgement make the score."""
import json
import re

from fastapi import FastAPI

from peer import mock
from peer.common import Detail, Evaluate, Evaluation

SENSITIVE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|(?:password|secret)\s*=\s*['\"]\w+['\"]")
CODE = re.compile(r"```|^\s*(?:def|class|import|return)\b", re.MULTILINE)

app = FastAPI()


def check(output: str) -> dict[str, bool]:
    """Cheaper than moru's rules, to the peer's advantage."""
    return {
        "has_code": CODE.search(output) is not None,
        "has_substance": len(output.strip()) > 20,
        "balanced_syntax": all(output.count(left) == output.count(right) for left, right in ("()", "[]", "{}")),
        "no_sensitive_data": SENSITIVE.search(output) is None,
        "reasonable_length": len(output) > 5,
    }


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/evaluate")
async def evaluate(question: Evaluate) -> Evaluation:
    rules = check(question.worker_output)
    rule_score = sum(rules.values()) / len(rules)
    judgement = json.loads(mock.judge(question.worker_output))
    llm_score = (0.40 * judgement["relevance"] + 0.35 * judgement["quality"] + 0.25 * judgement["safety"]) / 10
    score = round(0.4 * rule_score + 0.6 * llm_score, 3)
    return Evaluation(request_id=question.request_id, score=score, passed=score >= 0.7,
                      detail=Detail(rule_score=rule_score, llm_score=llm_score, rule_details=rules,
                                    llm_details=judgement))
