# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A YAML file of generated secrets: what it holds by name, and adding what is missing without touching the rest."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
import string
import time
import traceback
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._cephx import new_cephx_key
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

try:
    import yaml
except ImportError:
    YAML_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    YAML_IMPORT_ERROR = None

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

KINDS = ("password", "fernet", "hex", "uuid", "cephx")
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
_SHORTEST, _LONGEST = 16, 1024
_ALPHABET = string.ascii_letters + string.digits
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VAULT_HEADER = "$ANSIBLE_VAULT;"
_LOCK_TIMEOUT_SECONDS, _LOCK_POLL_SECONDS = 10.0, 0.05


@dataclass(frozen=True, slots=True)
class SecretKind:
    """How to make one secret. ``length`` is in characters; Fernet keys, UUIDs and keys of Ceph have their own."""

    kind: str = "password"
    length: int = 32

    def generate(self) -> str:
        if self.kind == "fernet":
            return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        if self.kind == "uuid":
            return str(uuid.uuid4())
        if self.kind == "cephx":
            return new_cephx_key()
        if self.kind == "hex":
            return secrets.token_hex((self.length + 1) // 2)[: self.length]
        return "".join(secrets.choice(_ALPHABET) for _position in range(self.length))


@dataclass(frozen=True, slots=True)
class SecretsFile:
    """A secrets file as it was found. ``names`` is None for one encrypted as a whole; ``mode`` for one not there."""

    path: str
    text: str
    names: frozenset[str] | None
    mode: int | None

    @property
    def encrypted(self) -> bool:
        return self.names is None


def secret_kinds(options: Mapping[str, t.Any]) -> dict[str, SecretKind]:
    """``{name: {kind, length}}`` as an operator writes it, checked; LifeboatError for what cannot be meant."""
    return {name: _secret_kind(str(name), option) for name, option in options.items()}


def _secret_kind(name: str, option: t.Any) -> SecretKind:
    thing = f"secret {name}"
    if not _NAME.fullmatch(name):
        raise LifeboatError(thing, repr(name), "the name of an Ansible variable", "Correct the name.")
    values = {} if option is None else option
    if not isinstance(values, dict) or not set(values) <= {"kind", "length"}:
        raise LifeboatError(thing, repr(option), "a dictionary with kind, length or neither", "Correct the secret.")
    kind = str(values.get("kind", "password"))
    if kind not in KINDS:
        raise LifeboatError(thing, f"kind {kind!r}", f"one of {', '.join(KINDS)}", "Correct the kind.")
    length = str(values.get("length", 32))
    if not length.isascii() or not length.isdigit() or not _SHORTEST <= int(length) <= _LONGEST:
        raise LifeboatError(
            thing, f"length {length}", f"{_SHORTEST} to {_LONGEST} characters", "Correct the length, or leave it out."
        )
    return SecretKind(kind, int(length))


def read(path: str) -> SecretsFile:
    """The file at ``path`` (behind links); an absent one reads as an empty one."""
    path = os.path.realpath(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return SecretsFile(path, "", frozenset(), None)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        raise LifeboatError(f"secrets file {path}", str(reason), "a readable YAML file", "Mend the file.") from None
    names = None if text.startswith(_VAULT_HEADER) else names_in(text, path)
    return SecretsFile(path, text, names, mode)


def names_in(text: str, path: str) -> frozenset[str]:
    """The keys of the YAML mapping ``text``. Values are not constructed, so `!vault` ones are as good as any."""
    thing = f"secrets file {path}"
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        # The error itself quotes the file, that is to say a secret.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "some line"
        raise LifeboatError(thing, f"no valid YAML at {where}", "a YAML dictionary", "Mend the file.") from None
    if root is None:
        return frozenset()
    if not isinstance(root, yaml.MappingNode):
        raise LifeboatError(thing, f"a YAML {root.id}", "a YAML dictionary", "Mend the file.")
    for key, value in root.value:
        if value.tag.endswith(":null") or value.value == "":
            raise LifeboatError(
                thing, f"no value for {key.value}", "a value", "Give it one, or remove the line to have one generated."
            )
    return frozenset(str(key.value) for key, _value in root.value)


def missing(file: SecretsFile, wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names in ``wanted`` that are not there, in order.

    An encrypted file cannot be read here: what is in it is what the play ``known``s as variables.
    LifeboatError when such a file lacks a name, as it cannot be added to either.
    """
    there = set(known) if file.names is None else file.names
    absent = [name for name in wanted if name not in there]
    if absent and file.encrypted:
        names = ", ".join(absent)
        raise LifeboatError(
            f"encrypted secrets file {file.path}",
            f"no variable {names}",
            "all secrets of the play",
            f"Add a value for {names} with 'ansible-vault edit {file.path}', and give the play the vault's password.",
        )
    return absent


def add(file: SecretsFile, generated: Mapping[str, str]) -> None:
    """Append ``generated`` to the file, made with its directory if need be; all of it or nothing."""
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in generated.items()]
    text = file.text or "---\n# Made by lifeboat.cloud, once. `ansible-vault encrypt` may encrypt this file.\n"
    text += "".join(("" if text.endswith("\n") else "\n", *lines))
    if not _holds(text, file.path, {*(file.names or ()), *generated}):
        raise LifeboatError(
            f"secrets file {file.path}", "a form that lines cannot be added to", "lines 'name: value'", "Mend the file."
        )
    _replace(file.path, text)


def _holds(text: str, path: str, names: set[str]) -> bool:
    try:
        return names_in(text, path) >= names
    except LifeboatError:
        return False


def _replace(path: str, text: str) -> None:
    """Write a whole new file beside the old one and put it in its place: a reader sees the one or the other."""
    temporary = f"{path}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            _keep_owner(path, descriptor)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _keep_owner(path: str, descriptor: int) -> None:
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if os.geteuid() == 0:
        os.fchown(descriptor, old.st_uid, old.st_gid)


def make_directory(path: str) -> None:
    """The directory of the file at ``path``, private when it has to be made."""
    os.makedirs(os.path.dirname(os.path.realpath(path)), mode=DIRECTORY_MODE, exist_ok=True)


@contextlib.contextmanager
def locked_directory(path: str) -> Iterator[None]:
    """Alone with the directory of ``path``: two runs at once would each hand out secrets of which one set is lost."""
    directory = os.path.dirname(os.path.realpath(path))
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: str) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LifeboatError(
                    f"directory of secrets {directory}",
                    f"a lock held by another run for {_LOCK_TIMEOUT_SECONDS:g} s",
                    "one run at a time",
                    "Wait for the other run to end.",
                ) from None
        time.sleep(_LOCK_POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to the file, or would be: names only."""

    path: str
    names_before: Sequence[str]
    added: Sequence[str]
    mode_before: int | None
    encrypted: bool

    @property
    def changed(self) -> bool:
        return bool(self.added) or self.mode_before not in (None, FILE_MODE)


def converge(path: str, wanted: Mapping[str, SecretKind], known: Iterable[str], *, check: bool) -> Outcome:
    """Make the file at ``path`` hold every name in ``wanted``, with mode 0600."""
    outcome = _outcome(read(path), wanted, known)
    if check or not outcome.changed:
        return outcome
    try:
        make_directory(path)
        with locked_directory(path):
            return _change(read(path), wanted, known)
    except OSError as error:
        raise LifeboatError(
            f"secrets file {outcome.path}",
            str(error.strerror),
            "a directory to write to",
            "Run this as the user who owns the directory, or choose another.",
        ) from error


def _change(file: SecretsFile, wanted: Mapping[str, SecretKind], known: Iterable[str]) -> Outcome:
    outcome = _outcome(file, wanted, known)
    if outcome.added:
        add(file, {name: wanted[name].generate() for name in outcome.added})
    elif outcome.changed:
        os.chmod(file.path, FILE_MODE)
    return outcome


def _outcome(file: SecretsFile, wanted: Iterable[str], known: Iterable[str]) -> Outcome:
    return Outcome(file.path, sorted(file.names or ()), missing(file, wanted, known), file.mode, file.encrypted)
