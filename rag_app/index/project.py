"""Indexes of one project on a Chroma server that others use too: nobody meets what is not theirs.

A collection is named `<project>.<index>` there, and has the project in its metadata. Up to version
0.1 it had the index's name alone; such a one belongs to the storage that has a folder of its name,
and gets its project when it is next written.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_app.errors import ConfigError, IndexBroken
from rag_app.index.chroma import ChromaError, NotFoundError
from rag_app.index.info import IndexInfo
from rag_app.index.server import ChromaServer, connect

PROJECT = "project"
_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")


def default_project(storage: Path) -> str:
    """The name of a project that has none: of the storage's place, another for each.

    >>> default_project(Path("/home/me/handbook/storage"))
    'handbook-storage-5f4b9fbe'
    """
    place = os.path.abspath(storage)  # noqa: PTH100 - as it was named, links not followed
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:8]
    words = re.sub(r"[^a-zA-Z0-9]+", "-", "-".join(Path(place).parts[-2:]))[-40:].strip("-")
    return f"{words}-{digest}" if words else digest


def check_project(name: str) -> str:
    """The name of a project, if it can be one.

    Raises:
        ConfigError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--project {name!r} cannot be a project's name; use 1 to 63 letters, digits, dashes "
            "and underscores, with a letter or digit at both ends"
        )
    return name


class ProjectServer:
    """The collections of one project on a Chroma server, by the names of its indexes.

    Arguments:
        former: the folder whose folders bear the names of indexes that were made before there
            were projects.
    """

    def __init__(self, server: ChromaServer, project: str, *, former: Path) -> None:
        self.server = server
        self.project = check_project(project)
        self._former = former

    @cached_property
    def client(self) -> Any:
        """The client of the whole server, made when it is first asked."""
        return connect(self.server)

    def indexes(self) -> list[str]:
        """Names of the project's indexes, sorted."""
        found = ((one.name, one.metadata or {}) for one in self.client.list_collections())
        names = {self._name(name, metadata) for name, metadata in found if _made_here(metadata)}
        return sorted(names - {None})  # type: ignore[arg-type]

    def get(self, name: str) -> Any:
        """The project's collection of this name.

        Raises:
            chromadb.errors.NotFoundError: there is none.
        """
        try:
            return self._get(f"{self.project}.{name}", name)
        except NotFoundError:
            return self._get(name, name)

    def create(self, name: str, *, metadata: Mapping[str, Any], **options: Any) -> Any:
        """Make a collection, or get the one that is there.

        Raises:
            IndexBroken: something else made one of that name.
        """
        made = self.client.get_or_create_collection(
            f"{self.project}.{name}",
            embedding_function=None,
            metadata={**metadata, PROJECT: self.project},
            **options,
        )
        if (made.metadata or {}).get(PROJECT) != self.project:
            raise IndexBroken(
                f"the collection {made.name!r} on {self.server} was not made by rag-app; choose "
                "another name with --index"
            )
        return made

    def create_new(self, name: str, *, metadata: Mapping[str, Any]) -> Any:
        """Make a collection; None if there is one of that name. Of two at once one makes it.

        Raises:
            chromadb.errors.ChromaError: as Chroma says.
        """
        try:
            return self.client.create_collection(
                f"{self.project}.{name}",
                embedding_function=None,
                metadata={**metadata, PROJECT: self.project},
            )
        except ChromaError as error:
            # Chroma (1.5) has no class for it.
            if "already exists" not in str(error):
                raise
            return None

    def delete(self, name: str) -> None:
        """Delete the project's collection of this name.

        Raises:
            chromadb.errors.NotFoundError: there is none.
        """
        self.client.delete_collection(self.get(name).name)

    def is_former(self, name: str) -> bool:
        """Whether this storage made an index of this name before there were projects."""
        return (self._former / name).is_dir()

    def _get(self, full: str, name: str) -> Any:
        found = self.client.get_collection(full, embedding_function=None)
        if self._name(full, found.metadata or {}) != name:
            raise NotFoundError(f"collection {full!r} is another project's")
        return found

    def _name(self, full: str, metadata: Mapping[str, Any]) -> str | None:
        """The index's name of a collection; None where it is another project's."""
        project = metadata.get(PROJECT)
        if project is None:
            return full if self.is_former(full) else None
        return full.removeprefix(f"{self.project}.") if project == self.project else None


def _made_here(metadata: Mapping[str, Any]) -> bool:
    """Whether a collection is an index of ours, or of another project."""
    try:
        IndexInfo.from_metadata(metadata)
    except KeyError:
        return False
    return True
