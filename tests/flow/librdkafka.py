"""The newest librdkafka there is: the one that the Python package confluent-kafka brings along."""

import re
from pathlib import Path

import confluent_kafka


def newest(folder):
    """Makes a folder in which that library has the name that moru's programs look for (LD_LIBRARY_PATH)."""
    found = sorted((Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*.so*"))
    if not found:
        raise FileNotFoundError("the Python package confluent-kafka brings no librdkafka here")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "librdkafka.so.1").symlink_to(found[0])
    return folder


def loaded(process):
    """The name of the file that a process has really loaded."""
    found = re.search(r"\S*librdkafka\S*", Path(f"/proc/{process.pid}/maps").read_text())
    return Path(found[0]).name if found else "none"
