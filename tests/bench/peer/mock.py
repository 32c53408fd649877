"""The mock model, inline: the same kinds of answers as moru's, without a wait."""
import json

FIBONACCI = '''```python
def fibonacci(n):
    """Return the n-th Fibonacci number, counting from fibonacci(0) == 0."""
    if n < 0:
        raise ValueError("n must not be negative")
    previous, current = 0, 1
    for _ in range(n):
        previous, current = current, previous + current
    return previous
```'''

SKELETON = '''```python
def solve(value):
    """Answer the request for one value."""
    if value is None:
        raise ValueError("value is required")
    return value
```'''


def refine(user_input: str) -> str:
    return f"{user_input.strip()}. Handle edge cases and invalid arguments, and say what the result is."


def write(prompt: str, refined_input: str) -> str:
    if "Python" not in prompt:
        return "Hello World"
    return FIBONACCI if "fibonacci" in refined_input.lower() else SKELETON


def judge(worker_output: str) -> str:
    good = "```" in worker_output
    relevance, quality, safety = (8, 7, 9) if good else (1, 1, 5)
    return json.dumps({"relevance": relevance, "quality": quality, "safety": safety,
                       "reasoning": "The code answers the request." if good else "The answer is no code."})
