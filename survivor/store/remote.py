"""A store behind an fsspec URL: ``s3://bucket/path``, ``gs://``, ``memory://``, ``file:///path`` …

An object store writes an object as a whole or not at all, and is durable when the upload is answered, so
none of the folder store's recipe is needed. Exclusive creation uses the service's conditional put where its
file system offers one (``mode="create"``); elsewhere it is a look and a write, which two sessions can both
pass, and the fencing tokens decide (docs/format.md, invariant 4).
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Iterator
from typing import Any

import fsspec

from survivor.errors import StoreError, UsageError
from survivor.store.base import AbsentError, Chunk, Entry, check_name

_BLOCK_BYTES = 16 << 20  # a part of a multipart upload; S3 allows 10,000, so files up to 160 GB
_WRITE_BYTES = 64 << 20


class RemoteStore:
    """Objects below one URL."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Raises:
            UsageError: no package for this scheme is installed, or there is no such scheme.
        """
        try:
            self._system, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise UsageError(f"can't use {url}: {error}", advice="For s3:// install s3fs, for gs:// gcsfs.") from error
        self._url = url.rstrip("/")
        self._root = self._root.rstrip("/")

    def describe(self) -> str:
        """Return the URL."""
        return self._url

    def put(self, name: str, chunks: Iterable[Chunk]) -> int:
        """Upload an object; see ``Store.put``."""
        size = 0
        with self._told("write", name):
            path = self._path(name, make=True)
            # not "with": its end would make half a file an object when the chunks fail
            file = self._system.open(path, "wb", block_size=_BLOCK_BYTES, autocommit=False)
            try:
                for chunk in chunks:
                    view = memoryview(chunk)
                    for start in range(0, view.nbytes, _WRITE_BYTES):
                        file.write(view[start : start + _WRITE_BYTES])
                    size += view.nbytes
                file.close()
            except BaseException:
                with contextlib.suppress(Exception):
                    file.discard()
                raise
            file.commit()
            if (seen := self._info(path)["size"]) != size:
                raise StoreError(f"{self._url}/{name}: {size} bytes were sent, {seen} arrived")
        return size

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create an object; see ``Store.put_if_absent``."""
        with self._told("create", name):
            path = self._path(name, make=True)
            try:
                self._system.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            return True

    def get(self, name: str, offset: int = 0, length: int | None = None) -> memoryview:
        """Fetch a part of an object; see ``Store.get``."""
        with self._told("read", name):
            path = self._path(name)
            wanted = max(self._info(path)["size"] - offset, 0) if length is None else length
            if offset < 0 or wanted < 0:
                raise StoreError(f"{self._url}/{name}: there are no {wanted} bytes at {offset}")
            # an empty range is an error to S3
            data = self._system.cat_file(path, start=offset, end=offset + wanted) if wanted else b""
            if len(data) != wanted:
                raise StoreError(f"{self._url}/{name} has not {offset} + {wanted} bytes")
            return memoryview(bytearray(data))

    def size(self, name: str) -> int:
        """Return an object's length; see ``Store.size``."""
        with self._told("look at", name):
            return int(self._info(self._path(name))["size"])

    def files(self, prefix: str) -> list[Entry]:
        """List objects; see ``Store.files``."""
        found = []
        for name, info in self._scan(prefix):
            if info["type"] == "file":
                found.append(Entry(f"{prefix}/{name}" if prefix else name, int(info["size"]), _modified(info)))
        return found

    def folders(self, prefix: str) -> list[str]:
        """List folders; see ``Store.folders``."""
        return [name for name, info in self._scan(prefix) if info["type"] == "directory"]

    def delete(self, name: str) -> None:
        """Remove an object; see ``Store.delete``."""
        with self._told("remove", name), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def move(self, old: str, new: str) -> None:
        """Copy all objects of a folder and delete the old ones; see ``Store.move``."""
        with self._told("rename", old):
            source, target = self._path(old), self._path(new)
            names = self._system.find(source)
            if not names:
                raise AbsentError(f"{self._url}/{old} is not there")
            if self._system.exists(target):
                raise StoreError(f"{self._url}/{new} is there already")
            # the old ones go only when all the new ones are there
            for path in names:
                copy = target + path[len(source) :]
                self._system.makedirs(copy.rpartition("/")[0], exist_ok=True)
                self._system.cp_file(path, copy)
            self._system.rm(source, recursive=True)

    def _scan(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        with self._told("list", prefix):
            path = self._path(prefix) if prefix else self._root
            try:
                infos = self._system.ls(path, detail=True, refresh=True)
            except FileNotFoundError:
                return
            for info in infos:
                name = str(info["name"]).rstrip("/").rpartition("/")[2]
                # some services list the folder itself
                if str(info["name"]).strip("/") != path.strip("/"):
                    yield name, info

    def _info(self, path: str) -> dict[str, Any]:
        info: dict[str, Any] = self._system.info(path, refresh=True)
        if info["type"] != "file":
            raise StoreError(f"{path} is not an ordinary file")
        return info

    def _path(self, name: str, *, make: bool = False) -> str:
        path = f"{self._root}/{check_name(name)}"
        if make:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        return path

    @contextlib.contextmanager
    def _told(self, action: str, name: str) -> Iterator[None]:
        place = f"{self._url}/{name}"
        try:
            yield
        except StoreError:
            raise
        except FileNotFoundError as error:
            raise AbsentError(f"{place} is not there") from error
        # every service brings its own classes of errors
        except Exception as error:
            raise StoreError(f"can't {action} {place}: {type(error).__name__}: {error}") from error


def _modified(info: dict[str, Any]) -> float | None:
    for key in ("LastModified", "mtime", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime.datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None
