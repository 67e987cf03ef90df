import asyncio


def code_tool(sandbox):
    """A tool for any framework that takes functions: it reads the name, the docstring and the annotations."""

    async def run_code(code: str) -> str:
        """Run Python in a sandbox and return what it prints."""
        result = await sandbox.run_code(code, timeout=30)
        return f"{result.stdout}\n{result.stderr}".strip()

    return run_code


def test_the_function(podflare_async_sandbox):
    assert asyncio.run(code_tool(podflare_async_sandbox)("print(6 * 7)")) == "42"
