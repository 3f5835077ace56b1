"""The settings: what an operator can set, how each value is read, and which are refused."""

from todo_api.settings.external_issuers import ExternalIssuer
from todo_api.settings.settings import Settings, SettingsError, load_settings
from todo_api.settings.telemetry import Telemetry

__all__ = ["ExternalIssuer", "Settings", "SettingsError", "Telemetry", "load_settings"]
