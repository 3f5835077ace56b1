"""Secrets from files: `TODO_JWT_SECRET_FILE=/run/secrets/jwt-secret` instead of `TODO_JWT_SECRET`.

Container platforms provide secrets as files. Any setting that is secret can be read from one, by
the convention of the official images of PostgreSQL and others: the variable with `_FILE` appended
names the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAliasType, get_args, get_type_hints, override

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

SUFFIX = "_FILE"
_MAX_BYTES = 64 * 1024


class SecretFileError(ValueError):
    """Secrets cannot be read from their files. The message names the variables of all of them."""


class SecretFiles(PydanticBaseSettingsSource):
    """The settings whose values are in files, which other variables name.

    Line breaks at the end of a file are not part of the secret.
    """

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        """Look for the names of files among these variables, whose names are in lower case."""
        super().__init__(settings)
        self._variables = variables

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the secret of a field or None, the key for it, and that it is not JSON.

        Raises:
            SecretFileError: if the file cannot be used, or the secret is also given directly.
        """
        prefix = self.settings_cls.model_config.get("env_prefix", "")
        variable = str(field.validation_alias or f"{prefix}{field_name}".upper())
        key = str(field.validation_alias or field_name)
        file = self._variables.get(f"{variable}{SUFFIX}".lower())
        if not file:
            return None, key, False
        if self._variables.get(variable.lower()):
            raise SecretFileError(
                f"{variable} and {variable}{SUFFIX} must not both be set. Unset one of them"
            )
        return _read(Path(file), f"{variable}{SUFFIX}"), key, False

    @override
    def __call__(self) -> dict[str, Any]:
        """Return the secrets by the names of their fields.

        Raises:
            SecretFileError: if any cannot be read.
        """
        found: dict[str, Any] = {}
        errors: list[str] = []
        for name in secret_fields(self.settings_cls):
            try:
                value, key, _ = self.get_field_value(self.settings_cls.model_fields[name], name)
            except SecretFileError as error:
                errors.append(f"{error}.")
                continue
            if value is not None:
                found[key] = value
        if errors:
            raise SecretFileError("\n".join(errors))
        return found


def secret_fields(settings: type[BaseSettings]) -> list[str]:
    """Return the names of the fields whose values are secret."""
    hints = get_type_hints(settings, include_extras=True)
    return [name for name in settings.model_fields if _contains_secret(hints[name])]


def _contains_secret(annotation: Any) -> bool:  # noqa: ANN401 - a type, as typing describes it
    if annotation is SecretStr:
        return True
    if isinstance(annotation, TypeAliasType):
        return _contains_secret(annotation.__value__)
    return any(map(_contains_secret, get_args(annotation)))


def _read(file: Path, variable: str) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise SecretFileError(f"{variable}: The file cannot be read: {reason}") from None
    if len(content) > _MAX_BYTES:
        raise SecretFileError(f"{variable}: The file has more than {_MAX_BYTES:,} bytes")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretFileError(f"{variable}: The file is not text in UTF-8") from None
    if not secret:
        raise SecretFileError(f"{variable}: The file is empty")
    return secret
