"""What stands between the network and the application: the protocol, middleware, and options."""
