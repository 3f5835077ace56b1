"""The JSON that comes in and goes out, as pydantic models; OpenAPI describes it by them.

They check types. The rules (lengths, addresses, …) are the core's; the models
only repeat its limits for the description.
"""
