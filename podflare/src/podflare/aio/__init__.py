"""The SDK's calls, for asyncio and trio. `AsyncSandbox` and `AsyncClient` are in `podflare` itself.

This is the source of both kinds: `python podflare/generate_sync.py` writes the blocking modules of the same names, one
folder up, by replacing words (`await`, `Async…`). So each call is defined once. Generation rather than a core without
input and output under two shells: a call here is several requests in a row, with locks, retries of close and cleanup,
which read best as the plain code that they are, and a stack trace of either kind shows no third layer.
"""
