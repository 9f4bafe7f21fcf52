"""Files that lie elsewhere: any URL that fsspec reads (`s3://`, `https://`, `hdfs://`, `memory://`, `file://`), as raw bytes.

What fsspec and the libraries under it raise has no common name; here all of it becomes one sentence with the URL. A stream
that ends before the size that its server told is cut off, and said to be.
"""

from __future__ import annotations

import io
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.packages import package


def is_url(path: str) -> bool:
    return "://" in path


def name_of(path: str) -> str:
    """The path or URL without what is asked of a server (`?x=1`): its end is the file's name."""
    return path.partition("?")[0] if path.startswith(("http://", "https://")) else path


def files_of(pattern: str) -> list[str]:
    """The URLs that a URL or a pattern of URLs names, sorted; none where there is no such file."""
    system, path = _system(pattern)
    try:
        if system.isfile(path):
            return [pattern]
        if not any(sign in path for sign in "*?["):
            return []
        found = system.glob(path, detail=True)
    except Exception as error:
        raise UserError(f"{pattern}: cannot be listed ({_reason(error)})") from None
    return sorted(system.unstrip_protocol(name) for name, info in found.items() if info.get("type") != "directory")


def size_of(url: str) -> int:
    """Bytes; 0 where nobody knows."""
    return _info(url)[1].get("size") or 0


def state_of(url: str) -> str:
    """What is another word once the file has been written to, as far as its server tells: size, checksum, time of change."""
    info = _info(url)[1]
    told = [
        info.get(key)
        for key in ("size", "ETag", "etag", "md5Hash", "checksum", "Last-Modified", "LastModified", "mtime", "created")
    ]
    return " ".join(str(each) for each in told if each is not None)


def opened(url: str) -> tuple[io.RawIOBase, int]:
    """`(the file, its size in bytes)`; size 0 where nobody knows."""
    system, info = _info(url)
    try:
        file = system.open(info["name"], "rb", **({} if _gives_ranges(system, info) else {"block_size": 0}))
    except Exception as error:
        raise UserError(f"{url}: cannot be read ({_reason(error)})") from None
    size = info.get("size") or 0
    return _Remote(file, url, size), size


def can_be_cut(url: str) -> bool:
    """Whether it can be read from its middle: some web servers give a file whole or not at all."""
    return _gives_ranges(*_info(url))


def _gives_ranges(system: Any, info: dict[str, Any]) -> bool:
    """Ask a web server for its second byte; one that knows no ranges begins to send the whole file, and fsspec then raises."""
    if not str(info["name"]).startswith(("http://", "https://")):
        return True
    try:
        with system.open(info["name"], "rb", block_size=1, cache_type="none") as file:
            file.seek(1)
            return len(file.read(1)) == 1
    except ValueError:
        return False


def _system(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it."""
    core = package("fsspec.core", "URLs")
    try:
        system, path = core.url_to_fs(url, **_settings(url))
    except ImportError as error:
        raise UserError(f"{url}: fsspec reads such URLs with another package ({error})") from None
    except Exception as error:
        raise UserError(f"{url}: is no URL that fsspec reads ({_reason(error)})") from None
    system.invalidate_cache()  # listings of before may be those of other files
    return system, path


def _settings(url: str) -> dict[str, Any]:
    """A big file may take longer than the five minutes that aiohttp gives a download; only silence may not."""
    if not url.startswith(("http://", "https://")):
        return {}
    return {"client_kwargs": {"timeout": package("aiohttp", "URLs of the web").ClientTimeout(total=None, sock_read=300)}}


def _info(url: str) -> tuple[Any, dict[str, Any]]:
    system, path = _system(url)
    try:
        return system, system.info(path)
    except FileNotFoundError:
        raise UserError(f"{url}: cannot be read (there is no such file)") from None
    except Exception as error:
        raise UserError(f"{url}: cannot be read ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _Remote(io.RawIOBase):
    """A file of fsspec as a raw file."""

    def __init__(self, file: Any, url: str, size: int):
        self._file, self._url, self._size, self._at = file, url, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            self._at = self._file.seek(offset, whence)
        except Exception as error:
            raise UserError(f"{self._url}: cannot be read from its middle ({_reason(error)}); take a copy of it") from None
        return self._at

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._file.read(len(buffer))
        except Exception as error:
            raise UserError(f"{self._url}: cannot be read after byte {self._at:,} ({_reason(error)})") from None
        if not found and len(buffer) and self._at < self._size:
            raise UserError(f"{self._url}: is cut off: it ends at byte {self._at:,} of {self._size:,}")
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
