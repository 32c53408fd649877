"""The generated decoders and the standard agree on every example, and on thousands of small changes to them.

    <python> tests/unit/check_examples.py build/tests/test_messages

Needs the Python package jsonschema (4.18 or newer). test_messages --decode <schema> is the other side.
"""
import copy
import json
import pathlib
import re
import subprocess
import sys

import jsonschema
import referencing
from referencing.jsonschema import DRAFT202012

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"
UUID = "018f3c1e-7a2b-7c3d-8e4f-0123456789ab"
ERRORS_MAX = 16  # JSON_ERRORS_MAX: our list may end early
REPLACEMENTS = [
    None, True, False, 0, -1, 1, 1.0, 1.5, 100, 101, 1e2, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 - 1, 2**53,
    1e300, -1e300, "", "x", "1", "ok", "high", "queued", "\n", "x\n", "\u0080", "\u00a0", "\u2028", UUID, UUID.upper(),
    UUID + "\n", UUID.replace("-", "0"), "a" * 64, "A" * 64, "a" * 65, "😀" * 64, "😀" * 65, [], [{}], [None], {},
    {"a": {"b": []}},
]  # fmt: skip


def ecma_pattern(validator, pattern, instance, schema):
    """Python's $ also matches before a last line feed; the standard's does not."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"does not match {pattern}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": ecma_pattern})


def read_validators():
    documents = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.schema.json")}
    for document in documents.values():
        Validator.check_schema(document)
        del document["$schema"]  # else jsonschema goes back to its own validator behind a $ref
    resources = [(name, DRAFT202012.create_resource(document)) for name, document in documents.items()]
    registry = referencing.Registry().with_resources(resources)
    return {
        name.removesuffix(".schema.json"): Validator(document, registry=registry)
        for name, document in documents.items()
        if name != "common.schema.json"
    }


def pointer(path):
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def expected_pointers(error):
    """Where our decoder points for an error of the standard's: a member that is missing or unknown is named too."""
    while error.context:  # anyOf: what the branch says that is not null
        error = min(error.context, key=lambda inner: inner.schema_path[0])
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return {pointer([*error.absolute_path, name]) for name in missing}
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        return {pointer([*error.absolute_path, name]) for name in error.instance if name not in known}
    return {pointer(error.absolute_path)}


def decode(program, name, documents):
    lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    done = subprocess.run([program, "--decode", name], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.split(b"\n")[:-1]]


def without_optional_nulls(document, validator):
    required = validator.schema["required"]
    properties = validator.schema["properties"]
    drop = [key for key in document if key in properties and key not in required and document[key] is None]
    return {key: value for key, value in document.items() if key not in drop}


def check(validator, document, answer, place):
    """What is wrong with the decoder's answer; an empty list when it agrees with the standard."""
    errors = list(validator.iter_errors(document))
    if errors:
        expected = set().union(*map(expected_pointers, errors))
        said = {error["pointer"] for error in answer["errors"]}
        agree = said <= expected if len(answer["errors"]) == ERRORS_MAX else said == expected
        return [] if agree else [f"{place}: the standard says {sorted(expected)}, we say {sorted(said)}"]
    if answer["text"] is None:
        return [f"{place}: the standard takes it, we do not: {answer['errors']}"]
    again = json.loads(answer["text"])
    problems = [f"{place}: written again it breaks its schema: {e.message}" for e in validator.iter_errors(again)]
    if again != without_optional_nulls(document, validator):
        problems.append(f"{place}: written again it is another value: {answer['text'][:200]}")
    return problems


def places(value, path=()):
    """The paths of all members and elements in value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(document, path, change):
    copied = copy.deepcopy(document)
    parent = copied
    for part in path[:-1]:
        parent = parent[part]
    change(parent, path[-1])
    return copied


def boundary_texts(validator):
    """Strings of astral characters on both sides of every maximum length that the schema or common names."""
    common = json.loads((SCHEMAS / "common.schema.json").read_text(encoding="utf-8"))["$defs"]
    for name, node in validator.schema["properties"].items():
        node = common.get(node.get("$ref", "").rpartition("/")[2], node)
        if "maxLength" in node:
            yield name, ["😀" * (node["maxLength"] + more) for more in (0, 1)]


def changes(document, validator):
    for path in places(document):
        yield changed(document, path, lambda parent, key: parent.pop(key))
        for value in REPLACEMENTS:
            yield changed(document, path, lambda parent, key, value=value: parent.__setitem__(key, value))
    yield {**document, "~/": 1}
    for name, texts in boundary_texts(validator):
        yield from ({**document, name: text} for text in texts)


def read_examples(folder):
    return {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def check_schema(program, name, validator):
    valid = read_examples(SCHEMAS / "examples" / name)
    invalid = read_examples(SCHEMAS / "examples" / name / "invalid")
    problems = []
    if len(valid) < 2 or not invalid:
        problems.append(f"{name}: has too few examples")
    problems += [f"{path}: is not valid" for path, document in valid.items() if not validator.is_valid(document)]
    problems += [f"{path}: is valid" for path, document in invalid.items() if validator.is_valid(document)]
    documents = [(str(path), document) for path, document in (valid | invalid).items()]
    for document in list(valid.values())[:2]:
        documents += [(f"{name}: change {n}", item) for n, item in enumerate(changes(document, validator))]
    answers = decode(program, name, [document for _, document in documents])
    if len(answers) != len(documents):
        problems.append(f"{name}: {len(documents)} documents, but {len(answers)} answers")
    for (place, document), answer in zip(documents, answers):
        problems += check(validator, document, answer, place)
    return len(documents), problems


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count, problems = 0, []
    for name, validator in sorted(read_validators().items()):
        checked, found = check_schema(sys.argv[1], name, validator)
        count += checked
        problems += found
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{count} documents checked, {len(problems)} disagreements")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
