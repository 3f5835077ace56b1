"""Names of devices by the library ua-parser."""

from todo_core.ports.devices import DeviceNames


class UaParserDeviceNames(DeviceNames):
    """Recognises the browsers and systems in the tables of the uap project."""

    def name(self, user_agent: str) -> str:
        from ua_parser import parse  # late: see docs/decisions/late-imports.md

        known = parse(user_agent)
        browser = known.user_agent.family if known.user_agent else None
        system = known.os.family if known.os else None
        return " on ".join(filter(None, (browser, system)))
