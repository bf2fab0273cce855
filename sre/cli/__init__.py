"""The command line: a skin. Parse, call, render, exit code."""
