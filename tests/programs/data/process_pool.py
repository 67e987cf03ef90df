# Work spread over processes.
import multiprocessing


def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


with multiprocessing.get_context("fork").Pool(2) as pool:
    lengths = pool.map(collatz, range(1, 200))
print(max(lengths), lengths.index(max(lengths)) + 1)
