"""An OpenAI-style model server whose answers a test decides."""

import http.server
import json
import threading


class Server(http.server.ThreadingHTTPServer):
    # With its 5 places a connection of many at once may wait for its first byte until the caller gives up.
    request_queue_size = 1024


class ModelServer:
    """answer(messages) returns the text of an answer, or (status, body, headers) to fail with. usage is what each answer
    reports to have used, as chat completions do."""

    def __init__(self, answer, usage=None):
        self.answer = answer
        self.calls = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.calls.append(request)
                answer = outer.answer(request["messages"])
                if isinstance(answer, str):
                    answer = (200, json.dumps({"choices": [{"message": {"role": "assistant", "content": answer},
                                                            "finish_reason": "stop"}],
                                               **({"usage": usage} if usage else {})}), {})
                status, body, headers = answer
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body.encode())),
                                    **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()


def is_judge(messages):
    return "relevance" in messages[0]["content"]
