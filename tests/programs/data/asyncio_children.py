# Three programs at once.
import asyncio


async def run(number):
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f"echo {number} > /tmp/{number}.txt; cat /tmp/{number}.txt", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return int(out), process.returncode


async def main():
    return await asyncio.gather(*map(run, range(3)))


print(asyncio.run(main()))
