"""The one table of `make bench-submit`, as Markdown."""

HEAD = """| | moru | bare | peer | moru ÷ bare | moru ÷ peer | target | |
|---|---|---|---|---:|---:|---|---|"""


def times(ratio):
    return f"{ratio:.3g}" if ratio is not None else ""


def verdict(checks):
    """checks: {what is asked: whether it is so}; those that are not are named."""
    missed = [what for what, met in checks.items() if not met]
    return f"**MISSED**: {'; '.join(missed)}" if missed else "met" if checks else ""


class Table:
    """Rows in the order of their measurement, and what makes the whole run worthless."""

    def __init__(self):
        self.rows, self.wrong = [], []

    def add(self, what, moru, checks, *, bare="", peer="", per_bare=None, per_peer=None):
        """checks: {target: whether it is met}."""
        self.rows.append(f"| {what} | {moru} | {bare} | {peer} | {times(per_bare)} | {times(per_peer)} | "
                         f"{'; '.join(checks)} | {verdict(checks)} |")
        print(f"   {what}: {moru}" + (f"; {verdict(checks)}" if checks else ""), flush=True)

    def must_hold(self, condition, what):
        """A figure whose counts do not agree is none: the run then fails at its end."""
        if not condition:
            self.wrong.append(what)
            print(f"   WRONG: {what}", flush=True)

    def __str__(self):
        return "\n".join([HEAD, *self.rows])
