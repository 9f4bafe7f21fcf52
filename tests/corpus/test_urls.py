"""Files behind URLs: fsspec's own memory, its local files, and a web server of Python's library."""

import functools
import gzip
import http.server
import json
import threading

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.corpus.documents import document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import expand, format_of, parts, size_of, size_on_disk, state_of
from megatron_ext.corpus.sources import Source

LINES = b"".join(json.dumps({"text": f"line {number} " + "x" * 200}).encode() + b"\n" for number in range(2000))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Python's own, which knows no ranges; where `ranges` is set, one that does."""

    ranges = cut = False

    def log_message(self, *words):
        pass

    def do_GET(self):
        path = self.translate_path(self.path)
        if self.cut:
            self.send_response(200)
            self.send_header("Content-Length", str(2 * len(LINES)))
            self.end_headers()
            self.wfile.write(LINES)
        elif self.ranges and "Range" in self.headers:
            content = open(path, "rb").read()
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            piece = content[int(first) : int(last or len(content)) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(piece) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            self.wfile.write(piece)
        else:
            super().do_GET()

    def end_headers(self):
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        super().end_headers()


@pytest.fixture
def web(tmp_path):
    """`serve(ranges, cut)` gives the address of a server of tmp_path."""
    servers = []

    def serve(ranges=False, cut=False):
        kind = type("Kind", (Handler,), {"ranges": ranges, "cut": cut})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=str(tmp_path)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def documents(url, kind=None, size=10**9):
    reader, flags, found = READERS.load(kind or format_of(url, READERS)), InputFlags(), []
    for begin, end in parts(url, reader, flags, size):
        with open_source(url, reader, begin, end) as source:
            found += [document(record, reader) for record in records(source, reader, None, flags)]
    return found


def test_patterns_are_sorted(memory):
    for name in ("b.jsonl", "a.jsonl.gz", "deep/c.jsonl", "e.txt"):
        memory.pipe(f"/x/{name}", b"{}\n")
    assert expand("memory://x/*.jsonl*") == ["memory:///x/a.jsonl.gz", "memory:///x/b.jsonl"]
    assert expand("memory://x/**/*.jsonl") == ["memory:///x/b.jsonl", "memory:///x/deep/c.jsonl"]
    assert expand("memory://x/e.txt") == ["memory://x/e.txt"] and expand("memory://x/none") == expand("memory://x/*.pq") == []
    assert read([InputFlags], ["--input", "memory://x/*.jsonl*"], "x", "").input.input == ("memory://x/*.jsonl*",)
    for given, said in (("memory://x/z*", "matches no file"), ("nonsense://x/a.jsonl", "nonsense://x/a.jsonl: is no URL")):
        with pytest.raises(ConfigurationError, match=said):
            read([InputFlags], ["--input", given], "x", "")


def test_memory(memory, tmp_path):
    memory.pipe("/x/a.jsonl", LINES)
    memory.pipe("/x/a.jsonl.gz", gzip.compress(LINES))
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    memory.pipe("/x/a.parquet", (tmp_path / "a.parquet").read_bytes())
    whole = documents("memory://x/a.jsonl")
    assert len(whole) == 2000 and whole[1].id == f"memory://x/a.jsonl:{LINES.index(b'line 1 ') - 10}"
    assert [each.id for each in documents("memory://x/a.jsonl", size=9999)] == [each.id for each in whole]
    assert [each.text for each in documents("memory://x/a.jsonl.gz")] == [each.text for each in whole]
    assert [each.text for each in documents("memory://x/a.parquet")] == ["one", "two"]
    assert size_of("memory://x/a.jsonl") == len(LINES) and size_on_disk(["memory://x/a.jsonl"] * 2) == 2 * len(LINES)
    memory.pipe("/x/a.jsonl.gz", gzip.compress(LINES)[:-20])
    with pytest.raises(UserError, match="memory://x/a.jsonl.gz: is cut off"):
        documents("memory://x/a.jsonl.gz")
    with pytest.raises(UserError, match="memory://x/none.jsonl: cannot be read"):
        Source("memory://x/none.jsonl")


def test_the_state_changes_with_the_file(memory, tmp_path):
    for url in ("memory://x/a", f"file://{tmp_path}/a", f"{tmp_path}/a"):
        seen = set()
        for content in (b"1", b"2", b"33"):
            with fsspec.open(url, "wb") as file:
                file.write(content)
            seen.add(state_of(url))
            assert state_of(url) in seen
        assert len(seen) == 3


def test_local_files_by_url(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    assert expand(f"file://{tmp_path}/*.jsonl") == [f"file://{tmp_path}/a.jsonl"]
    assert len(documents(f"file://{tmp_path}/a.jsonl", size=50_000)) == 2000


@pytest.mark.parametrize("ranges", [False, True])
def test_web(tmp_path, web, ranges):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES))
    address = web(ranges)
    assert expand(f"{address}/*.jsonl") == expand(f"{address}/a.jsonl") == [f"{address}/a.jsonl"]
    whole = [each.text for each in documents(f"{address}/a.jsonl")]
    assert len(whole) == 2000 and [each.text for each in documents(f"{address}/a.jsonl.gz?x=1")] == whole
    assert format_of(f"{address}/a.jsonl.gz?x=.txt", READERS) == "jsonl"
    with pytest.raises(UserError, match="none.jsonl: cannot be read"):
        documents(f"{address}/none.jsonl")
    assert [each.text for each in documents(f"{address}/a.jsonl", size=100_000)] == whole


def test_a_server_that_stops_in_the_middle(web):
    with pytest.raises(UserError, match="a.jsonl: (cannot be read after byte|is cut off)"):
        documents(f"{web(cut=True)}/a.jsonl", "jsonl")
