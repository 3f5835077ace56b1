"""The JSON of requests and responses, as pydantic models that also describe it in OpenAPI.

The models only check types. The core checks the rules, such as lengths. The models repeat its
limits for the OpenAPI document.
"""
