"""What runs beneath the application: worker threads, the context of a request, and logging."""
