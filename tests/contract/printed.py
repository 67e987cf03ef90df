"""What code that succeeds prints."""

from podflare import Language, Sandbox


def printed(sandbox: Sandbox, code: str, language: Language = "python") -> str:
    """Its stdout; code that fails or complains fails the test."""
    result = sandbox.run_code(code, language)
    assert (result.exit_code, result.stderr) == (0, ""), result
    return result.stdout
