"""Devices by the tables of the library ua-parser."""

from todo_core.ports.devices import DeviceNames


class UaParserDeviceNames(DeviceNames):
    """Recognises what the tables of the uap project know."""

    def name(self, user_agent: str) -> str:
        # Its tables take 10 MB, which only the processes that log users in need.
        from ua_parser import parse

        known = parse(user_agent)
        browser = known.user_agent.family if known.user_agent else None
        system = known.os.family if known.os else None
        return " on ".join(filter(None, (browser, system)))
