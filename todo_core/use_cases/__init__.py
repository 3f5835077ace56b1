"""What people can do with the service, one class each.

A use case is a frozen dataclass of the ports that it needs; calling it does the
thing. It takes plain values by keyword, applies the rules, and returns entities.
"""
