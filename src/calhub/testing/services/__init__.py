"""Emulators of calendar services as real HTTP servers on loopback: for tests, benchmarks and the demo."""
