"""The pytest plugin: fixtures `podflare_emulator` and `podflare_sandbox`."""
