"""Where spans go: a server that records what it is sent and checks it against OTLP's schema, and a real collector that
passes on to it what it has understood."""

import base64
import collections
import gzip
import http.server
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import rotel
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

import ports
from harness import wait

Span = collections.namedtuple("Span", "service trace id parent name kind attributes error seconds")


class Collector:
    """fail() returns None to take a request, or (status, headers) to refuse it; it may as well block."""

    def __init__(self, fail=lambda: None):
        self.fail, self.spans, self.bodies, self.headers = fail, [], [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                status, headers = outer.fail() or (200, {})
                outer.headers.append(dict(self.headers))
                if status == 200:
                    status = outer.take(self.path, self.headers["Content-Type"], body)
                is_json = self.headers["Content-Type"] == "application/json"
                answer = b"{}" if is_json else b""
                self.send_response(status)
                for name, value in {"Content-Type": self.headers["Content-Type"], "Content-Length": str(len(answer)),
                                    **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.wrong = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, content_type, body):
        try:
            assert path == "/v1/traces", path
            request = parse_json(body) if content_type == "application/json" else ExportTraceServiceRequest.FromString(body)
        except (AssertionError, ValueError, json_format.ParseError) as error:
            self.wrong.append(f"{error!r} in {body[:2000]!r}")
            return 400
        self.bodies.append(body)
        self.spans += [span for span in spans_of(request)]
        return 200

    def of_trace(self, trace):
        assert self.wrong == [], self.wrong
        return [span for span in self.spans if span.trace == trace]

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        self.server.shutdown()
        self.server.server_close()
        assert kind or self.wrong == [], self.wrong


class RealCollector(Collector):
    """Rotel, an OpenTelemetry collector: takes OTLP/HTTP JSON by its own receiver and sends it on as protobuf."""

    def __enter__(self):
        port = ports.choose()
        program = Path(rotel.__file__).parent / "rotel-agent"
        self.process = subprocess.Popen(
            [program, "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint",
             f"127.0.0.1:{ports.choose()}", "--exporter", "otlp", "--otlp-exporter-protocol", "http",
             "--otlp-exporter-endpoint", self.url, "--batch-timeout", "50ms"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
        self.url = f"http://127.0.0.1:{port}"
        wait(lambda: not socket.create_connection(("127.0.0.1", port), 5).close(), what="the collector's port")
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.process.wait(10)
        super().__exit__(*exception)


def parse_json(body):
    """The request, by the schema's own rules; ids stand in hex, where protobuf's JSON has base64."""
    message = json.loads(body)
    for resource in message["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name, length in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8)):
                    if name in span:
                        assert span[name] == span[name].lower() and len(span[name]) == 2 * length, span[name]
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
                assert isinstance(span["kind"], int) and isinstance(span["startTimeUnixNano"], str)
    return json_format.ParseDict(message, ExportTraceServiceRequest(), ignore_unknown_fields=False)


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes_of(pairs):
    found = {pair.key: plain(pair.value) for pair in pairs}
    assert len(found) == len(pairs), f"an attribute stands twice: {pairs}"
    return found


def spans_of(request):
    for resource in request.resource_spans:
        its = attributes_of(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                kind = trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
                yield Span(its["service.name"], span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                           span.name, kind, attributes_of(span.attributes),
                           span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                           (span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9))
