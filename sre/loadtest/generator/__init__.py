"""How is load made? The child process: the only code that loads Locust and gevent."""
