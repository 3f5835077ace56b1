"""The client and the page: their types, their modules in Node, and generated clients."""
