"""Writes the C that is declared in this folder: messages, topics, the HTTP API and the SQL.

    python3 schemas/generate.py --out build/schemas

Every <name>.schema.json becomes <name>.h and <name>.c with a struct and the table of its fields, which shared/message.c
reads. A schema keyword that the tables cannot express ends the run: the C and the standard shall say the same.
"""
import argparse
import hashlib
import json
import pathlib
import re
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ANNOTATIONS = {"$schema", "$comment", "title", "description"}
KEYWORDS = {
    "string": {"type", "minLength", "maxLength", "pattern", "enum"},
    "integer": {"type", "minimum", "maximum"},
    "number": {"type", "minimum", "maximum"},
    "boolean": {"type"},
    "object": {"type", "properties", "required", "additionalProperties", "allOf"},
    "array": {"type", "items", "minItems", "maxItems"},
}
# Only these: shared/message.c checks them by hand, and a C library's regular expressions are not ECMA's.
FORMATS = {
    None: "MESSAGE_ANY_TEXT",
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$": "MESSAGE_UUID",
    "^[0-9a-f]{64}$": "MESSAGE_HEX",
    "^[^\\u0000-\\u001f\\u007f-\\u009f]*$": "MESSAGE_NO_CONTROLS",
}
C_TYPES = {"string": "const char *", "integer": "int64_t ", "number": "double ", "boolean": "bool "}
ARRAYS = ("MESSAGE_ARRAY", "MESSAGE_STRINGS")
INTEGER_MAX = 2**53 - 1
FIELDS_MAX = 64


class SchemaError(Exception):
    """What a schema asks for and this generator cannot give."""


def c_name(name):
    return name.replace("-", "_")


def c_string(text, indent="    "):
    """Text as C string literals, one a line."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
    lines = []
    for line in text.splitlines(keepends=True) or [""]:
        pieces = [escapes.get(chr(b), chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in line.encode()]
        for start in range(0, max(len(pieces), 1), 96):
            literal = "".join(pieces[start : start + 96]).replace("??", "?\\?")
            lines.append(f'{indent}"{literal}"')
    return "\n".join(lines)


def read(path):
    return path.read_text(encoding="utf-8")


def comment(text):
    return f" /* {text} */" if text else ""


class Enum:
    def __init__(self, name, values, description):
        self.name, self.values, self.description = name, values, description

    def constant(self, value):
        return f"{self.name}_{c_name(value)}".upper()

    def header(self):
        rows = "".join(f"    {self.constant(value)},\n" for value in self.values)
        head = f"/* {self.description} */\n" if self.description else ""
        return f"""{head}enum {self.name} {{
{rows}    {self.name.upper()}_COUNT,
}};

/* By value; NULL-terminated. */
extern const char *const {self.name.upper()}_NAMES[];
/* As it is written in JSON; a value that is none is a bug and aborts. */
const char *{self.name}_name(enum {self.name} value);
/* False when name is none of the names, or NULL. */
bool {self.name}_parse(const char *name, enum {self.name} *value);

"""

    def source(self):
        upper = self.name.upper()
        names = ", ".join(f'"{value}"' for value in self.values)
        return f"""const char *const {upper}_NAMES[] = {{{names}, NULL}};

const char *{self.name}_name(enum {self.name} value) {{
    return message_enum_name({upper}_NAMES, {upper}_COUNT, (int)value);
}}

bool {self.name}_parse(const char *name, enum {self.name} *value) {{
    int number;
    bool known = message_enum_parse({upper}_NAMES, name, &number);
    if (known)
        *value = (enum {self.name})number;
    return known;
}}

"""


class Field:
    """A member of an object: how it stands in the struct and in the table."""

    def __init__(self, name, required):
        self.name, self.required, self.nullable = name, required, False
        self.description, self.enum, self.message = "", None, None
        self.declaration, self.kind, self.format = "", "", "MESSAGE_ANY_TEXT"
        self.minimum, self.maximum = "-INFINITY", "INFINITY"
        self.flag = None  # the struct's member that tells presence, or an array's count

    def members(self):
        lines = ""
        if self.flag and self.kind not in ARRAYS:
            lines += f"    bool {self.flag};\n"
        lines += f"    {self.declaration}{self.name};{comment(self.description)}\n"
        if self.kind in ARRAYS:
            lines += f"    size_t {self.flag};\n"
        return lines

    def row(self, struct, path):
        has = f"\n        .has_offset = offsetof(struct {struct}, {path}{self.flag})" if self.flag else ""
        parts = [f'.name = "{self.name}"', f".type = {self.kind}"]
        if self.format != "MESSAGE_ANY_TEXT":
            parts.append(f".format = {self.format}")
        parts += [f".{word} = true" for word in ("required", "nullable") if getattr(self, word)]
        if self.enum:
            parts.append(f".names = {self.enum.name.upper()}_NAMES")
        if self.message:
            parts.append(f".message = &{c_name(self.message).upper()}_MESSAGE")
        return (
            f"    {{{', '.join(parts)},\n"
            f"        .minimum = {self.minimum}, .maximum = {self.maximum},\n"
            f"        .offset = offsetof(struct {struct}, {path}{self.name}),{has or ' .has_offset = MESSAGE_NONE'}}},\n"
        )


class Schemas:
    def __init__(self):
        self.documents = {
            path.name.removesuffix(".schema.json"): json.loads(read(path))
            for path in sorted(HERE.glob("*.schema.json"))
        }

    def follow(self, node, where):
        """A node and its $ref as one: (node, document name, definition name or None)."""
        reference = node.get("$ref")
        if not reference:
            return node, None, None
        match = re.fullmatch(r"([a-z-]+)\.schema\.json(?:#/\$defs/(\w+))?", reference)
        if (
            not match
            or set(node) - ANNOTATIONS - {"$ref"}
            or match[1] not in self.documents
            or (match[2] and match[1] != "common")
        ):
            raise SchemaError(f"{where}: cannot follow {node}")
        target = self.documents[match[1]]
        if match[2]:
            target = target["$defs"][match[2]]
        return {**target, **{key: node[key] for key in node if key != "$ref"}}, match[1], match[2]

    def message(self, name):
        return Message(self, name, self.documents[name], f"{name}.schema.json")

    def definition(self, name):
        return Message(self, name, self.documents["common"]["$defs"][name], f"common.schema.json#/$defs/{name}")


def check_keywords(node, where):
    kind = node.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), None)
    if kind not in KEYWORDS:
        raise SchemaError(f"{where}: no type that can be generated: {kind}")
    unknown = set(node) - KEYWORDS[kind] - ANNOTATIONS
    if unknown:
        raise SchemaError(f"{where}: keywords without a C counterpart: {sorted(unknown)}")
    return kind


class Message:
    """An object schema: its base's fields, its own fields, its enums."""

    def __init__(self, schemas, name, node, where):
        self.schemas, self.name, self.where, self.struct = schemas, name, where, c_name(name)
        self.description = node.get("description", "")
        # A schema that refers to no other can be shown to a model.
        text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
        self.text = None if '"$ref"' in text else text
        if check_keywords(node, where) != "object" or "properties" not in node:
            raise SchemaError(f"{where}: not an object with properties")
        self.includes, self.enums = set(), []
        self.strict = self.read_strict(node)
        self.base = self.read_base(node.get("allOf"))
        required = node.get("required", [])
        if set(required) - set(node["properties"]):
            raise SchemaError(f"{where}: required, but no property")
        self.fields = [self.read_field(key, value, key in required) for key, value in node["properties"].items()]
        names = [field.name for field, _ in self.all_fields()]
        if len(names) != len(set(names)) or len(names) > FIELDS_MAX:
            raise SchemaError(f"{where}: a field of the base again, or more than {FIELDS_MAX} fields")

    def read_strict(self, node):
        if node.get("additionalProperties", True) not in (True, False):
            raise SchemaError(f"{self.where}: additionalProperties may be true or false")
        return node.get("additionalProperties") is False

    def read_base(self, all_of):
        if all_of is None:
            return None
        if len(all_of) != 1 or set(all_of[0]) != {"$ref"} or self.strict:
            raise SchemaError(f"{self.where}: allOf may hold one $ref, and the schema may not be strict")
        _, document, definition = self.schemas.follow(all_of[0], self.where)
        self.includes.add(document)
        base = self.schemas.definition(definition) if definition else self.schemas.message(document)
        if base.strict:
            raise SchemaError(f"{self.where}: its base allows no further properties")
        return base

    def all_fields(self, path=""):
        """(field, path of the struct that holds it), bases first."""
        inherited = self.base.all_fields(f"{path}{self.base.struct}.") if self.base else []
        return inherited + [(field, path) for field in self.fields]

    def unknown_path(self, path=""):
        return self.base.unknown_path(f"{path}{self.base.struct}.") if self.base else f"{path}unknown"

    def read_field(self, name, node, required):
        where = f"{self.where}/{name}"
        if not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise SchemaError(f"{where}: not a name of a C struct's member")
        field = Field(name, required)
        field.description = node.get("description", "")
        if "anyOf" in node:
            if set(node) - ANNOTATIONS - {"anyOf"} or len(node["anyOf"]) != 2 or node["anyOf"][1] != {"type": "null"}:
                raise SchemaError(f"{where}: anyOf may only be something or null")
            field.nullable, node = True, node["anyOf"][0]
        node, document, definition = self.schemas.follow(node, where)
        kind = check_keywords(node, where)
        if isinstance(node["type"], list):
            if node["type"] != [kind, "null"]:
                raise SchemaError(f"{where}: type may only be one type, or one type and null")
            field.nullable = True
        field.description = field.description or ("" if document and not definition else node.get("description", ""))
        getattr(self, f"read_{kind}")(field, node, document, definition, where)
        if field.kind in ("MESSAGE_INTEGER", "MESSAGE_NUMBER", "MESSAGE_BOOLEAN", "MESSAGE_ENUM") and (
            field.nullable or not required
        ):
            field.flag = f"has_{name}"
        return field

    def read_string(self, field, node, document, definition, where):
        if "enum" in node:
            enum = Enum(definition or f"{self.struct}_{field.name}", node["enum"], node.get("description"))
            field.kind, field.enum, field.declaration = "MESSAGE_ENUM", enum, f"enum {enum.name} "
            if field.nullable:
                raise SchemaError(f"{where}: an enum may not be null")
            if definition:
                self.includes.add(document)
                field.description = ""
            else:
                self.enums.append(enum)
                field.description = field.description if field.description != enum.description else ""
            return
        if node.get("pattern") not in FORMATS:
            raise SchemaError(f"{where}: a pattern that shared/message.c does not know")
        field.kind, field.declaration = "MESSAGE_STRING", C_TYPES["string"]
        field.format = FORMATS[node.get("pattern")]
        field.minimum, field.maximum = node.get("minLength", 0), node.get("maxLength", "INFINITY")

    def read_integer(self, field, node, _document, _definition, where):
        if abs(node.get("minimum", INTEGER_MAX + 1)) > INTEGER_MAX or node.get("maximum", INTEGER_MAX + 1) > INTEGER_MAX:
            raise SchemaError(f"{where}: an integer needs minimum and maximum within 2^53 - 1")
        self.read_number(field, node, _document, _definition, where)
        field.kind, field.declaration = "MESSAGE_INTEGER", C_TYPES["integer"]

    def read_number(self, field, node, _document, _definition, _where):
        field.kind, field.declaration = "MESSAGE_NUMBER", C_TYPES["number"]
        field.minimum, field.maximum = node.get("minimum", "-INFINITY"), node.get("maximum", "INFINITY")

    def read_boolean(self, field, _node, _document, _definition, _where):
        field.kind, field.declaration = "MESSAGE_BOOLEAN", C_TYPES["boolean"]

    def read_object(self, field, node, document, definition, where):
        if document and not definition:
            if field.nullable or not field.required:
                raise SchemaError(f"{where}: an object of a schema must be there")
            self.includes.add(document)
            field.kind, field.message, field.declaration = "MESSAGE_STRUCT", document, f"struct {c_name(document)} "
        elif set(node) - ANNOTATIONS == {"type"}:
            field.kind, field.declaration = "MESSAGE_JSON", C_TYPES["string"]
            field.description = "; ".join(filter(None, [field.description, "JSON text"]))
        else:
            raise SchemaError(f"{where}: an object with properties needs a schema file of its own")

    def read_array(self, field, node, _document, _definition, where):
        field.minimum, field.maximum = node.get("minItems", 0), node.get("maxItems", "INFINITY")
        field.flag = f"{field.name}_count"
        if set(node.get("items", {})) - ANNOTATIONS == {"type"} and node["items"]["type"] == "string":
            if field.nullable:
                raise SchemaError(f"{where}: a list of texts may not be null")
            field.kind, field.declaration = "MESSAGE_STRINGS", "const char *const *"
            return
        item, document, definition = self.schemas.follow(node.get("items", {}), where)
        if not document or definition or item.get("type") != "object" or field.nullable:
            raise SchemaError(f"{where}: an array's items must be strings, or a $ref to an object's schema file")
        self.includes.add(document)
        field.kind, field.message = "MESSAGE_ARRAY", document
        field.declaration = f"const struct {c_name(document)} *"

    def struct_text(self):
        members = f"    struct {self.base.struct} {self.base.struct};\n" if self.base else ""
        members += "".join(field.members() for field in self.fields)
        if not self.strict and not self.base:
            members += "    const char *unknown; /* members that no schema here names: a JSON object's text, or NULL */\n"
        return f"/* {self.description} */\nstruct {self.struct} {{\n{members}}};\n\n"

    def header(self):
        includes = "".join(f'#include "schemas/{c_name(name)}.h"\n' for name in sorted(self.includes))
        enums = "".join(enum.header() for enum in self.enums)
        return f"""#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

{includes}#include "shared/message.h"

{enums}{self.struct_text()}extern const struct message {self.struct.upper()}_MESSAGE;
{self.schema_header()}
/* Checks bytes (borrowed) by the schema and fills *out; what it points at is in arena. False with all errors in
 * errors, at most JSON_ERRORS_MAX; then *out is not to be used. */
bool {self.struct}_decode(struct arena *arena, const char *bytes, size_t length, struct {self.struct} *out,
    struct json_errors *errors);

/* The same for a value that json_parse made; json is borrowed for the call. */
bool {self.struct}_decode_json(struct arena *arena, const cJSON *json, struct {self.struct} *out,
    struct json_errors *errors);

/* Appends in (borrowed) as compact JSON. What the schema requires must be set, else the process aborts; limits are
 * not checked. */
void {self.struct}_encode(struct buffer *buffer, const struct {self.struct} *in);
"""

    def source(self):
        rows = "".join(field.row(self.struct, path) for field, path in self.all_fields())
        unknown = f"offsetof(struct {self.struct}, {self.unknown_path()})" if not self.strict else "MESSAGE_NONE"
        enums = "".join(enum.source() for enum in self.enums)
        upper = self.struct.upper()
        return f"""#include <math.h>

{enums}static const struct message_field FIELDS[] = {{
{rows}    {{.name = NULL}},
}};

const struct message {upper}_MESSAGE = {{
    .size = sizeof(struct {self.struct}),
    .fields = FIELDS,
    .unknown_offset = {unknown},
}};

bool {self.struct}_decode(struct arena *arena, const char *bytes, size_t length, struct {self.struct} *out,
    struct json_errors *errors) {{
    return message_decode(&{upper}_MESSAGE, arena, bytes, length, out, errors);
}}

bool {self.struct}_decode_json(struct arena *arena, const cJSON *json, struct {self.struct} *out,
    struct json_errors *errors) {{
    return message_decode_json(&{upper}_MESSAGE, arena, json, out, errors);
}}

void {self.struct}_encode(struct buffer *buffer, const struct {self.struct} *in) {{
    message_encode(&{upper}_MESSAGE, buffer, in);
}}
{self.schema_source()}"""

    def schema_header(self):
        if not self.text:
            return ""
        return f"\n/* The schema itself, as models are shown it. */\nextern const char {self.struct.upper()}_SCHEMA[];\n"

    def schema_source(self):
        return f"\nconst char {self.struct.upper()}_SCHEMA[] =\n{c_string(self.text)};\n" if self.text else ""


class Output:
    """Files of the output folder; one that would not change keeps its time."""

    def __init__(self, folder):
        self.folder, self.sources = folder, []
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name, text):
        path = self.folder / name
        if not path.exists() or read(path) != text:
            path.write_text(text, encoding="utf-8")

    def module(self, name, purpose, origin, header, source):
        guard = f"SCHEMAS_{name.upper()}_H"
        note = f"Generated by schemas/generate.py from {origin}; do not edit."
        self.write(f"{name}.h", f"/* {purpose} {note} */\n#ifndef {guard}\n#define {guard}\n\n{header}\n#endif\n")
        self.write(f"{name}.c", f'/* {purpose} {note} */\n#include "schemas/{name}.h"\n\n{source}')
        self.sources.append(name)


def generate_common(output, schemas):
    definitions = schemas.documents["common"]["$defs"]
    enums = [Enum(key, node["enum"], node["description"]) for key, node in definitions.items() if "enum" in node]
    structs = [schemas.definition(key) for key, node in definitions.items() if node["type"] == "object"]
    header = "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n"
    header += "".join(enum.header() for enum in enums) + "".join(struct.struct_text() for struct in structs)
    source = '#include "shared/message.h"\n\n' + "".join(enum.source() for enum in enums)
    output.module("common", "What several messages share.", "common.schema.json", header.rstrip() + "\n", source)


def generate_messages(output, schemas):
    generate_common(output, schemas)
    for name in schemas.documents:
        if name == "common":
            continue
        message = schemas.message(name)
        output.module(message.struct, message.description, f"{name}.schema.json", message.header(), message.source())


def topic_source(topic, lanes):
    names = [f"{topic['name']}.{lane}" if topic["lanes"] else topic["name"] for lane in lanes]
    kafka_names = ", ".join(f'[LANE_{lane.upper()}] = "{name}"' for lane, name in zip(lanes, names))
    return f"""const struct topic TOPIC_{c_name(topic['name']).upper()} = {{
    .name = "{topic['name']}",
    .lanes = {str(topic['lanes']).lower()},
    .kafka_names = {{{kafka_names}}},
    .partitions = {topic['partitions']},
    .retention_ms = {topic['retention_ms']},
    .max_message_bytes = {topic['max_message_bytes']},
    .key = "{topic['key']}",
    .schema = "{topic['schema']}",
    .help = "{topic['help']}",
}};

"""


TOPIC_HEADER = """#include <stdbool.h>
#include <stdint.h>

#include "schemas/common.h"

/* Where brokers allow it; a stack of one broker has one of each. */
enum {{ TOPIC_REPLICATION = {replication}, TOPIC_MIN_INSYNC_REPLICAS = {min_insync_replicas} }};

/* Kafka's message.timestamp.type for all topics. */
extern const char TOPIC_MESSAGE_TIMESTAMP_TYPE[];

struct topic {{
    const char *name;
    bool lanes;                          /* one Kafka topic a lane */
    const char *kafka_names[LANE_COUNT]; /* by enum lane; all the same without lanes */
    int partitions;                      /* of each Kafka topic */
    int64_t retention_ms;
    int max_message_bytes;
    const char *key;    /* the member of the message that is its key */
    const char *schema; /* <schema>.schema.json says what a message is */
    const char *help;
}};

{externs}
/* All of them, NULL-terminated. */
extern const struct topic *const TOPICS[];
"""


def generate_topics(output, schemas):
    declared = json.loads(read(HERE / "topics.json"))
    wanted = {"name", "lanes", "partitions", "retention_ms", "key", "max_message_bytes", "schema", "written_by",
              "read_by", "help"}
    for topic in declared["topics"]:
        if set(topic) != wanted or topic["schema"] not in schemas.documents:
            raise SchemaError(f"topics.json: {topic.get('name')}: must have {sorted(wanted)}, and a schema that exists")
    symbols = [f"TOPIC_{c_name(topic['name']).upper()}" for topic in declared["topics"]]
    externs = "".join(f"extern const struct topic {symbol};\n" for symbol in symbols)
    lanes = schemas.documents["common"]["$defs"]["lane"]["enum"]
    source = f'const char TOPIC_MESSAGE_TIMESTAMP_TYPE[] = "{declared["message_timestamp_type"]}";\n\n'
    source += "".join(topic_source(topic, lanes) for topic in declared["topics"])
    source += f"const struct topic *const TOPICS[] = {{{', '.join('&' + symbol for symbol in symbols)}, NULL}};\n"
    header = TOPIC_HEADER.format(externs=externs, **declared)
    output.module("topics", "The topics that moru reads and writes.", "topics.json", header, source)


def bundle(node, schemas, components):
    """A copy of node whose references to schema files point into components, which is filled with them."""
    if isinstance(node, list):
        return [bundle(item, schemas, components) for item in node]
    if not isinstance(node, dict):
        return node
    copy = {key: bundle(value, schemas, components) for key, value in node.items() if key != "$schema"}
    match = re.fullmatch(r"([a-z-]+)\.schema\.json(?:#/\$defs/(\w+))?", node.get("$ref", ""))
    if match:
        name = match[2] or match[1]
        copy["$ref"] = f"#/components/schemas/{name}"
        if name not in components:
            components[name] = None  # a schema that refers to itself would never end
            document = schemas.documents[match[1]]
            components[name] = bundle(document["$defs"][name] if match[2] else document, schemas, components)
    return copy


OPENAPI_HEADER = """/* The whole description (OpenAPI 3.1), as it is served. */
extern const char OPENAPI_JSON[];

struct openapi_operation {
    const char *method; /* "GET"; NULL ends the list */
    const char *path;   /* "/api/v1/request/{id}" */
};

extern const struct openapi_operation OPENAPI_OPERATIONS[];
"""


def generate_openapi(output, schemas):
    document = yaml.safe_load(read(HERE / "openapi.yaml"))
    components = {}
    document = bundle(document, schemas, components)
    document["components"]["schemas"] = dict(sorted(components.items()))
    operations = "".join(
        f'    {{"{method.upper()}", "{path}"}},\n'
        for path, item in document["paths"].items()
        for method in ("get", "post", "put", "patch", "delete")
        if method in item
    )
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    source = "#include <stddef.h>\n\n"
    source += f"const char OPENAPI_JSON[] =\n{c_string(text)};\n\n"
    source += f"const struct openapi_operation OPENAPI_OPERATIONS[] = {{\n{operations}    {{NULL, NULL}},\n}};\n"
    output.module("openapi", "The gateway's HTTP API.", "openapi.yaml", OPENAPI_HEADER, source)


MIGRATIONS_HEADER = """struct migration {
    int number;         /* from 1, without gaps */
    const char *name;   /* "tables" */
    const char *sql;    /* NULL ends the list */
    const char *sha256; /* of sql, 64 hexadecimal digits: an applied one is never edited */
};

/* In the order in which they are applied. */
extern const struct migration MIGRATIONS[];
"""


def generate_migrations(output):
    rows = ""
    for number, path in enumerate(sorted((HERE / "sql").glob("*.sql")), 1):
        match = re.fullmatch(r"(\d{3})_([a-z0-9_]+)\.sql", path.name)
        if not match or int(match[1]) != number:
            raise SchemaError(f"sql/{path.name}: must be named {number:03}_<name>.sql")
        sql = read(path)
        digest = hashlib.sha256(sql.encode()).hexdigest()
        rows += f'    {{{number}, "{match[2]}",\n{c_string(sql, " " * 8)},\n        "{digest}"}},\n'
    source = "#include <stddef.h>\n\n"
    source += f"const struct migration MIGRATIONS[] = {{\n{rows}    {{0, NULL, NULL, NULL}},\n}};\n"
    output.module("migrations", "The SQL that makes the tables.", "sql/", MIGRATIONS_HEADER, source)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the folder to write into")
    output = Output(parser.parse_args().out)
    try:
        schemas = Schemas()
        generate_messages(output, schemas)
        generate_topics(output, schemas)
        generate_openapi(output, schemas)
        generate_migrations(output)
    except SchemaError as error:
        sys.exit(f"schemas/generate.py: {error}")
    sources = " ".join(f"$(BUILD)/schemas/{name}.c" for name in output.sources)
    output.write("sources.mk", f"GENERATED_SOURCES := {sources}\n")


if __name__ == "__main__":
    main()
