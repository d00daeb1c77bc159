"""A web server on loopback that does what servers on the internet do on their bad days."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    """One request, and ways to answer it. body: of the file that is asked for. start: where its range begins."""

    handler: BaseHTTPRequestHandler
    body: bytes
    range_end: int | None = None

    def __post_init__(self) -> None:
        self.etag = f'"{md5(self.body).hexdigest()}"'
        text = self.handler.headers.get("Range", "")
        fresh = self.handler.headers.get("If-Range", self.etag) == self.etag
        self.start = None
        if text and fresh:
            start, _, end = text.removeprefix("bytes=").partition("-")
            self.start = int(start)
            self.range_end = min(int(end), len(self.body) - 1) if end else len(self.body) - 1

    def head(self, status: int, **headers: object) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), str(value))
        self.handler.end_headers()

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(data)

    def begin(self, **headers: object) -> bytes:
        """Send the head of a right answer; the body that should follow."""
        headers = {"ETag": self.etag, **headers}
        if self.start is None:
            self.head(200, **{"Content_Length": len(self.body), **headers})
            return self.body
        if self.start >= len(self.body):
            self.head(416, Content_Range=f"bytes */{len(self.body)}", Content_Length=0)
            return b""
        rest = self.body[self.start : self.range_end + 1]
        place = f"bytes {self.start}-{self.range_end}/{len(self.body)}"
        self.head(206, **{"Content_Length": len(rest), "Content_Range": place, **headers})
        return rest


Answer = Callable[[Request], None]


def whole(request: Request) -> None:
    """As it should be: ranges and If-Range honoured."""
    request.send(request.begin())


def drops(share: float, **headers: object) -> Answer:
    """Closes after a share of what it promised."""

    def answer(request: Request) -> None:
        rest = request.begin(**headers)
        request.send(rest[: int(share * len(rest))])

    return answer


def says_length(change: int) -> Answer:
    """Says a wrong length of a whole answer, and sends what there is."""

    def answer(request: Request) -> None:
        request.start = None
        request.send(request.begin(Content_Length=len(request.body) + change))

    return answer


def ignores_range(request: Request) -> None:
    request.start = None
    request.send(request.begin())


def drops_and_ignores_range(request: Request) -> None:
    request.start = None
    request.send(request.begin()[: len(request.body) // 2])


def says_nothing_of_length(request: Request) -> None:
    request.head(200, ETag=request.etag)
    request.send(request.body)


def packed(request: Request) -> None:
    request.head(200, Content_Length=len(request.body), Content_Encoding="gzip")
    request.send(request.body)


def another_part(request: Request) -> None:
    """A range that nobody asked for, as if it were right."""
    request.head(206, ETag=request.etag, Content_Range=f"bytes 0-9/{len(request.body)}", Content_Length=10)
    request.send(request.body[:10])


def part_of_another_file(request: Request) -> None:
    """Ignores If-Range: the rest of a file that was put in the first one's place."""
    rest = b"?" * (len(request.body) - (request.start or 0))
    place = f"bytes {request.start or 0}-{len(request.body) - 1}/{len(request.body)}"
    request.head(206, ETag='"another"', Content_Range=place, Content_Length=len(rest))
    request.send(rest)


def status(code: int, **headers: object) -> Answer:
    return lambda request: request.head(code, Content_Length=0, **headers)


def redirects(target: str) -> Answer:
    return lambda request: request.head(302, Location=target, Content_Length=0)


def hangs_up(request: Request) -> None:
    """Not a byte of an answer."""
    request.handler.close_connection = True


def stalls(release: threading.Event) -> Answer:
    """Half the body, then silence until the test is over."""

    def answer(request: Request) -> None:
        rest = request.begin()
        request.send(rest[: len(rest) // 2])
        release.wait(60)

    return answer


@dataclass
class OddServer:
    """files: path -> content. script: path -> answers in turn, the last one for good; `whole` where there is none."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    script: dict[str, list[Answer]] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def requests(self, path: str) -> int:
        return len(self.seen[path])


@contextmanager
def serving(wrap: Callable[[ThreadingHTTPServer], None] | None = None, scheme: str = "http") -> Iterator[OddServer]:
    """Run one on a free port of loopback. wrap: to put TLS around its socket."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.seen[self.path].append(self.headers.get("Range", ""))
            path = self.path
            answers = there.script.get(path, [whole])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if path not in there.files and path not in there.script:
                answer = status(404)
            answer(Request(self, there.files.get(path, b"")))

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that has hung up

    server = Quiet(("127.0.0.1", 0), Handler)
    if wrap:
        wrap(server)
    there = OddServer(f"{scheme}://localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
