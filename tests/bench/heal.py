"""Sabotages prompts in forty seeded ways under traffic, and prints whether moru healed them, how fast and how well."""
import argparse
import asyncio
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import asyncpg
import httpx

import machine
from heal_scenarios import CAN_GO_BACK, CHANGED, ONLY_ROW, scenarios
from private_stack import ROOT, PrivateStack, say, stop_on_signals

SAMPLE = 8           # requests behind each mean score
ENOUGH = 0.95        # of the score before, or of what the simulator's best prompt reaches
NOISE = 0.02         # a mean lower by less is not worse
TABLES = ("execution_logs", "results", "optimization_reports", "optimizations", "probations", "rejected_prompts",
          "rehearsals")


def parse():
    parser = argparse.ArgumentParser(
        prog="make bench-heal", description="Starts the simulator and a private moru stack on it, spoils prompts of four "
        "task types while requests come, and prints for each whether it was healed. A second run, whose analyst answers "
        "off-topic, is the control: it must heal few. A third one breaks the prompt of the mock model under 500 requests/s. SEED=7 makes other sabotages; other options go into HEAL_ARGS. Exits "
        "0 when the targets are met, else 1.")
    parser.add_argument("--seed", type=int, default=1, help="of the sabotages and of the simulator (1)")
    parser.add_argument("--seconds", type=float, default=15, help="time that a prompt is given to be healed (15)")
    parser.add_argument("--only", choices=("heal", "control", "flow"), help="one of the three runs")
    parser.add_argument("--state", default=str(ROOT / ".moru" / "bench-heal"), help="folder of the private stack")
    parser.add_argument("--load", required=True, help="the load generator, built from tests/bench/load.c")
    parser.add_argument("--sim", required=True, help="the simulator's program")
    return parser.parse_args()


class Simulator:
    """`with Simulator(program, seed, analyst) as url`"""

    def __init__(self, program, log, **settings):
        self.program, self.log = program, pathlib.Path(log)
        self.environment = {**os.environ, "LISTEN_PORT": "0", **{key: str(value) for key, value in settings.items()}}

    def __enter__(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([self.program], env=self.environment, stdout=subprocess.PIPE, stderr=log,
                                            text=True)
        port = self.process.stdout.readline().strip()
        if not port.isdigit():
            sys.exit(f"bench-heal: the simulator did not say its port; see {self.log}")
        return f"http://127.0.0.1:{port}/v1"

    def __exit__(self, *_error):
        self.process.terminate()
        self.process.wait(10)


class Healing:
    """One scenario, from the good prompt to the last score."""

    def __init__(self, scenario, world):
        self.scenario, self.world = scenario, world

    async def scores(self, inputs):
        """Sends them side by side; a request without a score counts as 0."""
        answers = await asyncio.gather(*(self.world.ask(self.scenario.task_type, text) for text in inputs))
        return [answer.get("evaluation_score") or 0.0 for answer in answers]

    async def mean(self, ask, count=SAMPLE):
        return statistics.fmean(await self.scores(self.scenario.inputs(ask, count)))

    async def put_prompt(self, content, version, alone):
        task_type = self.scenario.task_type
        if alone:
            await self.world.database.execute("DELETE FROM prompts WHERE task_type = $1", task_type)
        else:
            await self.world.database.execute("UPDATE prompts SET is_active = FALSE WHERE task_type = $1", task_type)
        return await self.world.database.fetchval(
            "INSERT INTO prompts (task_type, content, version) VALUES ($1, $2, $3) RETURNING id", task_type, content, version)

    async def active(self):
        return await self.world.database.fetchrow("SELECT * FROM moru_active_prompt($1)", self.scenario.task_type)

    async def quiet(self):
        """No cycle of the scenario before is under way; what it left is removed."""
        task_type = self.scenario.task_type
        for _ in range(600):
            if not await self.world.database.fetchval(
                    "SELECT count(*) FROM optimizations WHERE task_type = $1 AND status = 'running'", task_type):
                break
            await asyncio.sleep(0.05)
        for table in TABLES:
            await self.world.database.execute(f"DELETE FROM {table} WHERE task_type = $1", task_type)

    async def heal(self, broken_id, target):
        """Sends requests until what serves is as good as it should be, or the time is over; returns scores seen under the
        broken prompt."""
        deadline = time.monotonic() + self.world.options.seconds
        broken, newest = [], []
        while time.monotonic() < deadline:
            answer = await self.world.ask(self.scenario.task_type, self.scenario.inputs(self.scenario.ask_after, 1)[0])
            serving = (await self.active())["id"]
            score = answer.get("evaluation_score") or 0.0
            if serving == broken_id:
                broken.append(score)
                newest = []
            else:
                newest.append(score)
            if len(newest) >= SAMPLE and statistics.fmean(newest[-SAMPLE:]) >= ENOUGH * target:
                break
        return broken

    async def run(self):
        scenario = self.scenario
        await self.quiet()
        await self.put_prompt(scenario.good, 1, alone=True)
        before = await self.mean(scenario.ask_before)
        target = before
        if scenario.kind == CHANGED:
            await self.put_prompt(scenario.best, 1, alone=True)
            target = await self.mean(scenario.ask_after)
            await self.put_prompt(scenario.good, 1, alone=True)
        else:
            await self.put_prompt(scenario.broken, 2 if scenario.kind == CAN_GO_BACK else 1, scenario.kind == ONLY_ROW)
        broken_id = (await self.active())["id"]
        broken = await self.heal(broken_id, target)
        after = await self.mean(scenario.ask_after)
        return await self.outcome(broken_id, before, target, broken, after)

    async def outcome(self, broken_id, before, target, broken, after):
        database, task_type = self.world.database, self.scenario.task_type
        serving = await self.active()
        cycles = await database.fetchval("SELECT count(*) FROM optimizations WHERE task_type = $1", task_type)
        crossed = await database.fetchval(
            "SELECT created_at FROM results WHERE prompt_id = $1 AND passed = FALSE AND purpose = 'serve' "
            "ORDER BY created_at OFFSET 2 LIMIT 1", broken_id)
        worst = statistics.fmean(broken) if broken else before
        return {
            "scenario": self.scenario, "before": before, "target": target, "worst": worst, "after": after, "cycles": cycles,
            "healed": after >= ENOUGH * target, "left_worse": after < worst - NOISE,
            "reverted": serving["content"] == self.scenario.good and serving["id"] != broken_id,
            "seconds": (serving["created_at"] - crossed).total_seconds()
            if crossed and serving["id"] != broken_id else None,
        }


class World:
    """The gateway, the database and the options, for all scenarios of a run."""

    def __init__(self, options, http, database, url):
        self.options, self.http, self.database, self.url = options, http, database, url

    async def ask(self, task_type, text):
        answer = await self.http.post(f"{self.url}/api/v1/request", json={"user_input": text, "task_type": task_type})
        return answer.json() if answer.status_code == 200 else {}


async def run_type(world, of_type, outcomes, total):
    for scenario in of_type:
        outcome = await Healing(scenario, world).run()
        outcomes.append(outcome)
        print(f"   {len(outcomes):2} of {total}: {scenario.task_type}, {scenario.kind}, {scenario.sabotage[:40]}: "
              f"{'healed' if outcome['healed'] else 'NOT healed'} ({outcome['worst']:.2f} → {outcome['after']:.2f})", flush=True)


async def run_all(options, urls):
    made = scenarios(options.seed)
    outcomes = []
    # The database's own URL, whatever its host is: asyncpg takes what libpq takes.
    pool = await asyncpg.create_pool(urls["DATABASE_URL"], min_size=4, max_size=8)
    async with pool, httpx.AsyncClient(timeout=60, trust_env=False) as http:
        world = World(options, http, pool, urls["GATEWAY_URL"])
        types = dict.fromkeys(scenario.task_type for scenario in made)
        await asyncio.gather(*(run_type(world, [scenario for scenario in made if scenario.task_type == task_type], outcomes,
                                        len(made)) for task_type in types))
    return sorted(outcomes, key=lambda outcome: outcome["scenario"].number)


def table(outcomes):
    lines = ["| # | task type | kind | sabotage | healed | cycles | time to heal | before | at the worst | after |",
             "|---:|---|---|---|---|---:|---:|---:|---:|---:|"]
    for outcome in outcomes:
        scenario = outcome["scenario"]
        seconds = f"{outcome['seconds'] * 1000:,.0f} ms" if outcome["seconds"] is not None else ""
        healed = ("yes" if outcome["healed"] else "**no**") + (", by going back" if outcome["reverted"] else "")
        lines.append(f"| {scenario.number} | {scenario.task_type} | {scenario.kind} | {scenario.sabotage.replace('|', '/')} | "
                     f"{healed} | {outcome['cycles']} | {seconds} | {outcome['target']:.3f} | {outcome['worst']:.3f} | "
                     f"{outcome['after']:.3f} |")
    return "\n".join(lines)


def summary(outcomes):
    """The lines by kind, and whether the targets are met."""
    lines = ["| kind | healed | of | median time to heal | target | |", "|---|---:|---:|---:|---|---|"]
    met = True

    def add(what, some, share, target):
        nonlocal met
        healed = [outcome for outcome in some if outcome["healed"]]
        times = [outcome["seconds"] for outcome in healed if outcome["seconds"] is not None]
        good = len(healed) >= share * len(some)
        met &= good
        lines.append(f"| {what} | {len(healed)} | {len(some)} | "
                     f"{f'{statistics.median(times) * 1000:,.0f} ms' if times else ''} | {target} | "
                     f"{'met' if good else '**missed**'} |")

    for kind in (ONLY_ROW, CAN_GO_BACK, CHANGED):
        add(kind, [outcome for outcome in outcomes if outcome["scenario"].kind == kind], 0.85, "≥ 85 %")
    add("all", outcomes, 0.9, "≥ 36 of 40")
    worse = sum(outcome["left_worse"] for outcome in outcomes)
    met &= worse == 0
    lines.append(f"| left worse than it was | {worse} | {len(outcomes)} | | 0 | {'met' if not worse else '**missed**'} |")
    return "\n".join(lines), met


def run(options, analyst):
    state = pathlib.Path(options.state)
    settings = {"OPTIMIZER_BACKOFF_MS": "500", "OPTIMIZER_BACKOFF_MAX_MS": "2000", "LLM_API_KEY": "sim"}
    with Simulator(options.sim, f"{state}-sim.log", SIM_SEED=options.seed, SIM_ANALYST=analyst) as url:
        with PrivateStack(state, {**settings, "LLM_BASE_URL": url}, empty=("LLM_PROVIDER", "LLM_MODEL")) as stack:
            outcomes = asyncio.run(run_all(options, stack.urls))
            return outcomes, machine.describe(stack, ROOT)


HELLO = "just say hello world to everything"
RATE, PHASE_S, WARM_UP_S = 500, 5, 20


async def break_prompt(url):
    database = await asyncpg.connect(url)
    async with database.transaction():
        await database.execute("UPDATE prompts SET is_active = FALSE WHERE task_type = 'code_generation'")
        await database.execute("INSERT INTO prompts (task_type, content, version) VALUES ('code_generation', $1, 99)", HELLO)
    await database.close()


def flow(options):
    """500 requests/s before, while and after the mock model's prompt is broken and healed."""
    with PrivateStack(options.state, {}, empty=("LLM_PROVIDER", "LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL")) as stack:
        command = [options.load, "--url", f"{stack.urls['GATEWAY_URL']}/api/v1/request", "--connections", "64", "--rate",
                   str(RATE), "--warmup", str(WARM_UP_S), "--seconds", str(3 * PHASE_S), "--phases", "3", "--body",
                   '{"user_input":"Write a fibonacci function","task_type":"code_generation"}']
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            time.sleep(WARM_UP_S + PHASE_S)
            asyncio.run(break_prompt(stack.urls["DATABASE_URL"]))
            output = load.communicate()[0]
        if load.returncode != 0:
            sys.exit("bench-heal: a request failed while the prompt was healed")
        phases = json.loads(output)["phases"]
        healed = float(stack.query("SELECT coalesce(max(extract(epoch FROM finished_at - threshold_at)), -1) FROM "
                                   "optimizations WHERE status = 'patched'")[0])
    lines = ["| 500 requests/s, mock model | answered | failed | median | p99 |", "|---|---:|---:|---:|---:|"]
    for name, phase in zip(("before", "broken and healed", "after"), phases):
        lines.append(f"| {name} | {phase['measured']:,} | 0 | {phase['median_us'] / 1000:.2f} ms | "
                     f"{phase['p99_us'] / 1000:.2f} ms |")
    ratio = phases[1]["p99_us"] / phases[0]["p99_us"]
    met = 0 <= healed <= 0.5 and ratio <= 2
    print("\n" + "\n".join(lines))
    print(f"\nTime to heal {healed * 1000:,.0f} ms (target ≤ 500 ms: {'met' if 0 <= healed <= 0.5 else '**missed**'}); p99 "
          f"while it healed {ratio:.2f} × that before (target ≤ 2: {'met' if ratio <= 2 else '**missed**'}).\n")
    return met


def main():
    options = parse()
    stop_on_signals()
    met = True
    if options.only in (None, "heal"):
        say(f"healing, seed {options.seed}: 40 prompts, at most {options.seconds:g} s each")
        outcomes, described = run(options, "good")
        text, met = summary(outcomes)
        print(f"\n{table(outcomes)}\n\n{text}\n\n{described}\n")
    if options.only in (None, "control"):
        say(f"control, seed {options.seed}: the same, with an analyst who answers off-topic")
        outcomes, _ = run(options, "off_topic")
        healed = [outcome for outcome in outcomes if outcome["healed"] and not outcome["reverted"]]
        good = len(healed) <= 4
        met &= good
        print(f"\nControl: {len(healed)} of {len(outcomes)} healed, going back aside (target ≤ 4: "
              f"{'met' if good else '**missed**'}); left worse than it was: "
              f"{sum(outcome['left_worse'] for outcome in outcomes)}.\n")
    if options.only in (None, "flow"):
        say(f"{RATE} requests/s while the mock model's prompt is broken and healed")
        met &= flow(options)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
