"""``survivor export``: a checkpoint's state dicts in an ordinary file. Runs in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from survivor.checkpoint.reading import Checkpoint
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Blob
from survivor.errors import FormatError, StoreError, SurvivorError, UsageError
from survivor.state.plain import Plain


class _Under(Mapping[str, Blob]):
    """The blobs whose names begin with a prefix, under the rest of their names."""

    def __init__(self, blobs: Mapping[str, Blob], prefix: str) -> None:
        self._blobs, self._prefix = blobs, prefix

    def __getitem__(self, name: str) -> Blob:
        return self._blobs[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name[len(self._prefix) :] for name in self._blobs if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def states_of(checkpoint: Checkpoint) -> tuple[dict[str, Any], list[str]]:
    """The state dicts that a checkpoint holds, by the names of the user's variables, and which are whole models.

    Raises:
        FormatError: the checkpoint is not what it should be.
        UsageError: nothing was trained yet when it was taken.
    """
    document = checkpoint.document
    if not isinstance(document, dict) or document.get("kind") != "training":
        raise FormatError(f"checkpoint {checkpoint.info.name} holds no training state")
    try:
        if document["levels"]:
            plain = Plain(document["levels"][-1], checkpoint.blobs())
            return plain.states(), plain.models
        ended = document["ended"][0] if document["ended"] else []
        if ended:
            prefix = f"ended0.{len(ended) - 1}/"
            plain = Plain(ended[-1]["state"], _Under(checkpoint.blobs(), prefix))
            return plain.states(), plain.models
    except (LookupError, TypeError, ArithmeticError, ValueError, AttributeError, RuntimeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise FormatError(f"checkpoint {checkpoint.info.name} is not what survivor writes ({what})") from error
    raise UsageError(
        f"checkpoint {checkpoint.info.name} was taken before anything was trained",
        advice="'survivor inspect JOB' lists the others; choose one with --checkpoint",
    )


def chosen(states: dict[str, Any], models: list[str], name: str | None, *, one: bool) -> Any:
    """What goes into the file: all, or the state of one object.

    Args:
        states: by name.
        models: which of them are models.
        name: the one that the user wants.
        one: the file can hold one only; without a name it is the only model.

    Raises:
        UsageError: there is no such object, or more than one to choose from.
    """
    names = ", ".join(states) or "nothing"
    if name is not None:
        if name not in states:
            raise UsageError(f"the checkpoint has no {name!r}", advice=f"It has: {names}.")
        return states[name]
    if not one:
        return states
    if len(models) != 1:
        why = f"has several models: {', '.join(models)}" if models else f"has no model, only: {names}"
        raise UsageError(f"the checkpoint {why}", advice="Choose one with --object, or write a .pt file with all.")
    return states[models[0]]


def _is_weights(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())


def write(path: Path, content: Any, about: dict[str, Any], *, alone: bool) -> None:
    """Write the file as a whole or not at all.

    Raises:
        UsageError: safetensors has no place for what is to be written.
        OSError: the file can't be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == ".safetensors":
            _write_safetensors(part, content, about)
        else:
            torch.save(content if alone else content | {"survivor": about}, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_safetensors(part: Path, content: Any, about: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    content = {"parameter": content} if isinstance(content, torch.Tensor) else content
    if not _is_weights(content):
        raise UsageError("a .safetensors file holds tensors only", advice="Write a .pt file.")
    # safetensors knows no shared memory and no strides: each name has bytes of its own
    tensors = {str(name): tensor.clone(memory_format=torch.contiguous_format) for name, tensor in content.items()}
    try:
        save_file(tensors, part, {"format": "pt", **{key: str(value) for key, value in about.items()}})
    except (KeyError, ValueError) as error:
        raise UsageError(f"safetensors can't hold these tensors: {error}", advice="Write a .pt file.") from error


def main(order: dict[str, Any]) -> None:
    """Carry out what `survivor.cli.export` asks for, and say what was written."""
    path = Path(order["out"])
    checkpoint = Repository.open(order["store"], order["job"]).open_checkpoint(order["checkpoint"])
    checkpoint.check_packs(headers=True)
    states, models = states_of(checkpoint)
    name = order["object"]
    content = chosen(states, models, name, one=path.suffix == ".safetensors")
    info = checkpoint.info
    about = {"job": order["job"], "checkpoint": info.name, "step": info.step, "position": info.position}
    about |= {"metrics": info.metrics, "torch": str(info.origin.get("torch", ""))}
    alone = name is not None
    try:
        write(path, content, about, alone=alone)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"can't write {path}: {error}") from error
    what = name if alone else ", ".join(key for key in states if content is states or states[key] is content)
    print(f"{path}: {what or 'nothing'}, as of step {info.step} ({info.position})")


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except SurvivorError as error:
        advice = f"\nsurvivor: {error.advice}" if error.advice else ""
        print(f"survivor: error: {error}{advice}", file=sys.stderr)
        sys.exit(error.exit_code)
